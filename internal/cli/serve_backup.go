package cli

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"housing/internal/backup"
	"housing/internal/config"
	"housing/internal/objects"
	"housing/internal/store"
	"housing/internal/telemetry"
)

// backupsEvery is how often a service looks how old the last backups are.
const backupsEvery = time.Minute

// servedBackups tells how old the last backups are, where the settings say
// where they lie. The service makes none.
type servedBackups struct {
	dependencies []*store.Dependency
	end          context.CancelFunc
	running      sync.WaitGroup
}

// watchBackups begins to look at the backups.
func (c *serveCommand) watchBackups(ctx context.Context, metrics *telemetry.Metrics, log *slog.Logger) (*servedBackups, error) {
	if c.BackupDir == "" {
		return &servedBackups{end: func() {}}, nil
	}
	if err := objects.CheckLocation(c.BackupDir); err != nil {
		return nil, &config.Error{Source: "BACKUP_DIR", Problem: err.Error()}
	}
	dependency := store.NewDependency("backups", metrics.DependencyUp("backups"), log)
	b := &servedBackups{dependencies: []*store.Dependency{dependency}}
	ctx, b.end = context.WithCancel(ctx)
	b.running.Go(func() {
		backup.Watch(ctx, c.BackupDir, backupsEvery, func(completed, verified time.Time, err error) {
			dependency.ReportAs(err, store.Reason(objects.ReasonOf(err)))
			if err == nil {
				metrics.SetBackups(completed, verified)
			}
		})
	})
	return b, nil
}

// stop ends the looking.
func (b *servedBackups) stop() {
	b.end()
	b.running.Wait()
}
