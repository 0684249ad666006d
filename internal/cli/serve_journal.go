package cli

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"housing/internal/config"
	"housing/internal/httpapi"
	"housing/internal/journal"
	"housing/internal/store"
	"housing/internal/telemetry"
)

// servedJournal is where a service notes what it predicts: nowhere, where the
// settings name no database.
type servedJournal struct {
	dependencies []*store.Dependency
	journal      *journal.Journal // nil without a database
	end          context.CancelFunc
	running      sync.WaitGroup
}

// openJournal opens the journal in the database of the service.
func (c *serveCommand) openJournal(getenv config.Getenv, d *servedDatabase, metrics *telemetry.Metrics, log *slog.Logger) *servedJournal {
	if d.postgres == nil {
		return &servedJournal{}
	}
	dependency := store.NewDependency("journal", metrics.DependencyUp("journal"), log)
	return &servedJournal{
		dependencies: []*store.Dependency{dependency},
		journal: journal.Open(journal.Options{
			Pool: d.postgres.Primary(), Dir: c.Journal.Folder(getenv), SpoolBytes: int64(c.JournalSpoolBytes), Retention: time.Duration(c.JournalRetention),
			Metrics: metrics, Dependency: dependency, Log: log,
		}),
	}
}

// noted returns the journal as the API wants it.
func (j *servedJournal) noted() httpapi.Journal {
	if j.journal == nil {
		return nil
	}
	return j.journal
}

// start begins to bring predictions to the database.
func (j *servedJournal) start(ctx context.Context) {
	if j.journal == nil {
		return
	}
	// It outlives ctx: what the last requests were answered is noted too.
	ctx, j.end = context.WithCancel(context.WithoutCancel(ctx))
	j.running.Go(func() { j.journal.Run(ctx) })
}

// stop brings what it can in a moment; the rest stays for the next start.
func (j *servedJournal) stop() {
	if j.journal == nil {
		return
	}
	j.end()
	j.running.Wait()
}
