package httpapi

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"housing/internal/bundle/bundletest"
	"housing/internal/registry"
	"housing/internal/rollout"
	"housing/internal/store"
	"housing/internal/valuer"
)

// planned is an API that follows the plan of a registry in a folder, which
// has the versions kc-1 and kc-2; kc-1 is the primary. Its clients may say in
// X-Forwarded-For where they are.
type planned struct {
	*API
	folder string
}

func newPlanned(t testing.TB, o ...func(*rollout.Options)) planned {
	t.Helper()
	folder := t.TempDir()
	r, err := registry.Open(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	for i, version := range []string{"kc-1", "kc-2"} {
		if _, err := r.Push(t.Context(), version, bytes.NewReader(bundletest.Bytes(t, version, uint64(i+1))), nil, registry.Change{When: time.Now(), Who: "ann", What: "push"}); err != nil {
			t.Fatal(err)
		}
	}
	load := func(ctx context.Context, version string) (valuer.Model, error) {
		b, err := r.Load(ctx, version, nil, "")
		if err != nil {
			return valuer.Model{}, err
		}
		return valuer.FromBundle(b), nil
	}
	first, err := load(t.Context(), "kc-1")
	if err != nil {
		t.Fatal(err)
	}
	a := newAPI(t, func(s *setup) {
		s.model = first
		s.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	})
	ctx, stop := context.WithCancel(context.Background())
	options := rollout.Options{
		Registry: r, Valuer: a.Valuer, Load: load, Metrics: a.Metrics, Log: slog.New(slog.DiscardHandler), Poll: 20 * time.Millisecond,
		Dependency: store.NewDependency("registry", prometheus.NewGauge(prometheus.GaugeOpts{Name: "up"}), slog.New(slog.DiscardHandler)),
	}
	for _, set := range o {
		set(&options)
	}
	a.Traffic = rollout.NewTraffic(options)
	a.Traffic.Start(ctx, "kc-1")
	t.Cleanup(func() {
		stop()
		a.Traffic.Wait()
		if err := a.Valuer.Close(); err != nil {
			t.Error(err)
		}
	})
	return planned{a, folder}
}

const twoVersions = `{"plan":{"primary":"kc-1","candidate":"kc-2","mode":"canary","percent":%s},"why":"to see"}`

func TestThePlanIsReadAndChanged(t *testing.T) {
	a := newPlanned(t)
	w := local(a.API, "PUT", "/v1/rollout", fmt.Sprintf(twoVersions, "12.34"))
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	made := read[RolloutPlan](t, w)
	if made.Candidate != "kc-2" || made.Percent != 12.34 || made.Salt == "" || made.Previous != "" {
		t.Errorf("%+v", made)
	}
	tag := w.Header().Get("ETag")
	var got Rollout
	for end := time.Now().Add(20 * time.Second); got.Plan.Candidate == "" || len(got.Replica.Running) < 2; time.Sleep(5 * time.Millisecond) {
		w := ask(a.API, "GET", "/v1/rollout", "")
		if got = read[Rollout](t, w); got.Plan.Candidate != "" && w.Header().Get("ETag") != tag {
			t.Errorf("ETag %s, want %s", w.Header().Get("ETag"), tag)
		}
		if time.Now().After(end) {
			t.Fatalf("%+v", got)
		}
	}
	if got.Plan != made || len(got.History) != 1 || got.Replica.Answers != "kc-1" || len(got.Replica.Problems) != 0 {
		t.Errorf("%+v", got)
	}
	if h := got.History[0]; h.Who != "address:127.0.0.1" || h.Why != "to see" || h.From != nil || h.To == nil || *h.To != made {
		t.Errorf("%+v", h)
	}
	// The same candidate keeps its callers; another primary remembers the one before.
	grown := read[RolloutPlan](t, local(a.API, "PUT", "/v1/rollout", fmt.Sprintf(twoVersions, "50"), "If-Match", tag))
	if grown.Salt != made.Salt || grown.Percent != 50 {
		t.Errorf("%+v", grown)
	}
	wantProblem(t, local(a.API, "PUT", "/v1/rollout", fmt.Sprintf(twoVersions, "60"), "If-Match", tag), 412)
	if promoted := read[RolloutPlan](t, local(a.API, "PUT", "/v1/rollout", `{"plan":{"primary":"kc-2"}}`)); promoted != (RolloutPlan{Primary: "kc-2", Previous: "kc-1"}) {
		t.Errorf("%+v", promoted)
	}
}

// TestWhatIsReadCanBeReplaced sends the ETag of a plan that nobody made: the
// registry has none, or the replica does not follow it.
func TestWhatIsReadCanBeReplaced(t *testing.T) {
	for name, pinned := range map[string]string{"no plan yet": "", "pinned": "kc-2"} {
		t.Run(name, func(t *testing.T) {
			a := newPlanned(t, func(o *rollout.Options) { o.Pinned = pinned })
			seen := ask(a.API, "GET", "/v1/rollout", "").Header().Get("ETag")
			w := local(a.API, "PUT", "/v1/rollout", fmt.Sprintf(twoVersions, "5"), "If-Match", seen)
			if w.Code != 200 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			made := w.Header().Get("ETag")
			for end := time.Now().Add(20 * time.Second); ask(a.API, "GET", "/v1/rollout", "").Header().Get("ETag") != made; time.Sleep(5 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("the replica never shows the ETag of the plan that was made")
				}
			}
			wantProblem(t, local(a.API, "PUT", "/v1/rollout", fmt.Sprintf(twoVersions, "6"), "If-Match", seen), 412)
			if w := local(a.API, "PUT", "/v1/rollout", fmt.Sprintf(twoVersions, "6"), "If-Match", made); w.Code != 200 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
}

func TestPlansThatCannotBe(t *testing.T) {
	a := newPlanned(t)
	for _, c := range []struct{ body, location string }{
		{fmt.Sprintf(twoVersions, "0.001"), "body.plan.percent"},
		{fmt.Sprintf(twoVersions, "101"), "body.plan.percent"},
		{`{"plan":{"primary":"kc-1","candidate":"kc-1","mode":"canary"}}`, "body.plan"},
		{`{"plan":{"primary":"none"}}`, "body.plan"},
		{`{"plan":{"primary":7}}`, "body.plan.primary"},
		{`{"plan":{"primary":"kc-1","more":1}}`, "body.plan.more"},
		{`{"plan":{"primary":"kc-1"},"why":"` + strings.Repeat("x", 501) + `"}`, "body.why"},
		{`[]`, "body"},
	} {
		p := wantProblem(t, local(a.API, "PUT", "/v1/rollout", c.body), 422)
		if len(p.Errors) == 0 || p.Errors[0].Location != c.location || p.Errors[0].Message == "" {
			t.Errorf("%s: %+v", c.body, p)
		}
	}
	wantProblem(t, local(a.API, "PUT", "/v1/rollout", `{"plan":`), 400)
}

// TestThePlanIsChangedFromThisMachineAlone holds that without authentication
// no header makes a client one of this machine.
func TestThePlanIsChangedFromThisMachineAlone(t *testing.T) {
	a := newPlanned(t)
	const here, plan = "127.0.0.1:50000", `{"plan":{"primary":"kc-2"}}`
	for _, c := range []struct {
		what, peer, host string
		header           []string
	}{
		{"another machine", "192.0.2.1:1234", "127.0.0.1:8000", nil},
		{"a proxy for another machine", "192.0.2.1:1234", "127.0.0.1:8000", []string{"X-Forwarded-For", "203.0.113.7"}},
		{"a machine of the proxies' network that says it is this one", "192.0.2.1:1234", "127.0.0.1:8000", []string{"X-Forwarded-For", "127.0.0.1"}},
		{"a proxy on this machine", here, "127.0.0.1:8000", []string{"X-Forwarded-For", "203.0.113.7"}},
		{"another kind of proxy on this machine", here, "127.0.0.1:8000", []string{"Forwarded", "for=203.0.113.7"}},
		{"a page whose name leads to this machine", here, "evil.example:8000", nil},
	} {
		t.Run(c.what, func(t *testing.T) {
			wantProblem(t, askFrom(a.API, c.peer, c.host, "PUT", "/v1/rollout", plan, c.header...), 403)
		})
	}
	for _, host := range []string{"localhost:8000", "[::1]:8000", "[::1]", "127.0.0.1"} {
		if w := askFrom(a.API, here, host, "PUT", "/v1/rollout", plan); w.Code != 200 {
			t.Errorf("%s: %d %s", host, w.Code, w.Body)
		}
	}
}

func TestTheVersionsAreListed(t *testing.T) {
	a := newPlanned(t)
	got := read[Models](t, ask(a.API, "GET", "/v1/models", ""))
	if want := []ModelName{{"kc-1", true, "primary"}, {"kc-2", false, ""}}; !slices.Equal(got.Models, want) {
		t.Errorf("%+v", got)
	}
	one := read[ModelVersion](t, ask(a.API, "GET", "/v1/models/kc-2", ""))
	if one.Version != "kc-2" || len(one.SHA256) != 64 || one.Bytes == 0 || one.Signed || one.Running {
		t.Errorf("%+v", one)
	}
	// What its bundle says is read whether it runs or not.
	for _, version := range []string{"kc-1", "kc-2"} {
		one := read[ModelVersion](t, ask(a.API, "GET", "/v1/models/"+version, ""))
		if m := one.Measured; m == nil || m.Sales == 0 || len(m.Accuracy) == 0 || m.Created.IsZero() || one.Running != (version == "kc-1") {
			t.Errorf("%s: %+v", version, one)
		}
	}
	wantProblem(t, ask(a.API, "GET", "/v1/models/none", ""), 404)
	wantProblem(t, ask(a.API, "GET", "/v1/models/..%2Fkc-1", ""), 404)
	builtin := newAPI(t, nil)
	if got := read[Models](t, ask(builtin, "GET", "/v1/models", "")); len(got.Models) != 1 || !got.Models[0].Running {
		t.Errorf("%+v", got)
	} else if one := read[ModelVersion](t, ask(builtin, "GET", "/v1/models/"+got.Models[0].Version, "")); one.Measured == nil {
		t.Errorf("%+v", one)
	}
}

// TestWhoAnswers asks by the header, by the query, and as callers of whom the
// plan sends some to the candidate.
func TestWhoAnswers(t *testing.T) {
	a := newPlanned(t)
	if w := local(a.API, "PUT", "/v1/rollout", fmt.Sprintf(twoVersions, "50")); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	answers := func(target string, header ...string) string {
		t.Helper()
		w := ask(a.API, "POST", target, fullBody(1), header...)
		p := read[Prediction](t, w)
		if w.Code != 200 || w.Header().Get("X-Model-Version") != p.ModelVersion {
			t.Fatalf("%s %q: %d %s", target, header, w.Code, w.Body)
		}
		return p.ModelVersion
	}
	for end := time.Now().Add(20 * time.Second); answers("/v1/predict", "Canary", "true") != "kc-2"; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the candidate does not answer")
		}
	}
	if got := answers("/v1/predict?model_version=kc-1", "Canary", "true"); got != "kc-1" {
		t.Errorf("the query is stronger than the header: %s", got)
	}
	if got := answers("/v1/predict?model_version=kc-2"); got != "kc-2" {
		t.Errorf("asked for kc-2: %s", got)
	}
	seen := map[string]int{}
	for i := range 100 {
		from := fmt.Sprintf("203.0.113.%d", i)
		first := answers("/v1/predict", "X-Forwarded-For", from)
		if again := answers("/v1/predict", "X-Forwarded-For", from); again != first {
			t.Errorf("%s is sent to %s and then to %s", from, first, again)
		}
		seen[first]++
	}
	if seen["kc-1"] < 25 || seen["kc-2"] < 25 {
		t.Errorf("of 100 addresses %v", seen)
	}
	wantProblem(t, ask(a.API, "POST", "/v1/predict?model_version=none", fullBody(1)), 404)
	// A refused request counts for the version that would have answered.
	wantProblem(t, ask(a.API, "POST", "/v1/predict", `{"records":[{}]}`, "Canary", "true"), 422)
	if n := testutil.ToFloat64(a.Metrics.Prediction("kc-2", "candidate").Refused); n != 1 {
		t.Errorf("%v refused requests of the candidate", n)
	}
}
