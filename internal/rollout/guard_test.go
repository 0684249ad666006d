package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"housing/internal/registry"
	"housing/internal/rollout"
	"housing/internal/telemetry"
)

// fleet is a source that makes up what replicas count: each look finds some
// more requests, shared as the plan in the registry says.
type fleet struct {
	t        *testing.T
	registry *registry.Registry
	random   *rand.Rand
	requests int // in all between two looks

	failing float64                              // share of the candidate's requests that fail
	refused [2]float64                           // share of the requests that are refused: primary, candidate
	slow    func(random *rand.Rand) float64      // seconds that the candidate takes; nil is as the primary
	ratio   func(random *rand.Rand) float64      // price by the candidate over that by the primary
	late    bool                                 // a replica does not follow
	down    func(look int) bool                  // nobody can be seen
	change  func(look int, r *registry.Registry) // called at each look

	look    int
	largest rollout.Percent
	counts  map[string]float64
}

var (
	secondBounds = []float64{1e-4, 1.5e-4, 2.2e-4, 3.3e-4, 4.7e-4, 6.8e-4, 1e-3, 1.5e-3, 2.2e-3, math.Inf(1)}
	priceBounds  = []float64{190e3, 220e3, 260e3, 300e3, 350e3, 410e3, 480e3, 560e3, 650e3, 760e3, 880e3, math.Inf(1)}
	ratioBounds  = []float64{.9, .95, .98, .99, 1, 1.01, 1.02, 1.05, 1.1, 1.15, math.Inf(1)}
)

func (f *fleet) observe(name, labels string, bounds []float64, v float64) {
	for _, b := range bounds {
		if v <= b {
			f.counts[name+"_bucket\x00"+labels+",le="+strconv.FormatFloat(b, 'g', -1, 64)]++
		}
	}
}

// Read makes up what happened since the last look.
func (f *fleet) Read(ctx context.Context) ([]rollout.Sample, error) {
	f.look++
	if f.change != nil {
		f.change(f.look, f.registry)
	}
	if f.down != nil && f.down(f.look) {
		return nil, errors.New("no route to host")
	}
	state, _, err := f.registry.State(ctx, "")
	if err != nil {
		return nil, err
	}
	plan, err := rollout.Of(state)
	if err != nil {
		return nil, err
	}
	f.largest = max(f.largest, plan.Percent)
	for range f.requests {
		version, role, candidate := plan.Primary, "primary", 0
		if f.random.Float64() < plan.Percent.Fraction() {
			version, role, candidate = plan.Candidate, "candidate", 1
		}
		labels := "model_version=" + version + ",role=" + role
		price := math.Exp(13 + 0.5*f.random.NormFloat64())
		seconds := 0.0002 * math.Exp(0.3*f.random.NormFloat64())
		ratio := math.Exp(0.02 * f.random.NormFloat64())
		if candidate == 1 {
			if f.slow != nil {
				seconds = f.slow(f.random)
			}
			if f.ratio != nil {
				ratio = f.ratio(f.random)
			}
			price *= ratio
		}
		switch {
		case f.random.Float64() < f.refused[candidate]:
			f.counts["prediction_refused_total\x00"+labels]++
			continue
		case candidate == 1 && f.random.Float64() < f.failing:
			f.counts["prediction_errors_total\x00"+labels]++
			continue
		}
		f.counts["prediction_requests_total\x00"+labels]++
		f.observe("prediction_duration_seconds", labels, secondBounds, seconds)
		f.observe("predicted_price_dollars", labels, priceBounds, price)
		if candidate == 1 {
			f.observe("shadow_difference_ratio", "model_version="+version, ratioBounds, ratio)
		}
	}
	var samples []rollout.Sample
	for _, replica := range []string{"10.0.0.1:8000", "10.0.0.2:8000"} {
		runs := []string{plan.Primary, plan.Candidate}
		if f.late && replica == "10.0.0.2:8000" {
			runs = runs[:1]
		}
		for _, version := range runs {
			samples = append(samples, rollout.Sample{Replica: replica, Name: "model_info", Labels: map[string]string{"version": version}, Value: 1})
		}
		samples = append(samples, rollout.Sample{Replica: replica, Name: "rollout_share", Labels: map[string]string{"version": plan.Candidate, "role": "candidate"}, Value: plan.Percent.Fraction()})
	}
	for series, n := range f.counts {
		name, text, _ := strings.Cut(series, "\x00")
		labels := map[string]string{}
		for pair := range strings.SplitSeq(text, ",") {
			key, value, _ := strings.Cut(pair, "=")
			labels[key] = value
		}
		samples = append(samples, rollout.Sample{Replica: "10.0.0.1:8000", Name: name, Labels: labels, Value: n})
	}
	return samples, nil
}

