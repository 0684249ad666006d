package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Area is a part of what is backed up, that can be restored alone.
type Area string

// The areas.
const (
	Demographics Area = "demographics"
	Journal      Area = "journal"
	Registry     Area = "registry"
	Settings     Area = "settings"
)

// Areas are all areas.
var Areas = []Area{Demographics, Journal, Registry, Settings}

// table is a table that is backed up.
type table struct {
	name    string
	area    Area
	leading []string // the key, by which rows are in order; the first is the time of a daily one
	day     string   // the column that says of which day a row is; "" for a small table
}

func (t *table) daily() bool { return t.day != "" }

// tables are those that are backed up, in the order in which they are
// restored. prediction_keys and outcomes follow from nothing else.
var tables = []table{
	{name: "zipcode_demographics", area: Demographics, leading: []string{"zipcode"}},
	{name: "demographics_imports", area: Demographics, leading: []string{"id"}},
	{name: "demographics_changes", area: Demographics, leading: []string{"import_id", "zipcode"}},
	{name: predictions, area: Journal, leading: []string{"at", "id", "record", "shadow"}, day: "at"},
	{name: "prediction_keys", area: Journal, leading: []string{"at", "id"}, day: "at"},
	{name: "outcomes", area: Journal, leading: []string{"received_at", "id", "record"}, day: "received_at"},
}

// predictions is the one table with partitions, a month each.
const predictions = "predictions"

func tableNames() (names []string) {
	for i := range tables {
		names = append(names, tables[i].name)
	}
	return names
}

func tableNamed(name string) *table {
	for i := range tables {
		if tables[i].name == name {
			return &tables[i]
		}
	}
	return nil
}

func quote(name ...string) string { return pgx.Identifier(name).Sanitize() }

func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = quote(name)
	}
	return strings.Join(quoted, ", ")
}

// columnsOf returns the columns of a table, those of its key first.
func (t *table) columnsOf(ctx context.Context, q querier) ([]string, error) {
	rows, err := q.Query(ctx, `SELECT attname FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum`, t.name)
	if err != nil {
		return nil, err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("columns of %s: %w", t.name, err)
	}
	if len(names) == 0 {
		return nil, nil
	}
	columns := slices.Clone(t.leading)
	for _, name := range names {
		if !slices.Contains(columns, name) {
			columns = append(columns, name)
		}
	}
	return columns, nil
}

// unitsOf counts and fingerprints the rows of a relation, by day where it is
// a daily table. The fingerprint is the exclusive or of the hash of each row:
// it does not depend on their order, and takes one pass. PostgreSQL keeps
// these hashes the same from version to version, as it places rows of hashed
// partitions by them.
func (t *table) unitsOf(ctx context.Context, q querier, relation string, columns []string) (map[string]Unit, error) {
	day := "''"
	if t.daily() {
		day = "to_char(" + quote(t.day) + " AT TIME ZONE 'UTC', 'YYYY-MM-DD')"
	}
	sql := "SELECT " + day + ", count(*), to_hex(bit_xor(hash_record_extended(ROW(" + quoteAll(columns) + "), 0))) FROM " + relation + " GROUP BY 1"
	rows, err := q.Query(ctx, sql)
	if err != nil {
		return nil, fmt.Errorf("count the rows of %s: %w", relation, err)
	}
	defer rows.Close()
	units := map[string]Unit{}
	for rows.Next() {
		var u Unit
		if err := rows.Scan(&u.Day, &u.Rows, &u.Fingerprint); err != nil {
			return nil, err
		}
		u.Fingerprint = strings.Repeat("0", 16-len(u.Fingerprint)) + u.Fingerprint
		units[u.Day] = u
		if len(units) > maxUnits {
			return nil, fmt.Errorf("%s has more than %d days", relation, maxUnits)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("count the rows of %s: %w", relation, err)
	}
	return units, nil
}

// same says whether both are the same rows.
func (u *Unit) same(other *Unit) bool {
	return u.Rows == other.Rows && u.Fingerprint == other.Fingerprint
}

// damaged says whether an error is PostgreSQL's for data that it cannot read.
func damaged(err error) bool {
	var answered *pgconn.PgError
	return errors.As(err, &answered) && strings.HasPrefix(answered.Code, "XX")
}

// months returns the months of the days of units, in order.
func months(units []Unit) []string {
	var all []string
	for i := range units {
		if month := units[i].Day[:len("2006-01")]; !slices.Contains(all, month) {
			all = append(all, month)
		}
	}
	return all
}

// dayBounds are the first moment of a day, and that of the day after another.
func dayBounds(first, last string) (from, to string, err error) {
	if _, err = time.Parse(time.DateOnly, first); err != nil {
		return "", "", err
	}
	end, err := time.Parse(time.DateOnly, last)
	if err != nil {
		return "", "", err
	}
	return first + " 00:00:00Z", end.AddDate(0, 0, 1).Format(time.DateOnly) + " 00:00:00Z", nil
}

// byDay splits the text of COPY, whose lines begin with a time in UTC and are
// in order, into a stream for each day.
type byDay struct {
	stream *stream
	line   []byte // one that was cut off
	day    string
	days   map[string]Stream
}

// dayBytes is the length of 2026-11-25.
const dayBytes = len(time.DateOnly)

// Write takes lines.
func (b *byDay) Write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			b.line = append(b.line, p...)
			break
		}
		line := p[:end+1]
		if p = p[end+1:]; len(b.line) > 0 {
			b.line = append(b.line, line...)
			line = b.line
		}
		if err := b.take(line); err != nil {
			return 0, err
		}
		b.line = b.line[:0]
	}
	return written, nil
}

func (b *byDay) take(line []byte) error {
	if len(line) < dayBytes {
		return fmt.Errorf("a row of %q has no day", line)
	}
	if day := line[:dayBytes]; string(day) != b.day {
		if err := b.end(); err != nil {
			return err
		}
		b.day = string(day)
	}
	_, err := b.stream.Write(line)
	return err
}

// end ends the stream of a day.
func (b *byDay) end() error {
	if b.day == "" {
		return nil
	}
	out, err := b.stream.finish()
	if _, twice := b.days[b.day]; twice {
		return fmt.Errorf("rows of %s are not in order", b.day)
	}
	b.days[b.day] = out
	return err
}
