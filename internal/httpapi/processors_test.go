package httpapi

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestProcessorsTellWhenTooManyWait for one, when they do no more, and when
// others than predictions are in the way.
func TestProcessorsTellWhenTooManyWait(t *testing.T) {
	var p processors
	others := int64(0) // for each prediction
	becomes := func(want bool) {
		t.Helper()
		for end := time.Now().Add(time.Minute); p.behind() != want; time.Sleep(looksEvery) {
			p.predictions.Add(1)
			p.requests.Add(1 + others)
			if time.Now().After(end) {
				t.Fatalf("too long is still %t", !want)
			}
		}
	}
	becomes(false)
	var busy sync.WaitGroup
	var stop atomic.Bool
	for range 4 * fewRunnable * runtime.GOMAXPROCS(0) {
		busy.Go(func() {
			for !stop.Load() {
				for begun := time.Now(); time.Since(begun) < time.Millisecond; {
				}
				runtime.Gosched()
			}
		})
	}
	becomes(true)
	others = 2
	becomes(false)
	others = 0
	becomes(true)
	stop.Store(true)
	busy.Wait()
	becomes(false)
}

// BenchmarkProcessors is what each prediction pays for.
func BenchmarkProcessors(b *testing.B) {
	var p processors
	b.ReportAllocs()
	for b.Loop() {
		p.behind()
	}
}

// BenchmarkProcessorsLook is what one in some milliseconds pays for.
func BenchmarkProcessorsLook(b *testing.B) {
	var p processors
	b.ReportAllocs()
	for b.Loop() {
		p.look()
	}
}
