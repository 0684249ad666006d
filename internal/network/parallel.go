package network

import "sync"

// parallel calls do(0) to do(n-1), n of them small, by at most threads
// goroutines, and returns when all have returned.
func parallel(n, threads int, do func(i int)) {
	if threads = min(threads, n); threads <= 1 {
		for i := range n {
			do(i)
		}
		return
	}
	var workers sync.WaitGroup
	for w := range threads {
		workers.Go(func() {
			for i := w; i < n; i += threads {
				do(i)
			}
		})
	}
	workers.Wait()
}
