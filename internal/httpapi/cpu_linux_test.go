package httpapi

import (
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"housing/internal/telemetry"
)

// ofThread returns the processor time that the thread has had.
func ofThread(t testing.TB) time.Duration {
	t.Helper()
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(syscall.TimevalToNsec(syscall.Timeval(used.Utime)) + syscall.TimevalToNsec(syscall.Timeval(used.Stime)))
}

// BenchmarkCost measures what metrics and traces add to the chain in processor
// time, by turns in short blocks so that a busy machine is as busy for all,
// and reports the medians in nanoseconds a request.
func BenchmarkCost(b *testing.B) {
	none := func(s *setup) {
		s.Tracer = telemetry.NewTracer(telemetry.TracerOptions{Sampling: telemetry.Sampling{Name: "always_off"}})
		s.valuer.Tracer = s.Tracer
		tracer := s.Tracer
		b.Cleanup(func() { flush(b, tracer) })
	}
	kinds := []struct {
		name   string
		change func(*setup)
	}{{"bare", unseen}, {"metrics", nil}, {"unkept-traces", none}}
	var sends []func()
	took := make([][]float64, len(kinds))
	for _, k := range kinds {
		sends = append(sends, repeated(b, newAPI(b, k.change).Handler(), fullBody(1)))
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const block = 200
	for b.Loop() {
		for i, send := range sends {
			start := ofThread(b)
			for range block {
				send()
			}
			took[i] = append(took[i], float64(ofThread(b)-start)/block)
		}
	}
	for i, k := range kinds {
		slices.Sort(took[i])
		b.ReportMetric(took[i][len(took[i])/2], k.name+"-ns")
	}
}
