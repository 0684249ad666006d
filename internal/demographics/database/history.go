package database

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"housing/internal/demographics"
)

// Bounds on the history.
const (
	keptChanges = 20  // imports whose figures are kept, the newest
	maxImports  = 500 // that History returns
)

// ErrNoImport is the error for an import that the history does not have.
var ErrNoImport = errors.New("no such import")

// Imported is an import as the history has it.
type Imported struct {
	ID      int64     `json:"id"`
	When    time.Time `json:"when"`
	Who     string    `json:"who"`
	File    string    `json:"file"`
	SHA256  string    `json:"sha256"`           // of the file
	Before  string    `json:"before,omitempty"` // digest of the table; "" before the first
	After   string    `json:"after"`
	Added   int       `json:"added"`
	Changed int       `json:"changed"`
	Removed int       `json:"removed"`
	Why     string    `json:"why,omitempty"`
}

// ChangedArea holds the figures of an area that an import changed, by column.
type ChangedArea struct {
	Zipcode string         `json:"zipcode"`
	Before  jsontext.Value `json:"before,omitzero"` // nil where it was not there
	After   jsontext.Value `json:"after,omitzero"`  // nil where it went
}

// state is a table in a line of the log.
type state struct {
	SHA256 string `json:"sha256"`
	Areas  int    `json:"areas"`
}

// stateOf returns the state of a table; the zero state is that of none.
func stateOf(table *demographics.Table) state {
	if table == nil {
		return state{}
	}
	digest := table.Digest()
	return state{hex.EncodeToString(digest[:]), table.Len()}
}

// recordChanges keeps the figures in which the staging table differs from the
// table, under the number of an import, and forgets those of old imports.
func recordChanges(ctx context.Context, tx pgx.Tx, id int64) error {
	const side = "SELECT zipcode, to_jsonb(t) - '{zipcode,created_at,updated_at}'::text[] AS figures FROM "
	const differing = "(SELECT jsonb_object_agg(key, value) FROM jsonb_each(%[1]s.figures) WHERE value IS DISTINCT FROM %[2]s.figures -> key)"
	sql := "INSERT INTO demographics_changes (import_id, zipcode, before, after) SELECT $1, zipcode, " +
		fmt.Sprintf(differing, "was", "now") + ", " + fmt.Sprintf(differing, "now", "was") +
		" FROM (" + side + "zipcode_demographics t) was FULL JOIN (" + side + "staging t) now USING (zipcode)" +
		" WHERE was.figures IS DISTINCT FROM now.figures"
	if _, err := tx.Exec(ctx, sql, id); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `DELETE FROM demographics_changes WHERE import_id NOT IN
		(SELECT id FROM demographics_imports ORDER BY id DESC LIMIT $1)`, keptChanges)
	return err
}

// History returns the imports, newest first; none where the database was
// never imported into.
func History(ctx context.Context, pool *pgxpool.Pool) ([]Imported, error) {
	there, err := exists(ctx, pool)
	if err != nil || !there {
		return nil, err
	}
	rows, err := pool.Query(ctx, `SELECT id, imported_at, imported_by, file_name, sha256, digest_before, digest, added, changed, removed, why
		FROM demographics_imports ORDER BY id DESC LIMIT $1`, maxImports)
	if err == nil {
		var imports []Imported
		if imports, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Imported]); err == nil {
			for i := range imports {
				imports[i].When = imports[i].When.UTC()
			}
			return imports, nil
		}
	}
	return nil, fmt.Errorf("read history of demographics: %w", err)
}

// Changes returns the figures that an import changed, by zipcode. Those of
// the newest imports are kept.
func Changes(ctx context.Context, pool *pgxpool.Pool, id int64) ([]ChangedArea, error) {
	rows, err := pool.Query(ctx, "SELECT zipcode, before, after FROM demographics_changes WHERE import_id = $1 ORDER BY zipcode", id)
	if err != nil {
		return nil, fmt.Errorf("read history of demographics: %w", err)
	}
	changes, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c ChangedArea, err error) {
		var before, after []byte
		err = row.Scan(&c.Zipcode, &before, &after)
		c.Before, c.After = before, after
		return c, err
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("read history of demographics: %w", err)
	case len(changes) == 0:
		return nil, fmt.Errorf("import %d: %w, or it is older than the %d whose figures are kept", id, ErrNoImport, keptChanges)
	}
	return changes, nil
}
