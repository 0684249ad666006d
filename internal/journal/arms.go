package journal

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"housing/internal/sequential"
	"housing/internal/store"
)

// Bounds and habits of a comparison of arms.
const (
	armsTimeout = 10 * time.Second
	armsKept    = 10 * time.Second
	maxArms     = 50
	alpha       = 0.05
	z           = 1.959964 // of a normal interval of 95 %
	minForBound = 6        // outcomes that an interval of a median needs
)

// Estimate is a figure and its interval of 95 %, for one look. Low and High
// are NaN where there are too few outcomes.
type Estimate struct{ Value, Low, High float64 }

// Arm is how one version did in one role.
type Arm struct {
	Version, Role string
	Shadow        bool
	Predictions   int
	Outcomes      int
	MdAPE         Estimate // median absolute error in percent of the sale price
	PPE10         Estimate // percent of predictions within 10 % of it
	MedianRatio   Estimate // prediction over sale price
}

// Difference says whether the candidate is further from the sale prices than
// the primary, in the mean of |ln(predicted / sold)|, at any number of looks.
type Difference struct {
	Primary, Candidate string              // versions; "" where there are not two arms
	Outcomes           [2]int              // of both
	LogError           sequential.Interval // candidate less primary; its confidence is 95 % at all looks together
	Better             string              // primary, candidate, or "" where the outcomes do not tell
}

// kept is the last answer, for who has entered.
type kept struct {
	since      time.Time
	until      time.Time
	arms       []Arm
	difference Difference
}

// Arms measures every version in every role on the predictions since a time
// that have an outcome. Answers are kept for some seconds. For a test that
// holds at any number of looks, since must stay the same: when the candidate
// began.
//
// The intervals of medians are by order statistics (binomial), those of PPE10
// Wilson's; with many versions, some of them miss by chance.
func (j *Journal) Arms(ctx context.Context, since time.Time) ([]Arm, Difference, error) {
	ctx, cancel := context.WithTimeout(ctx, armsTimeout)
	defer cancel()
	if err := j.enter(ctx); err != nil {
		return nil, Difference{}, err
	}
	defer j.leave()
	if j.arms.since.Equal(since) && time.Now().Before(j.arms.until) {
		return slices.Clone(j.arms.arms), j.arms.difference, nil
	}
	arms, difference, err := Measure(ctx, j.Pool, since)
	if err != nil {
		return nil, Difference{}, err
	}
	j.arms.since, j.arms.until, j.arms.arms, j.arms.difference = since, time.Now().Add(armsKept), arms, difference
	return slices.Clone(arms), difference, nil
}

// Measure is [Journal.Arms] for who has no journal, such as a command; it
// looks each time.
func Measure(ctx context.Context, pool *pgxpool.Pool, since time.Time) (arms []Arm, d Difference, err error) {
	ctx, cancel := context.WithTimeout(ctx, armsTimeout)
	defer cancel()
	measured, err := measureArms(ctx, pool, since)
	if err != nil {
		return nil, d, store.Explain(pool, fmt.Errorf("measure versions: %w", err))
	}
	for _, m := range measured {
		arms = append(arms, m.Arm)
	}
	return arms, compare(measured), nil
}

// measuredArm is an arm with what the difference needs.
type measuredArm struct {
	Arm
	errors sequential.Moments // of |ln(predicted / sold)|
}

