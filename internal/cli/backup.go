package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/jackc/pgx/v5/pgxpool"

	"housing/internal/backup"
	"housing/internal/config"
	"housing/internal/objects"
	"housing/internal/registry"
	"housing/internal/store"
)

type backupCommand struct {
	Create  backupCreateCommand  `cmd:"" help:"Make a backup."`
	List    backupListCommand    `cmd:"" help:"List the backups there are."`
	Verify  backupVerifyCommand  `cmd:"" help:"Restore a backup aside and compare it."`
	Restore backupRestoreCommand `cmd:"" help:"Bring back what a backup holds."`
}

// backupFlags are the settings of the commands on backups.
type backupFlags struct {
	config.Backups
	config.BackupKeys
	config.Database
	registryFlags
}

// repository opens the backups of BACKUP_DIR, which must be set; a folder is
// made where there is none yet and it is asked for.
func (f *backupFlags) repository(ctx context.Context, mk bool) (*backup.Repository, error) {
	if f.BackupDir == "" {
		return nil, &config.Error{Source: "BACKUP_DIR", Problem: "is not set: want where backups lie, a folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX"}
	}
	var err error
	if mk {
		err = objects.MakeFolder(f.BackupDir, 0o700)
	}
	var r *backup.Repository
	if err == nil {
		r, err = backup.Open(ctx, f.BackupDir)
	}
	if err != nil {
		return nil, &config.Error{Source: "BACKUP_DIR", Problem: err.Error()}
	}
	return r, nil
}

// identities returns the secret keys, nil for none.
func (f *backupFlags) identities() ([]age.Identity, error) {
	if f.BackupIdentity == "" {
		return nil, nil
	}
	identities, err := backup.ParseIdentities(string(f.BackupIdentity))
	if err != nil {
		return nil, &config.Error{Source: "BACKUP_IDENTITY", Problem: err.Error()}
	}
	return identities, nil
}

// database opens the database of the settings, nil where they name none.
func (f *backupFlags) database() (*pgxpool.Pool, error) {
	if f.DatabaseURL == "" {
		return nil, nil
	}
	pool, err := store.OpenPool(string(f.DatabaseURL))
	if err != nil {
		return nil, &config.Error{Source: "DATABASE_URL", Problem: err.Error()}
	}
	return pool, nil
}

// places are a database and a registry, nil where the settings name none.
type places struct {
	pool     *pgxpool.Pool
	registry *registry.Registry
}

// places opens both; a folder of the registry is made where it is to be
// restored.
func (f *backupFlags) places(p *program, mk bool) (*places, error) {
	pool, err := f.database()
	if err != nil {
		return nil, err
	}
	found := &places{pool: pool}
	if f.ModelDir == "" {
		return found, nil
	}
	if mk {
		if err := objects.MakeFolder(f.ModelDir, 0o755); err != nil {
			found.close()
			return nil, &config.Error{Source: "MODEL_DIR", Problem: err.Error()}
		}
	}
	if found.registry, err = f.openToChange(p); err != nil {
		found.close()
		return nil, err
	}
	return found, nil
}

func (p *places) close() {
	if p.pool != nil {
		p.pool.Close()
	}
	if p.registry != nil {
		p.registry.Close()
	}
}

// explain says why the database did not do what it was asked.
func (p *places) explain(err error) error {
	var refused *backup.VerifyError
	if err == nil || p.pool == nil || errors.As(err, &refused) || errors.Is(err, backup.ErrOverwrite) {
		return err
	}
	return store.Explain(p.pool, err)
}

// settings returns the settings of the service in this environment, without
// secrets.
func (p *program) settings() map[string]string {
	return config.Exported(config.Flags(new(config.Serve)), p.getenv)
}

type backupCreateCommand struct {
	backupFlags
	References bool `help:"Leave bundles in the registry, and note their digests: for a bucket that keeps old versions of objects."`
	Verify     bool `help:"Verify the backup at once; with encryption it needs the secret key."`
	KeepLast   int  `default:"24" placeholder:"N" help:"Keep the last N backups. Default: 24."`
	KeepDays   int  `default:"7" placeholder:"N" help:"And the newest of each of the last N days that have a backup. Default: 7."`
	KeepWeeks  int  `default:"5" placeholder:"N" help:"And of N weeks. Default: 5."`
	KeepMonths int  `default:"12" placeholder:"N" help:"And of N months; all four 0 keep everything. Default: 12."`
	JSON       bool `name:"json" help:"Print JSON."`
}

// Help shows examples.
func (*backupCreateCommand) Help() string {
	return `Copies the demographics with their history, the journal, the registry and the settings without secrets, as they stand at one moment, while all of them are used. What an earlier backup has is not copied again; a run that was cut off goes on where it was. Then backups that are no longer kept are deleted; the newest, and the newest that was verified and is good, always stay.

Examples:

    BACKUP_DIR=s3://backups/kc MODEL_DIR=s3://models/kc DATABASE_URL_FILE=/run/secrets/database housing backup create
    age-keygen -o key.txt
    housing backup create --backup-dir /srv/backups --backup-recipients age1… --keep-days 14`
}

