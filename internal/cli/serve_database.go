package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"sync"
	"time"

	"housing/internal/config"
	"housing/internal/demographics"
	"housing/internal/demographics/database"
	"housing/internal/store"
	"housing/internal/telemetry"
	"housing/internal/valuer"
)

// firstTable is how long a start waits for the table of the database, so
// that the first answers are not by an older one. Without it the service
// starts all the same.
const firstTable = 500 * time.Millisecond

// servedDatabase is what a service does with PostgreSQL: nothing, where the
// settings name none.
type servedDatabase struct {
	dependencies []*store.Dependency
	postgres     *store.Postgres
	watcher      *database.Watcher
	first        chan struct{} // closed when the first table has been applied
	end          context.CancelFunc
	running      sync.WaitGroup
}

// openDatabase connects to the database of the settings, which need not
// answer yet.
func (c *serveCommand) openDatabase(v *valuer.Valuer, files *followed, metrics *telemetry.Metrics, log *slog.Logger) (*servedDatabase, error) {
	if c.DatabaseURL == "" {
		return &servedDatabase{}, nil
	}
	d := &servedDatabase{first: make(chan struct{})}
	dependency := func(name string) *store.Dependency {
		made := store.NewDependency(name, metrics.DependencyUp(name), log)
		d.dependencies = append(d.dependencies, made)
		return made
	}
	primary := dependency("postgresql")
	var replicas *store.Dependency
	if len(c.Replicas()) > 0 {
		replicas = dependency("postgresql_replicas")
	}
	var err error
	if d.postgres, err = store.OpenPostgres(string(c.DatabaseURL), c.Replicas(), primary, replicas); err != nil {
		source := "DATABASE_URL"
		if errors.As(err, new(*store.ReplicaError)) {
			source = "DATABASE_REPLICA_URLS"
		}
		return nil, &config.Error{Source: source, Problem: err.Error()}
	}
	files.secret("DATABASE_URL", c.DatabaseURL, d.postgres.UsePrimary)
	files.secret("DATABASE_REPLICA_URLS", c.DatabaseReplicaURLs, func(text string) error {
		next := config.Database{DatabaseReplicaURLs: config.Secret(text)}
		return d.postgres.UseReplicas(next.Replicas())
	})
	var once sync.Once
	d.watcher = &database.Watcher{Store: d.postgres, Log: log, Apply: func(table *demographics.Table, version database.Version) {
		digest := table.Digest()
		if err := v.UseDemographics(table, "postgresql"); err != nil {
			log.Error("demographics_swap", "error", err.Error())
			return
		}
		log.Info("demographics_swap", "import", version.Import, "areas", table.Len(), "sha256", hex.EncodeToString(digest[:]))
		once.Do(func() { close(d.first) })
	}}
	return d, nil
}

// start begins to probe and to watch, and waits a moment for the first table.
func (d *servedDatabase) start(ctx context.Context) {
	if d.postgres == nil {
		return
	}
	ctx, d.end = context.WithCancel(ctx)
	d.running.Go(func() { d.postgres.Run(ctx) })
	d.running.Go(func() { d.watcher.Run(ctx) })
	timer := time.NewTimer(firstTable)
	defer timer.Stop()
	select {
	case <-d.first:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// stop ends the watching and closes the connections.
func (d *servedDatabase) stop() {
	if d.postgres == nil {
		return
	}
	d.end()
	d.running.Wait()
	d.postgres.Close()
}
