package model

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"housing/internal/house"
	"housing/internal/model/modeltest"
)

func TestLeaks(t *testing.T) {
	const n = 800
	random := rand.New(rand.NewPCG(6, 6))
	prices := pricesOf(modeltest.Sales(n))
	sorted := slices.Sorted(slices.Values(prices))
	flag := func(is bool) float64 {
		if is {
			return 1
		}
		return 0
	}
	for _, c := range []struct {
		name   string
		column func(i int, s *house.Sale) float64
		want   string // part of the one fault; "" is none
	}{
		{"price_per_sqft", func(_ int, s *house.Sale) float64 { return s.Price / s.House.Values[house.SqftLiving] }, "price away times sqft_living"},
		{"price_in_thousands", func(_ int, s *house.Sale) float64 { return math.Round(s.Price / 1000) }, "price away by itself"},
		{"tax", func(_ int, s *house.Sale) float64 { return 0.011*s.Price + 500*random.Float64() }, "price away by itself"},
		{"rank", func(_ int, s *house.Sale) float64 { return -float64(slices.Index(sorted, s.Price)) }, "price away by itself"},
		{"lot_value", func(_ int, s *house.Sale) float64 { return s.Price * s.House.Values[house.SqftLot] }, "price away divided by sqft_lot"},
		{"outlier", func(_ int, s *house.Sale) float64 { return flag(s.Price < sorted[n/100] || s.Price > sorted[n-n/100]) }, "was set by the price"},
		{"luxury_flag", func(_ int, s *house.Sale) float64 { return flag(s.Price > sorted[n*95/100]) }, "was set by the price"},
		{"luxury_or_empty", func(_ int, s *house.Sale) float64 {
			if s.Price > sorted[n*95/100] {
				return 1
			}
			return math.NaN()
		}, "was set by the price"},
		{"coin_or_empty", func(int, *house.Sale) float64 {
			if random.IntN(2) == 0 {
				return 1
			}
			return math.NaN()
		}, ""},
		{"tier", func(_ int, s *house.Sale) float64 {
			at, _ := slices.BinarySearch(sorted, s.Price)
			return float64(4 * at / n)
		}, "was set by the price"},
		{"outlier_by_area", func(_ int, s *house.Sale) float64 { return flag(s.Price/s.House.Values[house.SqftLiving] > 230) }, "was set by the price"},
		{"noise", func(int, *house.Sale) float64 { return random.Float64() }, ""},
		{"coin", func(int, *house.Sale) float64 { return flag(random.IntN(2) == 0) }, ""},
		{"rare", func(i int, _ *house.Sale) float64 { return flag(i == 7) }, ""},
		{"assessed", func(_ int, s *house.Sale) float64 { return s.Price * math.Exp(0.25*random.NormFloat64()) }, ""},
		{"empty", func(int, *house.Sale) float64 { return math.NaN() }, ""},
		{"constant", func(int, *house.Sale) float64 { return 3 }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			sales := modeltest.Sales(n)
			other := house.Other{Name: c.name}
			for i := range sales {
				other.Values = append(other.Values, c.column(i, &sales[i]))
			}
			got := Leaks(sales, []house.Other{other})
			switch {
			case c.want == "" && len(got) > 0:
				t.Errorf("found %q", got)
			case c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want) || !strings.Contains(got[0], c.name)):
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

func TestAFieldThatHoldsThePrice(t *testing.T) {
	sales := modeltest.Sales(500)
	for i := range sales {
		sales[i].House.Values[house.SqftLot15] = sales[i].Price / 100
	}
	if got := Leaks(sales, nil); len(got) != 1 || !strings.HasPrefix(got[0], "column sqft_lot15 gives the price away by itself") {
		t.Errorf("found %q", got)
	}
}

func TestSalesUnderSeveralIDs(t *testing.T) {
	sales := modeltest.Sales(500)
	twice := slices.Clone(sales)
	for i := range sales[:20] {
		twin := sales[i]
		twin.ID = "again-" + twin.ID
		twice = append(twice, twin)
	}
	if got := Leaks(twice, nil); len(got) != 1 || !strings.HasPrefix(got[0], "20 sales stand in the file again") {
		t.Errorf("found %q", got)
	}
	if got := Leaks(append(twice[:500:500], twice[500]), nil); got != nil {
		t.Errorf("found %q in a file with one", got)
	}
	fold := foldsByHouse(twice, 5, rand.New(rand.NewPCG(1, 1)))
	for i := range sales[:20] {
		if fold[i] != fold[500+i] {
			t.Errorf("sale %d stands in fold %d, and again in %d", i, fold[i], fold[500+i])
		}
	}
}
