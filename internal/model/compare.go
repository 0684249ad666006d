package model

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Bounds and habits of a comparison.
const (
	MaxCompared = 1_000_000 // houses
	resamples   = 1000      // of the bootstrap
	largest     = 10        // differences that are listed
	confidence  = 0.95
)

// Comparison says how the prices of model B differ from those of model A for
// the same houses.
type Comparison struct {
	Houses    int          `json:"houses"`
	Equal     int          `json:"equal"` // houses that both give one price, to the cent
	Ratio     Ratios       `json:"ratio"` // price of B over that of A
	Largest   []Difference `json:"largest"`
	Sold      int          `json:"sold"` // houses whose sale price is known
	Accuracy  []Paired     `json:"accuracy,omitempty"`
	Seed      uint64       `json:"seed"`
	Resamples int          `json:"resamples"`
}

// Ratios are percentiles of ratios.
type Ratios struct {
	Min    float64 `json:"min"`
	P1     float64 `json:"p1"`
	P5     float64 `json:"p5"`
	P25    float64 `json:"p25"`
	Median float64 `json:"median"`
	P75    float64 `json:"p75"`
	P95    float64 `json:"p95"`
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`
}

// Difference is a house that the models value differently.
type Difference struct {
	House int     `json:"house"` // its number in the file, from 1
	A     float64 `json:"a"`     // dollars
	B     float64 `json:"b"`
	Ratio float64 `json:"ratio"`
}

// Paired is a measure of accuracy of both models on the same sales, and the
// interval of its difference, B less A, by a paired bootstrap: both models
// are measured on the same resampled sales, so that what is hard about a sale
// counts for both. Where the interval has 0 in it, the sales do not tell.
type Paired struct {
	Measure    string  `json:"measure"`
	A          float64 `json:"a"`
	B          float64 `json:"b"`
	Difference float64 `json:"difference"`
	Low        float64 `json:"low"`
	High       float64 `json:"high"`
	Better     string  `json:"better"` // a, b, or "" where the sales do not tell
}

// Compare compares the prices that two models give to the same houses, and,
// where sold holds sale prices (NaN for unknown) of two houses or more, how
// close both are to them. The same seed gives the same intervals.
func Compare(ctx context.Context, a, b, sold []float64, seed uint64) (*Comparison, error) {
	n := len(a)
	if n == 0 || n > MaxCompared || len(b) != n || len(sold) != n {
		return nil, fmt.Errorf("compare: needs 1 to %d houses, with two prices each", MaxCompared)
	}
	c := &Comparison{Houses: n, Seed: seed, Resamples: resamples}
	ratios := make([]float64, n)
	for i := range a {
		if !(a[i] > 0) || !(b[i] > 0) || math.IsInf(a[i], 0) || math.IsInf(b[i], 0) {
			return nil, fmt.Errorf("compare: house %d has a price that is not positive and finite", i+1)
		}
		ratios[i] = b[i] / a[i]
		if math.Round(100*a[i]) == math.Round(100*b[i]) {
			c.Equal++
		}
	}
	c.Largest = largestDifferences(a, b, ratios)
	slices.Sort(ratios)
	at := func(q float64) float64 { return quantile(ratios, q) }
	c.Ratio = Ratios{at(0), at(0.01), at(0.05), at(0.25), at(0.5), at(0.75), at(0.95), at(0.99), at(1)}

	var prices, pricesA, pricesB []float64
	for i, price := range sold {
		if !math.IsNaN(price) {
			prices, pricesA, pricesB = append(prices, price), append(pricesA, a[i]), append(pricesB, b[i])
		}
	}
	if c.Sold = len(prices); c.Sold < 2 {
		return c, nil
	}
	var err error
	c.Accuracy, err = bootstrap(ctx, prices, pricesA, pricesB, seed)
	return c, err
}

// largestDifferences returns the houses whose ratio is furthest from 1 in
// proportion.
func largestDifferences(a, b, ratios []float64) []Difference {
	order := make([]int, len(a))
	for i := range order {
		order[i] = i
	}
	far := func(i int) float64 { return math.Abs(math.Log(ratios[i])) }
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(far(j), far(i)) })
	list := []Difference{}
	for _, i := range order[:min(largest, len(order))] {
		if ratios[i] != 1 {
			list = append(list, Difference{i + 1, a[i], b[i], ratios[i]})
		}
	}
	return list
}

// quantile returns a quantile of sorted values, between two of them in
// proportion.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}

// errorsOf are the errors of one model on the sales, ready to be measured on
// any resample in linear time.
type errorsOf struct {
	percent, ratio []float64 // absolute error in percent of the sale price; price over sale price
	byPercent      []int32   // sales in order of percent
	byRatio        []int32
}

func newErrors(prices, predicted []float64) *errorsOf {
	n := len(prices)
	e := &errorsOf{make([]float64, n), make([]float64, n), make([]int32, n), make([]int32, n)}
	for i := range prices {
		e.ratio[i] = predicted[i] / prices[i]
		e.percent[i] = 100 * math.Abs(predicted[i]-prices[i]) / prices[i]
		e.byPercent[i], e.byRatio[i] = int32(i), int32(i)
	}
	order := func(of []int32, by []float64) {
		slices.SortFunc(of, func(i, j int32) int { return cmp.Compare(by[i], by[j]) })
	}
	order(e.byPercent, e.percent)
	order(e.byRatio, e.ratio)
	return e
}

// measures names what is measured, and says whether less of it is better.
var measures = []struct {
	name string
	less bool
}{{"mdape", true}, {"mape", true}, {"ppe10", false}, {"ratio_error", true}}

// measure measures on the resample in which sale i stands counts[i] times.
func (e *errorsOf) measure(counts []int32) [4]float64 {
	n := len(counts)
	var sum float64
	within := 0
	for i, c := range counts {
		sum += float64(c) * e.percent[i]
		if e.percent[i] <= 10 {
			within += int(c)
		}
	}
	return [4]float64{
		medianOf(e.byPercent, e.percent, counts),
		sum / float64(n),
		100 * float64(within) / float64(n),
		math.Abs(medianOf(e.byRatio, e.ratio, counts) - 1),
	}
}

// medianOf returns the median of values that stand counts times each; order
// sorts them.
func medianOf(order []int32, values []float64, counts []int32) float64 {
	n, seen := len(counts), 0
	low, high := (n-1)/2, n/2
	first := math.NaN()
	for _, i := range order {
		seen += int(counts[i])
		if math.IsNaN(first) && seen > low {
			first = values[i]
		}
		if seen > high {
			return (first + values[i]) / 2
		}
	}
	return first
}

// bootstrap measures both models and the interval of the differences.
func bootstrap(ctx context.Context, prices, a, b []float64, seed uint64) ([]Paired, error) {
	n := len(prices)
	for _, price := range prices {
		if !(price > 0) || math.IsInf(price, 0) {
			return nil, errors.New("compare: a sale price is not positive and finite")
		}
	}
	errorsA, errorsB := newErrors(prices, a), newErrors(prices, b)
	counts := make([]int32, n)
	for i := range counts {
		counts[i] = 1
	}
	asIsA, asIsB := errorsA.measure(counts), errorsB.measure(counts)
	random := rand.New(rand.NewPCG(seed, 0x626f6f74))
	differences := make([][]float64, len(measures))
	for range resamples {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		clear(counts)
		for range n {
			counts[random.IntN(n)]++
		}
		ofA, ofB := errorsA.measure(counts), errorsB.measure(counts)
		for m := range measures {
			differences[m] = append(differences[m], ofB[m]-ofA[m])
		}
	}
	paired := make([]Paired, len(measures))
	for m, of := range measures {
		slices.Sort(differences[m])
		p := Paired{
			Measure: of.name, A: asIsA[m], B: asIsB[m], Difference: asIsB[m] - asIsA[m],
			Low: quantile(differences[m], (1-confidence)/2), High: quantile(differences[m], (1+confidence)/2),
		}
		switch {
		case p.High < 0 && of.less, p.Low > 0 && !of.less:
			p.Better = "b"
		case p.Low > 0 && of.less, p.High < 0 && !of.less:
			p.Better = "a"
		}
		paired[m] = p
	}
	return paired, nil
}
