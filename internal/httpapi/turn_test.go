package httpapi

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestTurnsTellWhenTooManyWait for a processor, and when they do no more.
func TestTurnsTellWhenTooManyWait(t *testing.T) {
	var turns turns
	becomes := func(want bool) {
		t.Helper()
		for end := time.Now().Add(time.Minute); turns.tooLong() != want; time.Sleep(looksEvery) {
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
	stop.Store(true)
	busy.Wait()
	becomes(false)
}

// BenchmarkTurns is what each prediction pays for.
func BenchmarkTurns(b *testing.B) {
	var turns turns
	b.ReportAllocs()
	for b.Loop() {
		turns.tooLong()
	}
}

// BenchmarkTurnsLook is what one in some milliseconds pays for.
func BenchmarkTurnsLook(b *testing.B) {
	var turns turns
	b.ReportAllocs()
	for b.Loop() {
		turns.look()
	}
}
