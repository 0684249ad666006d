package valuer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"housing/internal/bundle"
	"housing/internal/demographics"
	"housing/internal/drift"
	"housing/internal/house"
	"housing/internal/model"
	"housing/internal/telemetry"
	"housing/internal/valuer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pricer lets a test put a fault in the place of the model.
type pricer func(dst []float64, houses []house.House) []float64

func (p pricer) Prices(dst []float64, houses []house.House, _ *demographics.Table) []float64 {
	return p(dst, houses)
}

// builtin returns the built-in model.
func builtin(t testing.TB) valuer.Model {
	t.Helper()
	b, err := bundle.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return valuer.FromBundle(b)
}

func options() (valuer.Options, *prometheus.Registry) {
	reg := prometheus.NewRegistry()
	return valuer.Options{Metrics: telemetry.NewMetrics(reg), Log: slog.New(slog.DiscardHandler)}, reg
}

// running returns a valuer that runs the built-in model, as change makes it.
func running(t testing.TB, change func(*valuer.Model, *valuer.Options)) (*valuer.Valuer, *prometheus.Registry) {
	t.Helper()
	m := builtin(t)
	o, reg := options()
	if change != nil {
		change(&m, &o)
	}
	v := valuer.New(o)
	if err := v.Use(m, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	return v, reg
}

func TestValue(t *testing.T) {
	v, reg := running(t, nil)
	known, unknown := house.Example(), house.Example()
	unknown.Values[house.ZipcodeField] = 501
	answer, err := v.Value(t.Context(), nil, []house.House{known, unknown, known}, valuer.Choice{})
	if err != nil {
		t.Fatal(err)
	}
	if len(answer.Prices) != 3 || answer.Prices[0] != answer.Prices[2] {
		t.Errorf("prices %v", answer.Prices)
	}
	for _, p := range answer.Prices {
		if p != math.Round(p*100)/100 {
			t.Errorf("%v is not rounded to cents", p)
		}
	}
	if !slices.Equal(answer.UnknownZipcodes, []int{1}) {
		t.Errorf("unknown zipcodes %v, want record 1", answer.UnknownZipcodes)
	}
	m := v.Model()
	if answer.Version != m.Manifest.Version || answer.Digest != m.Digest || answer.Type != m.Type || answer.FeatureCount != len(m.Features) {
		t.Errorf("%+v does not name the model", answer)
	}
	for name, want := range map[string]int{"prediction_requests_total": 1, "prediction_duration_seconds": 1, "predicted_price_dollars": 1, "demographics_lookups_total": 2, "model_info": 1} {
		if n, err := testutil.GatherAndCount(reg, name); n != want || err != nil {
			t.Errorf("%s: %d series, want %d (%v)", name, n, want, err)
		}
	}
}

func TestVersion(t *testing.T) {
	v, _ := running(t, nil)
	houses := []house.House{house.Example()}
	if _, err := v.Value(t.Context(), nil, houses, valuer.Choice{Version: v.Model().Manifest.Version}); err != nil {
		t.Errorf("asking for the version that runs: %v", err)
	}
	if _, err := v.Value(t.Context(), nil, houses, valuer.Choice{Version: "no-such"}); !errors.Is(err, valuer.ErrUnknownVersion) {
		t.Errorf("asking for another: %v", err)
	}
}

func TestWithoutAModel(t *testing.T) {
	o, _ := options()
	v := valuer.New(o)
	if v.Model() != nil {
		t.Error("there is a model")
	}
	if _, err := v.Value(t.Context(), nil, []house.House{house.Example()}, valuer.Choice{}); !errors.Is(err, valuer.ErrNoModel) {
		t.Errorf("got %v", err)
	}
	for _, spoil := range []func(*valuer.Model){
		func(m *valuer.Model) { m.Pricer = nil },
		func(m *valuer.Model) { m.Demographics = nil },
		func(m *valuer.Model) { m.Manifest.Version = "" },
	} {
		m := builtin(t)
		spoil(&m)
		if err := v.Use(m, 0); err == nil || v.Model() != nil {
			t.Errorf("a model that is not whole runs: %v", err)
		}
	}
}

func TestAFaultyModelIsAnErrorNeverAnAnswer(t *testing.T) {
	for name, fault := range map[string]pricer{
		"it panics":          func([]float64, []house.House) []float64 { panic("index out of range") },
		"not a number":       func(dst []float64, h []house.House) []float64 { return append(dst[:0], math.NaN()) },
		"infinity":           func(dst []float64, h []house.House) []float64 { return append(dst[:0], math.Inf(1)) },
		"beyond rounding":    func(dst []float64, h []house.House) []float64 { return append(dst[:0], math.MaxFloat64) },
		"too few prices":     func(dst []float64, h []house.House) []float64 { return dst[:0] },
		"one price too many": func(dst []float64, h []house.House) []float64 { return append(dst[:0], 1, 2) },
	} {
		t.Run(name, func(t *testing.T) {
			var logged bytes.Buffer
			v, reg := running(t, func(m *valuer.Model, o *valuer.Options) {
				m.Pricer, o.Workers = fault, 1
				o.Log = slog.New(slog.NewTextHandler(&logged, nil))
			})
			for range 3 { // the worker is given back each time
				answer, err := v.Value(t.Context(), nil, []house.House{house.Example()}, valuer.Choice{})
				if !errors.Is(err, valuer.ErrModel) || answer.Prices != nil {
					t.Fatalf("got %v, %v", answer, err)
				}
			}
			if name == "it panics" && !bytes.Contains(logged.Bytes(), []byte("model_panic")) {
				t.Errorf("the log does not say it: %q", &logged)
			}
			if n, _ := testutil.GatherAndCount(reg, "prediction_panics_total"); n != 1 {
				t.Errorf("%d series of panics", n)
			}
		})
	}
}

// TestWhoWouldWaitTooLongIsRefused asks for many houses at once of a model that
// takes a millisecond for each.
func TestWhoWouldWaitTooLongIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, _ := running(t, func(m *valuer.Model, o *valuer.Options) {
			o.Workers = 1
			m.Pricer = pricer(func(dst []float64, houses []house.House) []float64 {
				time.Sleep(time.Duration(len(houses)) * time.Millisecond)
				return append(dst[:0], make([]float64, len(houses))...)
			})
		})
		one, many := make([]house.House, 1), make([]house.House, 5)
		for range 600 { // it learns how long a house takes
			if _, err := v.Value(t.Context(), nil, one, valuer.Choice{}); err != nil {
				t.Fatal(err)
			}
		}
		var group sync.WaitGroup
		var answered, refused atomic.Int64
		for range 100 {
			group.Go(func() {
				start := time.Now()
				_, err := v.Value(t.Context(), nil, many, valuer.Choice{})
				switch {
				case errors.Is(err, valuer.ErrOverloaded):
					refused.Add(1)
				case err != nil:
					t.Error(err)
				default:
					answered.Add(1)
				}
				if took := time.Since(start); took > 100*time.Millisecond {
					t.Errorf("it took %v", took)
				}
			})
		}
		group.Wait()
		if answered.Load() < 9 || refused.Load() < 80 {
			t.Errorf("%d were answered and %d refused; some 50 ms of work may wait", answered.Load(), refused.Load())
		}
		if _, err := v.Value(t.Context(), nil, many, valuer.Choice{}); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func TestWorkersAndQueueAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		v, _ := running(t, func(m *valuer.Model, o *valuer.Options) {
			o.Workers, o.Queue = 2, 3
			m.Pricer = pricer(func(dst []float64, houses []house.House) []float64 {
				<-gate
				return append(dst[:0], 1)
			})
		})
		houses := []house.House{house.Example()}
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		results := make(chan error, 5)
		for range 2 {
			group.Go(func() { _, err := v.Value(t.Context(), nil, houses, valuer.Choice{}); results <- err })
		}
		synctest.Wait() // two run
		group.Go(func() {
			if _, err := v.Value(ctx, nil, houses, valuer.Choice{}); !errors.Is(err, context.Canceled) {
				t.Errorf("a caller that went away: %v", err)
			}
		})
		for range 2 {
			group.Go(func() { _, err := v.Value(t.Context(), nil, houses, valuer.Choice{}); results <- err })
		}
		synctest.Wait() // three wait
		if _, err := v.Value(t.Context(), nil, houses, valuer.Choice{}); !errors.Is(err, valuer.ErrOverloaded) {
			t.Errorf("the sixth: %v, want overloaded", err)
		}
		cancel()
		synctest.Wait() // its place in the queue is free again
		group.Go(func() { _, err := v.Value(t.Context(), nil, houses, valuer.Choice{}); results <- err })
		synctest.Wait()
		close(gate)
		group.Wait()
		for range 5 {
			if err := <-results; err != nil {
				t.Errorf("a call that had a place: %v", err)
			}
		}
	})
}

