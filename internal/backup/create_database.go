package backup

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// advisoryLock is held by those that read or restore the tables, shared or
// alone.
const advisoryLock = 0x686f7573_62636b70 // "housbckp"

// rowBytes is about what a row takes, for the progress.
const rowBytes = 110

// settle makes a session write values the same everywhere, and not be given
// up for taking long.
const settle = `SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL extra_float_digits = 1;
	SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL work_mem = '64MB'`

// copyDatabase copies the tables as they stand at one moment: everything is
// read in one transaction, whose snapshot is taken once all tables are locked
// against being dropped.
func (c *creation) copyDatabase(ctx context.Context) (*DatabaseCopy, time.Time, error) {
	out := &DatabaseCopy{Tables: []TableCopy{}}
	var moment time.Time
	conn, err := c.options.Pool.Acquire(ctx)
	if err != nil {
		return nil, moment, fmt.Errorf("back up the database: %w", err)
	}
	defer conn.Release()
	unlock, err := lockTables(ctx, conn.Conn(), true)
	if err != nil {
		return nil, moment, fmt.Errorf("back up the database: %w", err)
	}
	defer unlock()
	var there []string
	if err := conn.QueryRow(ctx, "SELECT array(SELECT quote_ident(t) FROM unnest($1::text[]) t WHERE to_regclass(quote_ident(t)) IS NOT NULL)", tableNames()).Scan(&there); err != nil {
		return nil, moment, fmt.Errorf("back up the database: %w", err)
	}
	err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, settle, pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
		if len(there) > 0 {
			// Before the snapshot, which the first query takes, so that no table
			// of it is dropped meanwhile.
			if _, err := tx.Exec(ctx, "LOCK TABLE "+strings.Join(there, ", ")+" IN ACCESS SHARE MODE"); err != nil {
				return err
			}
		}
		if err := tx.QueryRow(ctx, "SELECT now(), current_setting('server_version')").Scan(&moment, &out.Server); err != nil {
			return err
		}
		var migrated bool
		if err := tx.QueryRow(ctx, "SELECT to_regclass('goose_db_version') IS NOT NULL").Scan(&migrated); err != nil || !migrated {
			return err
		}
		if err := tx.QueryRow(ctx, "SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied").Scan(&out.Schema); err != nil {
			return err
		}
		var copies []*tableReading
		for i := range tables {
			reading, err := c.look(ctx, tx, &tables[i])
			if err != nil {
				return err
			}
			if reading != nil {
				copies = append(copies, reading)
			}
		}
		for _, reading := range copies {
			t, err := c.read(ctx, tx, reading)
			if err != nil {
				return err
			}
			out.Tables = append(out.Tables, t)
		}
		return nil
	})
	if err != nil {
		return nil, moment, fmt.Errorf("back up the database: %w", err)
	}
	return out, moment.UTC(), nil
}

// lockTables keeps restores of the database away, or with alone also those
// that back it up, until unlock.
func lockTables(ctx context.Context, conn *pgx.Conn, shared bool) (unlock func(), err error) {
	how := ""
	if shared {
		how = "_shared"
	}
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock"+how+"($1)", int64(advisoryLock)); err != nil {
		return nil, fmt.Errorf("wait for another backup or restore: %w", err)
	}
	return func() {
		// Where it fails the connection is broken, and the lock gone with it.
		_, _ = conn.Exec(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock"+how+"($1)", int64(advisoryLock))
	}, nil
}

// relationReading is a relation of a table: a partition, or all of it.
type relationReading struct {
	name  string // as it stands in SQL
	units map[string]Unit
	first string // day that is to be read, "" where nothing is
	last  string
}

// tableReading is a table that is to be read.
type tableReading struct {
	*table
	columns   []string
	relations []relationReading
	last      map[string]*Unit // of the last backup, by day
}

