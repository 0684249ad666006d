package model

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
)

func TestCompareSaysHowPricesDiffer(t *testing.T) {
	a := []float64{100, 200, 300, 400, 500}
	b := []float64{110, 200, 330, 400.001, 1000}
	unknown := []float64{math.NaN(), math.NaN(), math.NaN(), math.NaN(), 400}
	c, err := Compare(t.Context(), a, b, unknown, 1)
	if err != nil {
		t.Fatal(err)
	}
	if c.Houses != 5 || c.Equal != 2 || c.Sold != 1 || c.Accuracy != nil {
		t.Errorf("%+v", c)
	}
	if r := c.Ratio; math.Abs(r.Median-1.1) > 1e-12 || r.Min != 1 || r.Max != 2 {
		t.Errorf("ratios %+v", r)
	}
	if len(c.Largest) != 4 || c.Largest[0] != (Difference{5, 500, 1000, 2}) {
		t.Errorf("largest %+v", c.Largest)
	}
}

// madeUp returns prices, and those of two models of the given spread.
func madeUp(n int, seed uint64, spreadA, spreadB float64) (prices, a, b []float64) {
	random := rand.New(rand.NewPCG(seed, 1))
	for range n {
		price := 500_000 * math.Exp(random.NormFloat64()/2)
		common := random.NormFloat64() * 0.1 // what is hard about the house
		prices = append(prices, price)
		a = append(a, price*math.Exp(common+spreadA*random.NormFloat64()))
		b = append(b, price*math.Exp(common+spreadB*random.NormFloat64()))
	}
	return prices, a, b
}

func TestTheBetterModelIsTold(t *testing.T) {
	prices, a, b := madeUp(2000, 1, 0.15, 0.05)
	c, err := Compare(t.Context(), a, b, prices, 7)
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := Measure(prices, a)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{metrics.MdAPE, metrics.MAPE, metrics.PPE10} {
		if p := c.Accuracy[i]; math.Abs(p.A-want) > 1e-9 || p.Better != "b" || !(p.Low < p.Difference && p.Difference < p.High) {
			t.Errorf("%+v, measured otherwise %v", p, want)
		}
	}
	again, err := Compare(t.Context(), a, b, prices, 7)
	if err != nil || !reflect.DeepEqual(again, c) {
		t.Errorf("the same seed gave other figures, %v", err)
	}
	swapped, err := Compare(t.Context(), b, a, prices, 7)
	if err != nil || swapped.Accuracy[0].Better != "a" || swapped.Accuracy[2].Better != "a" {
		t.Errorf("%+v, %v", swapped.Accuracy, err)
	}
}

// TestEqualModelsAreSeldomToldApart repeats the comparison of two models of
// one quality: the interval of 95 % must miss 0 about once in twenty.
func TestEqualModelsAreSeldomToldApart(t *testing.T) {
	told := 0
	const times = 100
	for seed := range uint64(times) {
		prices, a, b := madeUp(200, seed, 0.1, 0.1)
		c, err := Compare(t.Context(), a, b, prices, seed)
		if err != nil {
			t.Fatal(err)
		}
		if c.Accuracy[1].Better != "" { // the mean: that of a median is coarser
			told++
		}
	}
	if told > 14 {
		t.Errorf("told apart %d times of %d", told, times)
	}
}

func TestWhatCannotBeCompared(t *testing.T) {
	one, bad := []float64{1}, []float64{math.NaN()}
	for _, c := range [][3][]float64{{nil, nil, nil}, {one, nil, one}, {one, one, nil}, {bad, one, one}, {one, []float64{0}, one}, {one, []float64{math.Inf(1)}, one}} {
		if _, err := Compare(t.Context(), c[0], c[1], c[2], 1); err == nil {
			t.Errorf("%v was compared", c)
		}
	}
	two := []float64{1, 2}
	if _, err := Compare(t.Context(), two, two, []float64{1, 0}, 1); err == nil {
		t.Error("a sale for nothing was taken")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Compare(ended, two, two, two, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
