package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"housing/internal/registry"
)

// Words of an [ObjectChange].
const (
	added    = "add"
	replaced = "replace"
)

// checkRegistry reads all objects of the backup, and finds out which of them
// the registry lacks or has otherwise.
func (r *restore) checkRegistry(ctx context.Context) error {
	for _, o := range r.manifest.Registry.Objects {
		if o.Reference {
			digest, err := r.options.Registry.DigestOf(ctx, o.Key)
			if err != nil {
				return err
			}
			if digest != o.SHA256 {
				return fmt.Errorf("backup %s has %s by reference alone, and the registry has %s where %s should be: restore it from the versions of the bucket first",
					r.manifest.ID, o.Key, orNothing(digest), o.SHA256)
			}
			continue
		}
		hash := sha256.New()
		if err := r.reader.copyTo(ctx, "registry "+o.Key, &o.Stream, hash); err != nil {
			return err
		}
		if digest := hex.EncodeToString(hash.Sum(nil)); digest != o.SHA256 {
			return fmt.Errorf("registry %s: its SHA-256 is %s, should be %s", o.Key, digest, o.SHA256)
		}
		change, err := r.changeOf(ctx, &o)
		if err != nil {
			return err
		}
		if change == "" {
			continue
		}
		r.objects = append(r.objects, o)
		r.out.Registry = append(r.out.Registry, ObjectChange{o.Key, change})
		if change == replaced {
			r.out.Overwrites = append(r.out.Overwrites, o.Key)
		}
	}
	return nil
}

// changeOf says what becomes of an object: "" where it stays as it is.
func (r *restore) changeOf(ctx context.Context, o *ObjectCopy) (string, error) {
	digest, err := r.options.Registry.DigestOf(ctx, o.Key)
	switch {
	case err != nil:
		return "", err
	case digest == "":
		return added, nil
	case digest == o.SHA256, registry.IsHistory(o.Key): // a history only grows
		return "", nil
	case registry.IsPlan(o.Key), registry.IsAliases(o.Key):
		text, err := r.text(ctx, o)
		if err != nil {
			return "", err
		}
		var there bytes.Buffer
		if _, err := r.options.Registry.ReadObject(ctx, o.Key, &there); err != nil {
			return "", err
		}
		if current, err := currentOf(there.Bytes()); err == nil && bytes.Equal(current, text) {
			return "", nil // it differs in the history alone
		}
	}
	return replaced, nil
}

// text returns what a plan or the aliases are in the backup.
func (r *restore) text(ctx context.Context, o *ObjectCopy) (jsontext.Value, error) {
	var text bytes.Buffer
	if err := r.quiet().copyTo(ctx, "registry "+o.Key, &o.Stream, &text); err != nil {
		return nil, err
	}
	current, err := currentOf(text.Bytes())
	if err != nil {
		return nil, fmt.Errorf("registry %s: %w", o.Key, err)
	}
	return current, nil
}

// currentOf returns the value of a document with a history.
func currentOf(text []byte) (jsontext.Value, error) {
	var d struct {
		Current jsontext.Value `json:"current"`
	}
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, err
	}
	return d.Current, d.Current.Canonicalize()
}

// quiet is the reader without progress, for what was read once already.
func (r *restore) quiet() *reader {
	quiet := *r.reader
	quiet.progress = func(int64) {}
	return &quiet
}

// writeRegistry writes what is missing, the plan last. A plan or aliases that
// are there change as by a command, with a line in their history.
func (r *restore) writeRegistry(ctx context.Context) error {
	for i := range r.objects {
		o := &r.objects[i]
		if err := r.writeObject(ctx, o); err != nil {
			return fmt.Errorf("restore the registry: run the restore again to finish it: %w", err)
		}
	}
	return nil
}

func (r *restore) writeObject(ctx context.Context, o *ObjectCopy) error {
	to := r.options.Registry
	if registry.IsPlan(o.Key) || registry.IsAliases(o.Key) {
		done, err := r.change(ctx, o)
		if done || err != nil {
			return err
		}
	}
	file, err := os.CreateTemp("", "restore-*")
	if err != nil {
		return err
	}
	defer func() { _, _ = file.Close(), os.Remove(file.Name()) }() // what stays is a file in the temporary folder
	if err := r.quiet().copyTo(ctx, "registry "+o.Key, &o.Stream, file); err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return to.PutObject(ctx, o.Key, file, r.options.Force)
}

// change makes the plan or the aliases what they were, as a change of those
// that are there; done is false where there are none that can be read.
func (r *restore) change(ctx context.Context, o *ObjectCopy) (done bool, err error) {
	to := r.options.Registry
	state, _, err := to.State(ctx, "")
	if err != nil && (errors.Is(err, registry.ErrConflict) || registry.Passing(err)) {
		return false, err
	}
	if err != nil {
		return false, nil // what is there is no plan: it is replaced
	}
	there := registry.IsPlan(o.Key) && state.Plan != nil || registry.IsAliases(o.Key) && len(state.AliasHistory) > 0
	if !there {
		return false, nil
	}
	text, err := r.text(ctx, o)
	if err != nil {
		return false, err
	}
	c := registry.Change{When: time.Now(), Who: r.options.By, What: "restore backup " + r.manifest.ID, Why: "as of " + r.manifest.Moment.Format(time.RFC3339)}
	if registry.IsPlan(o.Key) {
		return true, to.SetPlan(ctx, state, text, c)
	}
	return true, to.SetAliases(ctx, state, text, c)
}
