package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
	"github.com/jackc/pgx/v5/pgxpool"

	"housing/internal/registry"
)

// VerifyOptions says by what a backup is verified.
type VerifyOptions struct {
	Pool       *pgxpool.Pool      // any database: a schema of its own is made in it, and dropped again
	Registry   *registry.Registry // where bundles lie that were backed up by reference; nil for none
	Identities []age.Identity     // secret keys; nil for none
	By         string
	Progress   func(done, total int64)
}

// VerifyError says what is wrong with a backup.
type VerifyError struct {
	ID       string
	Problems []error // [*PartError], [*MismatchError]
}

// Error names each problem.
func (e *VerifyError) Error() string {
	texts := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		texts[i] = p.Error()
	}
	return "backup " + e.ID + " is not good: " + strings.Join(texts, "; ")
}

// maxProblems bounds those that a verification names.
const maxProblems = 20

// Verify restores a backup into a schema of its own, compares counts and
// fingerprints of all tables, and digests of all else. What came of it is kept
// beside the backup; of a backup that is not good the error is a
// [*VerifyError]. Where it could not be verified, for want of a key or of a
// server, nothing is noted.
func (r *Repository) Verify(ctx context.Context, id string, o VerifyOptions) (*Manifest, error) {
	m, err := r.Find(ctx, id, noTime)
	if err != nil {
		return nil, err
	}
	rd, err := r.reader(m, o.Identities, o.Progress)
	if err != nil {
		return m, err
	}
	v := &verification{reader: rd, options: &o}
	if err := v.run(ctx); err != nil {
		return m, err
	}
	note := &Verification{When: r.now().UTC(), By: o.By, Good: len(v.problems) == 0, Damaged: v.damaged}
	var bad *VerifyError
	if !note.Good {
		bad = &VerifyError{m.ID, v.problems}
		note.Problem = bad.Error()[:min(len(bad.Error()), maxWords)]
	}
	if err := r.noteVerification(ctx, m.ID, note); err != nil {
		return m, err
	}
	if bad != nil {
		return m, bad
	}
	return m, nil
}

// reader returns a reader of a backup, which is told what it reads.
func (r *Repository) reader(m *Manifest, identities []age.Identity, report func(done, total int64)) (*reader, error) {
	if len(m.Recipients) > 0 && identities == nil {
		return nil, fmt.Errorf("backup %s is encrypted to %s: a secret key is needed", m.ID, strings.Join(m.Recipients, ", "))
	}
	if len(m.Recipients) == 0 {
		identities = nil
	}
	meter := &meter{report: report}
	err := m.streams(func(_ string, s *Stream) error { meter.total += s.Bytes; return nil })
	return &reader{store: r.store, manifest: m, identities: identities, progress: meter.add}, err
}

// verification is one that is under way.
type verification struct {
	reader   *reader
	options  *VerifyOptions
	problems []error
	damaged  []string
}

func (v *verification) problem(err error) {
	if len(v.problems) < maxProblems {
		v.problems = append(v.problems, err)
	}
}

func (v *verification) damage(p *PartError) {
	v.problem(p)
	v.damaged = append(v.damaged, p.Key)
}

// partError returns the damage of a part that an error is about, nil for
// another error.
func partError(err error) *PartError {
	var p *PartError
	if errors.As(err, &p) && errors.Is(err, errDamaged) {
		return p
	}
	return nil
}

func (v *verification) run(ctx context.Context) error {
	m := v.reader.manifest
	if m.Registry != nil {
		for i := range m.Registry.Objects {
			if err := v.object(ctx, &m.Registry.Objects[i]); err != nil {
				return err
			}
		}
	}
	if m.Settings != nil {
		err := v.reader.copyTo(ctx, "settings", m.Settings, io.Discard)
		if p := partError(err); p != nil {
			v.damage(p)
		} else if err != nil {
			return err
		}
	}
	if m.Database == nil {
		return nil
	}
	if v.options.Pool == nil {
		return errors.New("a database is needed to restore the tables into: any will do, as a schema of its own is made and dropped again")
	}
	return v.tables(ctx)
}

// object reads an object of the registry and compares its digest.
func (v *verification) object(ctx context.Context, o *ObjectCopy) error {
	if o.Reference {
		return v.reference(ctx, o)
	}
	hash := sha256.New()
	err := v.reader.copyTo(ctx, "registry "+o.Key, &o.Stream, hash)
	if p := partError(err); p != nil {
		v.damage(p)
		return nil
	}
	if err != nil {
		return err
	}
	if digest := hex.EncodeToString(hash.Sum(nil)); digest != o.SHA256 {
		v.problem(fmt.Errorf("registry %s: its SHA-256 is %s, should be %s", o.Key, digest, o.SHA256))
	}
	return nil
}

func (v *verification) reference(ctx context.Context, o *ObjectCopy) error {
	if v.options.Registry == nil {
		return fmt.Errorf("registry %s was backed up by reference: the registry is needed to verify it", o.Key)
	}
	digest, err := v.options.Registry.DigestOf(ctx, o.Key)
	if err != nil {
		return err
	}
	if digest != o.SHA256 {
		v.problem(fmt.Errorf("registry %s: was backed up by reference with SHA-256 %s, the registry has %s", o.Key, o.SHA256, orNothing(digest)))
	}
	return nil
}

func orNothing(text string) string {
	if text == "" {
		return "nothing"
	}
	return text
}

// tables restores the tables, months of predictions one after the other so
// that no more than one takes room.
func (v *verification) tables(ctx context.Context) error {
	m := v.reader.manifest
	if err := m.checkSchema(); err != nil {
		return err
	}
	s, err := newStaging(ctx, v.options.Pool)
	if err != nil {
		return err
	}
	defer s.drop(ctx)
	for i := range m.Database.Tables {
		t := &m.Database.Tables[i]
		if err := v.table(ctx, s, t); err != nil {
			return err
		}
	}
	return nil
}

func (v *verification) table(ctx context.Context, s *staging, t *TableCopy) error {
	if t.Name != predictions {
		return v.loaded(s.load(ctx, v.reader, t, t.Units, quote(s.schema, t.Name), v.damage))
	}
	for _, month := range months(t.Units) {
		relation, err := s.month(ctx, month)
		if err != nil {
			return err
		}
		if err := v.loaded(s.load(ctx, v.reader, t, unitsIn(t.Units, month), relation, v.damage)); err != nil {
			return err
		}
		if _, err := s.pool.Exec(ctx, "DROP TABLE "+relation); err != nil {
			return err
		}
	}
	return nil
}

// loaded notes what is wrong with the backup, and returns any other error.
func (v *verification) loaded(err error) error {
	var mismatch *MismatchError
	if errors.As(err, &mismatch) {
		v.problem(mismatch)
		return nil
	}
	return err
}
