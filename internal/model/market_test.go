package model

import (
	"math"
	"math/rand/v2"
	"testing"

	"housing/internal/house"
	"housing/internal/model/modeltest"
)

// marketOf learns a market from sales whose residuals follow level, with
// noise.
func marketOf(t *testing.T, sales int, days int, level func(day float64) float64) *Market {
	t.Helper()
	random := rand.New(rand.NewPCG(5, 5))
	all := modeltest.Sales(sales)
	residual, weight := make([]float64, sales), make([]float64, sales)
	for i := range all {
		day := random.IntN(days)
		if i < 2 {
			day = i * (days - 1)
		}
		all[i].House.Date = 16000 + house.Date(day)
		residual[i] = level(float64(day)) + 0.2*random.NormFloat64()
		weight[i] = 1
	}
	m, err := newMarket(all, residual, weight)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMarketFollowsTheLevel(t *testing.T) {
	wave := func(day float64) float64 { return 0.1 * math.Sin(day/60) }
	m := marketOf(t, 20_000, 390, wave)
	for day := range 390 {
		if got := m.At(16000 + house.Date(day)); math.Abs(got-wave(float64(day))) > 0.02 {
			t.Errorf("level of day %d is %.3f, want %.3f", day, got, wave(float64(day)))
		}
	}
}

// TestMarketBeyondTheDataIsDamped holds that the trend goes on after the
// newest sale, ever more slowly, and comes to an end.
func TestMarketBeyondTheDataIsDamped(t *testing.T) {
	m := marketOf(t, 20_000, 390, func(day float64) float64 { return 0.001 * day })
	last := m.First + house.Date(len(m.Levels)-1)
	if math.Abs(m.Slope-0.001) > 0.0003 {
		t.Fatalf("slope %g, want about 0.001", m.Slope)
	}
	step := m.At(last+1) - m.At(last)
	if math.Abs(step-marketDamping*m.Slope) > 1e-12 {
		t.Errorf("the first day adds %g, want %g", step, marketDamping*m.Slope)
	}
	for day := house.Date(1); day < 2000; day++ {
		next := m.At(last+day+1) - m.At(last+day)
		if next < 0 || next > step+1e-12 {
			t.Fatalf("day %d adds %g after %g", day+1, next, step)
		}
		step = next
	}
	end := m.At(last) + m.Slope*marketDamping/(1-marketDamping)
	if got := m.At(last + 100_000); math.Abs(got-end) > 1e-9 {
		t.Errorf("in the end the level is %g, want %g", got, end)
	}
	if got := m.At(m.First - 1000); got != m.Levels[0] {
		t.Errorf("before the first day the level is %g, want that of the first, %g", got, m.Levels[0])
	}
	if got := m.At(house.NoDate); got != m.At(last) {
		t.Errorf("without a day the level is %g, want that of the newest, %g", got, m.At(last))
	}
}

func TestMarketOfFewSales(t *testing.T) {
	for _, days := range []int{1, 2, 30, 5000} {
		m := marketOf(t, 150, days, func(float64) float64 { return 0.5 })
		for day := range days {
			if got := m.At(16000 + house.Date(day)); math.Abs(got-0.5) > 0.1 {
				t.Fatalf("of %d days, day %d has level %g, want about 0.5", days, day, got)
			}
		}
	}
	var none *Market
	if none.At(16000) != 0 {
		t.Error("no market has a level")
	}
}

func TestMarketCheckRefuses(t *testing.T) {
	for _, m := range []*Market{{}, {Levels: []float64{math.NaN()}}, {Levels: []float64{1}, Slope: math.Inf(1)}, {Levels: make([]float64, maxMarketDays+1)}} {
		if m.check() == nil {
			t.Errorf("market of %d days and slope %g passes", len(m.Levels), m.Slope)
		}
	}
}
