package gbdt

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// TestACrewDoesEachPieceOnce however long its helpers have had nothing to do.
func TestACrewDoesEachPieceOnce(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	for _, threads := range []int{1, 2, 4, 9} {
		c := newCrew(threads)
		if want := min(threads, 4) - 1; len(c.helpers) != want {
			t.Errorf("%d threads have %d helpers, want %d", threads, len(c.helpers), want)
		}
		for round := range 2000 {
			n := round % 7
			calls := make([]atomic.Int64, n)
			c.share(n, func(i int) { calls[i].Add(1) })
			for i := range calls {
				if got := calls[i].Load(); got != 1 {
					t.Fatalf("%d threads, round %d: %d was called %d times", threads, round, i, got)
				}
			}
			if round%100 == 0 {
				time.Sleep(time.Millisecond) // the helpers fall asleep
			}
		}
		c.stop()
		for _, h := range c.helpers {
			if p := h.given.Load(); p != nil {
				t.Errorf("%d threads: a helper that was stopped has work", threads)
			}
		}
	}
}
