package gbdt

import (
	"sync"
	"sync/atomic"
)

// parallel calls do(0) to do(n-1), at most threads of them at once, and
// returns when all have returned.
func parallel(n, threads int, do func(i int)) {
	if threads = min(threads, n); threads <= 1 {
		for i := range n {
			do(i)
		}
		return
	}
	var next atomic.Int64
	var workers sync.WaitGroup
	work := func() {
		for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
			do(int(i))
		}
	}
	for range threads - 1 {
		workers.Go(work)
	}
	work()
	workers.Wait()
}