// TestAQuickCallPassesTheLine asks for one house, of which is known that it
// takes 10 µs, while all workers are busy and calls wait for them. Of a
// model that hangs then, no more than sixteen for each worker are under way.
func TestAQuickCallPassesTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		workers := runtime.GOMAXPROCS(0)
		gate, hangs := make(chan struct{}), atomic.Bool{}
		var under atomic.Int64
		v, _ := running(t, func(m *valuer.Model, o *valuer.Options) {
			o.Workers, o.Queue = workers, 3
			m.Pricer = pricer(func(dst []float64, houses []house.House) []float64 {
				if len(houses) > 1 || hangs.Load() {
					under.Add(1)
					<-gate
				} else {
					time.Sleep(10 * time.Microsecond)
				}
				return append(dst, make([]float64, len(houses))...)
			})
		})
		one, many := make([]house.House, 1), make([]house.House, 20)
		ask := func(houses []house.House) error {
			_, err := v.Value(t.Context(), nil, houses, valuer.Choice{})
			return err
		}
		if err := ask(one); err != nil { // what a house takes is known now
			t.Fatal(err)
		}
		var group sync.WaitGroup
		for range workers + 1 {
			group.Go(func() {
				if err := ask(many); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		if n := under.Load(); n != int64(workers) {
			t.Fatalf("%d calls run, want %d and one that waits", n, workers)
		}
		if err := ask(one); err != nil {
			t.Errorf("a quick call: %v", err)
		}
		hangs.Store(true)
		var refused atomic.Int64
		for range 20 * workers {
			group.Go(func() {
				if err := ask(one); errors.Is(err, valuer.ErrOverloaded) {
					refused.Add(1)
				} else if err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if n := under.Load(); n != int64(17*workers) || refused.Load() != int64(4*workers-2) {
			t.Errorf("%d calls run and %d were refused, want %d, two in line, and the others refused", n, refused.Load(), 17*workers)
		}
		close(gate)
		group.Wait()
	})
}

// TestWorkAsideGivesWayToQuickCalls has as many quick calls under way as there
// are workers, which are all free.
func TestWorkAsideGivesWayToQuickCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		workers := runtime.GOMAXPROCS(0)
		gate, hangs := make(chan struct{}), atomic.Bool{}
		v, _ := running(t, func(m *valuer.Model, o *valuer.Options) {
			o.Workers = workers
			m.Pricer = pricer(func(dst []float64, houses []house.House) []float64 {
				time.Sleep(10 * time.Microsecond)
				if hangs.Load() {
					<-gate
				}
				return append(dst, make([]float64, len(houses))...)
			})
		})
		one := make([]house.House, 1)
		ask := func() {
			if _, err := v.Value(t.Context(), nil, one, valuer.Choice{}); err != nil {
				t.Error(err)
			}
		}
		ask() // what a house takes is known now
		if _, err := v.Revalue(nil, one, valuer.Choice{}); err != nil {
			t.Errorf("while nothing is asked: %v", err)
		}
		hangs.Store(true)
		var group sync.WaitGroup
		for range workers {
			group.Go(ask)
		}
		synctest.Wait()
		if _, err := v.Revalue(nil, one, valuer.Choice{}); !errors.Is(err, valuer.ErrOverloaded) {
			t.Errorf("while quick calls are under way: %v", err)
		}
		close(gate)
		group.Wait()
	})
}

