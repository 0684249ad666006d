package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"housing/internal/store"
	"housing/internal/store/schema"
	"housing/internal/telemetry"
)

// shipBatch brings one batch to PostgreSQL; without one it sees to the schema
// alone. A batch whose commit was in doubt is brought again: its rows are
// there once, as their key comes with them.
func (j *Journal) shipBatch(ctx context.Context) (records int, err error) {
	if err := j.begin(ctx); err != nil {
		return 0, store.Explain(j.Pool, err)
	}
	b, ok := j.spool.take(batchRecords)
	if !ok {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, shipTimeout)
	defer cancel()
	dropped, err := j.write(ctx, b.predictions)
	if err != nil {
		return 0, store.Explain(j.Pool, err)
	}
	j.spool.done(b)
	written := b.records
	for why, n := range dropped {
		j.drop(why, n)
		written -= n
	}
	j.metrics.Written.Add(float64(written))
	return b.records, nil
}

// begin makes the schema and this month's partitions, once.
func (j *Journal) begin(ctx context.Context) error {
	if j.months.known() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, migrateLimit)
	defer cancel()
	if err := schema.Migrate(ctx, j.Pool); err != nil {
		return err
	}
	return j.partition(ctx)
}

// write brings predictions to PostgreSQL. Rows that it refuses for what they
// hold are dropped, and keep no others back.
func (j *Journal) write(ctx context.Context, predictions []Prediction) (dropped map[telemetry.Dropped]int, err error) {
	predictions, dropped, err = j.filed(ctx, predictions)
	if err != nil || len(predictions) == 0 {
		return dropped, err
	}
	err = j.insert(ctx, predictions)
	if err == nil || !refused(err) {
		return dropped, err
	}
	// A partition may have been dropped since it was last seen.
	if err := j.partition(ctx); err != nil {
		return dropped, err
	}
	for i := range predictions {
		if err := j.insert(ctx, predictions[i:i+1]); refused(err) {
			dropped[telemetry.DroppedRefused] += len(predictions[i].Prices)
			j.Log.Error("journal_refused", "id", predictions[i].ID.String(), "error", err.Error())
		} else if err != nil {
			return dropped, err
		}
	}
	return dropped, nil
}

// refused says whether PostgreSQL refuses what the rows hold, so that it is of
// no use to bring them again: errors of classes 22 and 23.
func refused(err error) bool {
	var answered *pgconn.PgError
	return errors.As(err, &answered) && (strings.HasPrefix(answered.Code, "22") || strings.HasPrefix(answered.Code, "23"))
}

// filed returns the predictions that there is a partition for.
func (j *Journal) filed(ctx context.Context, predictions []Prediction) (kept []Prediction, dropped map[telemetry.Dropped]int, err error) {
	dropped = map[telemetry.Dropped]int{}
	var wanted []month
	for i := range predictions {
		m := monthOf(predictions[i].at())
		if there, why := j.months.look(m); !there && why == "" && !slices.Contains(wanted, m) && len(wanted) < maxMonths {
			wanted = append(wanted, m)
		}
	}
	if len(wanted) > 0 {
		if err := j.partition(ctx, wanted...); err != nil {
			return nil, nil, err
		}
	}
	for _, p := range predictions {
		m := monthOf(p.at())
		switch there, why := j.months.look(m); {
		case there:
			kept = append(kept, p)
		case why == "" && j.months.ahead(m):
			dropped[telemetry.DroppedClock] += len(p.Prices)
		case why == "":
			return nil, nil, fmt.Errorf("there is no table %s", m.table())
		default:
			dropped[why] += len(p.Prices)
		}
	}
	return kept, dropped, nil
}

// maxMonths bounds the partitions that one batch may make.
const maxMonths = 600

// at is the time that a row is filed under.
func (p *Prediction) at() time.Time {
	if p.ID.named() {
		return p.Time
	}
	return p.ID.time()
}

// insert adds rows in one transaction; those that are there stay as they are.
func (j *Journal) insert(ctx context.Context, predictions []Prediction) error {
	var keys, ids []ID
	var keyTimes, times []time.Time
	var numbers []int32
	var shadows []bool
	var versions, roles, users []string
	var prices []float64
	for i := range predictions {
		p := &predictions[i]
		at := p.at()
		if p.ID.named() {
			keys, keyTimes = append(keys, p.ID), append(keyTimes, at)
		}
		for n, price := range p.Prices {
			ids, times, numbers, shadows = append(ids, p.ID), append(times, at), append(numbers, int32(p.First+n)), append(shadows, p.Shadow)
			versions, roles, users, prices = append(versions, p.Version), append(roles, p.Role), append(users, p.UserID), append(prices, price)
		}
	}
	return pgx.BeginFunc(ctx, j.Pool, func(tx pgx.Tx) error {
		if len(keys) > 0 {
			// Who comes first says under which time a request is filed. In the
			// order of the ids, so that no two wait for each other.
			if _, err := tx.Exec(ctx, `INSERT INTO prediction_keys (id, at)
				SELECT id, min(at) FROM unnest($1::uuid[], $2::timestamptz[]) AS t (id, at) GROUP BY id ORDER BY id
				ON CONFLICT DO NOTHING`, uuids(keys), keyTimes); err != nil {
				return fmt.Errorf("write prediction keys: %w", err)
			}
		}
		if _, err := tx.Exec(ctx, `INSERT INTO predictions (at, id, record, shadow, version, role, user_id, price)
			SELECT coalesce(k.at, t.at), t.id, t.record, t.shadow, t.version, t.role, nullif(t.user_id, ''), t.price
			FROM unnest($1::timestamptz[], $2::uuid[], $3::integer[], $4::boolean[], $5::text[], $6::text[], $7::text[], $8::float8[])
				AS t (at, id, record, shadow, version, role, user_id, price)
			LEFT JOIN prediction_keys k ON k.id = t.id
			ORDER BY t.id, t.record
			ON CONFLICT DO NOTHING`, times, uuids(ids), numbers, shadows, versions, roles, users, prices); err != nil {
			return fmt.Errorf("write predictions: %w", err)
		}
		return nil
	})
}

// uuids returns ids as PostgreSQL reads them.
func uuids(ids []ID) []string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		if i > 0 && id == ids[i-1] {
			texts[i] = texts[i-1]
			continue
		}
		texts[i] = id.String()
	}
	return texts
}
