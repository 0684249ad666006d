package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestEveryMetricOfTheTableIsMade(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := NewMetrics(reg)
	m.SetModels(map[string]string{"kc-1": "ab"})
	m.SetDemographics("model", "cd")
	m.DependencyUp("postgresql").Set(1)
	m.SetBackups(time.Unix(1_700_000_000, 0), time.Time{})
	m.Cache("prices_memory")
	m.RateLimited("local")
	m.AuthFailures("expired").Inc()
	m.FileReload("jwt_secret", nil)
	m.ModelLoadFailure("refused", 1)
	m.ModelSentBack("kc-2")
	m.SetShares(Share{"kc-1", "primary", 1})
	m.Shadow("valued")
	m.ShadowDifference("kc-2").Observe(1.01)
	journal := m.Journal(func() int { return 3 })
	journal.Dropped(DroppedFull).Inc()
	m.OutcomeError("kc-1").Observe(7)
	m.SetOutcomes([]OutcomeFigures{{Version: "kc-1", Sales: 40, Measured: true}})
	m.SetAccuracy(map[string]ModelAccuracy{"kc-1": {7, 60}})
	d := m.Drift("kc-1")
	d.Houses().Inc()
	d.SetPopulation(0.5)
	d.SetPSI("grade", 0.1)
	d.Values("grade", 3, 7).Inc()
	d.Unknown("grade").Inc()
	d.OutsideRange("grade").Inc()
	p := m.Prediction("kc-1", "primary")
	p.Requests.Inc()
	p.Duration.Observe(0.001)
	p.Price.Observe(500e3)
	m.ObserveHTTP(context.Background(), nil, "GET", "/health", 200, time.Millisecond)

	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]Spec{}
	for _, f := range families {
		s := Spec{Name: f.GetName(), Help: f.GetHelp(), Type: Type(strings.ToLower(f.GetType().String()))}
		for _, l := range f.GetMetric()[0].GetLabel() {
			s.Labels = append(s.Labels, l.GetName())
		}
		got[s.Name] = s
		if h := f.GetMetric()[0].GetHistogram(); h != nil && s.Name == predictedPrice {
			if len(h.GetBucket()) == 0 || h.GetSchema() == 0 {
				t.Errorf("%s has no classic or no native buckets", s.Name)
			}
		}
	}
	for _, want := range Table() {
		want.Buckets, want.asked = nil, false
		if diff := cmp.Diff(want, got[want.Name], cmp.AllowUnexported(Spec{})); diff != "" {
			t.Errorf("%s differs from the table (-want +got):\n%s", want.Name, diff)
		}
	}
	for _, name := range []string{"go_goroutines", "process_start_time_seconds"} {
		if _, ok := got[name]; !ok {
			t.Errorf("no %s", name)
		}
	}
}

func TestHelpIsOneSentence(t *testing.T) {
	for _, s := range Table() {
		if !strings.HasSuffix(s.Help, ".") || s.Help == "" {
			t.Errorf("%s: help %q", s.Name, s.Help)
		}
	}
}

func TestMethodsAndStatusesAreBounded(t *testing.T) {
	m := NewMetrics(prometheus.NewRegistry())
	for _, method := range []string{"BREW", "get", "", strings.Repeat("X", 1000)} {
		m.ObserveHTTP(context.Background(), nil, method, "unmatched", 405, 0)
	}
	m.ObserveHTTP(context.Background(), nil, "GET", "unmatched", -1, 0)
	if n := testutil.CollectAndCount(m.httpRequests); n != 2 {
		t.Errorf("%d series, want 2: other/405 and GET/other", n)
	}
}

func TestOneModelIsNamed(t *testing.T) {
	m := NewMetrics(prometheus.NewRegistry())
	m.SetModels(map[string]string{"a": "1"})
	m.SetModels(map[string]string{"b": "2"})
	if n := testutil.CollectAndCount(m.modelInfo); n != 1 {
		t.Errorf("%d models named, want 1", n)
	}
}

func TestCountingARequestAllocatesLittle(t *testing.T) {
	m := NewMetrics(prometheus.NewRegistry())
	n := testing.AllocsPerRun(100, func() { m.ObserveHTTP(context.Background(), nil, "POST", "/v1/predict", 200, time.Millisecond) })
	if n > 2 {
		t.Errorf("%v allocations, want at most 2", n)
	}
}

func TestLogLinesAreJSONInUTC(t *testing.T) {
	var out bytes.Buffer
	log := NewLogger(&out, slog.LevelInfo, JSON).With("a", 1).WithGroup("g")
	log.Debug("not this")
	log.Info("prediction_success", "n_records", 1)
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v in %q", err, out.String())
	}
	if line["level"] != "INFO" || line["msg"] != "prediction_success" || line["a"] != 1. {
		t.Errorf("got %v", line)
	}
	if when, _ := line["time"].(string); !strings.HasSuffix(when, "Z") {
		t.Errorf("time %q is not UTC", when)
	}
}

func TestTextIsForATerminal(t *testing.T) {
	var out bytes.Buffer
	NewLogger(&out, slog.LevelInfo, Text).Info("hello", "n", 1)
	if !strings.Contains(out.String(), "msg=hello n=1") {
		t.Errorf("got %q", out.String())
	}
}

func TestSamplerKeepsTheLimitOfEachSecond(t *testing.T) {
	s := Sampler{Limit: 100}
	start := time.Unix(1_800_000_000, 0)
	for second := range 3 {
		var kept atomic.Int64
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				for i := range 200 {
					if s.Allow(start.Add(time.Duration(second)*time.Second + time.Duration(i)*time.Millisecond)) {
						kept.Add(1)
					}
				}
			})
		}
		group.Wait()
		if kept.Load() != 100 {
			t.Errorf("second %d: kept %d, want 100", second, kept.Load())
		}
	}
	if s.Allow(start.Add(time.Second)) || s.Allow(start.Add(2*time.Second)) {
		t.Error("an event of the second before makes room for others")
	}
	if !s.Allow(start.Add(-time.Hour)) {
		t.Error("a clock that was set back stops all events")
	}
}

func ExampleNewLogger() {
	log := NewLogger(os.Stdout, slog.LevelWarn, JSON)
	log.Info("too quiet to be seen")
	// Output:
}
