package httpapi

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"housing/internal/journal"
	"housing/internal/store"
	"housing/internal/telemetry"
)

// spooled returns a journal with a folder and without its PostgreSQL.
func spooled(t testing.TB) *journal.Journal {
	t.Helper()
	pool, err := store.OpenPool("postgres://housing@127.0.0.1:1/housing?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	metrics, log := telemetry.NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler)
	j := journal.Open(journal.Options{
		Pool: pool, Dir: t.TempDir(), SpoolBytes: 512 << 20, Retention: 24 * time.Hour, Metrics: metrics, Log: log,
		Dependency: store.NewDependency("journal", metrics.DependencyUp("journal"), log),
	})
	ctx, end := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); j.Run(ctx) }()
	t.Cleanup(func() { end(); <-done; pool.Close() })
	return j
}

func TestAPredictionThatIsNotedAllocatesNoMore(t *testing.T) {
	a := newAPI(t, func(s *setup) { s.Journal = spooled(t) })
	send := repeated(t, a.Handler(), fullBody(1))
	const most = 4 // as without a journal
	if n := testing.AllocsPerRun(500, send); n > most && !raceEnabled {
		t.Errorf("%v allocations a request, want at most %d", n, most)
	}
}

// BenchmarkJournal measures requests with and without a journal by turns, so
// that what else the machine does falls on both, and shows the median of each.
func BenchmarkJournal(b *testing.B) {
	byTurns(b, 1, func(s *setup) { s.Journal = spooled(b) })
}

// byTurns measures requests of some houses without and with a change.
func byTurns(b *testing.B, houses int, with func(*setup)) {
	arms := []struct {
		name string
		send func()
		took []time.Duration // of ten requests
	}{
		{name: "without-ns", send: repeated(b, newAPI(b, nil).Handler(), fullBody(houses))},
		{name: "with-ns", send: repeated(b, newAPI(b, with).Handler(), fullBody(houses))},
	}
	for b.Loop() {
		for i := range arms {
			start := time.Now()
			for range 10 {
				arms[i].send()
			}
			arms[i].took = append(arms[i].took, time.Since(start))
		}
	}
	for _, arm := range arms {
		slices.Sort(arm.took)
		b.ReportMetric(float64(arm.took[len(arm.took)/2].Nanoseconds())/10, arm.name)
	}
}
