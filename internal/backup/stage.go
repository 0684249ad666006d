package backup

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"housing/internal/journal"
	"housing/internal/store/schema"
)

// stagingPrefix begins the names of the schemas that backups are restored
// into before anything else is touched.
const stagingPrefix = "housing_restore_"

// querier is a connection or a transaction.
type querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// staging is a schema of its own, with tables like the service's.
type staging struct {
	pool    *pgxpool.Pool // whose search path is the schema
	schema  string
	release func()
}

// newStaging makes an empty schema with the service's tables in it, alone
// among all that back up or restore this database. What runs before left that
// were killed goes first.
func newStaging(ctx context.Context, pool *pgxpool.Pool) (*staging, error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	unlock, err := lockTables(ctx, conn.Conn(), false)
	if err != nil {
		conn.Release()
		return nil, err
	}
	s := &staging{schema: stagingPrefix + randomHex()}
	s.release = func() { unlock(); conn.Release() }
	if err := dropStagings(ctx, conn); err != nil {
		s.release()
		return nil, err
	}
	if _, err := conn.Exec(ctx, "CREATE SCHEMA "+quote(s.schema)); err != nil {
		s.release()
		return nil, fmt.Errorf("make a schema to restore into: %w", err)
	}
	config := pool.Config().Copy()
	config.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, "SET search_path = "+quote(s.schema)+"; SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; SET statement_timeout = 0; SET maintenance_work_mem = '64MB'",
			pgx.QueryExecModeSimpleProtocol)
		return err
	}
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		s.release()
		return nil, err
	}
	if err := schema.Migrate(ctx, s.pool); err != nil {
		s.drop(ctx)
		return nil, err
	}
	// What is staged is no change of the figures that services use.
	if _, err := s.pool.Exec(ctx, "ALTER TABLE zipcode_demographics DISABLE TRIGGER USER"); err != nil {
		s.drop(ctx)
		return nil, err
	}
	return s, nil
}

// drop takes the schema away again. One that stays, as the server is gone, is
// dropped by the next that restores.
func (s *staging) drop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropLimit)
	defer cancel()
	_, _ = s.pool.Exec(ctx, "DROP SCHEMA IF EXISTS "+quote(s.schema)+" CASCADE")
	s.pool.Close()
	s.release()
}

// dropLimit bounds how long is waited for a schema to be dropped.
const dropLimit = time.Minute

func dropStagings(ctx context.Context, q querier) error {
	rows, err := q.Query(ctx, "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, $1)", stagingPrefix)
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := q.Exec(ctx, "DROP SCHEMA "+quote(name)+" CASCADE"); err != nil {
			return fmt.Errorf("drop what an earlier restore left: %w", err)
		}
	}
	return nil
}

// load brings units of a table from a backup, and compares what is there
// then. Damaged parts are given to damage, and their units left out.
func (s *staging) load(ctx context.Context, r *reader, t *TableCopy, units []Unit, relation string, damage func(*PartError)) error {
	left := map[string]bool{}
	for i := range units {
		u := &units[i]
		err := s.copyIn(ctx, r, t, u, relation)
		if part := partError(err); part != nil && damage != nil {
			damage(part)
			left[u.Day] = true
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", unitName(t.Name, u.Day), err)
		}
	}
	if t.Name == predictions {
		if _, err := s.pool.Exec(ctx, "ALTER TABLE "+relation+" ADD PRIMARY KEY (id, record, shadow, at)"); err != nil {
			return fmt.Errorf("%s: %w", relation, err)
		}
	}
	found, err := tableNamed(t.Name).unitsOf(ctx, s.pool, relation, t.Columns)
	if err != nil {
		return err
	}
	for i := range units {
		u, is := &units[i], found[units[i].Day]
		if !left[u.Day] && !is.same(u) {
			return &MismatchError{Of: unitName(t.Name, u.Day), Rows: u.Rows, Found: is.Rows}
		}
		delete(found, u.Day)
	}
	if len(found) > 0 {
		return &MismatchError{Of: "table " + t.Name, Rows: 0, Found: int64(len(found))}
	}
	return nil
}

// MismatchError is a table that was restored and is not what was backed up.
type MismatchError struct {
	Of          string
	Rows, Found int64
}

func (e *MismatchError) Error() string {
	if e.Rows == e.Found {
		return fmt.Sprintf("%s: %d rows were restored, and their fingerprint is not that of the backup", e.Of, e.Found)
	}
	return fmt.Sprintf("%s: %d rows were restored, the backup has %d", e.Of, e.Found, e.Rows)
}

// copyIn brings one unit.
func (s *staging) copyIn(ctx context.Context, r *reader, t *TableCopy, u *Unit, relation string) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	from, to := io.Pipe()
	read := make(chan error, 1)
	go func() {
		err := r.copyTo(ctx, unitName(t.Name, u.Day), &u.Stream, to)
		_ = to.CloseWithError(err) // never fails
		read <- err
	}()
	_, err = conn.Conn().PgConn().CopyFrom(ctx, from, "COPY "+relation+" ("+quoteAll(t.Columns)+") FROM STDIN")
	_ = from.CloseWithError(io.ErrClosedPipe) // so that the reader ends where the server has
	if why := <-read; partError(why) != nil {
		return why
	}
	return err
}

// month makes the table that a month of predictions is loaded into, and
// returns its name as it stands in SQL.
func (s *staging) month(ctx context.Context, month string) (relation string, err error) {
	first, err := time.Parse("2006-01", month)
	if err != nil {
		return "", err
	}
	name, from, to := journal.PartitionOf(first)
	relation = quote(s.schema, name)
	// The check spares the look at each row when the table becomes a partition.
	_, err = s.pool.Exec(ctx, fmt.Sprintf("CREATE TABLE %s (LIKE predictions INCLUDING DEFAULTS INCLUDING CONSTRAINTS, CONSTRAINT %s CHECK (at >= '%s' AND at < '%s'))",
		relation, boundsCheck, from, to))
	return relation, err
}

// boundsCheck is the name of the check that a month has while it is staged.
const boundsCheck = "restore_bounds"

// unitsIn returns the units of a month.
func unitsIn(units []Unit, month string) []Unit {
	var in []Unit
	for i := range units {
		if strings.HasPrefix(units[i].Day, month) {
			in = append(in, units[i])
		}
	}
	return in
}

// checkSchema refuses a backup that this program does not know the tables of.
func (m *Manifest) checkSchema() error {
	latest, err := schema.Latest()
	if err != nil {
		return err
	}
	if m.Database.Schema > latest {
		return fmt.Errorf("backup %s has tables of schema %d, this program knows %d: use the program that made it, %s", m.ID, m.Database.Schema, latest, m.Program)
	}
	return nil
}
