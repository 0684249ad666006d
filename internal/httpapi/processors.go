package httpapi

import (
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"
)

// processors tells whether predictions wait too long for one of them. With too
// many at once that is where they wait: before they are read, and not for a
// worker. Where most requests are others, as in a flood of resets, to refuse predictions
// would make no room. Requests are counted and not what they cost: beside many
// cheap ones, large predictions wait for a worker, of which [valuer.Valuer.Behind] tells.
type processors struct {
	requests, predictions atomic.Int64 // that came lately: halved at each look

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
	// longestRunnable is how long nine of ten goroutines that could run may
	// have waited.
	longestRunnable = 25 * time.Millisecond
	// fewRunnable for each processor may wait however long that takes, as a
	// machine that is busy with other things makes all wait.
	fewRunnable = 32
)

// behind says whether a prediction that is let in now would wait too long.
func (p *processors) behind() bool {
	now := int64(time.Since(began))
	if due := p.due.Load(); now >= due && p.due.CompareAndSwap(due, now+int64(looksEvery)) {
		p.look()
	}
	return p.late.Load()
}

func (p *processors) look() {
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.samples == nil {
		p.samples = []metrics.Sample{{Name: "/sched/goroutines/runnable:goroutines"}, {Name: "/sched/latencies:seconds"}}
	}
	metrics.Read(p.samples)
	runnable, waits := p.samples[0].Value.Uint64(), p.samples[1].Value.Float64Histogram()
	if p.before == nil {
		p.before = make([]uint64, len(waits.Counts))
	}
	var all, long uint64
	for i, n := range waits.Counts {
		n, p.before[i] = n-p.before[i], n
		all += n
		if waits.Buckets[i] >= longestRunnable.Seconds() {
			long += n
		}
	}
	requests, predictions := p.requests.Load(), p.predictions.Load()
	p.requests.Add(-(requests + 1) / 2)
	p.predictions.Add(-(predictions + 1) / 2)
	many := runnable > uint64(fewRunnable*runtime.GOMAXPROCS(0))
	p.late.Store(many && 10*long > all && 2*predictions >= requests)
}
