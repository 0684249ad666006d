package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"housing/internal/demographics/database"
	"housing/internal/journal"
	"housing/internal/registry"
	"housing/internal/store/schema"
)

var noTime time.Time

// RestoreOptions says what is restored, and how.
type RestoreOptions struct {
	Pool       *pgxpool.Pool      // database that is restored; nil where none is
	Registry   *registry.Registry // registry that is restored; nil where none is
	Identities []age.Identity     // secret keys; nil for none
	Areas      []Area             // what is restored; none for all that there is a place for
	Months     []string           // of the journal, such as 2026-11; none for all
	DryRun     bool               // compare, and change nothing
	Force      bool               // change and replace what is there
	By         string
	Audit      *slog.Logger // may be nil
	Progress   func(done, total int64)
}

// wants says whether an area is restored.
func (o *RestoreOptions) wants(a Area) bool {
	return len(o.Areas) == 0 || slices.Contains(o.Areas, a)
}

// Restored says what a restore changed, or would.
type Restored struct {
	ID           string         `json:"id"`
	Moment       time.Time      `json:"moment"`
	DryRun       bool           `json:"dry_run"`
	Demographics *database.Diff `json:"demographics,omitempty"` // nil where they are the same, or not restored
	Imports      int64          `json:"imports,omitempty"`      // lines of the import history that were missing
	Journal      []RowsRestored `json:"journal,omitempty"`      // what differs
	Registry     []ObjectChange `json:"registry,omitempty"`     // what differs
	Settings     []byte         `json:"-"`                      // the document of settings; nil where there is none
	Overwrites   []string       `json:"overwrites,omitempty"`   // what is there and would be changed: needs Force
}

// RowsRestored says what becomes of the rows of a table, or of a month.
type RowsRestored struct {
	Table      string `json:"table"`
	Month      string `json:"month,omitempty"`
	Missing    int64  `json:"missing"`              // rows of the backup that are not there
	Changed    int64  `json:"changed"`              // rows that are there and are not as in the backup
	Kept       int64  `json:"kept"`                 // rows that the backup does not have; they stay
	Unreadable bool   `json:"unreadable,omitempty"` // PostgreSQL cannot read what is there: what it can of it is kept
}

// ObjectChange says what becomes of an object of the registry.
type ObjectChange struct {
	Key    string `json:"key"`
	Change string `json:"change"` // add or replace
}

// Restore brings back what a backup holds. Everything is read and compared
// first, the tables in a schema of their own: a backup that is damaged
// changes nothing. Then the tables change in one transaction, and after that
// the registry, the traffic plan last. What is there and the backup does not
// have stays: predictions, outcomes and versions that came later. Where
// something that is there would be changed, the error is [ErrOverwrite] unless
// Force is set. It can be stopped at any moment, and done again.
func (r *Repository) Restore(ctx context.Context, m *Manifest, o RestoreOptions) (*Restored, error) {
	rd, err := r.reader(m, o.Identities, o.Progress)
	if err != nil {
		return nil, err
	}
	rs := &restore{reader: rd, manifest: m, options: &o, out: &Restored{ID: m.ID, Moment: m.Moment, DryRun: o.DryRun}}
	return rs.out, rs.run(ctx)
}

// restore is one that is under way.
type restore struct {
	reader   *reader
	manifest *Manifest
	options  *RestoreOptions
	out      *Restored

	staging *staging
	staged  []stagedTable
	objects []ObjectCopy // that are to be written
}

// stagedTable is a table, or a month of one, that has been staged.
type stagedTable struct {
	*table
	columns  []string
	month    string // of predictions
	relation string // staged
	live     string // partition of predictions that there is, "" for none
	broken   bool   // the live one cannot be read
}

func (r *restore) run(ctx context.Context) error {
	m, o := r.manifest, r.options
	if m.Settings != nil && o.wants(Settings) {
		var text bytes.Buffer
		if err := r.reader.copyTo(ctx, "settings", m.Settings, &text); err != nil {
			return err
		}
		r.out.Settings = text.Bytes()
	}
	if m.Registry != nil && o.Registry != nil && o.wants(Registry) {
		if err := r.checkRegistry(ctx); err != nil {
			return err
		}
	}
	tables := m.Database != nil && o.Pool != nil && (o.wants(Demographics) || o.wants(Journal))
	if tables {
		if err := r.stage(ctx); err != nil {
			return err
		}
		defer r.staging.drop(ctx)
	}
	if tables {
		if err := r.compare(ctx); err != nil {
			return err
		}
	}
	if o.DryRun {
		return nil
	}
	if len(r.out.Overwrites) > 0 && !o.Force {
		return r.refusal()
	}
	if tables {
		if err := schema.Migrate(ctx, o.Pool); err != nil {
			return err
		}
		if err := r.swap(ctx); err != nil {
			return err
		}
	}
	return r.writeRegistry(ctx)
}

func (r *restore) refusal() error {
	return fmt.Errorf("restore backup %s: nothing was changed: %w: %s", r.manifest.ID, ErrOverwrite, strings.Join(r.out.Overwrites, ", "))
}

