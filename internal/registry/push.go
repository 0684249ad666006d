package registry

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"housing/internal/bundle"
	"housing/internal/objects"
)

// Push writes the bundle in body as a version. The digest is written first
// and so claims the version: of two that push different bundles at once, one
// gets [ErrExists]. The bundle comes last, so that a version that is seen is
// whole; a push that was cut off is completed by another of the same bundle.
// To push what is there changes nothing, but adds a signature to one that had
// none. A nil key pushes without signing. From and To of the change, whose line
// goes into the history of the version, are filled in.
func (r *Registry) Push(ctx context.Context, version string, body io.ReadSeeker, key ed25519.PrivateKey, c Change) (Info, error) {
	what := "push version " + version
	if err := bundle.CheckVersion(version); err != nil {
		return Info{}, err
	}
	if slices.Contains(stateNames, version) {
		return Info{}, fmt.Errorf("%s: the registry keeps something else under this name: choose another", what)
	}
	digest, size, err := digestOf(body)
	if err != nil {
		return Info{}, fmt.Errorf("%s: %w", what, err)
	}
	ctx, cancel := context.WithTimeout(ctx, bundleLimit)
	defer cancel()
	found, err := r.existing(ctx, version)
	if err != nil {
		return Info{}, err
	}
	if found.Digest != "" && found.Digest != digest {
		return Info{}, fmt.Errorf("%s to %s: %w with sha256 %s, and versions never change: choose another name", what, r.location, ErrExists, found.Digest)
	}
	var signature []byte
	if key != nil {
		if signature, err = bundle.Sign(key, digest); err != nil {
			return Info{}, fmt.Errorf("%s: %w", what, err)
		}
	}
	sidecars := []struct {
		name string
		data []byte
		says string
	}{
		{digestName, []byte(digest + "  " + bundleName + "\n"), "as another bundle, whose push was not finished: choose another name, or push that bundle"},
		{signatureName, signature, "signed by another key: choose another name"},
	}
	for _, s := range sidecars {
		if s.data == nil {
			continue
		}
		switch same, err := r.writeOnce(ctx, version+"/"+s.name, s.data); {
		case err != nil:
			return Info{}, r.fault(what, err)
		case !same:
			return Info{}, fmt.Errorf("%s to %s: %w, %s", what, r.location, ErrExists, s.says)
		}
	}
	// Before the bundle, so that no version is seen whose history is not.
	if err := r.recordPush(ctx, version, found, digest, c); err != nil {
		return Info{}, fmt.Errorf("%s: %w", what, err)
	}
	if found.Digest == "" {
		if err := r.writeBundle(ctx, version, body, digest); err != nil {
			return Info{}, r.fault(what, err)
		}
	}
	return Info{Version: version, Digest: digest, Size: size, Signed: signature != nil, Signature: signature}, nil
}

// existing returns what a version is, with the digest read from the bundle
// itself; the zero Info where there is none.
func (r *Registry) existing(ctx context.Context, version string) (Info, error) {
	info, err := r.Fetch(ctx, version, io.Discard)
	if errors.Is(err, ErrNotFound) {
		return Info{}, nil
	}
	return info, err
}

// writeOnce writes a small object where there is none, and says whether what
// is there afterwards is data.
func (r *Registry) writeOnce(ctx context.Context, key string, data []byte) (same bool, err error) {
	err = r.objects.Write(ctx, key, bytes.NewReader(data), "")
	if !errors.Is(err, objects.ErrTaken) {
		return err == nil, err
	}
	there, _, err := r.objects.Read(ctx, key, "")
	return bytes.Equal(there, data), err
}

// writeBundle writes the bundle itself. One that came meanwhile must be the
// same: the digest beside it was ours.
func (r *Registry) writeBundle(ctx context.Context, version string, body io.ReadSeeker, digest string) error {
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return err
	}
	err := r.objects.Write(ctx, version+"/"+bundleName, body, "")
	if !errors.Is(err, objects.ErrTaken) {
		return err
	}
	found, err := r.existing(ctx, version)
	if err == nil && found.Digest != digest {
		return ErrExists
	}
	return err
}

func digestOf(body io.ReadSeeker) (digest string, size int64, err error) {
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return "", 0, err
	}
	hash := sha256.New()
	size, err = io.Copy(hash, io.LimitReader(body, bundle.MaxBytes+1))
	if err == nil && size > bundle.MaxBytes {
		err = fmt.Errorf("it is over the %d bytes that a bundle may have", bundle.MaxBytes)
	}
	return hex.EncodeToString(hash.Sum(nil)), size, err
}

// Load returns a version as an open bundle, in which everything has been
// verified: the digest that was pushed, the signature where key is given,
// that the bundle is this version, and what [bundle.Open] checks. In a folder
// the bundle is mapped where it lies. From a bucket it comes into a temporary
// file in the folder temp ("" is the system's), whose name is gone when Load
// returns.
func (r *Registry) Load(ctx context.Context, version string, key ed25519.PublicKey, temp string) (*bundle.Bundle, error) {
	var b *bundle.Bundle
	var info Info
	var err error
	if folder, ok := r.objects.(*objects.Folder); ok {
		if info, err = r.Stat(ctx, version); err == nil {
			var path string
			if path, err = folder.Path(version + "/" + bundleName); err == nil {
				b, err = bundle.Open(path)
			}
		}
	} else {
		info, b, err = r.download(ctx, version, key, temp)
	}
	if err != nil {
		return nil, err
	}
	if err := checkLoaded(b, info, key); err != nil {
		return nil, errors.Join(fmt.Errorf("version %s in %s: %w", version, r.location, err), b.Close())
	}
	return b, nil
}

func checkLoaded(b *bundle.Bundle, info Info, key ed25519.PublicKey) error {
	if info.Digest != "" && info.Digest != b.Digest {
		return fmt.Errorf("damaged: its SHA-256 is %s, should be %s", b.Digest, info.Digest)
	}
	if b.Manifest.Version != info.Version {
		return fmt.Errorf("the bundle holds version %q, not %q", b.Manifest.Version, info.Version)
	}
	return checkSigned(info, b.Digest, key)
}

func checkSigned(info Info, digest string, key ed25519.PublicKey) error {
	if key == nil {
		return nil
	}
	return bundle.CheckSignature(key, digest, info.Signature)
}

// download opens a bundle from a bucket. What is not signed is not parsed.
func (r *Registry) download(ctx context.Context, version string, key ed25519.PublicKey, temp string) (Info, *bundle.Bundle, error) {
	file, err := os.CreateTemp(temp, "bundle-*")
	if err != nil {
		return Info{}, nil, fmt.Errorf("fetch version %s: %w", version, err)
	}
	defer func() { _ = os.Remove(file.Name()) }() // what stays is a file in the temporary folder
	info, err := r.Fetch(ctx, version, file)
	if err = errors.Join(err, file.Close()); err != nil {
		return info, nil, err
	}
	if err := checkSigned(info, info.Digest, key); err != nil {
		return info, nil, fmt.Errorf("version %s in %s: %w", version, r.location, err)
	}
	b, err := bundle.Open(file.Name())
	return info, b, err
}