func newFleet(t *testing.T, seed uint64) *fleet {
	r, _ := registryWith(t, "a", "b")
	return &fleet{t: t, registry: r, random: rand.New(rand.NewPCG(seed, 0)), requests: 600, counts: map[string]float64{}}
}

func (f *fleet) guard() *rollout.Guard {
	return &rollout.Guard{
		Registry: f.registry, Source: f, Version: "b", Steps: []rollout.Percent{100, 500, 2500, 5000, rollout.Whole}, Every: time.Second,
		Look: 20 * time.Millisecond, Least: 200, Limits: rollout.DefaultLimits(), Who: "ann", Tell: func(p rollout.Progress) {
			f.t.Logf("%s %s at %v %%: %.0f of %.0f requests, %.0f compared, evidence %.3f %s", p.Event, p.Candidate, p.Percent, p.Requests, p.Primary, p.Compared, p.Evidence, p.Detail)
		},
	}
}

func (f *fleet) plan() rollout.Plan {
	state, _, err := f.registry.State(context.Background(), "")
	if err != nil {
		f.t.Fatal(err)
	}
	p, err := rollout.Of(state)
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

func TestAGoodCandidateIsPromoted(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	f := newFleet(t, seed)
	f.refused = [2]float64{0.05, 0.05}
	if err := f.guard().Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := f.plan(); got != (rollout.Plan{Primary: "b", Previous: "a"}) {
		t.Errorf("the plan is %+v", got)
	}
}

// TestABadCandidateIsRolledBackBeforeHalf holds the guard to what it is for.
func TestABadCandidateIsRolledBackBeforeHalf(t *testing.T) {
	for _, c := range []struct {
		name, want string
		worsen     func(*fleet)
	}{
		{"fails in 2 % of its requests", "it fails in", func(f *fleet) { f.failing = 0.02 }},
		{"refuses a tenth", "are refused", func(f *fleet) { f.refused = [2]float64{0.01, 0.1} }},
		{"takes three times as long", "take longer than", func(f *fleet) {
			f.slow = func(r *rand.Rand) float64 { return 0.0006 * math.Exp(0.3*r.NormFloat64()) }
		}},
		{"15 % dearer", "dearer than", func(f *fleet) { f.ratio = func(r *rand.Rand) float64 { return 1.15 * math.Exp(0.02*r.NormFloat64()) } }},
		{"15 % cheaper", "cheaper than", func(f *fleet) { f.ratio = func(r *rand.Rand) float64 { return math.Exp(0.02*r.NormFloat64()) / 1.15 } }},
		{"half of them doubled, half halved", "distributed otherwise", func(f *fleet) {
			f.ratio = func(r *rand.Rand) float64 { return []float64{0.4, 2.5}[r.IntN(2)] }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			f := newFleet(t, seed)
			c.worsen(f)
			err := f.guard().Run(t.Context())
			if !errors.Is(err, rollout.ErrRolledBack) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want it to name %q", err, c.want)
			}
			if f.largest >= 5000 {
				t.Errorf("it reached %v %%", f.largest)
			}
			if got := f.plan(); got.Candidate != "" || got.Primary != "a" {
				t.Errorf("the plan is %+v", got)
			}
			// A job that is started anew leaves it as it is.
			if err := f.guard().Run(t.Context()); err == nil || !strings.Contains(err.Error(), "nothing was changed") || f.plan().Candidate != "" {
				t.Errorf("started again: %v", err)
			}
		})
	}
}

