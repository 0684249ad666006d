package model

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"housing/internal/demographics"
	"housing/internal/features"
	"housing/internal/gbdt"
	"housing/internal/house"
)

// Market is the level of prices over time, in logarithms, which the forest's
// price is lifted by. It never changes once made.
type Market struct {
	First  house.Date // day of Levels[0]
	Levels []float64  // one a day, up to the newest sale
	// Slope is what a day added to the level towards the end. Beyond the
	// newest sale the level goes on by Slope × damping, × damping², …: a trend
	// that fades is wrong by less than one that goes on or that stops (Gardner
	// & McKenzie 1985).
	Slope float64
}

// How the market is learned, and how far it is believed beyond the data. The
// figures behind it stand in docs/accuracy.md.
const (
	marketBandwidth = 20    // days; standard deviation of the kernel
	marketWeight    = 200   // sales that a level rests on at least
	marketTrend     = 60    // days that the slope is taken of
	marketDamping   = 0.995 // a day
	maxMarketDays   = 100 * 366
)

// check returns an error unless m can be asked for any day.
func (m *Market) check() error {
	if len(m.Levels) == 0 || len(m.Levels) > maxMarketDays {
		return fmt.Errorf("market of %d days, must be 1 to %d", len(m.Levels), maxMarketDays)
	}
	for _, v := range append([]float64{m.Slope}, m.Levels...) {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return errors.New("market's level is not finite")
		}
	}
	return nil
}

// At returns the level on a day, relative to its mean over the sales that it
// was learned from. Before the first day it is that of the first; a house
// without a day is valued as of the last. A model without a market has the
// level 0 throughout.
func (m *Market) At(day house.Date) float64 {
	if m == nil {
		return 0
	}
	last := len(m.Levels) - 1
	if day == house.NoDate {
		return m.Levels[last]
	}
	at := int64(day) - int64(m.First)
	switch beyond := at - int64(last); {
	case at < 0:
		return m.Levels[0]
	case beyond <= 0:
		return m.Levels[at]
	default:
		return m.Levels[last] + m.Slope*marketDamping*(1-math.Pow(marketDamping, float64(beyond)))/(1-marketDamping)
	}
}

// timeless returns the log prices of sales less the market's level on their
// days.
func (m *Market) timeless(sales []house.Sale) []float64 {
	values := logPrices(sales)
	for i := range sales {
		values[i] -= m.At(sales[i].House.Date)
	}
	return values
}

// learnMarket deals the houses into folds, values the sales of each with a
// small forest that knows no time and was learned from the others, and learns
// the market from what is left of the log prices. houses are those of the
// sales without a date.
func learnMarket(ctx context.Context, sales []house.Sale, houses []house.House, encoder *features.Encoder, table *demographics.Table, o Options) (*Market, error) {
	const folds = 3
	p := gbdt.DefaultParams()
	p.Rounds, p.LearningRate, p.ColsampleByTree, p.Seed = min(300, o.Boosting.Rounds), 0.1, 0.3, o.Boosting.Seed
	p = o.params(p)
	label := logPrices(sales)
	weight := equal(len(sales))
	x := matrixOf(encoder, table, houses)
	fold := foldsByHouse(sales, folds, rand.New(rand.NewPCG(o.Boosting.Seed, marketStream)))
	residual := make([]float64, len(sales))
	for number := range folds {
		var learned []int
		d := gbdt.Dataset{}
		for i := range sales {
			if fold[i] != number {
				learned = append(learned, i)
				d.Label, d.Weight = append(d.Label, label[i]), append(d.Weight, weight[i])
			}
		}
		if len(learned) == 0 {
			continue // all sales are of one house: it tells nothing of the market
		}
		d.X = x.Select(learned)
		result, err := gbdt.Train(ctx, d, nil, gbdt.Squared{}, p, nil)
		if err != nil {
			return nil, fmt.Errorf("market: %w", err)
		}
		for i := range sales {
			if fold[i] == number {
				residual[i] = label[i] - result.Forest.Predict(x.Row(i))
			}
		}
	}
	return newMarket(sales, residual, weight)
}

// newMarket learns the level from what a model that knows no time leaves
// unexplained of each sale's log price: a line fitted around each day, in
// which sales count the less the further away they are (Fan 1992).
func newMarket(sales []house.Sale, residual, weight []float64) (*Market, error) {
	first, newest := sales[0].House.Date, sales[0].House.Date
	for i := range sales {
		first, newest = min(first, sales[i].House.Date), max(newest, sales[i].House.Date)
	}
	days := int(newest-first) + 1
	if days > maxMarketDays {
		return nil, fmt.Errorf("sales from %s to %s: more than a hundred years", first, newest)
	}
	// All sales of a day are one point.
	weights, sums := make([]float64, days), make([]float64, days)
	for i := range sales {
		at := sales[i].House.Date - first
		weights[at] += weight[i]
		sums[at] += weight[i] * residual[i]
	}
	m := &Market{First: first, Levels: make([]float64, days)}
	for day := range days {
		m.Levels[day] = localLevel(weights, sums, day)
	}
	m.Slope = slopeOf(m.Levels[max(0, days-1-marketTrend):])
	return m, m.check()
}

// localLevel fits a line around a day and returns its value there. Where few
// sales are near, it looks further.
func localLevel(weights, sums []float64, day int) float64 {
	for bandwidth := float64(marketBandwidth); ; bandwidth *= 2 {
		reach := int(4 * bandwidth)
		low, high := max(0, day-reach), min(len(weights), day+reach+1)
		var s0, s1, s2, r0, r1 float64
		for at := low; at < high; at++ {
			x := float64(at - day)
			k := math.Exp(-x * x / (2 * bandwidth * bandwidth))
			s0 += k * weights[at]
			s1 += k * weights[at] * x
			s2 += k * weights[at] * x * x
			r0 += k * sums[at]
			r1 += k * sums[at] * x
		}
		all := low == 0 && high == len(weights) && bandwidth > float64(len(weights))
		if s0 < marketWeight && !all {
			continue
		}
		if spread := s0*s2 - s1*s1; s0 >= marketWeight && spread > 1e-9*s0*s0 {
			return (s2*r0 - s1*r1) / spread
		}
		return r0 / s0 // too few sales, or all on a day: their mean
	}
}

// slopeOf returns the slope of the line of least squares through values.
func slopeOf(values []float64) float64 {
	n := float64(len(values))
	middle := (n - 1) / 2
	var xy, xx float64
	for i, v := range values {
		x := float64(i) - middle
		xy += x * v
		xx += x * x
	}
	if xx == 0 {
		return 0
	}
	return xy / xx
}
