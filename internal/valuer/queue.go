package valuer

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"housing/internal/house"
)

// longestWait is how long a call may have to wait for a worker, by the work
// that is ahead of it: one that would wait longer is refused at once, while the
// client can still ask another replica. It bounds no other wait, as that for a
// processor; docs/performance.md has what was measured.
const longestWait = 25 * time.Millisecond

// mayWait is how many calls may wait for each worker however long that takes:
// where the processors are taken away for a while, all seems slow, and a few
// calls are no overload.
const mayWait = 8

// tooLong says whether a call is to be refused that would be one of some
// waiting, behind so much work.
func (v *Valuer) tooLong(waiting, backlog int64) bool {
	workers := int64(cap(v.workers))
	return waiting > mayWait*workers && time.Duration(backlog/workers) > longestWait
}

// Behind says whether a call that came now would be refused for how long it
// would wait. What that takes to know is little, so that a request can be
// refused before it is read.
func (v *Valuer) Behind() bool {
	return v.tooLong(v.waiting.Load()+1, v.backlog.Load())
}

// pace is how long a worker takes for a house, by which it is told how long a
// call would wait: the least of late, which grows by a sixty-fourth with a call
// that took longer. The processor may be taken from a worker for as long as a
// thousand houses take, which says nothing of the house.
type pace struct{ nanoseconds atomic.Int64 }

const (
	firstPace = 10 * time.Microsecond // until more is known
	paceGrows = 64
)

// house returns how long a house takes.
func (p *pace) house() time.Duration {
	if n := p.nanoseconds.Load(); n > 0 {
		return time.Duration(n)
	}
	return firstPace
}

// observe takes note that some houses took so long. Of two calls at once one
// may be lost, which matters little.
func (p *pace) observe(took time.Duration, houses int) {
	least := p.house()
	latest := min(took/time.Duration(houses), least+least/paceGrows+1)
	p.nanoseconds.Store(int64(max(latest, 1)))
}

// inTurns calls do with some of the houses at a time, each time on a worker
// for which it waits in line anew. What has begun is not refused.
func (v *Valuer) inTurns(ctx context.Context, houses []house.House, atOnce int, p *pace, do func(some []house.House) error) error {
	each, left := int64(p.house()), int64(len(houses))
	ahead := v.backlog.Add(each*left) - each*left
	defer func() { v.backlog.Add(-each * left) }()
	begun := false
	for some := range slices.Chunk(houses, atOnce) {
		if err := v.acquire(ctx, begun, ahead); err != nil {
			return err
		}
		begun = true
		start := time.Now()
		err := do(some)
		p.observe(time.Since(start), len(some))
		v.release()
		if err != nil {
			return err
		}
		v.backlog.Add(-each * int64(len(some)))
		left -= int64(len(some))
	}
	return nil
}

// acquire takes a worker, and waits for one where the queue has room and the
// work ahead is little, or the call has begun. Workers come in the order in
// which they are asked for.
func (v *Valuer) acquire(ctx context.Context, begun bool, ahead int64) error {
	select {
	case v.workers <- struct{}{}:
		v.metrics.WorkersBusy.Inc()
		return nil
	default:
	}
	if n := v.waiting.Add(1); !begun && (n > v.queue || v.tooLong(n, ahead)) {
		v.waiting.Add(-1)
		v.metrics.OverloadedQueue.Inc()
		return ErrOverloaded
	}
	v.metrics.QueueLength.Inc()
	defer func() { v.waiting.Add(-1); v.metrics.QueueLength.Dec() }()
	select {
	case v.workers <- struct{}{}:
		v.metrics.WorkersBusy.Inc()
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for a worker: %w", ctx.Err())
	}
}
