package valuer_test

import (
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"housing/internal/bundle"
	"housing/internal/cache"
	"housing/internal/drift"
	"housing/internal/house"
	"housing/internal/valuer"
)

// fixed is a model that prices every house alike, or is faulty where the
// price is.
func fixed(price float64) pricer {
	return func(dst []float64, houses []house.House) []float64 {
		if price < 0 {
			panic("a mistake")
		}
		for range houses {
			dst = append(dst, price)
		}
		return dst
	}
}

var builtinOnce = sync.OnceValues(bundle.Builtin)

// version returns the built-in model under another name and with other
// prices; released counts its releases.
func version(t testing.TB, name string, p pricer, released *atomic.Int64) valuer.Model {
	t.Helper()
	b, err := builtinOnce()
	if err != nil {
		t.Fatal(err)
	}
	m := valuer.FromBundle(b)
	m.Manifest.Version, m.Digest, m.Pricer = name, "digest of "+name, p
	m.Release = func() error { released.Add(1); return nil }
	return m
}

// several returns a valuer that runs the versions a, whose price is 1, and b,
// whose price is that which is given, and a is the primary.
func several(t testing.TB, price float64) (v *valuer.Valuer, releasedA, releasedB *atomic.Int64) {
	t.Helper()
	o, _ := options()
	v = valuer.New(o)
	releasedA, releasedB = new(atomic.Int64), new(atomic.Int64)
	for _, m := range []valuer.Model{version(t, "a", fixed(1), releasedA), version(t, "b", fixed(price), releasedB)} {
		if err := v.Add(m, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.SetPrimary("a", ""); err != nil {
		t.Fatal(err)
	}
	return v, releasedA, releasedB
}

var oneHouse = []house.House{house.Example()}

func TestTheVersionThatWasChosenAnswers(t *testing.T) {
	v, _, _ := several(t, 2)
	for _, c := range []struct {
		choice, want valuer.Choice
		price        float64
	}{
		{valuer.Choice{}, valuer.Choice{Version: "a", Role: valuer.Primary}, 1},
		{valuer.Choice{Version: "a"}, valuer.Choice{Version: "a", Role: valuer.Primary}, 1},
		{valuer.Choice{Version: "b"}, valuer.Choice{Version: "b", Role: valuer.Asked}, 2},
		{valuer.Choice{Version: "b", Role: valuer.Candidate}, valuer.Choice{Version: "b", Role: valuer.Candidate}, 2},
	} {
		got, err := v.Value(t.Context(), nil, oneHouse, c.choice)
		if err != nil || got.Version != c.want.Version || got.Role != c.want.Role || got.Digest != "digest of "+c.want.Version || got.Prices[0] != c.price {
			t.Errorf("%+v: %+v, %v", c.choice, got, err)
		}
	}
}

// TestACandidateThatFailsIsAnsweredByThePrimary holds that its faults are
// nobody's but the client's who asked for just this version, and that it
// answers no more when they are too many.
func TestACandidateThatFailsIsAnsweredByThePrimary(t *testing.T) {
	for name, bad := range map[string]float64{"panics": -1, "no number": math.NaN()} {
		t.Run(name, func(t *testing.T) {
			v, _, _ := several(t, bad)
			for i := range 5 {
				if !v.Ready("b") {
					t.Fatalf("sent back after %d faults", i)
				}
				got, err := v.Value(t.Context(), nil, oneHouse, valuer.Choice{Version: "b", Role: valuer.Candidate})
				if err != nil || got.Version != "a" || got.Role != valuer.Primary || got.Prices[0] != 1 {
					t.Errorf("%+v, %v", got, err)
				}
			}
			if v.Ready("b") {
				t.Error("it is still ready")
			}
			if _, err := v.Value(t.Context(), nil, oneHouse, valuer.Choice{Version: "b", Role: valuer.Asked}); !errors.Is(err, valuer.ErrModel) {
				t.Errorf("whoever asked for it got %v", err)
			}
		})
	}
}

func TestRareFaultsDoNotSendBack(t *testing.T) {
	o, _ := options()
	v := valuer.New(o)
	var calls int
	every := 2000
	rare := func(dst []float64, houses []house.House) []float64 {
		if calls++; calls%every == 0 {
			panic("rarely")
		}
		return append(dst, 2)
	}
	for _, m := range []valuer.Model{version(t, "a", fixed(1), new(atomic.Int64)), version(t, "b", rare, new(atomic.Int64))} {
		if err := v.Add(m, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.SetPrimary("a", ""); err != nil {
		t.Fatal(err)
	}
	ask := func() {
		t.Helper()
		if _, err := v.Value(t.Context(), nil, oneHouse, valuer.Choice{Version: "b", Role: valuer.Candidate}); err != nil {
			t.Fatal(err)
		}
	}
	for range 300_000 {
		ask()
	}
	if !v.Ready("b") {
		t.Error("a fault in each 2,000 calls sent it back")
	}
	every = 1
	for range 100 {
		ask()
	}
	if v.Ready("b") {
		t.Error("it ran well for long, and fails now in each call: a hundred do not send it back")
	}
}

// TestADroppedVersionLeavesNoMetrics lets a version go while a call has it that
// is the first in its role.
func TestADroppedVersionLeavesNoMetrics(t *testing.T) {
	o, reg := options()
	v := valuer.New(o)
	asked, dropped := make(chan struct{}), make(chan struct{})
	late := func([]float64, []house.House) []float64 {
		close(asked)
		<-dropped
		panic("it is gone")
	}
	for _, m := range []valuer.Model{version(t, "a", fixed(1), new(atomic.Int64)), version(t, "b", late, new(atomic.Int64))} {
		if err := v.Add(m, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.SetPrimary("a", ""); err != nil {
		t.Fatal(err)
	}
	go func() {
		<-asked
		if err := v.Drop("b"); err != nil {
			t.Error(err)
		}
		close(dropped)
	}()
	if _, err := v.Revalue(nil, oneHouse, valuer.Choice{Version: "b", Role: valuer.Candidate}); !errors.Is(err, valuer.ErrModel) {
		t.Errorf("%v", err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "model_version" && l.GetValue() == "b" {
					t.Errorf("%s is still shown", f.GetName())
				}
			}
		}
	}
}

// TestANewPrimaryThatFailsIsSentBack holds that no request fails while the
// one before is there to answer, and that it is the primary again.
func TestANewPrimaryThatFailsIsSentBack(t *testing.T) {
	v, _, _ := several(t, math.Inf(1))
	if err := v.SetPrimary("b", "a"); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		got, err := v.Value(t.Context(), nil, oneHouse, valuer.Choice{})
		if err != nil || got.Version != "a" || got.Prices[0] != 1 {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	if m := v.Model(); m.Manifest.Version != "a" {
		t.Errorf("%s answers", m.Manifest.Version)
	}
	if m := v.Primary(); m.Manifest.Version != "b" {
		t.Errorf("%s was made the primary", m.Manifest.Version)
	}
	models := v.Models()
	if i := slices.IndexFunc(models, func(r valuer.Running) bool { return r.SentBack }); i < 0 || models[i].Manifest.Version != "b" || models[i].Faults != 5 {
		t.Errorf("%+v", models)
	}
}

// TestAModelIsReleasedAfterItsLastCall holds a call of a version while it is
// dropped.
func TestAModelIsReleasedAfterItsLastCall(t *testing.T) {
	o, reg := options()
	v := valuer.New(o)
	var released atomic.Int64
	began, goOn := make(chan struct{}), make(chan struct{})
	slow := func(dst []float64, houses []house.House) []float64 {
		close(began)
		<-goOn
		if released.Load() != 0 {
			t.Error("released while it was in use")
		}
		return append(dst, 2)
	}
	for _, m := range []valuer.Model{version(t, "a", fixed(1), new(atomic.Int64)), version(t, "b", slow, &released)} {
		if err := v.Add(m, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(v.SetPrimary("a", "")); err != nil {
		t.Fatal(err)
	}
	if v.Drop("a") == nil || v.Drop("none") == nil {
		t.Error("dropped the primary, or what is not there")
	}
	var group sync.WaitGroup
	group.Go(func() {
		answer, err := v.Value(t.Context(), nil, oneHouse, valuer.Choice{Version: "b", Role: valuer.Candidate})
		if err != nil || answer.Version != "b" || answer.Prices[0] != 2 {
			t.Errorf("%+v, %v", answer, err)
		}
	})
	<-began
	if err := v.Drop("b"); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Value(t.Context(), nil, oneHouse, valuer.Choice{Version: "b"}); !errors.Is(err, valuer.ErrUnknownVersion) {
		t.Errorf("a dropped version: %v", err)
	}
	if released.Load() != 0 {
		t.Error("released before its call ended")
	}
	close(goOn)
	group.Wait()
	if released.Load() != 1 {
		t.Errorf("released %d times", released.Load())
	}
	if n, err := testutil.GatherAndCount(reg, "model_info"); n != 1 || err != nil {
		t.Errorf("%d models are shown, %v", n, err)
	}
	if n, err := testutil.GatherAndCount(reg, "prediction_requests_total"); n != 0 || err != nil {
		t.Errorf("%d series of predictions are shown, %v", n, err)
	}
}

// TestVersionsComeAndGoUnderLoad changes what runs while houses are valued:
// no call fails, none gets a price of another version than it names, and what
// was dropped is released.
func TestVersionsComeAndGoUnderLoad(t *testing.T) {
	o, _ := options()
	v := valuer.New(o)
	prices := map[string]float64{"a": 1, "b": 2}
	released := map[string]*atomic.Int64{"a": new(atomic.Int64), "b": new(atomic.Int64)}
	add := func(name string) {
		if err := v.Add(version(t, name, fixed(prices[name]), released[name]), 0); err != nil {
			t.Error(err)
		}
	}
	add("a")
	if err := v.SetPrimary("a", ""); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				answer, err := v.Value(t.Context(), nil, oneHouse, valuer.Choice{})
				if err != nil || answer.Prices[0] != prices[answer.Version] {
					t.Errorf("%+v, %v", answer, err)
					return
				}
			}
		})
	}
	const swaps = 50
	names := [2]string{"a", "b"}
	for i := range swaps {
		before, next := names[i%2], names[(i+1)%2]
		add(next)
		if err := errors.Join(v.SetPrimary(next, before), v.SetPrimary(next, ""), v.Drop(before)); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	group.Wait()
	if a, b := released["a"].Load(), released["b"].Load(); a != swaps/2 || b != swaps/2 {
		t.Errorf("after %d swaps a was released %d times, b %d times", swaps, a, b)
	}
	if err := v.Close(); err != nil || released["a"].Load() != swaps/2+1 {
		t.Errorf("closed: %v, released %d times", err, released["a"].Load())
	}
}

// TestWhatClientsAreAnsweredIsCompared holds that primaries and candidates
// are compared with their training, also where a cache answers, and that what
// tries a version is not.
func TestWhatClientsAreAnsweredIsCompared(t *testing.T) {
	o, reg := options()
	o.Drift = drift.New(o.Metrics)
	var err error
	if o.Cache, err = cache.NewPrices(cache.PricesOptions{TTL: time.Minute, Metrics: o.Metrics}); err != nil {
		t.Fatal(err)
	}
	defer o.Cache.Close()
	v := valuer.New(o)
	for _, name := range []string{"a", "b", "c"} {
		if err := v.Add(version(t, name, fixed(1), new(atomic.Int64)), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.SetPrimary("a", ""); err != nil {
		t.Fatal(err)
	}
	for _, c := range []valuer.Choice{{}, {}, {Version: "b", Role: valuer.Candidate}, {Version: "c", Role: valuer.Asked}} {
		if _, err := v.Value(t.Context(), nil, oneHouse, c); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]uint64{"a": 2, "b": 1, "c": 0} {
		if r := v.Drift(name, time.Now()); r == nil || r.Houses != want {
			t.Errorf("%s: %+v, want %d houses", name, r, want)
		}
	}
	o.Drift.Tick(time.Now())
	shown := func() int {
		n, err := testutil.GatherAndCount(reg, "drift_houses_total")
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := shown(); n != 2 {
		t.Errorf("%d versions are shown", n)
	}
	if err := v.Drop("b"); err != nil {
		t.Fatal(err)
	}
	if n := shown(); n != 1 || v.Drift("b", time.Now()) != nil {
		t.Errorf("%d versions are shown after one was dropped", n)
	}
	if err := v.Use(version(t, "d", fixed(1), new(atomic.Int64)), 0); err != nil {
		t.Fatal(err)
	}
	if n := shown(); n != 0 || v.Drift("a", time.Now()) != nil || v.Drift("d", time.Now()) == nil {
		t.Errorf("%d versions are shown after another has taken over", n)
	}
}

func TestAVersionNeverChanges(t *testing.T) {
	v, _, releasedB := several(t, 2)
	again := version(t, "b", fixed(2), releasedB)
	if err := v.Add(again, 0); err != nil || releasedB.Load() != 1 {
		t.Errorf("the same bundle again: %v, released %d times", err, releasedB.Load())
	}
	again.Digest = "another"
	if err := v.Add(again, 0); err == nil {
		t.Error("another bundle under the same name was taken")
	}
}

func TestRevaluingGivesWay(t *testing.T) {
	o, _ := options()
	o.Workers = 1
	v := valuer.New(o)
	began, goOn := make(chan struct{}), make(chan struct{})
	slow := func(dst []float64, houses []house.House) []float64 {
		close(began)
		<-goOn
		return append(dst, 1)
	}
	for _, m := range []valuer.Model{version(t, "a", slow, new(atomic.Int64)), version(t, "b", fixed(2), new(atomic.Int64))} {
		if err := v.Add(m, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.SetPrimary("a", ""); err != nil {
		t.Fatal(err)
	}
	aside := valuer.Choice{Version: "b", Role: valuer.Candidate}
	if prices, err := v.Revalue(nil, oneHouse, aside); err != nil || prices[0] != 2 {
		t.Errorf("%v, %v", prices, err)
	}
	var group sync.WaitGroup
	group.Go(func() {
		if _, err := v.Value(t.Context(), nil, oneHouse, valuer.Choice{}); err != nil {
			t.Error(err)
		}
	})
	<-began
	if _, err := v.Revalue(nil, oneHouse, aside); !errors.Is(err, valuer.ErrOverloaded) {
		t.Errorf("while the worker is busy: %v", err)
	}
	close(goOn)
	group.Wait()
}

// TestACandidateThatWasDroppedIsAnsweredByThePrimary holds that a request
// which the plan sent to a candidate does not fail where that was rolled back
// before its houses were read; who named the version is told.
func TestACandidateThatWasDroppedIsAnsweredByThePrimary(t *testing.T) {
	v, _, _ := several(t, 2)
	if err := v.Drop("b"); err != nil {
		t.Fatal(err)
	}
	got, err := v.Value(t.Context(), nil, oneHouse, valuer.Choice{Version: "b", Role: valuer.Candidate})
	if err != nil || got.Version != "a" || got.Role != valuer.Primary || got.Prices[0] != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := v.Value(t.Context(), nil, oneHouse, valuer.Choice{Version: "b", Role: valuer.Asked}); !errors.Is(err, valuer.ErrUnknownVersion) {
		t.Errorf("who asked for it got %v", err)
	}
	if _, err := v.Revalue(nil, oneHouse, valuer.Choice{Version: "b", Role: valuer.Candidate}); !errors.Is(err, valuer.ErrUnknownVersion) {
		t.Errorf("it is compared with itself: %v", err)
	}
}

// TestTheCacheMakesNoVersionQuick holds that durations are those of the model:
// what a cache answers is not among them.
func TestTheCacheMakesNoVersionQuick(t *testing.T) {
	var kept *cache.Prices
	v, reg := running(t, func(_ *valuer.Model, o *valuer.Options) {
		var err error
		if kept, err = cache.NewPrices(cache.PricesOptions{TTL: time.Minute, Metrics: o.Metrics}); err != nil {
			t.Fatal(err)
		}
		o.Cache = kept
	})
	defer kept.Close()
	for range 3 {
		if _, err := v.Value(t.Context(), nil, oneHouse, valuer.Choice{}); err != nil {
			t.Fatal(err)
		}
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			counted[f.GetName()] += float64(m.GetHistogram().GetSampleCount()) + m.GetCounter().GetValue()
		}
	}
	if counted["prediction_requests_total"] != 3 || counted["prediction_duration_seconds"] != 1 {
		t.Errorf("%v requests, %v durations, want 3 and 1", counted["prediction_requests_total"], counted["prediction_duration_seconds"])
	}
}
