package model

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"housing/internal/house"
	"housing/internal/model/modeltest"
)

func TestDistributionOf(t *testing.T) {
	nan := math.NaN()
	waterfront := slices.Concat(slices.Repeat([]float64{0}, 1992), slices.Repeat([]float64{1}, 8))
	for name, c := range map[string]struct {
		values []float64
		want   Distribution
	}{
		"a rare second value has its own bin": {waterfront, Distribution{Edges: []float64{1}, Counts: []uint32{1992, 8}, Max: 1}},
		"each common value has its own bin":   {[]float64{3, 1, 2, 2, nan, 3, 3}, Distribution{Edges: []float64{2, 3}, Counts: []uint32{1, 2, 3}, Unknown: 1, Min: 1, Max: 3}},
		"a rare value before a common one": {
			slices.Concat([]float64{1}, slices.Repeat([]float64{2}, 6), slices.Repeat([]float64{3}, 993)),
			Distribution{Edges: []float64{3}, Counts: []uint32{7, 993}, Min: 1, Max: 3},
		},
		"few of a large value are put to those below": {
			slices.Concat(slices.Repeat([]float64{1}, 500), slices.Repeat([]float64{2}, 499), []float64{33}),
			Distribution{Edges: []float64{2}, Counts: []uint32{500, 500}, Min: 1, Max: 33},
		},
		"one value":   {[]float64{7, 7}, Distribution{Counts: []uint32{2}, Min: 7, Max: 7}},
		"all unknown": {[]float64{nan, nan}, Distribution{Counts: []uint32{0}, Unknown: 2, Min: nan, Max: nan}},
	} {
		got := distributionOf(c.values)
		same := func(a, b float64) bool { return a == b || a != a && b != b }
		if !slices.Equal(got.Edges, c.want.Edges) || !slices.Equal(got.Counts, c.want.Counts) || got.Unknown != c.want.Unknown || !same(got.Min, c.want.Min) || !same(got.Max, c.want.Max) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
		if err := got.check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBinsAreNeitherManyNorSmall draws distributions of every kind.
func TestBinsAreNeitherManyNorSmall(t *testing.T) {
	const seed = 11
	random := rand.New(rand.NewPCG(seed, 0))
	for round := range 300 {
		n := 100 + random.IntN(5000)
		values := make([]float64, n)
		step := math.Pow(10, -3+6*random.Float64())
		for i := range values {
			values[i] = math.Round(100*math.Exp(random.NormFloat64())/step) * step
		}
		d := distributionOf(values)
		if err := d.check(); err != nil {
			t.Fatalf("seed %d, round %d: %v", seed, round, err)
		}
		if d.Known() != n || len(d.Counts) > int(2/referenceShare)+1 {
			t.Fatalf("seed %d, round %d: %d of %d values in %d bins", seed, round, d.Known(), n, len(d.Counts))
		}
		for i, c := range d.Counts {
			if float64(c) < referenceShare/2*float64(n) && len(d.Counts) > 2 {
				t.Fatalf("seed %d, round %d: %d of %d values in bin %d", seed, round, c, n, i)
			}
		}
	}
}

func TestTrainingMakesTheReference(t *testing.T) {
	trained, err := Train(context.Background(), modeltest.Sales(600), modeltest.Table(t), quickOptions(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r := trained.Model.Reference
	if r == nil {
		t.Fatal("there is none")
	}
	if err := r.Check(); err != nil {
		t.Fatal(err)
	}
	living := r.Fields[house.SqftLiving]
	if living.Known() != 600 || living.Min < 500 || living.Max > 5000 || len(living.Counts) < 80 {
		t.Errorf("living space: %d values from %g to %g in %d bins", living.Known(), living.Min, living.Max, len(living.Counts))
	}
	if p := r.Prices; p.Known() != 600 || p.Min < 50_000 || len(p.Counts) < 80 {
		t.Errorf("prices: %d values from %g in %d bins", p.Known(), p.Min, len(p.Counts))
	}
}

func TestReferenceCheckRefuses(t *testing.T) {
	for want, spoil := range map[string]func(r *Reference){
		"of grade: 3 bins and 1 edges":   func(r *Reference) { r.Fields[house.Grade].Counts = append(r.Fields[house.Grade].Counts, 1) },
		"out of order":                   func(r *Reference) { r.Prices.Edges[0] = r.Prices.Min },
		"of 11 houses, others are of 10": func(r *Reference) { r.Prices.Unknown++ },
		"10 values from NaN to 2": func(r *Reference) {
			r.Fields[house.Lat].Edges, r.Fields[house.Lat].Counts, r.Fields[house.Lat].Min = nil, []uint32{10}, math.NaN()
		},
		"reference statistics are of no ho": func(r *Reference) { *r = *emptyReference() },
	} {
		r := new(Reference)
		for _, d := range r.All() {
			*d = Distribution{Edges: []float64{2}, Counts: []uint32{4, 6}, Min: 1, Max: 2}
		}
		if err := r.Check(); err != nil {
			t.Fatal(err)
		}
		spoil(r)
		if err := r.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func emptyReference() *Reference {
	r := new(Reference)
	for _, d := range r.All() {
		*d = distributionOf(nil)
	}
	return r
}
