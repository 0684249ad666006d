package database

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"housing/internal/demographics"
	"housing/internal/house"
)

// Version tells one state of the table from another and which is newer.
type Version struct {
	Import  int64     // number of the last import, 0 before the first
	Rows    int       // areas in the table
	Changed time.Time // newest change of a row
}

// olderThan says whether v is the state before an import that other has
// seen, as a replica that lags behind has it.
func (v Version) olderThan(other Version) bool {
	return v.Import < other.Import || v.Import == other.Import && v.Changed.Before(other.Changed)
}

// Querier is a connection or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// columnNames lists the columns of figures as they stand in SQL.
func columnNames() []string {
	var names []string
	for _, c := range demographics.Columns() {
		names = append(names, pgx.Identifier{c.Name}.Sanitize())
	}
	return names
}

// exists says whether the database has been migrated.
func exists(ctx context.Context, q Querier) (there bool, err error) {
	if err := q.QueryRow(ctx, "SELECT to_regclass('demographics_imports') IS NOT NULL").Scan(&there); err != nil {
		return false, fmt.Errorf("read demographics: %w", err)
	}
	return there, nil
}

// readVersion returns the version of the table; the zero version where there
// is no table yet.
func readVersion(ctx context.Context, q Querier) (Version, error) {
	const sql = `SELECT (SELECT coalesce(max(id), 0) FROM demographics_imports),
		count(*), coalesce(max(updated_at), 'epoch') FROM zipcode_demographics`
	there, err := exists(ctx, q)
	if err != nil || !there {
		return Version{}, err
	}
	var v Version
	if err := q.QueryRow(ctx, sql).Scan(&v.Import, &v.Rows, &v.Changed); err != nil {
		return Version{}, fmt.Errorf("read version of demographics: %w", err)
	}
	v.Changed = v.Changed.UTC()
	return v, nil
}

// Read returns the table, nil if it has no rows.
func Read(ctx context.Context, q Querier) (*demographics.Table, error) {
	rows, err := q.Query(ctx, "SELECT zipcode, "+strings.Join(columnNames(), ", ")+" FROM zipcode_demographics ORDER BY zipcode")
	if err != nil {
		return nil, fmt.Errorf("read demographics: %w", err)
	}
	defer rows.Close()
	var zipcodes []house.Zipcode
	var areas []demographics.Area
	var text string
	var area demographics.Area
	into := []any{&text}
	for i := range area {
		into = append(into, &area[i])
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, fmt.Errorf("read demographics: %w", err)
		}
		zipcode, err := house.ParseZipcode(text)
		if err != nil {
			return nil, fmt.Errorf("read demographics: zipcode %.10q %w", text, err)
		}
		if len(zipcodes) == demographics.MaxAreas {
			return nil, fmt.Errorf("read demographics: more than %d areas", demographics.MaxAreas)
		}
		zipcodes, areas = append(zipcodes, zipcode), append(areas, area)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read demographics: %w", err)
	}
	if len(zipcodes) == 0 {
		return nil, nil
	}
	return demographics.NewTable(zipcodes, areas)
}

// Load returns the table as it stands at one moment, nil if it has no rows,
// and its version.
func Load(ctx context.Context, pool *pgxpool.Pool) (table *demographics.Table, version Version, err error) {
	err = pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if version, err = readVersion(ctx, tx); err != nil || version.Rows == 0 {
			return err
		}
		table, err = Read(ctx, tx)
		return err
	})
	return table, version, err
}