// TestAGuardThatWasKilledGoesOn ends a guard at 25 % and starts it again.
func TestAGuardThatWasKilledGoesOn(t *testing.T) {
	f := newFleet(t, 1)
	ctx, kill := context.WithCancel(t.Context())
	f.change = func(int, *registry.Registry) {
		if f.plan().Percent == 2500 {
			kill()
		}
	}
	if err := f.guard().Run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if got := f.plan(); got.Candidate != "b" || got.Percent != 2500 {
		t.Fatalf("the plan is %+v", got)
	}
	f.change = nil
	var steps []rollout.Percent
	g := f.guard()
	g.Tell = func(p rollout.Progress) {
		if p.Event == "step" {
			steps = append(steps, p.Percent)
		}
	}
	if err := g.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := []rollout.Percent{2500, 5000, rollout.Whole}; !slices.Equal(steps, want) {
		t.Errorf("steps %v, want %v", steps, want)
	}
}

func TestAGuardLeavesAPlanThatSomeoneElseChanged(t *testing.T) {
	f := newFleet(t, 1)
	f.change = func(look int, r *registry.Registry) {
		if look == 10 {
			change(t, r, func(p rollout.Plan) (rollout.Plan, error) { return p.Set(700) })
		}
	}
	if err := f.guard().Run(t.Context()); !errors.Is(err, rollout.ErrChanged) {
		t.Fatalf("got %v", err)
	}
	if got := f.plan(); got.Candidate != "b" || got.Percent != 700 {
		t.Errorf("the plan is %+v", got)
	}
}

func TestAGuardThatSeesNothingForAWhileGoesOn(t *testing.T) {
	f := newFleet(t, 1)
	f.down = func(look int) bool { return look > 5 && look < 30 }
	g := f.guard()
	g.Steps = []rollout.Percent{5000, rollout.Whole}
	if err := g.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestAGuardWaitsForEveryReplica(t *testing.T) {
	f := newFleet(t, 1)
	f.late = true
	f.change = func(look int, _ *registry.Registry) {
		if look == 40 {
			f.late = false
		}
	}
	g := f.guard()
	g.Steps = []rollout.Percent{rollout.Whole}
	waited := false
	g.Tell = func(p rollout.Progress) {
		waited = waited || p.Event == "waiting" && strings.Contains(p.Detail, "1 of 2 replicas")
	}
	if err := g.Run(t.Context()); err != nil || !waited {
		t.Fatalf("waited %v, %v", waited, err)
	}
}

// TestAGuardEndsNoStepWhileAReplicaDoesNotFollow lets one cease to, as does
// one that was started anew and cannot load the candidate.
func TestAGuardEndsNoStepWhileAReplicaDoesNotFollow(t *testing.T) {
	f := newFleet(t, 1)
	f.change = func(look int, _ *registry.Registry) { f.late = look > 10 && look < 80 }
	g := f.guard()
	g.Steps = []rollout.Percent{rollout.Whole}
	var events []string
	g.Tell = func(p rollout.Progress) {
		if len(events) == 0 || events[len(events)-1] != p.Event {
			events = append(events, p.Event)
		}
	}
	if err := g.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := []string{"step", "watching", "waiting", "watching", "promoted"}; !slices.Equal(events, want) {
		t.Errorf("%v, want %v", events, want)
	}
}

// TestAGuardPromotesOnlyWhatItWatched takes over a candidate that someone sent
// everybody to, with steps that end before.
func TestAGuardPromotesOnlyWhatItWatched(t *testing.T) {
	f := newFleet(t, 1)
	whole := change(t, f.registry, func(p rollout.Plan) (rollout.Plan, error) { return p.Start("b", rollout.Canary, rollout.Whole, "x") })
	g := f.guard()
	g.Steps = []rollout.Percent{100, 500}
	if err := g.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := f.plan(); got != whole {
		t.Errorf("the plan is %+v", got)
	}
}

// TestAGuardThatPromotedAndWasKilledIsDone starts it again as a job is.
func TestAGuardThatPromotedAndWasKilledIsDone(t *testing.T) {
	f := newFleet(t, 1)
	done := change(t, f.registry, func(p rollout.Plan) (rollout.Plan, error) { return p.SetPrimary("b") })
	if err := f.guard().Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := f.plan(); got != done {
		t.Errorf("the plan is %+v", got)
	}
}

func TestAGuardThatIsBlindStartsNothing(t *testing.T) {
	f := newFleet(t, 1)
	before := f.plan()
	f.down = func(int) bool { return true }
	if err := f.guard().Run(t.Context()); err == nil || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("got %v", err)
	}
	if got := f.plan(); got != before {
		t.Errorf("the plan is %+v", got)
	}
}

