package journal

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"housing/internal/store"
	"housing/internal/telemetry"
)

// MaxOutcomes is how many outcomes one call may bring.
const MaxOutcomes = 10_000

// Bounds of outcomes.
const (
	outcomesTimeout = 10 * time.Second
	maxUnmatched    = 100 // that are named
	measureEvery    = 10 * time.Second
	measureMost     = 10_000 // outcomes at once
	// measureWithin is how long after an outcome its prediction may come: as
	// long as PostgreSQL may be away before it is no longer looked for.
	measureWithin = "7 days"
	maxVersions   = 10 // that label a metric
)

// Outcome is what a valued house sold for.
type Outcome struct {
	ID     ID  // of the prediction
	Record int // index of the house in it
	Price  float64
	Sold   time.Time // the day
}

// Result says what became of outcomes.
type Result struct {
	Recorded  int // new
	Known     int // the same as before
	Corrected int // another price or day than before, which it replaces
	// Unmatched counts those whose prediction is not there. It may come yet:
	// the outcome is kept, and counts when it does.
	Unmatched int
	// FirstUnmatched are the indices of the first 100 of them.
	FirstUnmatched []int
}

// Outcomes keeps what houses sold for, all or none. The same again changes
// nothing; another price or day for the same house replaces the one before.
func (j *Journal) Outcomes(ctx context.Context, outcomes []Outcome) (r Result, err error) {
	if len(outcomes) > MaxOutcomes {
		return r, fmt.Errorf("%d outcomes are more than %d", len(outcomes), MaxOutcomes)
	}
	ctx, cancel := context.WithTimeout(ctx, outcomesTimeout)
	defer cancel()
	if err := j.enter(ctx); err != nil {
		return r, err
	}
	defer j.leave()
	type key struct {
		id     ID
		record int
	}
	last := make(map[key]int, len(outcomes))
	for i, o := range outcomes {
		k := key{o.ID, o.Record}
		if before, twice := last[k]; twice {
			if b := outcomes[before]; b.Price == o.Price && b.Sold.Equal(o.Sold) {
				r.Known++
			} else {
				r.Corrected++
			}
		}
		last[k] = i
	}
	var ids []ID
	var numbers []int32
	var indices []int32
	var prices []float64
	var days []string
	for i, o := range outcomes {
		if last[key{o.ID, o.Record}] != i {
			continue
		}
		ids, numbers, indices = append(ids, o.ID), append(numbers, int32(o.Record)), append(indices, int32(i))
		prices, days = append(prices, o.Price), append(days, o.Sold.UTC().Format(time.DateOnly))
	}
	err = pgx.BeginFunc(ctx, j.Pool, func(tx pgx.Tx) error {
		// In the order of the key, so that no two calls wait for each other.
		rows, err := tx.Query(ctx, `INSERT INTO outcomes AS o (id, record, price, sold_on)
			SELECT * FROM unnest($1::uuid[], $2::integer[], $3::float8[], $4::date[]) AS t (id, record, price, sold_on) ORDER BY id, record
			ON CONFLICT (id, record) DO UPDATE
			SET price = EXCLUDED.price, sold_on = EXCLUDED.sold_on, corrections = o.corrections + 1, measured = false
			WHERE (o.price, o.sold_on) IS DISTINCT FROM (EXCLUDED.price, EXCLUDED.sold_on)
			RETURNING corrections`, uuids(ids), numbers, prices, days)
		if err != nil {
			return err
		}
		corrections, err := pgx.CollectRows(rows, pgx.RowTo[int32])
		if err != nil {
			return err
		}
		for _, n := range corrections {
			if n == 0 {
				r.Recorded++
			} else {
				r.Corrected++
			}
		}
		r.Known += len(ids) - len(corrections)
		rows, err = tx.Query(ctx, `SELECT t.index FROM unnest($1::uuid[], $2::integer[], $3::integer[]) AS t (id, record, index)
			WHERE NOT EXISTS (SELECT FROM predictions p WHERE p.id = t.id AND p.record = t.record) ORDER BY t.index`, uuids(ids), numbers, indices)
		if err != nil {
			return err
		}
		unmatched, err := pgx.CollectRows(rows, pgx.RowTo[int32])
		for i, index := range unmatched {
			if r.Unmatched++; i < maxUnmatched {
				r.FirstUnmatched = append(r.FirstUnmatched, int(index))
			}
		}
		return err
	})
	if err != nil {
		return Result{}, store.Explain(j.Pool, fmt.Errorf("write outcomes: %w", err))
	}
	// They are kept now; what is not measured here is later.
	_ = j.measure(ctx)
	return r, nil
}

// enter waits until no other call reads or writes outcomes, so that they take
// one of the few connections.
func (j *Journal) enter(ctx context.Context) error {
	select {
	case j.asking <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for other calls: %w", ctx.Err())
	}
}

func (j *Journal) leave() { <-j.asking }

// measureWaiting measures the outcomes whose prediction has come by now.
func (j *Journal) measureWaiting(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, outcomesTimeout)
	defer cancel()
	if err := j.enter(ctx); err != nil {
		return err
	}
	defer j.leave()
	return j.measure(ctx)
}

// measure observes how far predictions were from outcomes that were not
// measured yet; each is by one process.
func (j *Journal) measure(ctx context.Context) error {
	rows, err := j.Pool.Query(ctx, `WITH due AS (
			SELECT o.id, o.record FROM outcomes o
			WHERE NOT o.measured AND o.received_at > now() - $1::interval
				AND EXISTS (SELECT FROM predictions p WHERE p.id = o.id AND p.record = o.record)
			ORDER BY o.received_at LIMIT $2 FOR UPDATE SKIP LOCKED),
		done AS (
			UPDATE outcomes o SET measured = true FROM due WHERE o.id = due.id AND o.record = due.record
			RETURNING o.id, o.record, o.price)
		SELECT p.version, p.price, done.price FROM done JOIN predictions p ON p.id = done.id AND p.record = done.record`, measureWithin, measureMost)
	if err != nil {
		return fmt.Errorf("measure outcomes: %w", err)
	}
	defer rows.Close()
	type measured struct {
		version         string
		predicted, sold float64
	}
	var all []measured
	for rows.Next() {
		var m measured
		if err := rows.Scan(&m.version, &m.predicted, &m.sold); err != nil {
			return fmt.Errorf("measure outcomes: %w", err)
		}
		all = append(all, m)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("measure outcomes: %w", err)
	}
	for _, m := range all {
		j.labels.of(m.version).Observe(100 * math.Abs(m.predicted-m.sold) / m.sold)
	}
	return nil
}

// labels bounds the versions that label a metric.
type labels struct {
	metrics *telemetry.Metrics
	mu      sync.Mutex
	known   map[string]prometheus.Observer
}

func (l *labels) of(version string) prometheus.Observer {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil {
		l.known = map[string]prometheus.Observer{}
	}
	if observer, ok := l.known[version]; ok {
		return observer
	}
	if len(l.known) >= maxVersions {
		return l.metrics.OutcomeError("other")
	}
	l.known[version] = l.metrics.OutcomeError(version)
	return l.known[version]
}
