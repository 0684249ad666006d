package backup

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"housing/internal/demographics"
	"housing/internal/demographics/database"
	"housing/internal/journal"
)

// merge says how the rows of a daily table come together with those that are
// there.
type merge struct {
	key     []string
	differs func(live, staged string) string // condition that a row is not as in the backup
}

// merges are those of each daily table. An outcome that was corrected after
// the backup stays.
var merges = map[string]merge{
	predictions: {[]string{"id", "record", "shadow", "at"}, func(l, s string) string {
		return fmt.Sprintf("(%[1]s.version, %[1]s.role, %[1]s.user_id, %[1]s.price) IS DISTINCT FROM (%[2]s.version, %[2]s.role, %[2]s.user_id, %[2]s.price)", l, s)
	}},
	"prediction_keys": {[]string{"id"}, func(l, s string) string { return fmt.Sprintf("%s.at <> %s.at", l, s) }},
	"outcomes": {[]string{"id", "record"}, func(l, s string) string {
		return fmt.Sprintf("(%[1]s.price, %[1]s.sold_on, %[1]s.received_at) IS DISTINCT FROM (%[2]s.price, %[2]s.sold_on, %[2]s.received_at) AND %[1]s.corrections <= %[2]s.corrections", l, s)
	}},
}

// on joins the live rows l and the staged rows s by key.
func (m *merge) on() string {
	parts := make([]string, len(m.key))
	for i, column := range m.key {
		parts[i] = "l." + column + " = s." + column
	}
	return strings.Join(parts, " AND ")
}