// TestALongReasonDoesNotKeepAGuardFromItsWork cuts it in the middle of a
// letter.
func TestALongReasonDoesNotKeepAGuardFromItsWork(t *testing.T) {
	for _, odd := range []string{"", "x"} {
		f := newFleet(t, 1)
		f.failing = 0.5
		g := f.guard()
		g.Why = odd + strings.Repeat("ä", 300)
		if err := g.Run(t.Context()); !errors.Is(err, rollout.ErrRolledBack) {
			t.Errorf("got %v", err)
		}
	}
}

func TestGuardsThatCannotWork(t *testing.T) {
	good := newFleet(t, 1).guard()
	for name, spoil := range map[string]func(*rollout.Guard){
		"no steps":   func(g *rollout.Guard) { g.Steps = nil },
		"falling":    func(g *rollout.Guard) { g.Steps = []rollout.Percent{500, 100} },
		"twice":      func(g *rollout.Guard) { g.Steps = []rollout.Percent{500, 500} },
		"zero":       func(g *rollout.Guard) { g.Steps = []rollout.Percent{0, 500} },
		"too quick":  func(g *rollout.Guard) { g.Every = time.Millisecond },
		"odd shift":  func(g *rollout.Guard) { g.Limits.Prices = 0.03 },
		"NaN errors": func(g *rollout.Guard) { g.Limits.Errors = math.NaN() },
		"faster":     func(g *rollout.Guard) { g.Limits.Slower = 0.5 },
	} {
		g := *good
		spoil(&g)
		if err := g.Run(t.Context()); err == nil || errors.Is(err, rollout.ErrRolledBack) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestReplicasAreReadAsTheyShowThemselves reads what package telemetry shows.
func TestReplicasAreReadAsTheyShowThemselves(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := telemetry.NewMetrics(reg)
	m.SetModels(map[string]string{"a": "1", "b": "2"})
	m.SetShares(telemetry.Share{Version: "a", Role: "primary", Share: 0.75}, telemetry.Share{Version: "b", Role: "candidate", Share: 0.25})
	p := m.Prediction("b", "candidate")
	p.Requests.Add(3)
	p.Errors.Inc()
	p.Refused.Inc()
	p.Duration.Observe(0.0002)
	p.Price.Observe(500e3)
	m.ShadowDifference("b").Observe(1.15)
	m.ModelSentBack("b").Inc()
	server := httptest.NewServer(promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	defer server.Close()
	source := &rollout.Replicas{Addresses: []string{server.URL}, Client: &http.Client{Timeout: 5 * time.Second}}
	samples, err := source.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	replicas := rollout.ReplicasOf(samples)
	if len(replicas) != 1 || !slices.Equal(replicas[0].Models, []string{"a", "b"}) || replicas[0].Shares["b"] != 0.25 || "http://"+replicas[0].Address != server.URL {
		t.Errorf("%+v", replicas)
	}
	got := map[string]float64{}
	for _, s := range samples {
		if s.Labels["model_version"] == "b" && (s.Labels["le"] == "" || s.Labels["le"] == "+Inf") {
			got[s.Name] = s.Value
		}
	}
	for name, want := range map[string]float64{"prediction_requests_total": 3, "prediction_errors_total": 1, "prediction_refused_total": 1,
		"prediction_duration_seconds_bucket": 1, "predicted_price_dollars_bucket": 1, "shadow_difference_ratio_bucket": 1, "models_sent_back_total": 1} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if _, err := (&rollout.Replicas{Addresses: []string{"http://127.0.0.1:1"}, Client: source.Client}).Read(t.Context()); err == nil {
		t.Error("a replica that is not there was read")
	}
	source.Addresses = []string{"http://gone.invalid:8000", server.URL}
	if some, err := source.Read(t.Context()); err != nil || len(some) != len(samples) {
		t.Errorf("%d samples instead of %d beside a replica without a name: %v", len(some), len(samples), err)
	}
}

// TestNoErrorOfPrometheusShowsItsPassword gives a password and a key in the
// address, and lets reading fail in every way.
func TestNoErrorOfPrometheusShowsItsPassword(t *testing.T) {
	status, answer := http.StatusOK, ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "ops" || password != "hunter2" || r.URL.Path != "/api/v1/query" || r.FormValue("key") != "hunter2" {
			t.Errorf("asked %s as %q", r.URL, user)
		}
		w.WriteHeader(status)
		fmt.Fprint(w, answer)
	}))
	defer server.Close()
	const twice = `{"metric":{"__name__":"prediction_requests_total","instance":"i:1","model_version":"a","role":"primary"},"value":[1.5,"1"]}`
	for _, c := range []struct {
		status       int
		answer, says string
	}{
		{http.StatusOK, `{"status":"success","data":{"result":[]}}`, "knows no replica"},
		{http.StatusOK, `{"status":"success","data":{"result":[` + twice + `,` + twice + `]}}`, "twice"},
		{http.StatusOK, `{"status":"error","error":"parse error"}`, "parse error"},
		{http.StatusUnauthorized, "", "401"},
		{http.StatusOK, strings.Repeat(" ", 32<<20+1), "more than"},
		{0, "", "refused"}, // it is away
	} {
		if status, answer = c.status, c.answer; status == 0 {
			server.Close()
		}
		source := &rollout.Prometheus{URL: strings.Replace(server.URL, "http://", "http://ops:hunter2@", 1) + "?key=hunter2", Client: server.Client()}
		_, err := source.Read(t.Context())
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), strings.TrimPrefix(server.URL, "http://")) {
			t.Errorf("%s: %v", c.says, err)
		}
	}
	for _, address := range []string{"http://ops:hunter2@127.0.0.1:1", "http://ops:hunter2@gone.invalid", "http://ops:hunter2@127.0.0.1:1?key=hunter2"} {
		if _, err := (&rollout.Replicas{Addresses: []string{address}, Client: server.Client()}).Read(t.Context()); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestAnswersOfPrometheusAreReadStrictly(t *testing.T) {
	answer := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if q := r.FormValue("query"); r.URL.Path != "/api/v1/query" || !strings.Contains(q, "prediction_requests_total") || !strings.HasSuffix(q, `,job="housing"}`) {
			t.Errorf("asked %s", r.URL)
		}
		fmt.Fprint(w, answer)
	}))
	defer server.Close()
	source := &rollout.Prometheus{URL: server.URL + "/", Match: `job="housing"`, Client: server.Client()}
	for _, c := range []struct {
		answer string
		good   bool
	}{
		{`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"model_info","instance":"i:1","version":"a"},"value":[1.5,"1"]}]}}`, true},
		{`{"status":"success","data":{"resultType":"vector","result":[]}}`, false},
		{`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"process_start_time_seconds","instance":"other:1"},"value":[1.5,"1"]}]}}`, false},
		{`{"status":"success","data":{"resultType":"vector","result":[` +
			`{"metric":{"__name__":"prediction_requests_total","instance":"i:1","model_version":"a","role":"primary","job":"x"},"value":[1.5,"1"]},` +
			`{"metric":{"__name__":"prediction_requests_total","instance":"i:1","model_version":"a","role":"primary","job":"y"},"value":[1.5,"3"]}]}}`, false},
		{`{"status":"error","error":"parse error"}`, false},
		{`<html>`, false},
		{``, false},
	} {
		answer = c.answer
		samples, err := source.Read(t.Context())
		if (err == nil) != c.good || c.good && (len(samples) != 1 || samples[0].Replica != "i:1" || samples[0].Value != 1) {
			t.Errorf("%s: %+v, %v", c.answer, samples, err)
		}
	}
}
