package drift_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"housing/internal/bundle"
	"housing/internal/bundle/bundletest"
	"housing/internal/drift"
	"housing/internal/house"
	"housing/internal/model"
	"housing/internal/model/modeltest"
	"housing/internal/telemetry"
)

const tick = 15 * time.Second

var start = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// traffic is houses that are drawn at random, and asked about in the order of
// a clock that the test turns.
type traffic struct {
	t       testing.TB
	monitor *drift.Monitor
	version *drift.Version
	random  *rand.Rand
	now     time.Time
}

func watch(t testing.TB, r *model.Reference) (*traffic, *prometheus.Registry) {
	t.Helper()
	registry := prometheus.NewRegistry()
	m := drift.New(telemetry.NewMetrics(registry))
	const seed = 7
	return &traffic{t: t, monitor: m, version: m.Watch("kc-1", r, start), random: rand.New(rand.NewPCG(seed, 0)), now: start}, registry
}

// ask asks about n of the houses, which cost these prices, and turns the
// clock to the next tick.
func (tr *traffic) ask(n int, houses []house.House, prices []float64) *drift.Report {
	for range n {
		i := tr.random.IntN(len(houses))
		tr.version.Observe(houses[i:i+1], prices[i:i+1], 0)
	}
	tr.now = tr.now.Add(tick)
	tr.monitor.Tick(tr.now)
	return tr.monitor.Report(tr.version, tr.now)
}

// trained is a model with the houses that it was trained on.
type trained struct {
	*bundle.Bundle
	houses []house.House
}

// madeUp is the model of made-up sales, trained once.
var madeUp struct {
	sync.Once
	trained
}

// models are the built-in model with the sales it was trained on, where they
// are beside the project, and a model of made-up sales.
func models(t *testing.T) map[string]func(t *testing.T) trained {
	return map[string]func(t *testing.T) trained{
		"made-up sales": func(t *testing.T) trained {
			madeUp.Do(func() {
				b, err := bundle.Parse(bundletest.Bytes(t, "kc-1", 1))
				if err != nil {
					t.Fatal(err)
				}
				// As if it had been trained on as many as a real one.
				houses := modeltest.Houses(15_000)
				b.Model.Reference = model.NewReference(b.Model, houses, b.Demographics)
				madeUp.trained = trained{b, houses}
			})
			return madeUp.trained
		},
		"real sales": func(t *testing.T) trained {
			if testing.Short() {
				t.Skip("values thousands of houses; run without -short")
			}
			file, err := os.Open("../../../shared/data/king_county_sales.csv")
			if err != nil {
				t.Skipf("the sales are not beside the project: %v", err)
			}
			defer file.Close()
			sales, err := house.ReadSales(file, "sales", house.SalesOptions{})
			if err != nil {
				t.Fatal(err)
			}
			b, err := bundle.Builtin()
			if err != nil {
				t.Fatal(err)
			}
			var houses []house.House
			for _, s := range sales.Sales {
				houses = append(houses, s.House)
			}
			return trained{b, houses}
		},
	}
}

// some returns one in n of the houses.
func (m trained) some(n int) trained {
	var houses []house.House
	for i := 0; i < len(m.houses); i += n {
		houses = append(houses, m.houses[i])
	}
	m.houses = houses
	return m
}

// asked returns the houses as clients ask about them, changed, and what they
// cost.
func (m trained) asked(change func(h *house.House)) ([]house.House, []float64) {
	houses := slices.Clone(m.houses)
	for i := range houses {
		houses[i].Date = house.NoDate
		change(&houses[i])
	}
	return houses, m.Model.Prices(nil, houses, m.Demographics)
}

func TestAShiftOfTheLivingSpaceIsSeenWithinFiveMinutes(t *testing.T) {
	const perTick = 300 // 20 a second
	for name, load := range models(t) {
		t.Run(name, func(t *testing.T) {
			m := load(t)
			same, prices := m.asked(func(*house.House) {})
			for _, factor := range []float64{1.2, 0.8} {
				tr, _ := watch(t, m.Model.Reference)
				most := 0.0
				for range int(20 * time.Minute / tick) {
					r := tr.ask(perTick, same, prices)
					if r.Population.Shifted {
						t.Fatalf("unshifted, after %s the population counts as shifted: p = %g", tr.now.Sub(start), r.Population.PValue)
					}
					for _, f := range r.Features {
						if f.PSI >= 0.05 {
							t.Errorf("unshifted, after %s %s has a PSI of %.3f", tr.now.Sub(start), f.Name, f.PSI)
						}
						if f.PSI > most {
							most = f.PSI
						}
					}
				}
				t.Logf("unshifted, the largest PSI of a feature in 20 minutes: %.4f", most)
				shifted, shiftedPrices := m.some(max(1, len(m.houses)/9000)).asked(func(h *house.House) { h.Values[house.SqftLiving] *= factor })
				var r *drift.Report
				for range int(5 * time.Minute / tick) {
					r = tr.ask(perTick, shifted, shiftedPrices)
				}
				for _, f := range r.Features {
					switch f.Name {
					case "sqft_living":
						t.Logf("living space × %g: PSI %.4f of %d values, price %.4f, p = %.2g", factor, f.PSI, f.Values, r.Features[house.NumFields].PSI, r.Population.PValue)
						if !(f.PSI > 0.2) {
							t.Errorf("living space × %g has a PSI of %.4f five minutes later, want over 0.2", factor, f.PSI)
						}
					case "price": // which depends on it
					default:
						if !(f.PSI < 0.05) {
							t.Errorf("living space × %g: %s has a PSI of %.4f", factor, f.Name, f.PSI)
						}
					}
				}
				if !(r.Population.PValue < 0.01) || r.Population.Features < 10 {
					t.Errorf("the population does not count as shifted: %+v", r.Population)
				}
			}
		})
	}
}

