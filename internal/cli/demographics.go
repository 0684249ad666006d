package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/renameio/v2"
	"github.com/jackc/pgx/v5/pgxpool"

	"housing/internal/config"
	"housing/internal/demographics/database"
	"housing/internal/store"
	"housing/internal/store/schema"
)

type demographicsCommand struct {
	Import  importCommand              `cmd:"" help:"Load a CSV file of census figures into PostgreSQL."`
	Export  exportCommand              `cmd:"" help:"Write the census figures in PostgreSQL as a CSV file."`
	History demographicsHistoryCommand `cmd:"" help:"Show who imported which census figures."`
}

// databaseTimeout bounds an import or an export.
const databaseTimeout = 2 * time.Minute

type importCommand struct {
	config.Database
	File      string  `arg:"" help:"CSV file of census figures by zipcode."`
	MaxChange float64 `default:"0.2" placeholder:"SHARE" help:"Share of the areas that may change or go, 0 to 1. Default: 0.2."`
	Force     bool    `help:"Bring the file in even if half of the areas are missing or more change than may."`
	Why       string  `placeholder:"TEXT" help:"Reason, for the history."`
	DryRun    bool    `help:"Show what would change, and change nothing."`
	JSON      bool    `name:"json" help:"Print the difference as JSON."`
}

// Help shows an example.
func (*importCommand) Help() string {
	return "Checks the whole file, then replaces the table in one transaction; running services take it over within seconds. The first import into an empty table may be anything.\n\nExample:\n\n    DATABASE_URL=postgres://housing@localhost/housing housing demographics import zipcode_demographics.csv --dry-run"
}

// Run imports the file.
func (c *importCommand) Run(p *program) error {
	if !(c.MaxChange >= 0 && c.MaxChange <= 1) {
		return &usageError{fmt.Errorf("--max-change is %g, must be 0 to 1", c.MaxChange)}
	}
	table, file, err := readTable(c.File)
	if err != nil {
		return err
	}
	var diff database.Diff
	left := nothingWritten
	if !c.DryRun {
		left = "the table is replaced as a whole or not at all: see housing demographics history"
	}
	err = onPrimary(p, &c.Database, left, func(ctx context.Context, pool *pgxpool.Pool) error {
		if !c.DryRun {
			if err := schema.Migrate(ctx, pool); err != nil {
				return err
			}
		}
		diff, err = database.Import(ctx, pool, table, database.ImportOptions{
			FileName: file.Name, SHA256: file.SHA256, By: who(), Why: c.Why, Audit: p.auditLog(), MaxChange: c.MaxChange, Force: c.Force, DryRun: c.DryRun,
		})
		return err
	})
	var refused *database.TooManyChangesError
	if errors.As(err, &refused) && !c.DryRun {
		return fmt.Errorf("%s: %w (--dry-run shows what would change, --force brings it in all the same)", c.File, err)
	}
	if err != nil && refused == nil {
		return err
	}
	if err := c.print(p, &diff); err != nil || refused == nil {
		return err
	}
	return refused
}

func (c *importCommand) print(p *program, diff *database.Diff) error {
	if c.JSON {
		if err := printJSON(p.stdout, diff); err != nil {
			return err
		}
	} else {
		for _, z := range diff.Added {
			fmt.Fprintf(p.stdout, "+ %s\n", z)
		}
		for _, z := range diff.Removed {
			fmt.Fprintf(p.stdout, "- %s\n", z)
		}
		for _, change := range diff.Changed {
			fmt.Fprintf(p.stdout, "~ %s %s\n", change.Zipcode, strings.Join(change.Columns, ", "))
		}
	}
	word := "Imported"
	if c.DryRun {
		word = "Would import"
	}
	_, err := fmt.Fprintf(p.stderr, "%s %s: %d areas added, %d changed, %d removed, %d the same.\n", word, c.File,
		len(diff.Added), len(diff.Changed), len(diff.Removed), diff.Unchanged)
	return err
}

type exportCommand struct {
	config.Database
	Out string `placeholder:"FILE" help:"File to write. Default: stdout."`
}

// Help shows an example.
func (*exportCommand) Help() string {
	return "Writes the layout that import reads.\n\nExample:\n\n    housing demographics export --out zipcode_demographics.csv"
}

// Run exports the table.
func (c *exportCommand) Run(p *program) error {
	var out bytes.Buffer
	err := onPrimary(p, &c.Database, nothingWritten, func(ctx context.Context, pool *pgxpool.Pool) error {
		table, _, err := database.Load(ctx, pool)
		if err != nil {
			return err
		}
		if table == nil {
			return errors.New("the database has no demographics: import some")
		}
		return table.Write(&out)
	})
	if err != nil {
		return err
	}
	if c.Out == "" {
		_, err := p.stdout.Write(out.Bytes())
		return err
	}
	return renameio.WriteFile(c.Out, out.Bytes(), 0o644)
}

// onPrimary does something on the primary of the settings; left is what it
// leaves when it is stopped.
func onPrimary(p *program, d *config.Database, left string, do func(context.Context, *pgxpool.Pool) error) error {
	if d.DatabaseURL == "" {
		return &config.Error{Source: "DATABASE_URL", Problem: "must name the database, such as postgres://user:password@host:5432/database"}
	}
	pool, err := store.OpenPool(string(d.DatabaseURL))
	if err != nil {
		return &config.Error{Source: "DATABASE_URL", Problem: err.Error()}
	}
	defer pool.Close()
	ctx, cancel := context.WithTimeout(p.ctx, databaseTimeout)
	defer cancel()
	return interrupted(p.ctx, store.Explain(pool, do(ctx, pool)), left)
}
