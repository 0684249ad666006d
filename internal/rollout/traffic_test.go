package rollout_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"housing/internal/bundle/bundletest"
	"housing/internal/house"
	"housing/internal/journal"
	"housing/internal/registry"
	"housing/internal/rollout"
	"housing/internal/store"
	"housing/internal/telemetry"
	"housing/internal/valuer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds how long a test waits for what must come.
const patience = 20 * time.Second

// bundles are made once; another seed gives other prices.
var bundles = struct {
	sync.Mutex
	made map[string][]byte
}{made: map[string][]byte{}}

func bundleOf(t testing.TB, version string, seed uint64) []byte {
	bundles.Lock()
	defer bundles.Unlock()
	key := fmt.Sprint(version, seed)
	if bundles.made[key] == nil {
		bundles.made[key] = bundletest.Bytes(t, version, seed)
	}
	return bundles.made[key]
}

// replica is a service without its HTTP, on a registry in a folder.
type replica struct {
	*rollout.Traffic
	t       *testing.T
	valuer  *valuer.Valuer
	metrics *prometheus.Registry
	stop    func()
}

// registryWith returns a registry in a folder with these versions, and a as
// the primary of its plan.
func registryWith(t *testing.T, versions ...string) (*registry.Registry, string) {
	t.Helper()
	folder := t.TempDir()
	r, err := registry.Open(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range versions {
		push(t, r, version, nil)
	}
	change(t, r, func(p rollout.Plan) (rollout.Plan, error) { return p.SetPrimary("a") })
	return r, folder
}

func push(t *testing.T, r *registry.Registry, version string, key ed25519.PrivateKey) {
	t.Helper()
	if _, err := r.Push(t.Context(), version, bytes.NewReader(bundleOf(t, version, uint64(version[0]))), key, registry.Change{When: time.Now(), Who: "ann", What: "push"}); err != nil {
		t.Fatal(err)
	}
}

func change(t *testing.T, r *registry.Registry, take func(rollout.Plan) (rollout.Plan, error)) rollout.Plan {
	t.Helper()
	made, err := rollout.Change(t.Context(), r, func(now rollout.Plan, _ func(string) string) (rollout.Plan, string, error) {
		next, err := take(now)
		return next, "test", err
	}, registry.Change{When: time.Now(), Who: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func startReplica(t *testing.T, r *registry.Registry, key ed25519.PublicKey, alter func(*rollout.Options)) *replica {
	t.Helper()
	reg := prometheus.NewRegistry()
	metrics, log := telemetry.NewMetrics(reg), slog.New(slog.DiscardHandler)
	o := rollout.Options{
		Registry: r, Metrics: metrics, Log: log, Poll: 10 * time.Millisecond,
		Valuer:     valuer.New(valuer.Options{Metrics: metrics, Log: log, Workers: 4}),
		Dependency: store.NewDependency("registry", metrics.DependencyUp("registry"), log),
		Load: func(ctx context.Context, version string) (valuer.Model, error) {
			b, err := r.Load(ctx, version, key, "")
			if err != nil {
				return valuer.Model{}, err
			}
			return valuer.FromBundle(b), nil
		},
	}
	if alter != nil {
		alter(&o)
	}
	first, err := o.Load(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Valuer.Use(first, 0); err != nil {
		t.Fatal(err)
	}
	s := &replica{Traffic: rollout.NewTraffic(o), t: t, valuer: o.Valuer, metrics: reg}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = sync.OnceFunc(func() {
		cancel()
		s.Wait()
		if err := s.valuer.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(s.stop)
	s.Start(ctx, "a")
	return s
}

// until waits until something is so.
func (s *replica) until(what string, is func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("%s: %+v", what, s.Status())
		}
	}
}

// value values a house for a caller, as the service does.
func (s *replica) value(caller string, candidate bool) valuer.Answer {
	s.t.Helper()
	choice := s.Choose(func() string { return caller }, candidate)
	answer, err := s.valuer.Value(s.t.Context(), nil, []house.House{house.Example()}, choice)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer
}

func (s *replica) runs() (versions []string) {
	for _, m := range s.valuer.Models() {
		versions = append(versions, m.Manifest.Version)
	}
	slices.Sort(versions)
	return versions
}

func TestAReplicaFollowsThePlan(t *testing.T) {
	r, _ := registryWith(t, "a", "b", "c")
	s := startReplica(t, r, nil, func(o *rollout.Options) { o.Probation = -1 })
	answers := func(version string) func() bool {
		return func() bool { return s.value("anyone", false).Version == version }
	}
	s.until("the first", answers("a"))
	change(t, r, func(p rollout.Plan) (rollout.Plan, error) { return p.Start("b", rollout.Canary, 0, "salt") })
	s.until("the candidate", func() bool { return s.value("anyone", true).Version == "b" })
	if got := s.value("anyone", false); got.Version != "a" || got.Role != valuer.Primary {
		t.Errorf("at 0 %%: %+v", got)
	}
	change(t, r, func(p rollout.Plan) (rollout.Plan, error) { return p.Set(rollout.Whole) })
	s.until("the whole share", answers("b"))
	change(t, r, func(p rollout.Plan) (rollout.Plan, error) { return p.Rollback() })
	s.until("rolled back", answers("a"))
	if n := testutil.ToFloat64(s.Metrics.RolloutRollbacks); n != 1 {
		t.Errorf("%v rollbacks were counted", n)
	}
	s.until("let go of the candidate", func() bool { return slices.Equal(s.runs(), []string{"a"}) })
	if got := s.value("anyone", true); got.Version != "a" {
		t.Errorf("canary without a candidate: %+v", got)
	}
	change(t, r, func(p rollout.Plan) (rollout.Plan, error) { return p.SetPrimary("c") })
	s.until("another primary", answers("c"))
	s.until("let go of the one before", func() bool { return slices.Equal(s.runs(), []string{"c"}) })
	change(t, r, func(p rollout.Plan) (rollout.Plan, error) { return p.Rollback() })
	s.until("back to the one before", answers("a"))
}

func TestThePrimaryBeforeStaysForItsProbation(t *testing.T) {
	r, _ := registryWith(t, "a", "b")
	s := startReplica(t, r, nil, func(o *rollout.Options) { o.Probation = 300 * time.Millisecond })
	change(t, r, func(p rollout.Plan) (rollout.Plan, error) { return p.SetPrimary("b") })
	s.until("swapped", func() bool { return s.value("x", false).Version == "b" })
	if got := s.runs(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("%v run right after the swap", got)
	}
	s.until("let go of the one before", func() bool { return slices.Equal(s.runs(), []string{"b"}) })
}

// TestABadBundleNeverAnswers names a version in the plan whose bundle is cut,
// changed, unsigned or of another program.
func TestABadBundleNeverAnswers(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	good := bundleOf(t, "b", 2)
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 1
	schema := bytes.Replace(good, []byte("sqft_living15"), []byte("sqft_livinG15"), -1)
	if bytes.Equal(schema, good) {
		t.Fatal("the bundle does not name the column")
	}
	for _, c := range []struct {
		name   string
		bundle []byte
		signed bool
	}{{"cut", good[:len(good)-100], true}, {"flipped", flipped, true}, {"empty", nil, true}, {"another schema", schema, true}, {"unsigned", good, false}} {
		for _, as := range []string{"primary", "candidate"} {
			t.Run(c.name+"/"+as, func(t *testing.T) {
				folder := t.TempDir()
				r, err := registry.Open(t.Context(), folder)
				if err != nil {
					t.Fatal(err)
				}
				push(t, r, "a", private)
				change(t, r, func(p rollout.Plan) (rollout.Plan, error) { return p.SetPrimary("a") })
				s := startReplica(t, r, public, nil)
				var key ed25519.PrivateKey
				if c.signed {
					key = private
				}
				if _, err := r.Push(t.Context(), "b", bytes.NewReader(good), key, registry.Change{When: time.Now(), Who: "ann", What: "push"}); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(folder, "b", "bundle"), c.bundle, 0o644); err != nil {
					t.Fatal(err)
				}
				change(t, r, func(p rollout.Plan) (rollout.Plan, error) {
					if as == "primary" {
						return p.SetPrimary("b")
					}
					return p.Start("b", rollout.Canary, rollout.Whole, "salt")
				})
				s.until("seen to be bad", func() bool { reason, _ := s.Trouble(); return reason == "refused" })
				if got := s.value("x", true); got.Version != "a" || s.valuer.Find("b") != nil {
					t.Errorf("%+v", got)
				}
				for _, p := range s.Status().Problems {
					if p.Detail == "" || strings.Contains(p.Detail, folder) {
						t.Errorf("clients are told %q", p.Detail)
					}
				}
				if _, err := s.Ask(t.Context(), "b"); !errors.Is(err, rollout.ErrRefused) {
					t.Errorf("asked for it: %v", err)
				}
				if n := failures(t, s.metrics, "refused"); n == 0 {
					t.Error("the failure is not counted")
				}
				change(t, r, func(p rollout.Plan) (rollout.Plan, error) { return p.Rollback() })
				s.until("all is well", func() bool { reason, _ := s.Trouble(); return reason == "" })
			})
		}
	}
}

// failures returns how many models could not be loaded for a reason.
func failures(t *testing.T, reg *prometheus.Registry, reason string) (n float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "model_load_failures_total" && m.GetLabel()[0].GetValue() == reason {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

func TestARegistryThatIsAwayChangesNothing(t *testing.T) {
	r, folder := registryWith(t, "a", "b")
	s := startReplica(t, r, nil, nil)
	change(t, r, func(p rollout.Plan) (rollout.Plan, error) { return p.Start("b", rollout.Canary, 0, "salt") })
	s.until("the candidate", func() bool { return s.valuer.Ready("b") })
	away := folder + "-away"
	if err := os.Rename(folder, away); err != nil {
		t.Fatal(err)
	}
	s.until("seen", func() bool { return s.Dependency.State().Status == store.Down })
	if got := s.value("x", true); got.Version != "b" {
		t.Errorf("%+v", got)
	}
	if err := os.Rename(away, folder); err != nil {
		t.Fatal(err)
	}
	s.until("back", func() bool { return s.Dependency.State().Status == store.Up })
}

// TestAPlanThatCannotBeReadChangesNothing writes a plan as no program of ours
// would.
func TestAPlanThatCannotBeReadChangesNothing(t *testing.T) {
	r, folder := registryWith(t, "a", "b")
	s := startReplica(t, r, nil, nil)
	path := filepath.Join(folder, "rollout.json")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(`{"current":{"primary":"b","big":"bang"},"history":[]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	s.until("seen", func() bool { reason, _ := s.Trouble(); return reason == "refused" })
	if got := s.value("x", false); got.Version != "a" {
		t.Errorf("%+v", got)
	}
	if err := os.WriteFile(path, good, 0o644); err != nil {
		t.Fatal(err)
	}
	s.until("mended", func() bool { reason, _ := s.Trouble(); return reason == "" })
}

func TestAnyVersionCanBeAskedFor(t *testing.T) {
	r, _ := registryWith(t, "a", "b", "c", "d")
	state, _, err := r.State(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetAlias(t.Context(), state, "best", "c", registry.Change{When: time.Now(), Who: "ann", What: "alias"}); err != nil {
		t.Fatal(err)
	}
	s := startReplica(t, r, nil, nil)
	s.until("the aliases", func() bool { return s.Status().Aliases["best"] == "c" })
	for name, want := range map[string]string{"a": "a", "b": "b", "best": "c"} {
		choice, err := s.Ask(t.Context(), name)
		if err != nil || choice != (valuer.Choice{Version: want, Role: valuer.Asked}) {
			t.Fatalf("%s: %+v, %v", name, choice, err)
		}
		if answer, err := s.valuer.Value(t.Context(), nil, []house.House{house.Example()}, choice); err != nil || answer.Version != want {
			t.Errorf("%s: %+v, %v", name, answer, err)
		}
	}
	for range 20 {
		if _, err := s.Ask(t.Context(), "d"); !errors.Is(err, valuer.ErrOverloaded) {
			t.Errorf("a third one at once: %v", err)
		}
		for _, name := range []string{"e", "", "../a", "no such"} {
			if _, err := s.Ask(t.Context(), name); !errors.Is(err, valuer.ErrUnknownVersion) {
				t.Errorf("%q: %v", name, err)
			}
		}
	}
	if got := s.runs(); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("%v run", got)
	}
}

// TestABadVersionThatWasAskedForIsNoTrouble damages one that the plan does not
// name: clients are refused it, and the replica is well.
func TestABadVersionThatWasAskedForIsNoTrouble(t *testing.T) {
	r, folder := registryWith(t, "a", "b")
	if err := os.WriteFile(filepath.Join(folder, "b", "bundle"), []byte("damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := startReplica(t, r, nil, nil)
	if _, err := s.Ask(t.Context(), "b"); !errors.Is(err, rollout.ErrRefused) {
		t.Fatalf("it can be asked for: %v", err)
	}
	if p := s.Status().Problems; len(p) != 1 || p[0].Version != "b" {
		t.Errorf("the problems are %+v", p)
	}
	if reason, _ := s.Trouble(); reason != "" {
		t.Errorf("it is trouble: %s", reason)
	}
	change(t, r, func(p rollout.Plan) (rollout.Plan, error) { return p.Start("b", rollout.Canary, 0, "salt") })
	s.until("it is a candidate", func() bool { reason, _ := s.Trouble(); return reason == "refused" })
}

// TestAPlanThatIsGoneIsKept empties the registry, as a share does that is
// mounted wrong.
func TestAPlanThatIsGoneIsKept(t *testing.T) {
	r, folder := registryWith(t, "a", "b")
	change(t, r, func(p rollout.Plan) (rollout.Plan, error) { return p.Start("b", rollout.Canary, 0, "salt") })
	s := startReplica(t, r, nil, nil)
	s.until("the candidate", func() bool { return s.valuer.Ready("b") })
	if err := os.Remove(filepath.Join(folder, "rollout.json")); err != nil {
		t.Fatal(err)
	}
	s.until("seen", func() bool { reason, _ := s.Trouble(); return reason == "refused" })
	if got := s.value("x", true); got.Version != "b" {
		t.Errorf("%+v", got)
	}
}

func TestAPinnedReplicaStays(t *testing.T) {
	r, _ := registryWith(t, "a", "b")
	s := startReplica(t, r, nil, func(o *rollout.Options) { o.Pinned = "a" })
	change(t, r, func(p rollout.Plan) (rollout.Plan, error) { return p.SetPrimary("b") })
	s.until("seen", func() bool { return len(s.Status().History) == 2 })
	if got := s.value("x", true); got.Version != "a" || !s.Status().Pinned {
		t.Errorf("%+v", got)
	}
}

// TestReplicasSendTheSameUsersToTheCandidate holds that 10 ± 0.7 % of 20,000
// users go to the candidate, the same ones at each replica and after a
// restart, and that growing to 25 % moves nobody back.
func TestReplicasSendTheSameUsersToTheCandidate(t *testing.T) {
	r, _ := registryWith(t, "a", "b")
	change(t, r, func(p rollout.Plan) (rollout.Plan, error) { return p.Start("b", rollout.Canary, 1000, "a salt") })
	const users = 20_000
	candidates := func(s *replica) map[int]bool {
		s.until("the candidate", func() bool { return s.value("x", true).Version == "b" })
		found := map[int]bool{}
		for i := range users {
			if s.Choose(func() string { return fmt.Sprintf("user:u%d", i) }, false).Role == valuer.Candidate {
				found[i] = true
			}
		}
		return found
	}
	replicas := []*replica{startReplica(t, r, nil, nil), startReplica(t, r, nil, nil), startReplica(t, r, nil, nil)}
	first := candidates(replicas[0])
	if share := float64(len(first)) / users; share < 0.093 || share > 0.107 {
		t.Errorf("%.2f %% of the users", 100*share)
	}
	t.Logf("%.2f %% of %d users", 100*float64(len(first))/users, users)
	same := func(what string, got map[int]bool) {
		t.Helper()
		for i := range users {
			if first[i] != got[i] {
				t.Fatalf("%s: user %d moved", what, i)
			}
		}
	}
	same("the second replica", candidates(replicas[1]))
	replicas[2].stop()
	same("a replica that was restarted", candidates(startReplica(t, r, nil, nil)))
	change(t, r, func(p rollout.Plan) (rollout.Plan, error) { return p.Set(2500) })
	for _, s := range replicas[:2] {
		s.until("25 %", func() bool { return s.Plan().Percent == 2500 })
		grown := candidates(s)
		for i := range first {
			if !grown[i] {
				t.Fatalf("user %d moved back", i)
			}
		}
		if share := float64(len(grown)) / users; share < 0.24 || share > 0.26 {
			t.Errorf("%.2f %% of the users", 100*share)
		}
	}
}

// recorder keeps what is noted.
type recorder struct {
	sync.Mutex
	noted []journal.Prediction
}

func (r *recorder) Record(p *journal.Prediction) {
	r.Lock()
	defer r.Unlock()
	kept := *p
	kept.Prices = slices.Clone(p.Prices)
	r.noted = append(r.noted, kept)
}

func (r *recorder) count(is func(*journal.Prediction) bool) (n int) {
	r.Lock()
	defer r.Unlock()
	for i := range r.noted {
		if is(&r.noted[i]) {
			n++
		}
	}
	return n
}

// TestShadowsAreComparedAside holds that a shadow answers nobody, that the
// differences are measured, and that what there is no room for is dropped.
func TestShadowsAreComparedAside(t *testing.T) {
	for _, c := range []struct {
		mode rollout.Mode
		want string
	}{{rollout.Shadow, "a"}, {rollout.Canary, "b"}} {
		t.Run(string(c.mode), func(t *testing.T) {
			r, _ := registryWith(t, "a", "b")
			change(t, r, func(p rollout.Plan) (rollout.Plan, error) { return p.Start("b", c.mode, rollout.Whole, "salt") })
			noted := new(recorder)
			s := startReplica(t, r, nil, func(o *rollout.Options) { o.Journal = noted })
			s.until("the candidate", func() bool { return s.valuer.Ready("b") && s.Plan().Candidate == "b" })
			houses := []house.House{house.Example()}
			for i := range 200 {
				answer := s.value("x", false)
				if answer.Version != c.want {
					t.Fatalf("%s answers", answer.Version)
				}
				s.Aside(fmt.Sprint("request", i), houses, &answer, &journal.Prediction{ID: journal.NewID(time.Now()), Version: answer.Version, Role: string(answer.Role)})
				houses[0].Values[house.SqftLiving] = 1000 + float64(i) // Aside keeps its own
			}
			count := func(result string) float64 { return testutil.ToFloat64(s.Metrics.Shadow(result)) }
			s.until("all are counted", func() bool { return count("valued")+count("dropped") == 200 })
			if count("valued") == 0 || count("failed") != 0 {
				t.Errorf("%v were valued, %v failed", count("valued"), count("failed"))
			}
			other := map[string]string{"a": "b", "b": "a"}[c.want]
			if n := noted.count(func(p *journal.Prediction) bool { return p.Shadow && p.Version == other && len(p.Prices) == 1 }); float64(n) != count("valued") {
				t.Errorf("%d were noted, %v valued", n, count("valued"))
			}
			if n, err := testutil.GatherAndCount(s.metrics, "shadow_difference_ratio"); n != 1 || err != nil {
				t.Errorf("%d series of differences, %v", n, err)
			}
		})
	}
}
