package database

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"housing/internal/demographics"
	"housing/internal/store"
	"housing/internal/store/schema"
)

// Times of a Watcher.
const (
	pollEvery     = 5 * time.Second // when nothing is notified
	lagEvery      = time.Second     // when what was notified is not there yet
	lagChecks     = 5               // of these after a notification
	retryAfter    = 2 * time.Second // when the primary is away
	listenTimeout = 3 * time.Second // to begin listening, or to see that it goes on
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
	trouble  string // what was logged last, "" when all was well
}

// Run watches until ctx ends. A table that changed is loaded when the
// database notifies of it, or a few seconds later by asking. While the
// primary is away the nearest replica is read.
func (w *Watcher) Run(ctx context.Context) {
	for ctx.Err() == nil {
		err := w.follow(ctx)
		if _, refreshed := w.refresh(ctx); refreshed != nil {
			err = refreshed
		}
		if ctx.Err() != nil {
			return
		}
		w.note(err)
		sleep(ctx, store.Jitter(retryAfter))
	}
}

// note logs a trouble once, however long it lasts.
func (w *Watcher) note(err error) {
	trouble := string(store.ReasonOf(err))
	if trouble != "" && trouble != w.trouble {
		w.Log.Warn("demographics_watch", "reason", trouble, "error", err.Error())
	}
	w.trouble = trouble
}

// follow listens on the primary until something fails.
func (w *Watcher) follow(ctx context.Context) error {
	conn, err := w.listen(ctx)
	if err != nil {
		return w.Store.Explain(err)
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing)
	}()
	awaited := 0 // checks left for what was notified and may reach the replica later
	for {
		changed, err := w.refresh(ctx)
		if err != nil {
			return err
		}
		// A user that may only read goes on with the schema that others made.
		w.note(w.migrate(ctx))
		wait := pollEvery
		if changed {
			awaited = 0
		} else if awaited > 0 {
			awaited--
			wait = lagEvery
		}
		notified, err := await(ctx, conn, store.Jitter(wait))
		if err != nil {
			return w.Store.Explain(fmt.Errorf("listen: %w", err))
		}
		if notified {
			awaited = lagChecks
		}
	}
}

// listen returns a connection to the primary that is told of changes. It is
// not of the pool, as it is not for others.
func (w *Watcher) listen(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, listenTimeout)
	defer cancel()
	pooled, err := w.Store.Primary().Acquire(ctx)
	if err != nil {
		return nil, err
	}
	conn := pooled.Hijack()
	if _, err := conn.Exec(ctx, "LISTEN "+notifyChannel); err != nil {
		_ = conn.Close(ctx)
		return nil, err
	}
	return conn, nil
}

// await waits for a notification, or until the time is over; then it sees
// to it that the connection still lives.
func await(ctx context.Context, conn *pgx.Conn, most time.Duration) (notified bool, err error) {
	wait, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	if _, err = conn.WaitForNotification(wait); err == nil {
		return true, nil
	}
	if wait.Err() == nil || ctx.Err() != nil {
		return false, err
	}
	limited, cancel := context.WithTimeout(ctx, listenTimeout)
	defer cancel()
	return false, conn.Ping(limited)
}

// migrate brings the schema up to date once.
func (w *Watcher) migrate(ctx context.Context) error {
	if w.migrated {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, migrateLimit)
	defer cancel()
	if err := schema.Migrate(ctx, w.Store.Primary()); err != nil {
		return w.Store.Explain(err)
	}
	w.migrated = true
	return nil
}

// refresh loads the table if it is another than the one applied. An empty
// table takes nothing away: the one before stays.
func (w *Watcher) refresh(ctx context.Context) (changed bool, err error) {
	err = w.Store.Read(ctx, func(ctx context.Context, pool *pgxpool.Pool, primary bool) error {
		ctx, cancel := context.WithTimeout(ctx, workTimeout)
		defer cancel()
		version, err := readVersion(ctx, pool)
		if err != nil || version == w.applied {
			return err
		}
		// What the primary has counts, even if it is older: it may have been
		// restored from a backup.
		if !primary && version.olderThan(w.applied) {
			return store.ErrBehind
		}
		table, version, err := Load(ctx, pool)
		if err != nil || table == nil {
			return err
		}
		w.Apply(table, version)
		w.applied, changed = version, true
		return nil
	})
	return changed, err
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
