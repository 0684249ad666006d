package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"housing/internal/bundle"
	"housing/internal/objects"
)

// versionObjects are the objects of a version, in the order in which they are
// written: the bundle last, so that a version that is seen is whole.
var versionObjects = []string{digestName, signatureName, pushesName, bundleName}

// documents are the objects that say what is served, in the order in which
// they are written: the plan last, as it gives traffic to versions.
var documents = []string{versionName, aliasesName, planName}

// CheckObject returns an error unless key names an object of a registry.
func CheckObject(key string) error {
	version, name, inside := strings.Cut(key, "/")
	if !inside && slices.Contains(documents, key) || inside && bundle.CheckVersion(version) == nil && slices.Contains(versionObjects, name) {
		return nil
	}
	return fmt.Errorf("%.100q is no object of a registry", key)
}

// IsBundle says whether an object is a bundle.
func IsBundle(key string) bool { return strings.HasSuffix(key, "/"+bundleName) }

// IsPlan says whether an object is the traffic plan.
func IsPlan(key string) bool { return key == planName }

// IsAliases says whether an object is the aliases.
func IsAliases(key string) bool { return key == aliasesName }

// IsHistory says whether an object is a history alone.
func IsHistory(key string) bool { return strings.HasSuffix(key, "/"+pushesName) }

// VersionOf returns the version that an object is of, "" where it is of none.
func VersionOf(key string) string {
	version, _, inside := strings.Cut(key, "/")
	if !inside {
		return ""
	}
	return version
}

// MaxBytes returns how many bytes an object may have.
func MaxBytes(key string) int64 {
	if IsBundle(key) {
		return bundle.MaxBytes
	}
	return objects.MaxSmallBytes
}

// Document is a small object as it stands.
type Document struct {
	Key    string
	Text   []byte
	SHA256 string
}

// Documents returns those that say what is served, in the order in which they
// must be written.
func (r *Registry) Documents(ctx context.Context) ([]Document, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	var all []Document
	// The plan is read first: what it names is there by then.
	for _, key := range slices.Backward(documents) {
		text, _, err := r.objects.Read(ctx, key, "")
		switch {
		case errors.Is(err, objects.ErrAbsent):
		case err != nil:
			return nil, r.fault("read "+key, err)
		default:
			all = append(all, Document{key, text, digest(text)})
		}
	}
	slices.Reverse(all)
	return all, nil
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// ObjectsOf returns the objects of a version that there are, in the order in
// which they must be written.
func (r *Registry) ObjectsOf(ctx context.Context, version string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	var keys []string
	for _, name := range versionObjects {
		key := version + "/" + name
		_, err := r.objects.Size(ctx, key)
		switch {
		case errors.Is(err, objects.ErrAbsent):
		case err != nil:
			return nil, r.fault("look at "+key, err)
		default:
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// ReadObject copies an object to w and returns its SHA-256. A bundle must be
// what the digest beside it says.
func (r *Registry) ReadObject(ctx context.Context, key string, w io.Writer) (sha256sum string, err error) {
	if err := CheckObject(key); err != nil {
		return "", err
	}
	if IsBundle(key) {
		info, err := r.Fetch(ctx, VersionOf(key), w)
		return info.Digest, err
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	text, _, err := r.objects.Read(ctx, key, "")
	if err != nil {
		return "", r.fault("read "+key, err)
	}
	_, err = w.Write(text)
	return digest(text), err
}

// DigestOf returns the SHA-256 of an object as it lies there, whatever stands
// beside it; "" where there is none.
func (r *Registry) DigestOf(ctx context.Context, key string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, bundleLimit)
	defer cancel()
	body, _, err := r.objects.Open(ctx, key)
	if errors.Is(err, objects.ErrAbsent) {
		return "", nil
	}
	if err != nil {
		return "", r.fault("read "+key, err)
	}
	defer body.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, io.LimitReader(body, MaxBytes(key)+1)); err != nil {
		return "", r.fault("read "+key, err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// PutObject writes an object as it was in a copy; where there is another, it
// replaces that or returns [ErrExists]. Who restores a whole registry writes
// objects in the order of ObjectsOf and Documents, and need not take them back
// where it is stopped.
func (r *Registry) PutObject(ctx context.Context, key string, body io.ReadSeeker, replace bool) error {
	if err := CheckObject(key); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, bundleLimit)
	defer cancel()
	err := r.objects.Write(ctx, key, body, "")
	if errors.Is(err, objects.ErrTaken) && replace {
		if err = r.objects.Delete(ctx, key); err == nil {
			if _, err = body.Seek(0, io.SeekStart); err == nil {
				err = r.objects.Write(ctx, key, body, "")
			}
		}
	}
	if errors.Is(err, objects.ErrTaken) {
		err = ErrExists
	}
	if err != nil {
		return r.fault("write "+key, err)
	}
	return nil
}