func TestSwapUnderLoad(t *testing.T) {
	v, _ := running(t, nil)
	next := *v.Model()
	next.Manifest.Version = "next"
	houses := []house.House{house.Example()}
	first := v.Model().Manifest.Version
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			var dst []float64
			for range 200 {
				answer, err := v.Value(t.Context(), dst, houses, valuer.Choice{})
				if err != nil || answer.Version != first && answer.Version != "next" {
					t.Errorf("got %+v, %v", answer, err)
				}
				dst = answer.Prices
			}
		})
	}
	if err := v.Use(next, 0); err != nil {
		t.Error(err)
	}
	group.Wait()
	if v.Model().Manifest.Version != "next" {
		t.Error("the swap is lost")
	}
}

func TestValueAllocatesNothing(t *testing.T) {
	v, _ := running(t, func(_ *valuer.Model, o *valuer.Options) { o.Drift = drift.New(o.Metrics) })
	houses, dst := []house.House{house.Example()}, make([]float64, 0, 1)
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		if _, err := v.Value(ctx, dst, houses, valuer.Choice{}); err != nil {
			t.Fatal(err)
		}
	}); n != 0 && !raceEnabled {
		t.Errorf("%v allocations a call, want none", n)
	}
}

func BenchmarkValue(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprintf("houses=%d", n), func(b *testing.B) {
			v, _ := running(b, nil)
			houses, dst := slices.Repeat([]house.House{house.Example()}, n), make([]float64, 0, n)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Value(b.Context(), dst, houses, valuer.Choice{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestOneHouseDoesNotWaitForThousands asks for one house while the only worker
// is busy with two calls of a thousand: it is answered before either.
func TestOneHouseDoesNotWaitForThousands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, _ := running(t, func(m *valuer.Model, o *valuer.Options) {
			o.Workers, o.Queue = 1, 2
			m.Pricer = pricer(func(dst []float64, houses []house.House) []float64 {
				time.Sleep(time.Duration(len(houses)) * time.Microsecond)
				return append(dst, make([]float64, len(houses))...)
			})
		})
		var mu sync.Mutex
		var order []int
		var group sync.WaitGroup
		for _, n := range []int{1000, 1000, 1} {
			group.Go(func() {
				answer, err := v.Value(t.Context(), nil, make([]house.House, n), valuer.Choice{})
				if err != nil || len(answer.Prices) != n {
					t.Errorf("%d houses: %d prices, %v", n, len(answer.Prices), err)
				}
				mu.Lock()
				defer mu.Unlock()
				order = append(order, n)
			})
			time.Sleep(10 * time.Microsecond)
		}
		group.Wait()
		if order[0] != 1 {
			t.Errorf("answered in the order %v", order)
		}
	})
}

// TestLongCallsComeOneAfterTheOther asks for a thousand houses twice of one
// worker: the first call does not wait for the second.
func TestLongCallsComeOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, _ := running(t, func(m *valuer.Model, o *valuer.Options) {
			o.Workers = 1
			m.Pricer = pricer(func(dst []float64, houses []house.House) []float64 {
				time.Sleep(time.Duration(len(houses)) * time.Microsecond)
				return append(dst, make([]float64, len(houses))...)
			})
		})
		var took [2]time.Duration
		var group sync.WaitGroup
		start := time.Now()
		for i := range took {
			group.Go(func() {
				if _, err := v.Value(t.Context(), nil, make([]house.House, 1000), valuer.Choice{}); err != nil {
					t.Error(err)
				}
				took[i] = time.Since(start)
			})
			synctest.Wait()
		}
		group.Wait()
		if want := [2]time.Duration{time.Millisecond, 2 * time.Millisecond}; took != want {
			t.Errorf("they took %v, want %v", took, want)
		}
	})
}