// measureArms asks PostgreSQL, which is given a bound on its time.
func measureArms(ctx context.Context, pool *pgxpool.Pool, since time.Time) (arms []measuredArm, err error) {
	err = pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT set_config('statement_timeout', $1, true)", fmt.Sprint(armsTimeout.Milliseconds())); err != nil {
			return err
		}
		// The ranks that bound a median with 95 % are n/2 ± z/2 sqrt(n).
		rows, err := tx.Query(ctx, `WITH joined AS MATERIALIZED (
				SELECT p.version, p.role, p.shadow, p.price / o.price AS ratio, count(*) OVER (PARTITION BY p.version, p.role, p.shadow) AS n
				FROM outcomes o JOIN predictions p ON p.id = o.id AND p.record = o.record
				WHERE p.at >= $1 AND p.price > 0),
			measured AS (
				SELECT version, role, shadow, n,
					percentile_cont(0.5) WITHIN GROUP (ORDER BY 100 * abs(ratio - 1)) AS mdape,
					percentile_disc(ARRAY[greatest(0, 0.5 - $2::float8 / 2 / sqrt(n)), least(1, 0.5 + 1.0 / n + $2::float8 / 2 / sqrt(n))]) WITHIN GROUP (ORDER BY 100 * abs(ratio - 1)) AS mdape_bounds,
					percentile_cont(0.5) WITHIN GROUP (ORDER BY ratio) AS median,
					percentile_disc(ARRAY[greatest(0, 0.5 - $2::float8 / 2 / sqrt(n)), least(1, 0.5 + 1.0 / n + $2::float8 / 2 / sqrt(n))]) WITHIN GROUP (ORDER BY ratio) AS median_bounds,
					count(*) FILTER (WHERE abs(ratio - 1) <= 0.1) AS within,
					avg(abs(ln(ratio))) AS mean, coalesce(var_pop(abs(ln(ratio))), 0) AS variance
				FROM joined GROUP BY version, role, shadow, n),
			asked AS (
				SELECT version, role, shadow, count(*) AS predictions, max(at) AS last FROM predictions WHERE at >= $1 GROUP BY version, role, shadow)
			SELECT a.version, a.role, a.shadow, a.predictions, coalesce(m.n, 0), coalesce(m.mdape, 0), coalesce(m.mdape_bounds, ARRAY[0, 0]::float8[]),
				coalesce(m.median, 0), coalesce(m.median_bounds, ARRAY[0, 0]::float8[]), coalesce(m.within, 0), coalesce(m.mean, 0), coalesce(m.variance, 0)
			FROM asked a LEFT JOIN measured m USING (version, role, shadow)
			ORDER BY a.last DESC, a.version, a.role LIMIT $3`, since, float64(z), maxArms)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var m measuredArm
			var errorBounds, ratioBounds []float64
			var within int
			var variance float64
			if err := rows.Scan(&m.Version, &m.Role, &m.Shadow, &m.Predictions, &m.Outcomes, &m.MdAPE.Value, &errorBounds,
				&m.MedianRatio.Value, &ratioBounds, &within, &m.errors.Mean, &variance); err != nil {
				return err
			}
			m.finish(errorBounds, ratioBounds, within, variance)
			arms = append(arms, m)
		}
		return rows.Err()
	})
	return arms, err
}

func (m *measuredArm) finish(errorBounds, ratioBounds []float64, within int, variance float64) {
	n, nan := float64(m.Outcomes), math.NaN()
	bound := func(e *Estimate, bounds []float64) {
		switch {
		case n == 0:
			*e = Estimate{nan, nan, nan}
		case n < minForBound:
			e.Low, e.High = nan, nan
		default:
			e.Low, e.High = bounds[0], bounds[1]
		}
	}
	bound(&m.MdAPE, errorBounds)
	bound(&m.MedianRatio, ratioBounds)
	m.PPE10 = wilson(float64(within), n)
	m.errors.N, m.errors.M2 = n, variance*n
}

// wilson returns k of n in percent with its interval (Wilson 1927).
func wilson(k, n float64) Estimate {
	p := k / n // NaN without any
	middle, half := (p+z*z/(2*n))/(1+z*z/n), z/(1+z*z/n)*math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return Estimate{100 * p, 100 * (middle - half), 100 * (middle + half)}
}

// compare compares the primary with the candidate; of several versions in a
// role, those that predicted last. A candidate that only values aside counts
// where none answers.
func compare(arms []measuredArm) (d Difference) {
	find := func(wanted func(*measuredArm) bool) *measuredArm {
		if i := slices.IndexFunc(arms, func(m measuredArm) bool { return wanted(&m) }); i >= 0 {
			return &arms[i]
		}
		return nil
	}
	primary := find(func(m *measuredArm) bool { return m.Role == "primary" && !m.Shadow })
	if primary == nil {
		return d
	}
	candidate := find(func(m *measuredArm) bool { return !m.Shadow && m.Role == "candidate" && m.Version != primary.Version })
	if candidate == nil {
		candidate = find(func(m *measuredArm) bool { return m.Shadow && m.Version != primary.Version })
	}
	if candidate == nil {
		return d
	}
	d.Primary, d.Candidate = primary.Version, candidate.Version
	d.Outcomes = [2]int{primary.Outcomes, candidate.Outcomes}
	d.LogError = sequential.Means(primary.errors, candidate.errors, alpha, 0)
	switch {
	case d.LogError.Low > 0:
		d.Better = "primary"
	case d.LogError.High < 0:
		d.Better = "candidate"
	}
	return d
}
