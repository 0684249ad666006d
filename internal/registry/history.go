package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
	"golang.org/x/sync/errgroup"

	"housing/internal/bundle"
	"housing/internal/objects"
)

// pushed is what the history of a version says that it was, and is.
type pushed struct {
	Digest string `json:"sha256"`
	Signed bool   `json:"signed"`
}

// recordTries is how often a line of the history is tried. Two pushes of the
// same bundle differ in the signature at most, so that a few are enough.
const recordTries = 5

// recordPush adds a line to the history of a version, unless the push changes
// nothing. found is the version as it was before.
func (r *Registry) recordPush(ctx context.Context, version string, found Info, digest string, c Change) error {
	key := version + "/" + pushesName
	_, _, err := r.objects.Read(ctx, version+"/"+signatureName, "")
	if err != nil && !errors.Is(err, objects.ErrAbsent) {
		return r.fault("read "+version+"/"+signatureName, err)
	}
	to, err := json.Marshal(pushed{digest, err == nil})
	if err != nil {
		return err
	}
	for try := range recordTries {
		text, tag, _, err := r.poll(ctx, key, "")
		if err != nil {
			return err
		}
		d, err := parseDocument(text)
		if err != nil {
			return fmt.Errorf("registry %s: %s: %w", r.location, key, err)
		}
		c.From, c.To = d.Current, to
		if d.Current == nil && found.Digest != "" { // it was put there by other means
			if c.From, err = json.Marshal(pushed{found.Digest, found.Signed}); err != nil {
				return err
			}
		}
		if string(c.From) == string(to) {
			return nil
		}
		err = r.change(ctx, key, tag, document{to, d.History}, c)
		if !errors.Is(err, ErrConflict) || try == recordTries-1 {
			return err
		}
	}
	return nil
}

// Pushes returns who pushed a version, newest first; nothing where it was
// put there by other means.
func (r *Registry) Pushes(ctx context.Context, version string) ([]Change, error) {
	if err := bundle.CheckVersion(version); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	key := version + "/" + pushesName
	text, _, _, err := r.poll(ctx, key, "")
	if err != nil {
		return nil, err
	}
	d, err := parseDocument(text)
	if err != nil {
		return nil, fmt.Errorf("registry %s: %s: %w", r.location, key, err)
	}
	return d.History, nil
}

// History returns who pushed versions and changed aliases, newest first.
func (r *Registry) History(ctx context.Context) ([]Change, error) {
	ctx, cancel := context.WithTimeout(ctx, bundleLimit)
	defer cancel()
	state, _, err := r.State(ctx, "")
	if err != nil {
		return nil, err
	}
	versions, err := r.Versions(ctx)
	if err != nil {
		return nil, err
	}
	changes := make([][]Change, len(versions))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(listAtOnce)
	for i, version := range versions {
		group.Go(func() (err error) {
			changes[i], err = r.Pushes(ctx, version)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	all := slices.Concat(append(changes, state.AliasHistory)...)
	slices.SortStableFunc(all, func(a, b Change) int { return b.When.Compare(a.When) })
	return all, nil
}

// Concerns says whether a change let a name stand for a version, or for
// another in its place.
func (c *Change) Concerns(version string) bool {
	name := `"` + version + `"` // a version needs no escapes
	return string(c.From) == name || string(c.To) == name
}
