package model

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"housing/internal/demographics"
	"housing/internal/features"
	"housing/internal/house"
	"housing/internal/model/modeltest"
)

// calibrated is a small model with all that a valuation has, trained once.
type calibrated struct {
	model    *Model
	table    *demographics.Table
	sales    []house.Sale
	coverage []Coverage
}

var calibratedOnce = sync.OnceValues(func() (*calibrated, error) {
	table, err := modeltest.NewTable()
	if err != nil {
		return nil, err
	}
	c := &calibrated{table: table, sales: modeltest.Sales(2000)}
	o := quickOptions()
	v, err := CrossValidate(context.Background(), c.sales, table, o, 4, nil)
	if err != nil {
		return nil, err
	}
	trained, err := Train(context.Background(), c.sales, table, o, nil)
	if err != nil {
		return nil, err
	}
	calibrated, err := Calibrate(context.Background(), trained.Model, c.sales, v, table, o)
	if err != nil {
		return nil, err
	}
	c.model, c.coverage = calibrated.Model, calibrated.Coverage
	c.model, err = c.model.WithComparables(NewComparables(c.model, c.sales, v, table))
	return c, err
})

func newCalibrated(t testing.TB) *calibrated {
	c, err := calibratedOnce()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// randomHouses makes up houses, some of them with fields unknown.
func randomHouses(n int, seed uint64) []house.House {
	random := rand.New(rand.NewPCG(seed, 2))
	sales := modeltest.Sales(n)
	houses := make([]house.House, n)
	for i := range houses {
		houses[i] = sales[i].House
		for f := range houses[i].Values {
			houses[i].Values[f] = sales[random.IntN(n)].House.Values[f]
		}
		if i%3 == 0 {
			houses[i] = partial(houses[i], random)
		}
	}
	return houses
}

// TestEffectsSumToThePriceToTheCent values a thousand houses.
func TestEffectsSumToThePriceToTheCent(t *testing.T) {
	c := newCalibrated(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	houses := randomHouses(1000, seed)
	prices := c.model.Prices(nil, houses, c.table)
	moved := 0
	for i, v := range c.model.Value(nil, houses, c.table, DefaultLevel) {
		if v.Price != cents(prices[i]) {
			t.Errorf("house %d: valued at %g, priced at %g", i, v.Price, prices[i])
		}
		sum := math.Round(100 * v.BasePrice)
		for _, e := range v.Effects[:features.NumReasons()] {
			if whole := math.Round(100 * e); math.Abs(100*e-whole) > 1e-5 {
				t.Errorf("house %d: effect %g is not whole cents", i, e)
			}
			sum += math.Round(100 * e)
			if math.Abs(e) > 1000 {
				moved++
			}
		}
		if sum != math.Round(100*v.Price) {
			t.Errorf("house %d: base and effects sum to %.0f cents, the price is %.2f", i, sum, v.Price)
		}
	}
	if moved < 1000 {
		t.Errorf("only %d effects of a thousand houses are over $1,000", moved)
	}
}

// TestEffectsAreThoseOfTheModel holds that the effect in dollars is the
// effect in logs, scaled.
func TestEffectsAreThoseOfTheModel(t *testing.T) {
	c := newCalibrated(t)
	h := c.sales[7].House
	row := make([]float32, features.NumColumns())
	area, _ := c.table.Lookup(h.Zipcode())
	c.model.Row(row, &h, area)
	want := make([]float64, features.NumReasons())
	base := c.model.effects(want, &h, area, row)
	v := c.model.Value(nil, []house.House{h}, c.table, DefaultLevel)[0]
	scale := (v.Price - v.BasePrice) / (math.Log(v.Price) - base)
	for r, name := range features.Reasons() {
		if got := v.Effects[r]; math.Abs(got-scale*want[r]) > 0.02+1e-4*math.Abs(got) {
			t.Errorf("%s moves the price by %g, want %g", name, got, scale*want[r])
		}
	}
}

func TestEffectsWhereNothingMoves(t *testing.T) {
	for _, c := range []struct {
		base, price float64
		effects     []float64
		want        []float64
	}{
		{100, 100, []float64{0, 0, 0}, []float64{0, 0, 0}},
		{100, 100, []float64{0.5, -0.5, 0}, []float64{50, -50, 0}},
		{0.01, 0.02, []float64{0.2, 0.2, 0.29}, []float64{0, 0, 0.01}},
		{1, 1.02, []float64{0, 0, 0}, []float64{0.01, 0.01, 0}}, // nowhere better to put it
	} {
		got := append([]float64(nil), c.effects...)
		inDollars(got, c.base, c.price)
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%v from %g to %g is %v, want %v", c.effects, c.base, c.price, got, c.want)
				break
			}
		}
	}
}

