package database

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"housing/internal/demographics"
	"housing/internal/telemetry"
)

// MaxChange is the share of the rows that an import may change or remove
// unless it is told otherwise.
const MaxChange = 0.2

// ImportOptions says how a table is brought in.
type ImportOptions struct {
	FileName  string  // for the history, without its folder
	SHA256    string  // of the file
	By        string  // who imports it
	Why       string  // "" is allowed
	MaxChange float64 // share of the rows that may change or go, 0 to 1
	Force     bool    // bring it in however much it changes
	DryRun    bool    // compare, and change nothing

	Audit *slog.Logger // is told of an import that changed something; may be nil
}

// maxWhy bounds the reason of an import.
const maxWhy = 500

// TooManyChangesError refuses an import that changes more than it may.
type TooManyChangesError struct {
	Diff  Diff
	Share float64 // of the rows that change or go
	Limit float64
}

// Error names the share and the limit, or that half of the areas are
// missing.
func (e *TooManyChangesError) Error() string {
	before, after := e.Diff.sizes()
	if halved(before, after) {
		return fmt.Sprintf("the file has %d areas and the table %d: half of them or more are missing: nothing was changed", after, before)
	}
	return fmt.Sprintf("%.0f %% of the areas would change or go (%d changed, %d removed), over the limit of %.0f %%: nothing was changed",
		100*e.Share, len(e.Diff.Changed), len(e.Diff.Removed), 100*e.Limit)
}

// halved says whether a file is more likely cut off than new.
func halved(before, after int) bool { return 2*after <= before }

// Import replaces the table by another in one transaction: readers see the
// old one or the new one, never a mixture. It returns how they differ; an
// import that changes nothing leaves no trace. The error is a
// [*TooManyChangesError] where too many rows would change, or half of them
// would be gone.
func Import(ctx context.Context, pool *pgxpool.Pool, table *demographics.Table, o ImportOptions) (Diff, error) {
	if len(o.Why) > maxWhy {
		return Diff{}, fmt.Errorf("import demographics: the reason has %d bytes, more than %d", len(o.Why), maxWhy)
	}
	var diff Diff
	var access pgx.TxAccessMode // the server's own: one that was made read-only stays so
	if o.DryRun {
		access = pgx.ReadOnly
	}
	tell := func() {}
	err := pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{AccessMode: access}, func(tx pgx.Tx) (err error) {
		diff, tell, err = Replace(ctx, tx, table, o)
		return err
	})
	var refused *TooManyChangesError
	if err != nil && !errors.As(err, &refused) {
		return Diff{}, fmt.Errorf("import demographics: %w", err)
	}
	if err == nil {
		tell()
	}
	return diff, err
}

// Replace is [Import] inside a transaction. Once that is committed, tell tells
// the audit of it.
func Replace(ctx context.Context, tx pgx.Tx, table *demographics.Table, o ImportOptions) (diff Diff, tell func(), err error) {
	tell = func() {}
	if !o.DryRun {
		// Others may read meanwhile, but not import.
		if _, err := tx.Exec(ctx, "LOCK TABLE zipcode_demographics IN SHARE ROW EXCLUSIVE MODE"); err != nil {
			return diff, tell, err
		}
	}
	there, err := exists(ctx, tx)
	if err != nil {
		return diff, tell, err
	}
	var before *demographics.Table
	if there {
		if before, err = Read(ctx, tx); err != nil {
			return diff, tell, err
		}
	}
	diff = Compare(before, table)
	share := diff.share()
	if rows, left := diff.sizes(); !o.Force && (share > o.MaxChange || halved(rows, left)) {
		return diff, tell, &TooManyChangesError{diff, share, o.MaxChange}
	}
	if o.DryRun || diff.Empty() {
		return diff, tell, nil
	}
	if err := stage(ctx, tx, table); err != nil {
		return diff, tell, err
	}
	was, is := stateOf(before), stateOf(table)
	var id int64
	if err := tx.QueryRow(ctx, `INSERT INTO demographics_imports
		(imported_by, file_name, sha256, digest_before, digest, row_count, added, changed, removed, why)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id`,
		o.By, o.FileName, o.SHA256, was.SHA256, is.SHA256, is.Areas, len(diff.Added), len(diff.Changed), len(diff.Removed), o.Why).Scan(&id); err != nil {
		return diff, tell, err
	}
	if err := recordChanges(ctx, tx, id); err != nil {
		return diff, tell, err
	}
	if o.Audit != nil {
		tell = func() {
			telemetry.Audit(o.Audit, telemetry.Change{Who: o.By, What: "import demographics from " + o.FileName, Why: o.Why,
				Where: "PostgreSQL, zipcode_demographics", Before: was, After: is})
		}
	}
	return diff, tell, swap(ctx, tx)
}

// stage copies the table into a temporary one of the same columns and
// checks.
func stage(ctx context.Context, tx pgx.Tx, table *demographics.Table) error {
	if _, err := tx.Exec(ctx, "CREATE TEMPORARY TABLE staging (LIKE zipcode_demographics INCLUDING ALL) ON COMMIT DROP"); err != nil {
		return err
	}
	names := []string{"zipcode"}
	for _, c := range demographics.Columns() {
		names = append(names, c.Name)
	}
	zipcodes, areas := table.Zipcodes(), table.Areas()
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"staging"}, names, pgx.CopyFromSlice(len(zipcodes), func(i int) ([]any, error) {
		row := []any{zipcodes[i].String()}
		for _, v := range areas[i] {
			row = append(row, v)
		}
		return row, nil
	}))
	return err
}

// swap makes the table what the staging table is; rows that stay the same
// keep their times.
func swap(ctx context.Context, tx pgx.Tx) error {
	names := columnNames()
	list := strings.Join(names, ", ")
	with := func(prefix string) string { return prefix + strings.Join(names, ", "+prefix) }
	for _, sql := range []string{
		"DELETE FROM zipcode_demographics d WHERE NOT EXISTS (SELECT FROM staging s WHERE s.zipcode = d.zipcode)",
		"UPDATE zipcode_demographics d SET (" + list + ") = ROW(" + with("s.") + ") FROM staging s WHERE s.zipcode = d.zipcode AND (" +
			with("d.") + ") IS DISTINCT FROM (" + with("s.") + ")",
		"INSERT INTO zipcode_demographics (zipcode, " + list + ") SELECT zipcode, " + list +
			" FROM staging s WHERE NOT EXISTS (SELECT FROM zipcode_demographics d WHERE d.zipcode = s.zipcode)",
	} {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}
