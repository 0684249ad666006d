package database

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"housing/internal/demographics"
	"housing/internal/store"
)

// Times of a Watcher.
const (
	pollEvery     = 5 * time.Second // when nothing is notified
	retryAfter    = 2 * time.Second // when the primary is away
	workTimeout   = 5 * time.Second // to read or compare the table
	migrateLimit  = time.Minute
	notifyChannel = "zipcode_demographics"
)

// Watcher keeps a service at the newest table of the database.
type Watcher struct {
	Store *store.Postgres
	// Apply is given each new table; calls follow each other.
	Apply func(*demographics.Table, Version)
	Log   *slog.Logger

	applied  Version
	migrated bool
}

// Run watches until ctx ends. A table that changed is loaded when the
// database notifies of it, or a few seconds later by asking. While the
// primary is away the nearest replica is read.
func (w *Watcher) Run(ctx context.Context) {
	for ctx.Err() == nil {
		err := w.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		w.Log.Debug("demographics_watch", "error", err.Error())
		_ = w.Store.Probe(ctx) // it reports what it finds
		if err := w.refresh(ctx); err != nil {
			w.Log.Debug("demographics_watch", "error", err.Error())
		}
		sleep(ctx, jitter(retryAfter))
	}
}

// follow listens on the primary until something fails.
func (w *Watcher) follow(ctx context.Context) error {
	if err := w.Store.Probe(ctx); err != nil {
		return err
	}
	if !w.migrated {
		limited, cancel := context.WithTimeout(ctx, migrateLimit)
		err := Migrate(limited, w.Store.Primary())
		cancel()
		if err != nil {
			// A server that only reads has its table already, or has none.
			w.Log.Warn("demographics_migration", "error", err.Error())
		}
		w.migrated = err == nil
	}
	limited, cancel := context.WithTimeout(ctx, workTimeout)
	defer cancel()
	pooled, err := w.Store.Primary().Acquire(limited)
	if err != nil {
		return err
	}
	// A connection that listens is not for others: it leaves the pool.
	conn := pooled.Hijack()
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing)
	}()
	if _, err := conn.Exec(limited, "LISTEN "+notifyChannel); err != nil {
		return err
	}
	for {
		if err := w.refresh(ctx); err != nil {
			return err
		}
		wait, cancel := context.WithTimeout(ctx, jitter(pollEvery))
		_, err := conn.WaitForNotification(wait)
		quiet := wait.Err() != nil
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !quiet:
			return fmt.Errorf("listen: %w", err)
		case quiet:
			if err := w.Store.Probe(ctx); err != nil {
				return err
			}
		}
	}
}

// refresh loads the table if it is another than the one applied.
func (w *Watcher) refresh(ctx context.Context) error {
	return w.Store.Read(ctx, func(ctx context.Context, pool *pgxpool.Pool) error {
		ctx, cancel := context.WithTimeout(ctx, workTimeout)
		defer cancel()
		version, err := readVersion(ctx, pool)
		if err != nil || version == w.applied || version.olderThan(w.applied) {
			return err
		}
		table, version, err := Load(ctx, pool)
		if err != nil || version == w.applied || version.olderThan(w.applied) {
			return err
		}
		if table == nil {
			return errors.New("the table of demographics is empty: the one before stays")
		}
		w.Apply(table, version)
		w.applied = version
		return nil
	})
}

// jitter spreads d by a quarter to both sides, so that replicas do not ask
// all at once.
func jitter(d time.Duration) time.Duration {
	return d*3/4 + time.Duration(rand.Int64N(int64(d)/2))
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