func TestIntervalsCover(t *testing.T) {
	c := newCalibrated(t)
	if len(c.coverage) != 4 || c.coverage[0].Fields != allFields {
		t.Fatalf("coverage %+v", c.coverage)
	}
	for _, got := range c.coverage[:2] {
		if got.Sales != 2000 || got.Covered < 87 || got.Covered > 93 || got.Width <= 0 || got.Level != DefaultLevel {
			t.Errorf("%+v", got)
		}
		var mean float64
		for _, quarter := range got.ByPrice {
			mean += quarter / 4
		}
		if math.Abs(mean-got.Covered) > 0.1 {
			t.Errorf("quarters cover %v, all %g", got.ByPrice, got.Covered)
		}
	}
	if whole, minimal := c.coverage[0], c.coverage[3]; minimal.Width < 1.2*whole.Width {
		t.Errorf("with 4 fields known, intervals are %.1f %% wide, with all %.1f %%", minimal.Width, whole.Width)
	}
}

func TestIntervalsOfLevels(t *testing.T) {
	c := newCalibrated(t)
	houses := randomHouses(200, 5)
	narrow := c.model.Value(nil, houses, c.table, 0.5)
	wide := c.model.Value(nil, houses, c.table, GreatestLevel)
	for i := range houses {
		n, w := narrow[i], wide[i]
		if !(w.Low <= n.Low && n.Low <= n.Price && n.Price <= n.High && n.High <= w.High && w.Low > 0 && w.Low < w.High) {
			t.Errorf("house %d: %g to %g within %g to %g about %g", i, n.Low, n.High, w.Low, w.High, n.Price)
		}
		if n.Confidence != w.Confidence || n.Within10 != w.Within10 || n.FSD <= 0 || n.Confidence < 0 || n.Confidence > 100 || n.Within10 < 0 || n.Within10 > 1 {
			t.Errorf("house %d: %+v", i, n)
		}
	}
}

func TestBelowIsTheInverseOfQuantile(t *testing.T) {
	i := &Interval{Scores: [2][]float64{{-3, -1, -1, 0.5, 2}, {0, 1}}}
	for _, p := range []float64{0, 0.1, 0.25, 0.6, 0.9, 1} {
		if got := i.below(wholeRecords, i.quantile(wholeRecords, p)); math.Abs(got-p) > 1e-12 {
			t.Errorf("quantile %g is %g, below which lie %g", p, i.quantile(wholeRecords, p), got)
		}
	}
	if i.below(wholeRecords, -4) != 0 || i.below(wholeRecords, 3) != 1 {
		t.Error("scores beyond the last are not 0 and 1")
	}
}