// Run makes a backup.
func (c *backupCreateCommand) Run(p *program) error {
	if c.KeepLast < 0 || c.KeepDays < 0 || c.KeepWeeks < 0 || c.KeepMonths < 0 {
		return &usageError{errors.New("--keep-last, --keep-days, --keep-weeks and --keep-months must be 0 or more")}
	}
	if err := backup.CheckRecipients(c.Recipients()); err != nil {
		return &config.Error{Source: "BACKUP_RECIPIENTS", Problem: err.Error()}
	}
	if c.DatabaseURL == "" && c.ModelDir == "" {
		return &config.Error{Source: "DATABASE_URL", Problem: "is not set, and neither is MODEL_DIR: there is nothing to back up"}
	}
	r, err := c.repository(p.ctx, true)
	if err != nil {
		return err
	}
	defer r.Close()
	from, err := c.places(p, false)
	if err != nil {
		return err
	}
	defer from.close()
	document, err := backup.ReadConfiguration(p.ctx, from.registry, p.settings())
	if err != nil {
		return err
	}
	text, err := document.Text()
	if err != nil {
		return err
	}
	bar := newProgress(p, 1, "backup")
	done, err := r.Create(p.ctx, backup.CreateOptions{
		Pool: from.pool, Registry: from.registry, References: c.References, Settings: text, Recipients: c.Recipients(), By: who(),
		Retention: backup.Retention{Last: c.KeepLast, Days: c.KeepDays, Weeks: c.KeepWeeks, Months: c.KeepMonths}, Progress: bar.to,
	})
	bar.done()
	if done != nil {
		if err := c.print(p, done); err != nil {
			return err
		}
	}
	if err != nil || !c.Verify {
		left := "no backup was made; the next run goes on where this one was"
		if done != nil {
			left = "backup " + done.Manifest.ID + " is whole; what is no longer kept was not all deleted"
		}
		return interrupted(p.ctx, from.explain(err), left)
	}
	verify := backupVerifyCommand{backupFlags: c.backupFlags, ID: done.Manifest.ID}
	quiet := *p
	if c.JSON {
		quiet.stdout = p.stderr
	}
	return verify.Run(&quiet)
}

func (c *backupCreateCommand) print(p *program, done *backup.Created) error {
	m := done.Manifest
	if c.JSON {
		return printJSON(p.stdout, shownBackup(&backup.Summary{ID: m.ID, Manifest: m}))
	}
	for _, id := range done.Deleted {
		fmt.Fprintf(p.stdout, "Deleted %s, which is no longer kept.\n", id)
	}
	_, err := fmt.Fprintf(p.stdout, "Backup %s is whole: %d predictions, %d outcomes, %d areas, %d objects of the registry; %s, of them %s new, in %s.\n",
		m.ID, m.Rows("predictions"), m.Rows("outcomes"), m.Rows("zipcode_demographics"), objectsIn(m), size(m.Stored.All), size(m.Stored.New), m.Finished.Sub(m.Moment).Round(100*time.Millisecond))
	return err
}

func objectsIn(m *backup.Manifest) int {
	if m.Registry == nil {
		return 0
	}
	return len(m.Registry.Objects)
}

// size writes a number of bytes.
func size(n int64) string {
	switch {
	case n < 10_000:
		return fmt.Sprintf("%d bytes", n)
	case n < 10_000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

type backupVerifyCommand struct {
	backupFlags
	ID   string `arg:"" optional:"" help:"Backup to verify. Default: the newest."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Help shows an example.
func (*backupVerifyCommand) Help() string {
	return `Restores the backup into a schema of its own in DATABASE_URL, which may be any database, compares the rows of each table and the digest of all else, and drops the schema again. What came of it is kept beside the backup. It exits with 1 and names what is wrong where the backup is not good.

Example:

    housing backup verify --backup-dir s3://backups/kc --database-url postgres://localhost/scratch`
}

// Run verifies a backup.
func (c *backupVerifyCommand) Run(p *program) error {
	identities, err := c.identities()
	if err != nil {
		return err
	}
	r, err := c.repository(p.ctx, false)
	if err != nil {
		return err
	}
	defer r.Close()
	at, err := c.places(p, false)
	if err != nil {
		return err
	}
	defer at.close()
	bar := newProgress(p, 1, "verify")
	start := time.Now()
	m, err := r.Verify(p.ctx, c.ID, backup.VerifyOptions{Pool: at.pool, Registry: at.registry, Identities: identities, By: who(), Progress: bar.to})
	bar.done()
	var bad *backup.VerifyError
	if err != nil && !errors.As(err, &bad) {
		return interrupted(p.ctx, at.explain(err), "it is not known whether the backup is good")
	}
	if c.JSON {
		v := map[string]any{"id": m.ID, "good": bad == nil}
		if bad != nil {
			v["problem"] = bad.Error()
		}
		return errors.Join(printJSON(p.stdout, v), err)
	}
	if err == nil {
		_, err = fmt.Fprintf(p.stdout, "Backup %s is good: restored and compared in %s.\n", m.ID, time.Since(start).Round(100*time.Millisecond))
	}
	return err
}

// parseMoment reads a time such as 2026-11-25T09:30:00Z, or a day, which
// stands for its end.
func parseMoment(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day.AddDate(0, 0, 1).Add(-time.Nanosecond), nil
	}
	moment, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return moment, fmt.Errorf("%q is no time: want 2026-11-25T09:30:00Z or 2026-11-25", text)
	}
	return moment, nil
}

// parseAreas reads names of areas.
func parseAreas(names []string) (areas []backup.Area, err error) {
	for _, name := range names {
		found := false
		for _, a := range backup.Areas {
			if string(a) == name {
				areas, found = append(areas, a), true
			}
		}
		if !found {
			return nil, fmt.Errorf("%q is not part of a backup: want %s", name, strings.Trim(fmt.Sprint(backup.Areas), "[]"))
		}
	}
	return areas, nil
}

// writeSettings writes the document of settings of a backup.
func writeSettings(path string, text []byte) error {
	if path == "" || text == nil {
		return nil
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("--settings-out: %s is there already", path)
	}
	if err != nil {
		return fmt.Errorf("--settings-out: %w", err)
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}
