package cli

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/jackc/pgx/v5/pgxpool"

	"housing/internal/config"
	"housing/internal/demographics/database"
)

type demographicsHistoryCommand struct {
	config.Database
	Import int64 `placeholder:"N" help:"Number of an import whose figures to show, before and after."`
	JSON   bool  `name:"json" help:"Print JSON."`
}

// Help shows examples.
func (*demographicsHistoryCommand) Help() string {
	return "Shows the imports, newest first: when, who, which file, the digest of the table before and after, and why. A table that differs from what the import before left was changed by other means.\n\nExamples:\n\n    DATABASE_URL=postgres://housing@localhost/housing housing demographics history\n    housing demographics history --import 3"
}

// Run prints the history.
func (c *demographicsHistoryCommand) Run(p *program) error {
	var imports []database.Imported
	var changes []database.ChangedArea
	err := onPrimary(p, &c.Database, nothingWritten, func(ctx context.Context, pool *pgxpool.Pool) (err error) {
		if c.Import != 0 {
			changes, err = database.Changes(ctx, pool, c.Import)
		} else {
			imports, err = database.History(ctx, pool)
		}
		return err
	})
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	switch {
	case c.Import != 0 && c.JSON:
		return printJSON(p.stdout, map[string]any{"changes": changes})
	case c.JSON:
		return printJSON(p.stdout, map[string]any{"history": imports})
	case c.Import != 0:
		fmt.Fprintln(w, "ZIPCODE\tBEFORE\tAFTER")
		for _, a := range changes {
			fmt.Fprintf(w, "%s\t%s\t%s\n", a.Zipcode, orDash(string(a.Before)), orDash(string(a.After)))
		}
	default:
		fmt.Fprintln(w, "IMPORT\tWHEN\tWHO\tFILE\tADDED\tCHANGED\tREMOVED\tBEFORE\tAFTER\tWHY")
		for _, i := range imports {
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%d\t%d\t%s\t%s\t%s\n", i.ID, i.When.Format(historyTime), i.Who, i.File,
				i.Added, i.Changed, i.Removed, orDash(short(i.Before)), short(i.After), orDash(i.Why))
		}
	}
	return w.Flush()
}

// short returns as much of a digest as a table needs.
func short(digest string) string { return digest[:min(12, len(digest))] }
