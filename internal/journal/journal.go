package journal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"housing/internal/store"
	"housing/internal/telemetry"
)

// Options are what a [Journal] needs.
type Options struct {
	Pool       *pgxpool.Pool // of the primary
	Dir        string        // where predictions wait; "" is memory
	SpoolBytes int64         // that may wait
	Retention  time.Duration // of predictions and outcomes; whole months are dropped
	Metrics    *telemetry.Metrics
	Dependency *store.Dependency // says whether predictions reach PostgreSQL
	Log        *slog.Logger
}

// Times of a journal.
const (
	shipEvery     = 500 * time.Millisecond // so that a batch is more than one
	shipTimeout   = 10 * time.Second
	retryAfter    = 2 * time.Second // when PostgreSQL is away
	lookEvery     = time.Second     // at whether anything was dropped
	adoptEvery    = time.Minute
	maintainEvery = time.Hour
	migrateLimit  = time.Minute
	lastShip      = 3 * time.Second // when the service stops
)

// batchRecords is about how many records one transaction brings.
const batchRecords = 5000

// Journal keeps what was predicted and what it then sold for. Make one with
// [Open]; it is safe for concurrent use.
type Journal struct {
	Options
	metrics telemetry.Journal
	spool   *spool
	asking  chan struct{} // held by the one call that reads or writes outcomes
	arms    kept
	labels  labels

	months  months      // what is known of the partitions, by the shipper alone
	full    atomic.Bool // records were dropped as there was no room
	dropped atomic.Int64
}

// Open returns a journal, with what the process before has left. PostgreSQL need not answer yet. Where no folder can
// be used, predictions wait in memory, and the log says why.
func Open(o Options) *Journal {
	j := &Journal{Options: o, asking: make(chan struct{}, 1)}
	j.labels.metrics = o.Metrics
	var f *folder
	if o.Dir != "" {
		var err error
		if f, err = openFolder(o.Dir, destination(o.Pool)); err != nil {
			o.Log.Warn("journal_in_memory", "folder", o.Dir, "error", err.Error(),
				"detail", "predictions that were not yet written to PostgreSQL are lost when the process is killed: set JOURNAL_DIR to a folder that it can write to")
		} else if n := f.strangers(); n > 0 {
			o.Log.Warn("journal_strangers", "folder", o.Dir, "count", n,
				"detail", "folders there are of no journal of this database: if DATABASE_URL has changed, predictions may wait in them")
		}
	}
	j.spool = openSpool(f, o.SpoolBytes)
	j.metrics = o.Metrics.Journal(j.spool.held)
	j.load()
	j.prepare(true)
	return j
}

// destination names the database that predictions are for.
func destination(pool *pgxpool.Pool) string {
	c := pool.Config().ConnConfig
	sum := sha256.Sum256(fmt.Appendf(nil, "%s:%d/%s", c.Host, c.Port, c.Database))
	return hex.EncodeToString(sum[:6])
}

// Record notes a prediction, aside: it waits for neither disk nor network.
// What there is no room for is counted. p is not kept.
func (j *Journal) Record(p *Prediction) {
	if len(p.Version) > maxText || len(p.Role) > maxText || len(p.UserID) > maxText {
		j.drop(telemetry.DroppedRefused, len(p.Prices))
		return
	}
	added := j.spool.add(p)
	j.metrics.Recorded.Add(float64(added))
	if missing := len(p.Prices) - added; missing > 0 {
		j.full.Store(true)
		j.drop(telemetry.DroppedFull, missing)
	}
}

func (j *Journal) drop(why telemetry.Dropped, records int) {
	if records > 0 {
		j.metrics.Dropped(why).Add(float64(records))
		j.dropped.Add(int64(records))
	}
}

// Run brings predictions to PostgreSQL until ctx ends, and then once more, for
// a moment. It returns with the journal closed; what could not be brought
// stays in the folder.
func (j *Journal) Run(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() { j.keep(ctx) })
	running.Go(func() { j.ship(ctx) })
	running.Go(func() { j.maintain(ctx) })
	running.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastShip)
	defer cancel()
	for j.spool.held() > 0 {
		if n, err := j.shipBatch(last); n == 0 || err != nil {
			break
		}
	}
	j.drop(telemetry.DroppedTorn, j.spool.losses())
	lost, err := j.spool.close()
	j.drop(telemetry.DroppedLost, lost)
	if err != nil || lost > 0 {
		j.Log.Warn("journal_closed", "lost", lost, "error", fmt.Sprint(err))
	}
}

// keep makes segments when they are wanted, and tells of what was dropped.
func (j *Journal) keep(ctx context.Context) {
	look, adopt := time.NewTicker(lookEvery), time.NewTicker(store.Jitter(adoptEvery))
	defer look.Stop()
	defer adopt.Stop()
	well := true
	for {
		select {
		case <-ctx.Done():
			return
		case <-j.spool.wake:
			well = j.prepare(well)
		case <-adopt.C:
			j.load()
		case <-look.C:
			j.drop(telemetry.DroppedTorn, j.spool.losses())
			if n := j.dropped.Swap(0); n > 0 {
				j.Log.Warn("journal_dropped", "records", n, "waiting", j.spool.held())
			}
			well = j.prepare(well)
		}
	}
}

// prepare makes segments, and says whether that went well; a trouble is
// logged once.
func (j *Journal) prepare(well bool) bool {
	err := j.spool.prepare()
	if err != nil && well {
		j.Log.Warn("journal_folder", "error", err.Error(),
			"detail", "no file can be made for predictions to wait in; a few wait in memory")
	}
	return err == nil
}

// load takes in what other processes have left.
func (j *Journal) load() {
	records, torn, err := j.spool.load()
	j.drop(telemetry.DroppedTorn, torn)
	if records > 0 || torn > 0 {
		j.Log.Info("journal_adopted", "records", records, "torn", torn)
	}
	if err != nil {
		j.Log.Warn("journal_adopt", "error", err.Error())
	}
}

// ship brings batches to PostgreSQL until ctx ends.
func (j *Journal) ship(ctx context.Context) {
	for ctx.Err() == nil {
		records, err := j.shipBatch(ctx)
		if ctx.Err() != nil {
			return
		}
		wait := shipEvery
		switch {
		case err != nil:
			wait = retryAfter
			if j.full.Load() {
				err = errors.Join(store.ErrFull, err)
			}
		case records >= batchRecords: // there is more
			wait = time.Millisecond
		}
		if err == nil {
			j.full.Store(false)
		}
		j.Dependency.Report(err)
		sleep(ctx, store.Jitter(wait))
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
