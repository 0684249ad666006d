package registry

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"housing/internal/bundle"
	"housing/internal/objects"
)

// Errors that a caller may decide by.
var (
	// ErrNotFound is the error for a version that is not there.
	ErrNotFound = errors.New("no such version")
	// ErrExists is the error for writing what is there already, and different.
	ErrExists = errors.New("it exists already")
	// ErrConflict is the error for changing what has changed meanwhile.
	ErrConflict = errors.New("someone else has changed it meanwhile: look again, then try again")
)

// Bounds on the time of a call and on what a registry may hold.
const (
	callLimit   = 10 * time.Second
	bundleLimit = 10 * time.Minute
	maxVersions = 10_000
)

// Names of the objects.
const (
	bundleName    = "bundle"
	digestName    = "bundle.sha256"
	signatureName = "bundle.sig"
	aliasesName   = "aliases.json"
	planName      = "rollout.json"
	versionName   = "VERSION"
	pushesName    = "pushes.json"
)

// Registry is a registry, for any number of goroutines.
type Registry struct {
	location string
	objects  objects.Store
	audit    *slog.Logger
}

// Open returns the registry at a location. A folder must be there; a bucket
// is not asked yet, so that a service starts while it is away.
func Open(ctx context.Context, location string) (*Registry, error) {
	store, err := objects.Open(ctx, location)
	if err != nil {
		return nil, err
	}
	return &Registry{location: store.Location(), objects: store, audit: slog.New(slog.DiscardHandler)}, nil
}

// Location returns where the registry is, without options.
func (r *Registry) Location() string { return r.location }

// AuditTo lets every change that is made through r be told to log too; call
// it before r is used. The history is kept without it.
func (r *Registry) AuditTo(log *slog.Logger) { r.audit = log }

// Close closes idle connections. Bundles that were loaded stay open.
func (r *Registry) Close() { r.objects.Close() }

// Info is what is known of a version without reading its bundle.
type Info struct {
	Version   string `json:"version"`
	Digest    string `json:"sha256,omitempty"` // "" where none was written beside the bundle
	Size      int64  `json:"bytes"`
	Signed    bool   `json:"signed"` // there is a signature; whose is not looked at
	Signature []byte `json:"-"`
}

// Versions returns the versions, sorted by name.
func (r *Registry) Versions(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	versions, err := r.objects.Holders(ctx, bundleName, func(name string) bool { return bundle.CheckVersion(name) == nil })
	if err != nil {
		return nil, r.fault("list models", err)
	}
	if len(versions) > maxVersions {
		return nil, fmt.Errorf("list models in %s: it has %d versions, more than %d", r.location, len(versions), maxVersions)
	}
	return versions, nil
}

// listAtOnce is how many versions List asks for at once.
const listAtOnce = 8

// List returns what is known of each version, sorted by name.
func (r *Registry) List(ctx context.Context) ([]Info, error) {
	ctx, cancel := context.WithTimeout(ctx, bundleLimit)
	defer cancel()
	versions, err := r.Versions(ctx)
	if err != nil {
		return nil, err
	}
	infos := make([]Info, len(versions))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(listAtOnce)
	for i, version := range versions {
		group.Go(func() (err error) {
			infos[i], err = r.Stat(ctx, version)
			return err
		})
	}
	return infos, group.Wait()
}

