package httpapi

import (
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"
)

// turns tells whether requests wait too long for a processor. With too many
// at once that is where they wait: before they are read, and not for a worker.
type turns struct {
	due  atomic.Int64 // when to look again, in nanoseconds since began
	late atomic.Bool  // as of the last look

	lock    sync.Mutex
	samples []metrics.Sample
	before  []uint64 // waits by length, at the last look
}

var began = time.Now()

const (
	// looksEvery is how long what was seen holds.
	looksEvery = 5 * time.Millisecond
	// longestTurn is how long nine of ten goroutines that could run may have
	// waited.
	longestTurn = 25 * time.Millisecond
	// fewRunnable for each processor may wait however long that takes, as a
	// machine that is busy with other things makes all wait.
	fewRunnable = 32
)

// tooLong says whether a request that is let in now would wait too long.
func (t *turns) tooLong() bool {
	now := int64(time.Since(began))
	if due := t.due.Load(); now >= due && t.due.CompareAndSwap(due, now+int64(looksEvery)) {
		t.look()
	}
	return t.late.Load()
}

func (t *turns) look() {
	t.lock.Lock()
	defer t.lock.Unlock()
	if t.samples == nil {
		t.samples = []metrics.Sample{{Name: "/sched/goroutines/runnable:goroutines"}, {Name: "/sched/latencies:seconds"}}
	}
	metrics.Read(t.samples)
	runnable, waits := t.samples[0].Value.Uint64(), t.samples[1].Value.Float64Histogram()
	if t.before == nil {
		t.before = make([]uint64, len(waits.Counts))
	}
	var all, long uint64
	for i, n := range waits.Counts {
		n, t.before[i] = n-t.before[i], n
		all += n
		if waits.Buckets[i] >= longestTurn.Seconds() {
			long += n
		}
	}
	t.late.Store(runnable > uint64(fewRunnable*runtime.GOMAXPROCS(0)) && 10*long > all)
}
