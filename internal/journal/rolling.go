package journal

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"housing/internal/model"
	"housing/internal/telemetry"
)

// Bounds of the rolling figures.
const (
	rollEvery    = 5 * time.Minute
	rollWithin   = "90 days" // in which the outcomes came
	rollOutcomes = 5_000     // the newest, of all versions
	rollSales    = 1_000     // of each version
	rollVersions = 5         // those with the newest outcomes
	rollLeast    = 30        // sales, below which figures would be chance
)

// roll measures each version on the newest outcomes, and shows the figures.
// Every replica finds the same.
func (j *Journal) roll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, outcomesTimeout)
	defer cancel()
	if err := j.enter(ctx); err != nil {
		return err
	}
	defer j.leave()
	versions, err := j.newest(ctx)
	if err != nil {
		return fmt.Errorf("measure the newest outcomes: %w", err)
	}
	figures := make([]telemetry.OutcomeFigures, 0, rollVersions)
	for _, v := range versions {
		f := telemetry.OutcomeFigures{Version: v.name, Sales: len(v.sold)}
		if f.Sales >= rollLeast {
			m, err := model.Measure(v.sold, v.predicted)
			if err != nil {
				return fmt.Errorf("measure the newest outcomes of %s: %w", v.name, err)
			}
			f.Measured, f.MdAPE, f.PPE10, f.MedianRatio, f.PRD, f.PRB = true, m.MdAPE, m.PPE10, m.MedianRatio, m.PRD, m.PRB
		}
		figures = append(figures, f)
	}
	j.Metrics.SetOutcomes(figures)
	return nil
}

// told is what a version said of houses and what they sold for, in dollars.
type told struct {
	name            string
	sold, predicted []float64
}

// newest returns the newest outcomes by version, of the versions whose
// outcomes are the newest.
func (j *Journal) newest(ctx context.Context) (versions []told, err error) {
	rows, err := j.Pool.Query(ctx, `WITH newest AS (
			SELECT id, record, price, received_at FROM outcomes
			WHERE received_at > now() - $1::interval ORDER BY received_at DESC LIMIT $2),
		joined AS (
			SELECT p.version, p.price AS predicted, n.price AS sold,
				row_number() OVER (PARTITION BY p.version ORDER BY n.received_at DESC, n.id, n.record) AS place,
				max(n.received_at) OVER (PARTITION BY p.version) AS last
			FROM newest n JOIN predictions p ON p.id = n.id AND p.record = n.record WHERE p.price > 0)
		SELECT version, predicted, sold FROM joined WHERE place <= $3 ORDER BY last DESC, version, place`, rollWithin, rollOutcomes, rollSales)
	if err != nil {
		return nil, err
	}
	var version string
	var predicted, sold float64
	_, err = pgx.ForEachRow(rows, []any{&version, &predicted, &sold}, func() error {
		last := len(versions) - 1
		if last < 0 || versions[last].name != version {
			versions, last = append(versions, told{name: version}), last+1
		}
		v := &versions[last]
		v.sold, v.predicted = append(v.sold, sold), append(v.predicted, predicted)
		return nil
	})
	return versions[:min(len(versions), rollVersions)], err
}