func TestWhatIsUnknownOrOutsideTheTraining(t *testing.T) {
	m := models(t)["made-up sales"](t)
	tr, registry := watch(t, m.Model.Reference)
	i := 0
	houses, prices := m.asked(func(h *house.House) {
		if i++; i%4 == 0 {
			h.Values[house.Grade] = math.NaN()
		}
		if i%5 == 0 {
			h.Values[house.SqftLot] = 90_000 // of at most 5,000
		}
	})
	for j := 0; j < 3000; j += 100 {
		at := j % len(houses)
		tr.version.Observe(houses[at:at+100], prices[at:at+100], 7)
	}
	r := tr.ask(0, houses, prices)
	grade, lot, zipcode, condition := r.Features[house.Grade], r.Features[house.SqftLot], r.Features[house.ZipcodeField], r.Features[house.Condition]
	if grade.Unknown != 0.25 || grade.Trained != 0 || grade.Values != 2250 || grade.PSI > 0.05 {
		t.Errorf("grade: %+v", grade)
	}
	if lot.Outside != 0.2 || lot.Unknown != 0 || lot.PSI < 0.2 || lot.Max > 5000 {
		t.Errorf("lot: %+v", lot)
	}
	if zipcode.Outside != 0.07 || condition.Outside != 0 {
		t.Errorf("zipcode: %+v, condition: %+v", zipcode, condition)
	}
	for want, name := range map[float64]string{750: "feature_unknown_total", 600: "feature_outside_range_total"} {
		feature := map[float64]string{750: "grade", 600: "sqft_lot"}[want]
		if got := value(t, registry, name, "feature", feature); got != want {
			t.Errorf("%s of %s is %g, want %g", name, feature, got, want)
		}
	}
	if got := value(t, registry, "drift_houses_total", "model_version", "kc-1"); got != 3000 {
		t.Errorf("%g houses", got)
	}
}

// TestAFewHousesSayNothing holds that it takes 2,000 different houses, however
// often some are asked about; that a window reaches back until there are so
// many, and that the last day is all that it looks at.
func TestAFewHousesSayNothing(t *testing.T) {
	m := models(t)["made-up sales"](t)
	tr, registry := watch(t, m.Model.Reference)
	houses, prices := m.asked(func(*house.House) {})
	series := func() int {
		t.Helper()
		n, err := testutil.GatherAndCount(registry, "feature_drift_psi", "drift_population_p_value")
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for range 8 {
		for at := 0; at < 1900; at += 100 {
			tr.version.Observe(houses[at:at+100], prices[at:at+100], 0)
			tr.ask(0, houses, prices)
		}
	}
	r := tr.ask(0, houses, prices)
	if f := r.Features[house.SqftLiving]; f.PSI == f.PSI || r.Population.PValue == r.Population.PValue || f.Values != 8*1900 || !f.Since.Equal(start) || math.Abs(r.Different-1900) > 40 || series() != 0 {
		t.Errorf("of 1,900 houses, eight times each: %g different ones, %d series, %+v", r.Different, series(), f)
	}
	for at := 1900; at < 2200; at += 100 {
		tr.version.Observe(houses[at:at+100], prices[at:at+100], 0)
		r = tr.ask(0, houses, prices)
	}
	if f := r.Features[house.SqftLiving]; !(f.PSI < 0.05) || f.Values < drift.MinValues || series() != house.NumFields+2 {
		t.Errorf("of 2,200 houses: %d series, %+v", series(), f)
	}
	tr.now = tr.now.Add(25 * time.Hour)
	r = tr.ask(0, houses, prices)
	if f := r.Features[house.SqftLiving]; f.PSI == f.PSI || f.Values != 0 || r.Houses != 8*1900+300 || r.Different != 0 || series() != 0 {
		t.Errorf("a day without a house later: %d series, %+v", series(), f)
	}
}

// TestCountsAddUp compares what Prometheus reads with what was asked, bin by
// bin, after many calls at once.
func TestCountsAddUp(t *testing.T) {
	m := models(t)["made-up sales"](t)
	tr, registry := watch(t, m.Model.Reference)
	houses, prices := m.asked(func(*house.House) {})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 5 {
				tr.version.Observe(houses, prices, 0)
			}
		})
	}
	for range 20 {
		tr.ask(0, houses, prices)
	}
	group.Wait()
	tr.ask(0, houses, prices)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	seen, reference := map[string]float64{}, map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			key := fmt.Sprint(metric.GetLabel())
			switch family.GetName() {
			case "feature_values_total":
				seen[key] = metric.GetCounter().GetValue()
			case "feature_reference_values":
				reference[key] = metric.GetGauge().GetValue()
			}
		}
	}
	if len(seen) < 100 || len(reference) != len(seen) {
		t.Fatalf("%d bins, %d of the training", len(seen), len(reference))
	}
	for key, n := range seen {
		if n != 20*reference[key] {
			t.Errorf("%s: %g values, of %g in the training", key, n, reference[key])
		}
	}
}

