package drift

import (
	"math"
	"time"

	"housing/internal/sequential"
)

const (
	// MinValues is how many known values of a feature, of as many different
	// houses, it takes to say anything: in 100 bins chance alone then gives a
	// PSI of 0.05, which is taken off, give or take 0.007.
	MinValues = 2000
	// Tolerance is the PSI up to which the population counts as that of the
	// training: by habit, below it there is no change to speak of.
	Tolerance = 0.1
	// Significance is the probability of the population's test below which it
	// has shifted.
	Significance = 0.001
)

// Report says how the houses that a version is asked about differ from those
// it was trained on. What is not known yet is NaN.
type Report struct {
	Houses     uint64    // that were compared since the version began
	Since      time.Time // of the window that shares are of
	Different  float64   // houses in it, about; infinity where they are too many to say
	Population Population
	Features   []Feature // the fields in order, then the price
}

// Population is the test of all features together.
type Population struct {
	Features int     // that were tested
	PValue   float64 // probability of the least alike one, where no PSI is over Tolerance
	Shifted  bool    // PValue is below Significance
}

// Feature is how the values of a field, or the prices, are distributed.
type Feature struct {
	Name         string
	Since        time.Time // of the window that PSI is of
	Values       uint64    // known ones in it
	PSI          float64   // less what chance adds, not below 0
	Unknown      float64   // share of houses without it
	Trained      float64   // that share in the training
	Outside      float64   // share of values outside Min to Max; of zipcodes, without demographics
	Min, Max     float64   // range of the training
	Distribution []Group
}

// Group is a run of bins: values from From to below To; the first has no From
// and the last no To.
type Group struct {
	From, To       float64
	Share, Trained float64 // of the known values, in the window and in the training
}

// report compares the window that ends now.
func (v *Version) report(now time.Time) *Report {
	totals := make([]uint64, v.cells)
	v.total(totals)
	snapshots, different := v.history.snapshots, v.history.different(v.seen())
	begin := v.history.before(now, func(i int) bool { return different[i] >= MinValues })
	houses := &snapshots[begin]
	r := &Report{Houses: totals[0], Since: houses.at, Different: different[begin], Population: Population{PValue: math.NaN()}}
	least := 1.0
	for i := range v.features {
		f := &v.features[i]
		window := v.history.before(now, func(i int) bool {
			return different[i] >= MinValues && f.known(totals, snapshots[i].totals) >= MinValues
		})
		one, chance := f.compare(totals, &snapshots[window], different[window])
		one.Unknown = share(totals[f.unknownCell()]-houses.totals[f.unknownCell()], totals[0]-houses.totals[0])
		one.Outside = share(totals[f.outsideCell()]-houses.totals[f.outsideCell()], f.known(totals, houses.totals))
		r.Features = append(r.Features, one)
		if chance == chance {
			r.Population.Features++
			least = min(least, chance)
		}
	}
	if n := r.Population.Features; n > 0 {
		r.Population.PValue = min(1, float64(n)*least)
		r.Population.Shifted = r.Population.PValue < Significance
	}
	return r
}

// known is how many known values were counted since.
func (f *feature) known(totals, since []uint64) (n uint64) {
	for c := f.first; c < f.unknownCell(); c++ {
		n += totals[c] - since[c]
	}
	return n
}

// compare compares the values since a snapshot, after which so many different
// houses came, with those of the training. chance is the probability of what
// is seen where PSI is not over Tolerance; NaN where too little was.
func (f *feature) compare(totals []uint64, since *snapshot, different float64) (one Feature, chance float64) {
	counts := make([]float64, f.bins())
	for i := range counts {
		counts[i] = float64(totals[f.first+i] - since.totals[f.first+i])
	}
	groups := f.inGroups(nil, counts)
	one = Feature{
		Name: f.name, Since: since.at, Values: f.known(totals, since.totals), PSI: math.NaN(),
		Trained: share(uint64(f.Distribution.Unknown), uint64(f.Known())+uint64(f.Distribution.Unknown)), Min: f.Min, Max: f.Max,
	}
	for g := range groups {
		group := Group{From: math.NaN(), To: math.NaN(), Share: groups[g] / float64(one.Values), Trained: f.grouped[g] / float64(f.Known())}
		if g > 0 {
			group.From = f.Edges[f.groups[g]-1]
		}
		if end := f.end(g); end < f.bins() {
			group.To = f.Edges[end-1]
		}
		one.Distribution = append(one.Distribution, group)
	}
	if one.Values < MinValues || different < MinValues {
		return one, math.NaN()
	}
	// A house that is asked about again says nothing new: what chance adds
	// goes by the different ones.
	if again := float64(one.Values) / different; again > 1 {
		for _, c := range [][]float64{counts, groups} {
			for i := range c {
				c[i] /= again
			}
		}
	}
	fine, err := sequential.Compare(f.trained, counts)
	if err != nil { // of a field that no house of the training has
		return one, math.NaN()
	}
	coarse, err := sequential.Compare(f.grouped, groups)
	if err != nil {
		return one, math.NaN()
	}
	one.PSI = max(0, fine.PSI-fine.Expected)
	return one, coarse.Chance(Tolerance)
}

// share is part of whole; of nothing it is NaN.
func share(part, whole uint64) float64 { return float64(part) / float64(whole) }