// look counts the rows of a table, and finds out what is not in the last
// backup. It returns nil for a table that is not there.
func (c *creation) look(ctx context.Context, tx pgx.Tx, t *table) (*tableReading, error) {
	columns, err := t.columnsOf(ctx, tx)
	if err != nil || columns == nil {
		return nil, err
	}
	r := &tableReading{table: t, columns: columns, last: c.unitsOfLast(t, columns)}
	names := []string{quote(t.name)}
	if t.name == predictions {
		if names, err = partitions(ctx, tx); err != nil {
			return nil, err
		}
	}
	for _, name := range names {
		units, err := t.unitsOf(ctx, tx, name, columns)
		if damaged(err) {
			return nil, fmt.Errorf("%w: PostgreSQL cannot read what is there. The backups before are whole: docs/recovery.md says how to restore the table from one", err)
		}
		if err != nil {
			return nil, err
		}
		relation := relationReading{name: name, units: units}
		for day, u := range units {
			if last := r.last[day]; last != nil && last.same(&u) && c.usable(&last.Stream) {
				continue
			}
			c.meter.expect(u.Rows * rowBytes)
			if relation.first == "" || day < relation.first {
				relation.first = day
			}
			relation.last = max(relation.last, day)
			delete(r.last, day)
		}
		if !t.daily() && r.last[""] == nil {
			relation.first = all
		}
		r.relations = append(r.relations, relation)
	}
	return r, nil
}

// all stands for the one unit of a table that is not daily.
const all = "all"

// unitsOfLast returns the days of the last backup, where it has the columns.
func (c *creation) unitsOfLast(t *table, columns []string) map[string]*Unit {
	units := map[string]*Unit{}
	if c.last == nil {
		return units
	}
	if last := c.last.Database.table(t.name); last != nil && slices.Equal(last.Columns, columns) {
		for i := range last.Units {
			units[last.Units[i].Day] = &last.Units[i]
		}
	}
	return units
}

// partitions returns the partitions of predictions as they stand in SQL.
func partitions(ctx context.Context, tx pgx.Tx) ([]string, error) {
	rows, err := tx.Query(ctx, "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = to_regclass($1) ORDER BY 1", predictions)
	if err != nil {
		return nil, fmt.Errorf("list partitions: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// read copies what is not in the last backup.
func (c *creation) read(ctx context.Context, tx pgx.Tx, t *tableReading) (TableCopy, error) {
	out := TableCopy{Name: t.name, Columns: t.columns, Units: []Unit{}}
	for _, relation := range t.relations {
		days, err := c.readRelation(ctx, tx, t, &relation)
		if err != nil {
			return out, fmt.Errorf("%s: %w", relation.name, err)
		}
		for day, u := range relation.units {
			s, read := days[day]
			last := t.last[day]
			switch {
			case read:
				u.Stream = s
			case last != nil:
				u.Stream = last.Stream
				c.reuse(&u.Stream)
			default:
				return out, fmt.Errorf("%s: %d rows of %s were counted and none was read", relation.name, u.Rows, day)
			}
			out.Units = append(out.Units, u)
			delete(days, day)
		}
		if len(days) > 0 {
			return out, fmt.Errorf("%s: rows were read that were not counted", relation.name)
		}
	}
	slices.SortFunc(out.Units, func(a, b Unit) int { return strings.Compare(a.Day, b.Day) })
	return out, nil
}

// readRelation copies the days from the first that has changed to the last.
func (c *creation) readRelation(ctx context.Context, tx pgx.Tx, t *tableReading, relation *relationReading) (map[string]Stream, error) {
	if relation.first == "" || len(relation.units) == 0 {
		return nil, nil
	}
	sql := "SELECT " + quoteAll(t.columns) + " FROM " + relation.name
	order := " ORDER BY " + quoteAll(t.leading)
	if !t.daily() {
		s := c.newStream(ctx)
		if err := copyOut(ctx, tx, sql+order, s); err != nil {
			return nil, err
		}
		out, err := s.finish()
		return map[string]Stream{"": out}, err
	}
	from, to, err := dayBounds(relation.first, relation.last)
	if err != nil {
		return nil, err
	}
	day := quote(t.day)
	b := &byDay{stream: c.newStream(ctx), days: map[string]Stream{}}
	if err := copyOut(ctx, tx, fmt.Sprintf("%s WHERE %s >= '%s' AND %s < '%s'%s", sql, day, from, day, to, order), b); err != nil {
		return nil, err
	}
	return b.days, b.end()
}

func copyOut(ctx context.Context, tx pgx.Tx, query string, to interface{ Write([]byte) (int, error) }) error {
	_, err := tx.Conn().PgConn().CopyTo(ctx, to, "COPY ("+query+") TO STDOUT")
	return err
}
