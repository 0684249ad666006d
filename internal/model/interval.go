package model

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"

	"housing/internal/features"
	"housing/internal/gbdt"
	"housing/internal/house"
)

// Levels of intervals: how often the sale price is to lie within.
const (
	DefaultLevel  = 0.9
	LeastLevel    = 0.5
	GreatestLevel = 0.99
)

// fsdLevel is how often an error lies within one standard deviation of a
// normal distribution.
const fsdLevel = 0.6827

// Interval says how far sale prices lie from what the model says, house by
// house: normalised conformal prediction (Papadopoulos, Gammerman & Vovk
// 2008; Lei et al. 2018, 5.2) with the residuals of a cross-validation (Vovk
// 2015, "Cross-conformal predictors"). It never changes once made, by
// [Calibrate] or from a bundle; [NewInterval] has checked it then.
type Interval struct {
	// Spread predicts the log of how far the log of a sale price lies from
	// that of the price, from a row and, behind it, the log price.
	Spread *gbdt.Forest
	// Scores are quantiles of (log sale price - log price) / spread of sales
	// that the model had not seen, at equal steps of probability from 0 to 1,
	// ascending: of whole records, and of those with fields unknown (Vovk,
	// Gammerman & Shafer 2005, "Mondrian" conformal prediction).
	Scores [2][]float64
}

// The kinds of records that have scores of their own.
const (
	wholeRecords = iota
	partialRecords
)

// kindOf returns which scores are of a house.
func kindOf(h *house.House) int {
	for _, v := range h.Values {
		if math.IsNaN(v) {
			return partialRecords
		}
	}
	return wholeRecords
}

// spreadColumns is how many numbers a row of Spread has.
func spreadColumns() int { return features.NumColumns() + 1 }

// Bounds of spreads, in logs: a house of a spread beyond is like none that
// scores were had of.
const (
	leastSpread    = 0.005
	greatestSpread = 1.5
)

// Bounds of Scores.
const (
	minScores = 2
	maxScores = 1 << 20
)

// NewInterval returns an interval of its parts, or an error where they cannot
// be used.
func NewInterval(spread *gbdt.Forest, whole, partial []float64) (*Interval, error) {
	if err := spread.Check(); err != nil {
		return nil, fmt.Errorf("interval: %w", err)
	}
	if spread.Columns != spreadColumns() {
		return nil, fmt.Errorf("interval: its forest looks at %d columns, there are %d", spread.Columns, spreadColumns())
	}
	i := &Interval{spread, [2][]float64{wholeRecords: whole, partialRecords: partial}}
	for _, scores := range i.Scores {
		if len(scores) < minScores || len(scores) > maxScores || !slices.IsSorted(scores) {
			return nil, errors.New("interval: its scores are not in order, or not of a number that can be")
		}
		if math.IsNaN(scores[0]) || math.IsInf(scores[0], 0) || math.IsInf(scores[len(scores)-1], 0) {
			return nil, errors.New("interval: a score is no number")
		}
	}
	return i, nil
}

// spread returns how far the log of a sale price is expected to lie from a
// log price.
func (i *Interval) spread(row []float32, logPrice float64) float64 {
	var with [features.MaxColumns + 1]float32
	n := copy(with[:], row)
	with[n] = float32(logPrice)
	return spreadOf(i.Spread.Predict(with[:n+1]))
}

func spreadOf(predicted float64) float64 {
	return max(leastSpread, min(greatestSpread, math.Exp(predicted)))
}

// bounds returns the logs of the bounds, less the log price, between which the
// sale price of a house of a kind and a spread lies with a probability: as
// often below as above. They are never on one side of the price.
func (i *Interval) bounds(kind int, spread, level float64) (low, high float64) {
	return min(0, spread*i.quantile(kind, (1-level)/2)), max(0, spread*i.quantile(kind, (1+level)/2))
}

// quantile returns the score that a share p of scores stays below.
func (i *Interval) quantile(kind int, p float64) float64 {
	scores := i.Scores[kind]
	at := p * float64(len(scores)-1)
	k := min(int(at), len(scores)-2)
	return scores[k] + (at-float64(k))*(scores[k+1]-scores[k])
}

// below returns the share of scores below s: the inverse of quantile.
func (i *Interval) below(kind int, s float64) float64 {
	scores := i.Scores[kind]
	k := sort.SearchFloat64s(scores, s)
	switch k {
	case 0:
		return 0
	case len(scores):
		return 1
	}
	part := (s - scores[k-1]) / (scores[k] - scores[k-1])
	return (float64(k-1) + part) / float64(len(scores)-1)
}

// certainty is how sure a price is.
type certainty struct {
	low, high float64 // as shares of the price
	fsd       float64 // forecast standard deviation, likewise
	within10  float64 // chance that the sale price lies within 10 % of the price
}

func (i *Interval) certainty(h *house.House, row []float32, logPrice, level float64) certainty {
	kind, spread := kindOf(h), i.spread(row, logPrice)
	low, high := i.bounds(kind, spread, level)
	below, above := i.bounds(kind, spread, fsdLevel)
	return certainty{
		low: math.Exp(low), high: math.Exp(high),
		fsd:      (math.Exp(above) - math.Exp(below)) / 2,
		within10: i.below(kind, math.Log(1.1)/spread) - i.below(kind, math.Log(0.9)/spread),
	}
}

// confidenceOf returns the score from 0 to 100 that goes with a forecast
// standard deviation: what is left of 100 when it is taken off in percent.
func confidenceOf(fsd float64) int {
	return int(math.Round(100 * max(0, min(1, 1-fsd))))
}