// Stat returns what is known of a version.
func (r *Registry) Stat(ctx context.Context, version string) (Info, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	info := Info{Version: version}
	if err := bundle.CheckVersion(version); err != nil {
		return info, err
	}
	var err error
	if info.Size, err = r.objects.Size(ctx, version+"/"+bundleName); err != nil {
		return info, r.fault("version "+version, err)
	}
	if info.Size > bundle.MaxBytes {
		return info, fmt.Errorf("version %s in %s: %d bytes is over the %d that a bundle may have", version, r.location, info.Size, bundle.MaxBytes)
	}
	text, _, err := r.objects.Read(ctx, version+"/"+digestName, "")
	switch {
	case errors.Is(err, objects.ErrAbsent):
	case err != nil:
		return info, r.fault("digest of version "+version, err)
	default:
		if info.Digest, err = parseDigest(text); err != nil {
			return info, fmt.Errorf("version %s in %s: %w", version, r.location, err)
		}
	}
	info.Signature, _, err = r.objects.Read(ctx, version+"/"+signatureName, "")
	if err != nil && !errors.Is(err, objects.ErrAbsent) {
		return info, r.fault("signature of version "+version, err)
	}
	info.Signed = len(info.Signature) > 0
	return info, nil
}

// parseDigest reads what sha256sum writes: the digest, and a name behind it.
func parseDigest(text []byte) (string, error) {
	digest, _, _ := strings.Cut(strings.TrimRight(string(text), "\r\n"), " ")
	if raw, err := hex.DecodeString(digest); err != nil || len(raw) != sha256.Size || digest != strings.ToLower(digest) {
		return "", fmt.Errorf("%s does not hold a SHA-256", digestName)
	}
	return digest, nil
}

// Fetch copies the bundle of a version to w and returns its digest among the
// rest. It never writes more than the size that was declared, and an error
// means that what was written is not to be used.
func (r *Registry) Fetch(ctx context.Context, version string, w io.Writer) (Info, error) {
	info, err := r.Stat(ctx, version)
	if err != nil {
		return info, err
	}
	ctx, cancel := context.WithTimeout(ctx, bundleLimit)
	defer cancel()
	what := "fetch version " + version
	body, size, err := r.objects.Open(ctx, version+"/"+bundleName)
	if err != nil {
		return info, r.fault(what, err)
	}
	defer body.Close()
	if size != info.Size {
		return info, fmt.Errorf("%s from %s: has %d bytes, had %d a moment ago: versions must never change", what, r.location, size, info.Size)
	}
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, hash), io.LimitReader(body, size+1))
	if err != nil {
		return info, r.fault(what, err)
	}
	if n != size {
		return info, fmt.Errorf("%s from %s: %d bytes were declared, %d came", what, r.location, size, n)
	}
	digest := hex.EncodeToString(hash.Sum(nil))
	if want := cmp.Or(info.Digest, digest); digest != want {
		return info, fmt.Errorf("%s from %s: damaged: its SHA-256 is %s, should be %s", what, r.location, digest, want)
	}
	info.Digest = digest
	return info, nil
}

// Manifest reads what the bundle of a version says of itself, and no more of
// it: whether the rest of the bundle is sound is found when it is loaded.
func (r *Registry) Manifest(ctx context.Context, version string) (*bundle.Manifest, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	what := "manifest of version " + version
	if err := bundle.CheckVersion(version); err != nil {
		return nil, err
	}
	body, size, err := r.objects.Open(ctx, version+"/"+bundleName)
	if err != nil {
		return nil, r.fault(what, err)
	}
	defer body.Close()
	rest := &io.LimitedReader{R: body, N: size}
	manifest, err := bundle.ReadManifest(rest)
	switch {
	case err != nil && rest.N == 0: // its end is that of the bundle, not of a connection
		return nil, fmt.Errorf("%s in %s: damaged: %v", what, r.location, err)
	case err != nil:
		return nil, r.fault(what, err)
	}
	return manifest, nil
}

// fault wraps an error of the medium in what was tried, and gives those that
// a caller decides by their public form.
func (r *Registry) fault(what string, err error) error {
	switch {
	case errors.Is(err, objects.ErrAbsent):
		return fmt.Errorf("%s in %s: %w", what, r.location, ErrNotFound)
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrExists), errors.Is(err, ErrConflict):
		return fmt.Errorf("%s in %s: %w", what, r.location, err)
	}
	return fmt.Errorf("%s in %s: %s: %w", what, r.location, ReasonOf(err), err)
}
