package journal

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"housing/internal/model"
	"housing/internal/store/storetest"
	"housing/internal/telemetry"
)

// TestVersionsAreMeasuredOnTheNewestOutcomes compares the figures of one of
// three versions with those of all its outcomes at hand; of the second there
// are too few, and of the third the newest alone count.
func TestVersionsAreMeasuredOnTheNewestOutcomes(t *testing.T) {
	t.Parallel()
	const seed = 9
	random := rand.New(rand.NewPCG(seed, 0))
	registry := prometheus.NewRegistry()
	r := start(t, storetest.NewPostgres(t).URL, "", func(o *Options) { o.Metrics = telemetry.NewMetrics(registry) })
	ctx := t.Context()
	r.settled()
	day := time.Date(2015, 5, 1, 0, 0, 0, 0, time.UTC)
	// tell records predictions of n houses by a version and what they sold for.
	tell := func(version string, n int, error func(sold float64) float64) (sold, predicted []float64) {
		t.Helper()
		var outcomes []Outcome
		p := some(n)
		p.Version = version
		for i := range p.Prices {
			price := 500_000 * math.Exp(0.5*random.NormFloat64())
			p.Prices[i] = price * error(price)
			sold, predicted = append(sold, price), append(predicted, p.Prices[i])
			outcomes = append(outcomes, Outcome{p.ID, i, price, day})
		}
		r.Record(p)
		r.settled()
		if _, err := r.Outcomes(ctx, outcomes); err != nil {
			t.Fatal(err)
		}
		return sold, predicted
	}
	sold, predicted := tell("kc-1", 400, func(sold float64) float64 { // dear houses low
		return math.Exp(0.1*random.NormFloat64()) * math.Pow(sold/500_000, -0.2)
	})
	tell("kc-2", rollLeast-1, func(float64) float64 { return 1 })
	tell("kc-3", rollSales, func(float64) float64 { return 3 })
	tell("kc-3", rollSales, func(float64) float64 { return 1.25 })
	if err := r.roll(ctx); err != nil {
		t.Fatal(err)
	}
	want, err := model.Measure(sold, predicted)
	if err != nil {
		t.Fatal(err)
	}
	if want.PRB > -0.1 || want.PRD < 1.03 {
		t.Fatalf("the made-up prices are not biased: %+v", want)
	}
	got := gauges(t, registry)
	for name, want := range map[string]float64{
		`outcome_mdape_percent kc-1`: want.MdAPE, `outcome_ppe10_percent kc-1`: want.PPE10, `outcome_median_ratio kc-1`: want.MedianRatio,
		`outcome_prd kc-1`: want.PRD, `outcome_prb kc-1`: want.PRB, `outcome_window_sales kc-1`: 400,
		`outcome_window_sales kc-2`:  rollLeast - 1,
		`outcome_mdape_percent kc-3`: 25, `outcome_median_ratio kc-3`: 1.25, `outcome_window_sales kc-3`: rollSales,
	} {
		if value, there := got[name]; !there || math.Abs(value-want) > 1e-6*math.Abs(want) {
			t.Errorf("%s is %g, want %g", name, value, want)
		}
	}
	if _, there := got["outcome_mdape_percent kc-2"]; there {
		t.Error("there is a figure of too few outcomes")
	}
	for _, version := range []string{"v1", "v2", "v3", "v4"} {
		tell(version, 1, func(float64) float64 { return 1 })
	}
	if err := r.roll(ctx); err != nil {
		t.Fatal(err)
	}
	got = gauges(t, registry)
	if _, there := got["outcome_mdape_percent kc-1"]; there {
		t.Error("a version is shown that five others have newer outcomes than")
	}
	if n, err := testutil.GatherAndCount(registry, "outcome_window_sales"); n != rollVersions || err != nil {
		t.Errorf("%d versions are shown, %v", n, err)
	}
}

// gauges returns the gauges that have a version, by "name version".
func gauges(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if l := m.GetLabel(); m.GetGauge() != nil && len(l) == 1 && l[0].GetName() == "version" {
				found[f.GetName()+" "+l[0].GetValue()] = m.GetGauge().GetValue()
			}
		}
	}
	return found
}