// TestTheMetricsAreBounded holds that a third version has none until one of
// two is let go of, and how many series one has.
func TestTheMetricsAreBounded(t *testing.T) {
	m := models(t)["made-up sales"](t)
	registry := prometheus.NewRegistry()
	monitor := drift.New(telemetry.NewMetrics(registry))
	houses, prices := m.asked(func(*house.House) {})
	versions := map[string]*drift.Version{}
	now := start
	round := func() {
		for _, v := range versions {
			v.Observe(houses, prices, 0)
		}
		now = now.Add(tick)
		monitor.Tick(now)
	}
	shown := func() int {
		n, err := testutil.GatherAndCount(registry, "drift_houses_total")
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	versions["a"] = monitor.Watch("a", m.Model.Reference, now)
	quiet := monitor.Watch("quiet", m.Model.Reference, now)
	round()
	all := []string{"drift_houses_total", "drift_population_p_value", "feature_drift_psi", "feature_values_total", "feature_reference_values", "feature_unknown_total", "feature_outside_range_total"}
	if n, err := testutil.GatherAndCount(registry, all...); n > 330 || n < 200 || err != nil {
		t.Errorf("one version has %d series, %v; want at most 330", n, err)
	}
	versions["b"] = monitor.Watch("b", m.Model.Reference, now)
	versions["c"] = monitor.Watch("c", m.Model.Reference, now)
	round()
	if n := shown(); n != 2 {
		t.Errorf("%d versions are shown, want 2", n)
	}
	monitor.Forget(versions["a"])
	delete(versions, "a")
	round()
	if n := shown(); n != 2 || value(t, registry, "drift_houses_total", "model_version", "c") != 2*15_000 {
		t.Errorf("%d versions are shown, want b and c", n)
	}
	for _, v := range []*drift.Version{versions["b"], versions["c"], quiet, nil} {
		monitor.Forget(v)
	}
	if n, _ := testutil.GatherAndCount(registry, all...); n != 0 {
		t.Errorf("%d series of versions that are gone", n)
	}
}

func TestAModelWithoutStatisticsIsNotCompared(t *testing.T) {
	monitor := drift.New(telemetry.NewMetrics(prometheus.NewRegistry()))
	v := monitor.Watch("old", nil, start)
	v.Observe([]house.House{house.Example()}, []float64{1}, 0)
	monitor.Tick(start.Add(tick))
	if v != nil || monitor.Report(v, start) != nil {
		t.Error("it is compared")
	}
	var none *drift.Monitor
	if none.Watch("v", new(model.Reference), start) != nil || none.Report(nil, start) != nil {
		t.Error("without a monitor something is compared")
	}
}

func TestObserveAllocatesNothing(t *testing.T) {
	m := models(t)["made-up sales"](t)
	tr, _ := watch(t, m.Model.Reference)
	houses, prices := m.asked(func(*house.House) {})
	if n := testing.AllocsPerRun(100, func() { tr.version.Observe(houses[:10], prices[:10], 1) }); n != 0 {
		t.Errorf("%g allocations", n)
	}
}

// BenchmarkObserve measures a call of one house, by one goroutine and by as
// many as there are processors.
func BenchmarkObserve(b *testing.B) {
	bundle, err := bundle.Builtin()
	if err != nil {
		b.Fatal(err)
	}
	houses, prices := []house.House{house.Example()}, []float64{706_431.2}
	b.Run("one", func(b *testing.B) {
		tr, _ := watch(b, bundle.Model.Reference)
		b.ReportAllocs()
		for b.Loop() {
			tr.version.Observe(houses, prices, 0)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		tr, _ := watch(b, bundle.Model.Reference)
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				tr.version.Observe(houses, prices, 0)
			}
		})
	})
	b.Run("tick", func(b *testing.B) {
		tr, _ := watch(b, bundle.Model.Reference)
		for b.Loop() {
			tr.version.Observe(houses, prices, 0)
			tr.now = tr.now.Add(tick)
			tr.monitor.Tick(tr.now)
		}
	})
}

// value returns a counter with a label of this value.
func value(t *testing.T, registry *prometheus.Registry, name, label, wanted string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == name && l.GetName() == label && l.GetValue() == wanted {
					return m.GetCounter().GetValue()
				}
			}
		}
	}
	t.Fatalf("there is no %s{%s=%q}", name, label, wanted)
	return 0
}
