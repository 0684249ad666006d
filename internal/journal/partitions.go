package journal

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"housing/internal/store"
	"housing/internal/telemetry"
)

// PartitionLock is the advisory lock of whoever makes or drops partitions.
const PartitionLock = 0x686f7573_6a726e6c // "housjrnl"

// Bounds of the work on partitions.
const (
	lockTimeout   = "2s"
	sweepRows     = 10_000 // that one statement deletes
	sweepRounds   = 100    // of one sweep
	maintainLimit = 2 * time.Minute
)

// month is a month in UTC, counted from the year 0.
type month int

func monthOf(t time.Time) month {
	t = t.UTC()
	return month(12*t.Year() + int(t.Month()) - 1)
}

// begin returns the first moment of the month.
func (m month) begin() time.Time {
	return time.Date(int(m)/12, time.Month(int(m)%12+1), 1, 0, 0, 0, 0, time.UTC)
}

// partitionLayout is the name of a month's partition of predictions.
const partitionLayout = "predictions_2006_01"

func (m month) table() string { return m.begin().Format(partitionLayout) }

func (m month) bound() string { return m.begin().Format("2006-01-02 15:04:05Z") }

// PartitionOf returns the partition of predictions that a moment falls into,
// and its bounds as they stand in SQL.
func PartitionOf(moment time.Time) (table, from, to string) {
	m := monthOf(moment)
	return m.table(), m.bound(), (m + 1).bound()
}

// months is what is known of the partitions that there are.
type months struct {
	mu     sync.Mutex
	there  map[month]bool // nil before PostgreSQL was asked
	now    month          // by PostgreSQL's clock
	oldest month          // that is kept
}

func (m *months) known() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.there != nil
}

func (m *months) set(there map[month]bool, now, oldest month) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.there, m.now, m.oldest = there, now, oldest
}

// look says whether there is a partition of the month, or why there can be
// none; neither where PostgreSQL must be asked.
func (m *months) look(of month) (there bool, why telemetry.Dropped) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.there == nil:
		return false, ""
	case of < m.oldest:
		return false, telemetry.DroppedExpired
	}
	return m.there[of], ""
}

// ahead says whether the month is one that has no partition yet.
func (m *months) ahead(of month) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return of > m.now+1
}

// partition makes the partitions of this month, of the next and of those
// wanted that are not too old or too far ahead.
func (j *Journal) partition(ctx context.Context, wanted ...month) error {
	return j.withPartitions(ctx, func(tx pgx.Tx, there map[month]bool, now, oldest month) error {
		for _, m := range append(wanted, now, now+1) {
			if there[m] || m < oldest || m > now+1 {
				continue
			}
			// To create a partition of a table stops those who write to it; to
			// attach one does not.
			sql := fmt.Sprintf(`CREATE TABLE %[1]s (LIKE predictions INCLUDING ALL);
				ALTER TABLE predictions ATTACH PARTITION %[1]s FOR VALUES FROM ('%[2]s') TO ('%[3]s')`, m.table(), m.bound(), (m + 1).bound())
			if _, err := tx.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil {
				return fmt.Errorf("make table %s: %w", m.table(), err)
			}
			there[m] = true
		}
		return nil
	})
}

// withPartitions calls change, alone among all processes, with the partitions
// that there are, which change keeps up to date.
func (j *Journal) withPartitions(ctx context.Context, change func(tx pgx.Tx, there map[month]bool, now, oldest month) error) error {
	there := map[month]bool{}
	var now, oldest month
	err := pgx.BeginFunc(ctx, j.Pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '"+lockTimeout+"'"); err != nil {
			return err
		}
		var moment time.Time
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(PartitionLock)); err != nil {
			return fmt.Errorf("wait for who sees to the partitions: %w", err)
		}
		if err := tx.QueryRow(ctx, "SELECT now()").Scan(&moment); err != nil {
			return err
		}
		now, oldest = monthOf(moment), monthOf(moment.Add(-j.Retention))
		rows, err := tx.Query(ctx, `SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'predictions'::regclass`)
		if err != nil {
			return fmt.Errorf("list partitions: %w", err)
		}
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return fmt.Errorf("list partitions: %w", err)
		}
		for _, name := range names {
			if first, err := time.Parse(partitionLayout, name); err == nil {
				there[monthOf(first)] = true
			}
		}
		return change(tx, there, now, oldest)
	})
	if err != nil {
		return err
	}
	j.months.set(there, now, oldest)
	return nil
}

// maintain makes partitions ahead and drops what is too old until ctx ends,
// measures outcomes whose prediction came after them, and the versions on the
// newest outcomes.
func (j *Journal) maintain(ctx context.Context) {
	trouble, swept, rolled := "", time.Time{}, time.Time{}
	for ctx.Err() == nil {
		sleep(ctx, store.Jitter(measureEvery))
		if ctx.Err() != nil || !j.months.known() {
			continue
		}
		err := j.measureWaiting(ctx)
		if time.Since(swept) > maintainEvery && err == nil {
			if err = j.sweep(ctx); err == nil {
				swept = time.Now()
			}
		}
		if time.Since(rolled) > rollEvery && err == nil {
			if err = j.roll(ctx); err == nil {
				rolled = time.Now()
			}
		}
		err = store.Explain(j.Pool, err)
		if reason := string(store.ReasonOf(err)); reason != trouble && ctx.Err() == nil {
			if trouble = reason; err != nil {
				j.Log.Warn("journal_maintenance", "reason", reason, "error", err.Error())
			}
		}
	}
}

// sweep makes partitions ahead and drops what is older than is kept: whole
// months of predictions, and the rows of other tables from before them.
func (j *Journal) sweep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, maintainLimit)
	defer cancel()
	if err := j.partition(ctx); err != nil {
		return err
	}
	var cut month
	err := j.withPartitions(ctx, func(tx pgx.Tx, there map[month]bool, _, oldest month) error {
		cut = oldest
		for m := range there {
			if m >= oldest {
				continue
			}
			if _, err := tx.Exec(ctx, "DROP TABLE "+m.table()); err != nil {
				return fmt.Errorf("drop table %s: %w", m.table(), err)
			}
			delete(there, m)
			j.Log.Info("journal_retention", "dropped", m.table())
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, sql := range []string{
		"DELETE FROM prediction_keys WHERE id IN (SELECT id FROM prediction_keys WHERE at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
		"DELETE FROM outcomes WHERE (id, record) IN (SELECT id, record FROM outcomes WHERE received_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
	} {
		for range sweepRounds {
			tag, err := j.Pool.Exec(ctx, sql, cut.begin(), sweepRows)
			if err != nil {
				return fmt.Errorf("delete what is too old: %w", err)
			}
			if tag.RowsAffected() < sweepRows {
				break
			}
		}
	}
	return nil
}