// stage loads what differs from what is there.
func (r *restore) stage(ctx context.Context) error {
	if err := r.manifest.checkSchema(); err != nil {
		return err
	}
	var err error
	if r.staging, err = newStaging(ctx, r.options.Pool); err != nil {
		return err
	}
	for i := range r.manifest.Database.Tables {
		t := &r.manifest.Database.Tables[i]
		spec := tableNamed(t.Name)
		if !r.options.wants(spec.area) {
			continue
		}
		switch {
		case t.Name == predictions:
			err = r.stagePredictions(ctx, spec, t)
		case spec.daily():
			err = r.stageDaily(ctx, spec, t)
		default:
			relation := quote(r.staging.schema, t.Name)
			if err = r.staging.load(ctx, r.reader, t, t.Units, relation, nil); err == nil {
				r.staged = append(r.staged, stagedTable{table: spec, columns: t.Columns, relation: relation})
			}
		}
		if err != nil {
			r.staging.drop(ctx)
			return err
		}
	}
	return nil
}

// wanted returns the units of the months that are restored.
func (r *restore) wanted(t *TableCopy) []Unit {
	if len(r.options.Months) == 0 {
		return t.Units
	}
	var wanted []Unit
	for _, month := range r.options.Months {
		wanted = append(wanted, unitsIn(t.Units, month)...)
	}
	slices.SortFunc(wanted, func(a, b Unit) int { return strings.Compare(a.Day, b.Day) })
	return wanted
}

// exists says whether the database has a table.
func (r *restore) exists(ctx context.Context, name string) (there bool, err error) {
	err = r.options.Pool.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", name).Scan(&there)
	return there, err
}

// stageDaily loads the days of a table that are not the same.
func (r *restore) stageDaily(ctx context.Context, spec *table, t *TableCopy) error {
	there, err := r.exists(ctx, t.Name)
	if err != nil {
		return err
	}
	live := map[string]Unit{}
	if there {
		if live, err = spec.unitsOf(ctx, r.options.Pool, quote(t.Name), t.Columns); err != nil {
			return err
		}
	}
	units := differing(r.wanted(t), live)
	if len(units) == 0 {
		return nil
	}
	relation := quote(r.staging.schema, t.Name)
	r.staged = append(r.staged, stagedTable{table: spec, columns: t.Columns, relation: relation})
	return r.staging.load(ctx, r.reader, t, units, relation, nil)
}

func differing(units []Unit, live map[string]Unit) (differ []Unit) {
	for i := range units {
		if is, ok := live[units[i].Day]; !ok || !is.same(&units[i]) {
			differ = append(differ, units[i])
		}
	}
	return differ
}

// stagePredictions loads the months in which a day is not the same, whole, so
// that a month can take the place of another.
func (r *restore) stagePredictions(ctx context.Context, spec *table, t *TableCopy) error {
	wanted := r.wanted(t)
	for _, month := range months(wanted) {
		st := stagedTable{table: spec, columns: t.Columns, month: month}
		live, err := r.livePartition(ctx, &st)
		if err != nil {
			return err
		}
		units := unitsIn(wanted, month)
		if !st.broken && len(differing(units, live)) == 0 {
			continue
		}
		if st.relation, err = r.staging.month(ctx, month); err != nil {
			return err
		}
		if err := r.staging.load(ctx, r.reader, t, units, st.relation, nil); err != nil {
			return err
		}
		r.staged = append(r.staged, st)
	}
	return nil
}

// livePartition looks for the partition of a month and counts its rows.
func (r *restore) livePartition(ctx context.Context, st *stagedTable) (map[string]Unit, error) {
	first, err := time.Parse("2006-01", st.month)
	if err != nil {
		return nil, err
	}
	name, _, _ := journal.PartitionOf(first)
	err = r.options.Pool.QueryRow(ctx, `SELECT coalesce((SELECT inhrelid::regclass::text FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
		WHERE inhparent = to_regclass($1) AND c.relname = $2), '')`, predictions, name).Scan(&st.live)
	if err != nil || st.live == "" {
		return nil, err
	}
	units, err := st.unitsOf(ctx, r.options.Pool, st.live, st.columns)
	if damaged(err) {
		st.broken = true
		return nil, nil
	}
	return units, err
}

// swapTries is how often the transaction of a restore is tried: it gives up
// rather than hold up those who use the tables.
const swapTries = 20

// swapLockTimeout bounds how long it waits for one of them, and they for it.
const swapLockTimeout = "3s"

// swap changes the tables in one transaction.
func (r *restore) swap(ctx context.Context) error {
	for try := 1; ; try++ {
		tell := func() {}
		err := pgx.BeginFunc(ctx, r.options.Pool, func(tx pgx.Tx) (err error) {
			tell, err = r.swapAll(ctx, tx)
			return err
		})
		if err == nil {
			tell()
			return nil
		}
		var answered *pgconn.PgError
		busy := errors.As(err, &answered) && (answered.Code == "55P03" || answered.Code == "40P01")
		if !busy || try == swapTries || ctx.Err() != nil {
			return fmt.Errorf("restore the database: nothing was changed: %w", err)
		}
	}
}
