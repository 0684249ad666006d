package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"housing/internal/objects"
)

// Errors that a caller may decide by.
var (
	// ErrNone is the error where there is no such backup.
	ErrNone = errors.New("there is no such backup")
	// ErrOverwrite is the error of a restore that would change or delete what
	// is there, and was not told to.
	ErrOverwrite = errors.New("it would overwrite what is there")
)

// maxBackups bounds the backups of a repository.
const maxBackups = 5000

// Names of the objects of a backup, and of the repository.
const (
	manifestName = "manifest.json"
	verifiedName = "verified.json"
	leaseName    = "lease.json"
)

// Repository is a place with backups.
type Repository struct {
	store objects.Store
	now   func() time.Time
}

// Open returns the repository at a location: a folder, s3://BUCKET/PREFIX or
// gs://BUCKET/PREFIX.
func Open(ctx context.Context, location string) (*Repository, error) {
	store, err := objects.Open(ctx, location)
	if err != nil {
		return nil, err
	}
	return &Repository{store: store, now: time.Now}, nil
}

// Location returns where the repository is, without options.
func (r *Repository) Location() string { return r.store.Location() }

// Close closes idle connections.
func (r *Repository) Close() { r.store.Close() }

// Verification is what came of verifying a backup.
type Verification struct {
	When    time.Time `json:"when"`
	By      string    `json:"by"`
	Good    bool      `json:"good"`
	Problem string    `json:"problem,omitempty"`
	Damaged []string  `json:"damaged,omitempty"` // names of the parts
}

// Summary is what a list says of a backup.
type Summary struct {
	ID           string        `json:"id"`
	Manifest     *Manifest     `json:"-"`
	Problem      string        `json:"problem,omitempty"` // why its manifest cannot be read
	Verification *Verification `json:"verification,omitempty"`
}

// good says whether the backup was verified, and well.
func (s *Summary) good() bool { return s.Verification != nil && s.Verification.Good }

// ids returns the IDs of the backups, oldest first.
func (r *Repository) ids(ctx context.Context) ([]string, error) {
	ids, err := r.store.Holders(ctx, manifestName, func(name string) bool { return CheckID(name) == nil })
	if err != nil {
		return nil, r.fault("list backups", err)
	}
	if len(ids) > maxBackups {
		return nil, fmt.Errorf("list backups in %s: %d are more than %d", r.Location(), len(ids), maxBackups)
	}
	slices.Sort(ids)
	return ids, nil
}

// List returns the backups, oldest first. One whose manifest cannot be read
// is there with its problem.
func (r *Repository) List(ctx context.Context) ([]Summary, error) {
	ids, err := r.ids(ctx)
	if err != nil {
		return nil, err
	}
	var all []Summary
	for _, id := range ids {
		s := Summary{ID: id}
		if s.Manifest, err = r.manifest(ctx, id); err != nil {
			if objects.ReasonOf(err).Passing() || ctx.Err() != nil {
				return nil, err
			}
			s.Problem = err.Error()
		}
		if s.Verification, err = r.verification(ctx, id); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// Find returns the backup with an ID; with "", the newest not after at, or
// with the zero time the newest of all.
func (r *Repository) Find(ctx context.Context, id string, at time.Time) (*Manifest, error) {
	if id != "" {
		if err := CheckID(id); err != nil {
			return nil, err
		}
		return r.manifest(ctx, id)
	}
	ids, err := r.ids(ctx)
	if err != nil {
		return nil, err
	}
	for _, id := range slices.Backward(ids) {
		m, err := r.manifest(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("%w: name another backup", err)
		}
		if at.IsZero() || !m.Moment.After(at) {
			return m, nil
		}
	}
	if at.IsZero() {
		return nil, fmt.Errorf("find a backup in %s: %w", r.Location(), ErrNone)
	}
	return nil, fmt.Errorf("find a backup of %s or before in %s: %w", at.UTC().Format(time.RFC3339), r.Location(), ErrNone)
}

func (r *Repository) manifest(ctx context.Context, id string) (*Manifest, error) {
	what := "backup " + id
	body, _, err := r.store.Open(ctx, id+"/"+manifestName)
	if errors.Is(err, objects.ErrAbsent) {
		return nil, fmt.Errorf("%s in %s: %w", what, r.Location(), ErrNone)
	}
	if err != nil {
		return nil, r.fault(what, err)
	}
	defer body.Close()
	m, err := readManifest(body)
	if err != nil {
		return nil, fmt.Errorf("%s in %s: %s: %w", what, r.Location(), manifestName, err)
	}
	if m.ID != id {
		return nil, fmt.Errorf("%s in %s: %s is that of %s", what, r.Location(), manifestName, m.ID)
	}
	return m, nil
}

// verification returns what came of the last verification, nil before the
// first.
func (r *Repository) verification(ctx context.Context, id string) (*Verification, error) {
	text, _, err := r.store.Read(ctx, id+"/"+verifiedName, "")
	if errors.Is(err, objects.ErrAbsent) {
		return nil, nil
	}
	if err != nil {
		return nil, r.fault("verification of backup "+id, err)
	}
	var v Verification
	if err := json.Unmarshal(text, &v, json.RejectUnknownMembers(true)); err != nil {
		return &Verification{Problem: verifiedName + " cannot be read: " + err.Error()}, nil
	}
	return &v, nil
}

// noteVerification keeps what came of a verification.
func (r *Repository) noteVerification(ctx context.Context, id string, v *Verification) error {
	text, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return err
	}
	key := id + "/" + verifiedName
	_, tag, err := r.store.Read(ctx, key, "")
	if err != nil && !errors.Is(err, objects.ErrAbsent) {
		return r.fault("write "+key, err)
	}
	if err := r.store.Write(ctx, key, bytes.NewReader(append(text, '\n')), tag); err != nil {
		return r.fault("write "+key, err)
	}
	return nil
}

// Ages says when the newest backup and the newest that was verified, and
// well, are of; the zero time where there is none.
func (r *Repository) Ages(ctx context.Context) (completed, verified time.Time, err error) {
	ids, err := r.ids(ctx)
	if err != nil {
		return completed, verified, err
	}
	for _, id := range slices.Backward(ids) {
		moment, err := time.Parse(idLayout, id[:len(idLayout)])
		if err != nil {
			continue
		}
		if completed.IsZero() {
			completed = moment
		}
		v, err := r.verification(ctx, id)
		if err != nil {
			return completed, verified, err
		}
		if v != nil && v.Good {
			return completed, moment, nil
		}
	}
	return completed, verified, nil
}

func (r *Repository) fault(what string, err error) error {
	return fmt.Errorf("%s in %s: %s: %w", what, r.Location(), objects.ReasonOf(err), err)
}
