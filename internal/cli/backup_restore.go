package cli

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"

	"housing/internal/backup"
)

type backupRestoreCommand struct {
	backupFlags
	ID          string   `arg:"" optional:"" help:"Backup to restore. Default: the newest, or that of --at."`
	At          string   `placeholder:"TIME" help:"Restore the newest backup of this time or before: 2026-11-25T09:30:00Z, or a day."`
	Only        []string `placeholder:"PARTS" help:"Restore these alone, with commas between: demographics, journal, registry, settings."`
	Month       []string `placeholder:"MONTHS" help:"Of the journal restore these months alone, such as 2026-11."`
	Force       bool     `help:"Change and replace what is there and is not as in the backup."`
	DryRun      bool     `help:"Say what would change, and change nothing."`
	SettingsOut string   `placeholder:"FILE" help:"Write the plan, aliases and settings of the backup there, for housing config apply."`
	JSON        bool     `name:"json" help:"Print JSON."`
}

// Help shows examples.
func (*backupRestoreCommand) Help() string {
	return `Brings back what a backup holds into DATABASE_URL and MODEL_DIR, while services use them. All of it is read, restored aside and compared first: a backup that is damaged changes nothing. Then the tables change in one transaction, and the registry after it, the traffic plan last. Rows and versions that the backup does not have stay. It can be stopped at any moment and run again.

Examples:

    housing backup restore --backup-dir s3://backups/kc --dry-run
    housing backup restore --only demographics --at 2026-11-24 --force
    housing backup restore 20261125T093000.000000Z-1a2b3c4d --only journal --month 2026-10 --force`
}

var monthForm = regexp.MustCompile(`^\d{4}-(0[1-9]|1[0-2])$`)

// Run restores a backup.
func (c *backupRestoreCommand) Run(p *program) error {
	areas, err := parseAreas(c.Only)
	if err != nil {
		return &usageError{fmt.Errorf("--only: %w", err)}
	}
	at, err := parseMoment(c.At)
	if err != nil {
		return &usageError{fmt.Errorf("--at: %w", err)}
	}
	if c.ID != "" && c.At != "" {
		return &usageError{errors.New("--at finds a backup by its time: give it, or an ID")}
	}
	for _, month := range c.Month {
		if !monthForm.MatchString(month) {
			return &usageError{fmt.Errorf("--month: %q is no month: want 2026-11", month)}
		}
	}
	identities, err := c.identities()
	if err != nil {
		return err
	}
	r, err := c.repository(p.ctx, false)
	if err != nil {
		return err
	}
	defer r.Close()
	m, err := r.Find(p.ctx, c.ID, at)
	if err != nil {
		return err
	}
	to, err := c.places(p, !c.DryRun)
	if err != nil {
		return err
	}
	defer to.close()
	start := time.Now()
	bar := newProgress(p, 1, "restore")
	out, err := r.Restore(p.ctx, m, backup.RestoreOptions{
		Pool: to.pool, Registry: to.registry, Identities: identities, Areas: areas, Months: c.Month,
		DryRun: c.DryRun, Force: c.Force, By: who(), Audit: p.auditLog(), Progress: bar.to,
	})
	bar.done()
	if errors.Is(err, backup.ErrOverwrite) {
		return fmt.Errorf("%w (--dry-run shows what would change, --force changes it)", err)
	}
	if err != nil {
		return to.explain(err)
	}
	if err := writeSettings(c.SettingsOut, out.Settings); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(p.stdout, out)
	}
	return c.print(p, out, time.Since(start))
}

func (c *backupRestoreCommand) print(p *program, out *backup.Restored, took time.Duration) error {
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	if d := out.Demographics; d != nil {
		fmt.Fprintf(w, "demographics\t%d areas added, %d changed, %d removed\n", len(d.Added), len(d.Changed), len(d.Removed))
		for _, change := range d.Changed {
			fmt.Fprintf(w, "  ~ %s\t%s\n", change.Zipcode, strings.Join(change.Columns, ", "))
		}
	}
	if out.Imports > 0 {
		fmt.Fprintf(w, "demographics_imports\t%d lines of the history added\n", out.Imports)
	}
	for _, rows := range out.Journal {
		what := strings.TrimSpace(rows.Table + " " + rows.Month)
		if rows.Unreadable {
			fmt.Fprintf(w, "%s\treplaced by %d rows of the backup, as it cannot be read; what can be read of it stays\n", what, rows.Missing)
			continue
		}
		fmt.Fprintf(w, "%s\t%d rows added, %d changed, %d kept that the backup does not have\n", what, rows.Missing, rows.Changed, rows.Kept)
	}
	for _, o := range out.Registry {
		fmt.Fprintf(w, "registry %s\t%s\n", o.Key, o.Change)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	word, rest := "Restored", fmt.Sprintf(", in %s", took.Round(100*time.Millisecond))
	if out.DryRun {
		word, rest = "Would restore", ""
	}
	if out.Demographics == nil && out.Imports == 0 && len(out.Journal)+len(out.Registry) == 0 {
		rest = ": everything is as in the backup" + rest
	}
	if _, err := fmt.Fprintf(p.stdout, "%s backup %s, as of %s UTC%s.\n", word, out.ID, out.Moment.Format(historyTime), rest); err != nil {
		return err
	}
	if out.DryRun && len(out.Overwrites) > 0 {
		fmt.Fprintf(p.stderr, "It needs --force, as it would overwrite: %s.\n", strings.Join(out.Overwrites, ", "))
	}
	return nil
}