func TestComparablesAreEarlierAndAlike(t *testing.T) {
	c := newCalibrated(t)
	h := c.sales[100].House
	h.Date = 16400
	v := c.model.Value(nil, []house.House{h}, c.table, DefaultLevel)[0]
	if len(v.Comparables) != comparablesShown {
		t.Fatalf("%d comparables", len(v.Comparables))
	}
	last := 1.1
	for _, found := range v.Comparables {
		if found.House.Date >= h.Date || found.AgeDays != int(h.Date-found.House.Date) {
			t.Errorf("sold on %s, %d days before %s", found.House.Date, found.AgeDays, h.Date)
		}
		if found.Similarity > last || found.Similarity <= 0 {
			t.Errorf("similarity %g after %g", found.Similarity, last)
		}
		last = found.Similarity
		if ratio := found.AdjustedPrice / v.Price; ratio < 0.5 || ratio > 2 || math.IsNaN(found.DistanceKM) {
			t.Errorf("sold for %g, adjusted %g, valued at %g", found.Price, found.AdjustedPrice, v.Price)
		}
	}
	h.Date = 16200 // the first day
	if v := c.model.Value(nil, []house.House{h}, c.table, DefaultLevel)[0]; len(v.Comparables) != 0 {
		t.Errorf("comparables of before the first sale: %+v", v.Comparables)
	}
}

// TestComparablesWithoutAPlace compares within the zipcode.
func TestComparablesWithoutAPlace(t *testing.T) {
	c := newCalibrated(t)
	h := only(c.sales[100].House, house.MinimalFields)
	h.Date = 16500
	v := c.model.Value(nil, []house.House{h}, c.table, DefaultLevel)[0]
	if len(v.Comparables) == 0 || !math.IsNaN(v.Comparables[0].DistanceKM) {
		t.Errorf("%+v", v.Comparables)
	}
}

func TestSameBytes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for n := range 40 {
		a, b, want := make([]uint8, n), make([]uint8, n), 0
		for i := range a {
			a[i], b[i] = uint8(random.IntN(3)*127), uint8(random.IntN(3)*127)
			if random.IntN(2) == 0 {
				b[i] = a[i] ^ uint8(random.IntN(2)) // differ by the lowest bit, or not
			}
			if a[i] == b[i] {
				want++
			}
		}
		if got := sameBytes(a, b); got != want {
			t.Errorf("%v and %v agree in %d places, got %d", a, b, want, got)
		}
	}
}

func TestKilometres(t *testing.T) {
	place := func(lat, long float64) *house.House {
		h := house.Unknown()
		h.Values[house.Lat], h.Values[house.Long] = lat, long
		return &h
	}
	// A degree of a great circle; along the 60th parallel it is half of that,
	// less what the shorter way over the north saves.
	const degree = 6371.0088 * math.Pi / 180
	if d := kilometres(place(47, -122), place(48, -122)); math.Abs(d-degree) > 1e-9 {
		t.Errorf("%g km", d)
	}
	if d := kilometres(place(60, -122), place(60, -121)); d > degree/2 || d < 0.999*degree/2 {
		t.Errorf("%g km", d)
	}
	if d := kilometres(place(math.NaN(), -122), place(47, -122)); !math.IsNaN(d) {
		t.Errorf("%g km from nowhere", d)
	}
}

// TestNearestSalesAreCandidates compares with a sort of all.
func TestNearestSalesAreCandidates(t *testing.T) {
	c := newCalibrated(t)
	h := c.sales[3].House
	const day = 16400
	var away []float64
	for i := range c.sales {
		if c.sales[i].House.Date < day {
			away = append(away, kilometres(&h, &c.sales[i].House))
		}
	}
	slices.Sort(away)
	farthest := 0.0
	near := c.model.Comparables.near(&h, day)
	for _, i := range near {
		s := &c.model.Comparables.Sales[i].House
		if s.Date >= day {
			t.Fatalf("sale of %s is no earlier one", s.Date)
		}
		farthest = max(farthest, kilometres(&h, s))
	}
	if n := len(near); n < min(candidates, len(away)) || n > min(2*candidates, len(away)) || farthest < away[n-1]*0.99 || farthest > away[n-1]*1.01 {
		t.Errorf("%d of %d sales, to %g km, the nearest so many are within %g", len(near), len(away), farthest, away[len(near)-1])
	}
}
