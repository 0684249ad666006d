package model

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"housing/internal/demographics"
	"housing/internal/house"
)

// Bins of a distribution: each is to hold referenceShare of the values, so
// that most distributions of numbers have about a hundred; none has more than
// MaxBins.
const (
	referenceShare = 0.01
	MaxBins        = 200
)

// Reference says how the houses are distributed that a model was trained on,
// so that it can be seen when those that it is asked about are others. It
// never changes once made.
type Reference struct {
	Fields [house.NumFields]Distribution // by house.Field
	// Prices are those that the model gives these houses as of its newest
	// day, in dollars: as it is asked, and not what they sold for, which is
	// spread more widely.
	Prices Distribution
}

// Distribution is a histogram of values, the unknown ones apart.
type Distribution struct {
	Edges    []float64 // ascending; bin i holds Edges[i-1] <= v < Edges[i]
	Counts   []uint32  // by bin; one more than Edges
	Unknown  uint32
	Min, Max float64 // of the known values; NaN where there is none
}

// Known is how many values are known.
func (d *Distribution) Known() int {
	n := 0
	for _, c := range d.Counts {
		n += int(c)
	}
	return n
}

// All returns the distributions of the fields in order and that of prices.
func (r *Reference) All() []*Distribution {
	all := make([]*Distribution, 0, house.NumFields+1)
	for i := range r.Fields {
		all = append(all, &r.Fields[i])
	}
	return append(all, &r.Prices)
}

// Check returns an error unless houses can be compared with r.
func (r *Reference) Check() error {
	total := -1
	for i, d := range r.All() {
		name := "prices"
		if i < house.NumFields {
			name = house.Field(i).String()
		}
		if err := d.check(); err != nil {
			return fmt.Errorf("reference statistics of %s: %w", name, err)
		}
		n := d.Known() + int(d.Unknown)
		if total >= 0 && n != total {
			return fmt.Errorf("reference statistics of %s: of %d houses, others are of %d", name, n, total)
		}
		total = n
	}
	if total == 0 {
		return errors.New("reference statistics are of no house")
	}
	return nil
}

func (d *Distribution) check() error {
	if len(d.Counts) != len(d.Edges)+1 || len(d.Counts) > MaxBins {
		return fmt.Errorf("%d bins and %d edges", len(d.Counts), len(d.Edges))
	}
	for i, e := range d.Edges {
		if !(e > d.Min && e <= d.Max) || i > 0 && e <= d.Edges[i-1] {
			return fmt.Errorf("edge %d is %g, which is out of order", i, e)
		}
	}
	if known := d.Known() > 0; known != (d.Min <= d.Max) || known && (math.IsInf(d.Min, 0) || math.IsInf(d.Max, 0)) {
		return fmt.Errorf("%d values from %g to %g", d.Known(), d.Min, d.Max)
	}
	return nil
}

// NewReference returns the statistics of houses that m was trained on.
func NewReference(m *Model, houses []house.House, table *demographics.Table) *Reference {
	r := new(Reference)
	asked := slices.Clone(houses)
	values := make([]float64, len(houses))
	for f := range r.Fields {
		for i := range houses {
			values[i] = houses[i].Values[f]
		}
		r.Fields[f] = distributionOf(values)
	}
	for i := range asked {
		asked[i].Date = house.NoDate
	}
	r.Prices = distributionOf(m.Prices(nil, asked, table))
	return r
}

// distributionOf returns the distribution of values, of which NaN is unknown.
func distributionOf(values []float64) Distribution {
	known := make([]float64, 0, len(values))
	for _, v := range values {
		if v == v {
			known = append(known, v)
		}
	}
	d := Distribution{Unknown: uint32(len(values) - len(known)), Min: math.NaN(), Max: math.NaN()}
	if len(known) == 0 {
		d.Counts = []uint32{0}
		return d
	}
	slices.Sort(known)
	d.Min, d.Max = known[0], known[len(known)-1]
	var distinct []float64
	var counts []uint32
	for i, v := range known {
		if i == 0 || v != known[i-1] {
			distinct, counts = append(distinct, v), append(counts, 0)
		}
		counts[len(counts)-1]++
	}
	starts := Group(counts, referenceShare)
	for i, start := range starts {
		end := len(counts)
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		if i > 0 {
			d.Edges = append(d.Edges, distinct[start])
		}
		var n uint32
		for _, c := range counts[start:end] {
			n += c
		}
		d.Counts = append(d.Counts, n)
	}
	return d
}

// Group parts counts that stand in order into runs of about the given share
// of their sum, and returns where each begins. What alone has more stands
// alone; a run of less than half the share is made only where there would be
// one run otherwise, so that there are at most 2/share + 1.
func Group(counts []uint32, share float64) []int {
	var total uint64
	for _, c := range counts {
		total += uint64(c)
	}
	wanted := share * float64(total)
	starts := []int{0}
	var run float64
	for i, c := range counts {
		if next := run + float64(c); i > starts[len(starts)-1] && (run >= wanted || run >= wanted/2 && next > 1.5*wanted) {
			starts, run = append(starts, i), 0
		}
		run += float64(c)
	}
	if last := len(starts) - 1; last > 1 && run < wanted/2 {
		starts = starts[:last]
	}
	return starts
}