// compare finds out what would change, without changing anything.
func (r *restore) compare(ctx context.Context) error {
	for i := range r.staged {
		st := &r.staged[i]
		var err error
		switch {
		case st.daily():
			err = r.compareRows(ctx, r.options.Pool, st)
		case st.name == "zipcode_demographics":
			err = r.compareDemographics(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// compareRows counts what differs in a daily table.
func (r *restore) compareRows(ctx context.Context, q querier, st *stagedTable) error {
	rows := RowsRestored{Table: st.name, Month: st.month, Unreadable: st.broken}
	live := quote(st.name)
	if st.name == predictions {
		live = st.live
	}
	there, err := r.exists(ctx, st.name)
	if err != nil {
		return err
	}
	m := merges[st.name]
	switch {
	case st.broken, !there, live == "":
		err = q.QueryRow(ctx, "SELECT count(*) FROM "+st.relation).Scan(&rows.Missing)
	default:
		// Rows that are there beside those of the backup: of the days of the
		// backup alone.
		err = q.QueryRow(ctx, fmt.Sprintf(`SELECT count(*) FILTER (WHERE l.%[1]s IS NULL), count(*) FILTER (WHERE l.%[1]s IS NOT NULL AND %[2]s) FROM %[3]s s LEFT JOIN %[4]s l ON %[5]s`,
			m.key[0], m.differs("l", "s"), st.relation, live, m.on())).Scan(&rows.Missing, &rows.Changed)
		if err == nil && st.name == predictions {
			err = q.QueryRow(ctx, fmt.Sprintf("SELECT count(*) FROM %s l WHERE NOT EXISTS (SELECT FROM %s s WHERE %s)", live, st.relation, m.on())).Scan(&rows.Kept)
		}
	}
	if err != nil {
		return fmt.Errorf("compare %s: %w", live, err)
	}
	if rows.Missing+rows.Changed > 0 || rows.Unreadable {
		r.out.Journal = append(r.out.Journal, rows)
	}
	what := strings.TrimSpace(st.name + " " + st.month)
	if rows.Changed > 0 {
		r.out.Overwrites = append(r.out.Overwrites, fmt.Sprintf("%d rows of %s", rows.Changed, what))
	}
	if rows.Unreadable {
		r.out.Overwrites = append(r.out.Overwrites, what+", which PostgreSQL cannot read")
	}
	return nil
}

// compareDemographics compares the figures.
func (r *restore) compareDemographics(ctx context.Context) error {
	staged, err := r.stagedFigures(ctx)
	if err != nil {
		return err
	}
	live, _, err := database.Load(ctx, r.options.Pool)
	if err != nil {
		return err
	}
	if staged != nil {
		if diff := database.Compare(live, staged); !diff.Empty() {
			r.out.Demographics = &diff
			if live != nil {
				r.out.Overwrites = append(r.out.Overwrites, fmt.Sprintf("demographics (%d areas added, %d changed, %d removed)", len(diff.Added), len(diff.Changed), len(diff.Removed)))
			}
		}
	}
	there, err := r.exists(ctx, "demographics_imports")
	if err != nil {
		return err
	}
	missing := "SELECT count(*) FROM " + quote(r.staging.schema, "demographics_imports") + " s"
	if there {
		missing += " WHERE NOT EXISTS (SELECT FROM demographics_imports l WHERE l.id = s.id)"
	}
	return r.options.Pool.QueryRow(ctx, missing).Scan(&r.out.Imports)
}

// stagedFigures returns the table of the backup, nil for an empty one.
func (r *restore) stagedFigures(ctx context.Context) (table *demographics.Table, err error) {
	err = pgx.BeginFunc(ctx, r.staging.pool, func(tx pgx.Tx) error {
		table, err = database.Read(ctx, tx)
		return err
	})
	return table, err
}

// swapAll changes the tables; tell tells the audit once it is committed.
func (r *restore) swapAll(ctx context.Context, tx pgx.Tx) (tell func(), err error) {
	tell = func() {}
	if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '"+swapLockTimeout+"'; SET LOCAL statement_timeout = 0", pgx.QueryExecModeSimpleProtocol); err != nil {
		return tell, err
	}
	if r.has("zipcode_demographics") {
		if tell, err = r.swapDemographics(ctx, tx); err != nil {
			return tell, err
		}
	}
	// Partitions come last, as nobody can read or write the journal from then
	// to the end.
	for i := range r.staged {
		if st := &r.staged[i]; st.daily() && st.name != predictions {
			if err := r.mergeRows(ctx, tx, st); err != nil {
				return tell, fmt.Errorf("%s: %w", st.name, err)
			}
		}
	}
	if !r.has(predictions) {
		return tell, nil
	}
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(journal.PartitionLock)); err != nil {
		return tell, err
	}
	for i := range r.staged {
		if st := &r.staged[i]; st.name == predictions {
			if err := r.swapMonth(ctx, tx, st); err != nil {
				return tell, fmt.Errorf("%s %s: %w", st.name, st.month, err)
			}
		}
	}
	return tell, nil
}

func (r *restore) has(name string) bool {
	return slices.ContainsFunc(r.staged, func(st stagedTable) bool { return st.name == name })
}

// swapDemographics brings the missing lines of the history, and the figures.
// Where figures are there already, the change has a line of its own.
func (r *restore) swapDemographics(ctx context.Context, tx pgx.Tx) (tell func(), err error) {
	tell = func() {}
	columns := map[string]string{}
	for i := range r.staged {
		columns[r.staged[i].name] = quoteAll(r.staged[i].columns)
	}
	from := func(name string) string { return quote(r.staging.schema, name) }
	for _, sql := range []string{
		fmt.Sprintf("INSERT INTO demographics_imports (%[1]s) OVERRIDING SYSTEM VALUE SELECT %[1]s FROM %[2]s ORDER BY id ON CONFLICT (id) DO NOTHING",
			columns["demographics_imports"], from("demographics_imports")),
		// The figures of an import that is there under the number of another
		// are left out.
		fmt.Sprintf("INSERT INTO demographics_changes (%[1]s) SELECT %[1]s FROM %[2]s c WHERE EXISTS (SELECT FROM %[3]s s JOIN demographics_imports l USING (id, imported_at) WHERE s.id = c.import_id) ON CONFLICT DO NOTHING",
			columns["demographics_changes"], from("demographics_changes"), from("demographics_imports")),
		"SELECT setval(pg_get_serial_sequence('demographics_imports', 'id'), greatest((SELECT coalesce(max(id), 0) FROM demographics_imports), 1), EXISTS (SELECT FROM demographics_imports))",
	} {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return tell, fmt.Errorf("demographics: %w", err)
		}
	}
	if r.out.Demographics == nil {
		return tell, nil
	}
	live, err := database.Read(ctx, tx)
	if err != nil {
		return tell, err
	}
	if live == nil { // with its times
		list := columns["zipcode_demographics"]
		_, err := tx.Exec(ctx, fmt.Sprintf("INSERT INTO zipcode_demographics (%[1]s) SELECT %[1]s FROM %[2]s", list, from("zipcode_demographics")))
		return tell, err
	}
	staged, err := r.stagedFigures(ctx)
	if err != nil {
		return tell, err
	}
	_, tell, err = database.Replace(ctx, tx, staged, database.ImportOptions{
		FileName: "backup " + r.manifest.ID, By: r.options.By, Why: "restored as of " + r.manifest.Moment.Format(time.RFC3339), Force: true, Audit: r.options.Audit,
	})
	return tell, err
}

// mergeRows brings the rows of a daily table without partitions.
func (r *restore) mergeRows(ctx context.Context, tx pgx.Tx, st *stagedTable) error {
	m := merges[st.name]
	var set []string
	for _, column := range st.columns {
		if !slices.Contains(m.key, column) {
			set = append(set, quote(column)+" = EXCLUDED."+quote(column))
		}
	}
	list := quoteAll(st.columns)
	_, err := tx.Exec(ctx, fmt.Sprintf("INSERT INTO %s AS l (%s) SELECT %s FROM %s ORDER BY %s ON CONFLICT (%s) DO UPDATE SET %s WHERE %s",
		quote(st.name), list, list, st.relation, quoteAll(m.key), quoteAll(m.key), strings.Join(set, ", "), m.differs("l", "EXCLUDED")))
	return err
}

// swapMonth lets a staged month take the place of the one that is there, with
// the rows that the backup does not have.
func (r *restore) swapMonth(ctx context.Context, tx pgx.Tx, st *stagedTable) error {
	first, err := time.Parse("2006-01", st.month)
	if err != nil {
		return err
	}
	name, from, to := journal.PartitionOf(first)
	// It may have been made or dropped since it was compared.
	live, err := r.livePartitionNow(ctx, tx, name)
	if err != nil {
		return err
	}
	if live != "" {
		if _, err := tx.Exec(ctx, "LOCK TABLE "+live+" IN ACCESS EXCLUSIVE MODE"); err != nil {
			return err
		}
		if st.broken {
			err = r.salvage(ctx, tx, live, st)
		} else {
			err = r.keep(ctx, tx, live, st)
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "ALTER TABLE predictions DETACH PARTITION "+live+"; DROP TABLE "+live, pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
	}
	var schema string
	if err := tx.QueryRow(ctx, "SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = 'predictions'::regclass").Scan(&schema); err != nil {
		return err
	}
	partition := schema + "." + quote(name)
	_, err = tx.Exec(ctx, fmt.Sprintf(`ALTER TABLE %[1]s SET SCHEMA %[2]s;
		ALTER TABLE predictions ATTACH PARTITION %[3]s FOR VALUES FROM ('%[4]s') TO ('%[5]s');
		ALTER TABLE %[3]s DROP CONSTRAINT %[6]s`, st.relation, schema, partition, from, to, boundsCheck), pgx.QueryExecModeSimpleProtocol)
	return err
}

func (r *restore) livePartitionNow(ctx context.Context, tx pgx.Tx, name string) (live string, err error) {
	err = tx.QueryRow(ctx, `SELECT coalesce((SELECT inhrelid::regclass::text FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
		WHERE inhparent = 'predictions'::regclass AND c.relname = $1), '')`, name).Scan(&live)
	return live, err
}

// keep copies the rows that the backup does not have. What it has, and is
// there otherwise, is replaced, if that was asked for.
func (r *restore) keep(ctx context.Context, tx pgx.Tx, live string, st *stagedTable) error {
	m := merges[st.name]
	var changed int64
	if err := tx.QueryRow(ctx, fmt.Sprintf("SELECT count(*) FROM %s l JOIN %s s ON %s WHERE %s", live, st.relation, m.on(), m.differs("l", "s"))).Scan(&changed); err != nil {
		return err
	}
	if changed > 0 && !r.options.Force {
		return fmt.Errorf("%w: %d rows", ErrOverwrite, changed)
	}
	list := quoteAll(st.columns)
	_, err := tx.Exec(ctx, fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s l WHERE NOT EXISTS (SELECT FROM %s s WHERE %s)",
		st.relation, list, list, live, st.relation, m.on()))
	return err
}

// salvage copies the rows that the backup does not have, page by page, and
// leaves out the pages that PostgreSQL cannot read.
func (r *restore) salvage(ctx context.Context, tx pgx.Tx, live string, st *stagedTable) error {
	list := quoteAll(st.columns)
	_, err := tx.Exec(ctx, fmt.Sprintf(`DO $salvage$
		DECLARE
			page bigint;
			pages bigint := pg_relation_size('%[1]s') / current_setting('block_size')::bigint;
		BEGIN
			FOR page IN 0 .. pages - 1 LOOP
				BEGIN
					INSERT INTO %[2]s (%[3]s) SELECT %[3]s FROM %[1]s
					WHERE ctid >= format('(%%s,0)', page)::tid AND ctid < format('(%%s,0)', page + 1)::tid
					ON CONFLICT DO NOTHING;
				EXCEPTION WHEN OTHERS THEN
					RAISE NOTICE 'page %% cannot be read: %%', page, SQLERRM;
				END;
			END LOOP;
		END $salvage$`, live, st.relation, list))
	return err
}