// TestACallThatIsGivenUpEnds asks for a thousand houses, and gives up in the
// first turn.
func TestACallThatIsGivenUpEnds(t *testing.T) {
	var valued atomic.Int64
	ctx, giveUp := context.WithCancel(t.Context())
	v, _ := running(t, func(m *valuer.Model, o *valuer.Options) {
		o.Workers = 2
		m.Pricer = pricer(func(dst []float64, houses []house.House) []float64 {
			giveUp()
			valued.Add(int64(len(houses)))
			return append(dst, make([]float64, len(houses))...)
		})
	})
	if _, err := v.Value(ctx, nil, make([]house.House, 1000), valuer.Choice{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if n := valued.Load(); n > 2*valuer.PricedAtOnce {
		t.Errorf("%d houses were valued for nobody", n)
	}
	if v.Behind(true) {
		t.Error("its work is still ahead of others")
	}
}

func TestNoHousesHaveNoPrices(t *testing.T) {
	v, _ := running(t, nil)
	answer, err := v.Value(t.Context(), nil, nil, valuer.Choice{})
	if err != nil || len(answer.Prices) != 0 {
		t.Errorf("%+v, %v", answer.Prices, err)
	}
	valuations, _, err := v.Appraise(t.Context(), nil, nil, valuer.Choice{}, model.DefaultLevel)
	if err != nil || len(valuations) != 0 {
		t.Errorf("%+v, %v", valuations, err)
	}
}

// TestFewLongCallsAreAnOverload asks for 640 houses, five turns of 12.8 ms each,
// ten times at once of one worker: eight turns may wait however long they take,
// so that the third call is refused, which is behind ten.
func TestFewLongCallsAreAnOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, _ := running(t, func(m *valuer.Model, o *valuer.Options) {
			o.Workers = 1
			m.Pricer = pricer(func(dst []float64, houses []house.House) []float64 {
				time.Sleep(time.Duration(len(houses)) * 100 * time.Microsecond)
				return append(dst[:0], make([]float64, len(houses))...)
			})
		})
		ask := func(houses int) error {
			_, err := v.Value(t.Context(), nil, make([]house.House, houses), valuer.Choice{})
			return err
		}
		for range 600 { // it learns how long a house takes
			if err := ask(1); err != nil {
				t.Fatal(err)
			}
		}
		var errs [10]error
		var group sync.WaitGroup
		for i := range errs {
			group.Go(func() { errs[i] = ask(640) })
			synctest.Wait()
		}
		if !v.Behind(true) {
			t.Error("behind two such calls, a long request is not refused unread")
		}
		if v.Behind(false) {
			t.Error("behind two such calls, a short request is refused unread")
		}
		start := time.Now()
		if err := ask(2); err != nil {
			t.Errorf("a short call: %v", err)
		}
		if took := time.Since(start); took > 20*time.Millisecond {
			t.Errorf("a short call took %v", took)
		}
		group.Wait()
		for i, err := range errs {
			if refused := errors.Is(err, valuer.ErrOverloaded); refused != (i >= 2) {
				t.Errorf("call %d: %v", i, err)
			}
		}
		if err := ask(640); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// TestIdleWorkersShareACall holds back all shares of a call until as many as
// there are workers are being valued.
func TestIdleWorkersShareACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var busy, most atomic.Int64
		var fail atomic.Bool
		v, reg := running(t, func(m *valuer.Model, o *valuer.Options) {
			o.Workers = 3
			m.Pricer = pricer(func(dst []float64, houses []house.House) []float64 {
				most.Store(max(most.Load(), busy.Add(1)))
				time.Sleep(time.Millisecond)
				busy.Add(-1)
				for i := range houses {
					dst = append(dst, houses[i].Values[house.SqftLiving])
				}
				if fail.Load() && len(dst) > 0 && dst[0] > 0 {
					return dst[1:]
				}
				return dst
			})
		})
		houses := make([]house.House, 1000)
		for i := range houses {
			houses[i].Values[house.SqftLiving] = float64(i)
		}
		for _, n := range []int{1, 32, 33, 100, 1000} {
			most.Store(0)
			answer, err := v.Value(t.Context(), nil, houses[:n], valuer.Choice{})
			if err != nil || len(answer.Prices) != n {
				t.Fatalf("%d houses: %d prices, %v", n, len(answer.Prices), err)
			}
			for i, price := range answer.Prices {
				if price != float64(i) {
					t.Fatalf("of %d houses, %d has the price of house %g", n, i, price)
				}
			}
			if want := min(3, int64(n+31)/32); most.Load() != want {
				t.Errorf("%d houses were valued by %d workers at once, want %d", n, most.Load(), want)
			}
		}
		fail.Store(true)
		if answer, err := v.Value(t.Context(), nil, houses, valuer.Choice{}); !errors.Is(err, valuer.ErrModel) || answer.Prices != nil {
			t.Errorf("a share that failed: %v, %v", len(answer.Prices), err)
		}
		synctest.Wait()
		if err := testutil.GatherAndCompare(reg, strings.NewReader("# HELP prediction_workers_busy Workers that are valuing houses, aside too; one request of many houses may have several, and one of a few needs none.\n# TYPE prediction_workers_busy gauge\nprediction_workers_busy 0\n"), "prediction_workers_busy"); err != nil {
			t.Error(err)
		}
	})
}
