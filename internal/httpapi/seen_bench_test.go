package httpapi

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"housing/internal/drift"
	"housing/internal/telemetry"
	"housing/internal/valuer"
)

// unseen lets an API show nothing of itself.
func unseen(s *setup) {
	s.Metrics = telemetry.Unmeasured()
	s.valuer.Metrics = s.Metrics
	s.Log = slog.New(slog.DiscardHandler)
}

// BenchmarkMetrics measures the chain with the metrics and without.
func BenchmarkMetrics(b *testing.B) {
	for _, c := range []struct {
		name   string
		change func(*setup)
	}{{"without", unseen}, {"with", nil}} {
		b.Run(c.name, func(b *testing.B) {
			send := repeated(b, newAPI(b, c.change).Handler(), fullBody(1))
			b.ReportAllocs()
			for b.Loop() {
				send()
			}
		})
	}
}

// BenchmarkScrape measures a scrape of a service whose versions have answered
// in every role, as text and as OpenMetrics.
func BenchmarkScrape(b *testing.B) {
	a := newAPI(b, nil)
	for _, role := range []string{"primary", "candidate", "asked"} {
		for _, version := range []string{"kc-1", "kc-2", "kc-3"} {
			p := a.Metrics.Prediction(version, role)
			for i := range 1000 {
				p.Duration.Observe(float64(i) * 1e-5)
				p.Price.Observe(float64(i) * 1e4)
			}
		}
	}
	for range 100 {
		ask(a, "POST", "/v1/predict", fullBody(1))
		ask(a, "POST", "/v1/predict-minimal", "no JSON")
		ask(a, "GET", "/health", "")
	}
	for name, accept := range map[string]string{"text": "text/plain", "openmetrics": "application/openmetrics-text; version=1.0.0"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if w := ask(a, "GET", "/metrics", "", "Accept", accept); w.Code != http.StatusOK {
					b.Fatal(w.Code)
				}
			}
		})
	}
}

// watched lets an API show all of itself: metrics that are scraped every
// second, a log in a file, traces that are sent, drift. sampling is of traces.
// It is scraped while turn says so.
func watched(b *testing.B, sampling telemetry.Sampling, turn *atomic.Bool) *API {
	b.Helper()
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	b.Cleanup(receiver.Close)
	tracer := telemetry.NewTracer(telemetry.TracerOptions{Exporter: telemetry.OTLP{URL: receiver.URL + "/v1/traces"}, Sampling: sampling})
	b.Cleanup(func() { flush(b, tracer) })
	file, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = file.Close() })
	a := newAPI(b, func(s *setup) {
		s.Log = telemetry.NewLogger(file, slog.LevelInfo, telemetry.JSON)
		s.Tracer = tracer
		monitor := drift.New(s.Metrics)
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); monitor.Run(ctx) }()
		b.Cleanup(func() { stop(); <-ended })
		s.valuer = valuer.Options{Metrics: s.Metrics, Log: s.Log, Tracer: tracer, Drift: monitor}
	})
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Second):
				if !turn.Load() {
					continue
				}
				ask(a, "GET", "/metrics", "", "Accept", "application/openmetrics-text; version=1.0.0")
			}
		}
	}()
	b.Cleanup(func() { close(stop); <-ended })
	return a
}

// serve serves an API on a connection of this machine.
func serve(b *testing.B, a *API) (url string) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	server := &Server{API: a, Grace: time.Second}
	go func() { ended <- server.Run(ctx, l) }()
	b.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}

// BenchmarkThroughput lets wrk ask a service that shows all of itself and one
// that shows nothing, by turns, for the price of one house each time, and
// reports the medians of the ratios of each turn: of the requests that were
// answered in a second, which a machine that does other work makes uncertain,
// and of the processor time of one, which hardly.
func BenchmarkThroughput(b *testing.B) {
	wrk, err := exec.LookPath("wrk")
	if err != nil {
		b.Skip("wrk is not installed")
	}
	script := filepath.Join(b.TempDir(), "post.lua")
	if err := os.WriteFile(script, []byte("wrk.method = 'POST'\nwrk.headers['Content-Type'] = 'application/json'\nwrk.body = [["+fullBody(1)+"]]\n"), 0o644); err != nil {
		b.Fatal(err)
	}
	own := func() time.Duration {
		var used syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
			b.Fatal(err)
		}
		return time.Duration(used.Utime.Nano() + used.Stime.Nano())
	}
	ask := func(url string) (rate, cpu float64) {
		start := own()
		out, err := exec.Command(wrk, "-t1", "-c16", "-d2s", "-s", script, url+"/v1/predict").CombinedOutput()
		used := own() - start
		found := regexp.MustCompile(`(?s)(\d+) requests in.*Requests/sec:\s+([0-9.]+)`).FindSubmatch(out)
		if err != nil || found == nil || regexp.MustCompile(`Non-2xx|Socket errors`).Match(out) {
			b.Fatalf("wrk: %v\n%s", err, out)
		}
		n, err := strconv.ParseFloat(string(found[1]), 64)
		if err == nil {
			rate, err = strconv.ParseFloat(string(found[2]), 64)
		}
		if err != nil {
			b.Fatal(err)
		}
		return rate, float64(used) / n
	}
	median := func(of []float64) float64 { slices.Sort(of); return of[len(of)/2] }
	for _, c := range []struct {
		name     string
		sampling telemetry.Sampling
	}{{"default", telemetry.Sampling{}}, {"always_on", telemetry.Sampling{Name: "always_on"}}} {
		b.Run(c.name, func(b *testing.B) {
			var turn atomic.Bool
			on, off := serve(b, watched(b, c.sampling, &turn)), serve(b, newAPI(b, unseen))
			ask(on)
			ask(off)
			var rates, with, without, costs []float64
			for b.Loop() {
				turn.Store(true)
				rateOn, cpuOn := ask(on)
				turn.Store(false)
				rateOff, cpuOff := ask(off)
				rates, costs = append(rates, rateOn/rateOff), append(costs, cpuOff/cpuOn)
				with, without = append(with, cpuOn), append(without, cpuOff)
			}
			b.ReportMetric(median(rates), "on/off")
			b.ReportMetric(median(costs), "on/off-by-cpu")
			b.ReportMetric(median(with)/1000, "on-cpu-µs")
			b.ReportMetric(median(without)/1000, "off-cpu-µs")
		})
	}
}
