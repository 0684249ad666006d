package valuer

import (
	"runtime"

	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"housing/internal/house"
)

// longestWait is how long a call may have to wait for a worker, by the work
// that is ahead of it: one that would wait longer is refused, while the
// client can still ask another replica. It bounds no other wait, as that for a
// processor; docs/performance.md has what was measured.
const longestWait = 25 * time.Millisecond

// A call of so little work as quickest needs no worker, where there are no
// fewer of these than processors: no more calls run then anyway. It would wait for
// longer than it takes, and so would all behind it: a worker that is given to
// the first in line is idle until that one is scheduled, and many are before
// it (Blasgen et al. 1979, "The convoy phenomenon"). Quick calls under way are
// bounded, for a model that hangs.
const (
	quickest       = 100 * time.Microsecond
	quickPerWorker = 16
)

// mayWait is how many turns may wait for each worker however long that takes:
// where the processors are taken away for a while, all seems slow, and a few
// calls are no overload.
const mayWait = 8

// tooLong says whether a call is to be refused that would be one of some
// waiting, behind so much work, where a turn takes so long.
func (v *Valuer) tooLong(waiting, backlog, turn int64) bool {
	workers := int64(cap(v.workers))
	return backlog > workers*int64(longestWait) && (waiting > mayWait*workers || backlog > mayWait*workers*turn)
}

// Behind says whether a call that came now would be refused for how long it
// would wait. What that takes to know is little, so that a request can be
// refused before it is read.
func (v *Valuer) Behind() bool {
	return v.tooLong(v.waiting.Load()+1, v.backlog.Load(), v.pricing.turn(PricedAtOnce))
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

// turn returns how long so many houses take, in nanoseconds.
func (p *pace) turn(houses int) int64 { return int64(p.house()) * int64(houses) }

// measure calls do, which values some houses, and takes note of how long that
// took. Of two calls at once one may be lost, which matters little.
func (p *pace) measure(houses int, do func() error) error {
	start := time.Now()
	err := do()
	least := p.house()
	latest := min(time.Since(start)/time.Duration(houses), least+least/paceGrows+1)
	p.nanoseconds.Store(int64(max(latest, 1)))
	return err
}

// quick says whether a call for so many houses is known to be.
func (p *pace) quick(houses int) bool {
	n := p.nanoseconds.Load()
	return n > 0 && n*int64(houses) <= int64(quickest)
}

// atOnce calls do, which values a few houses, on a worker, for which it may
// have to wait, or quickly. It allocates nothing.
func (v *Valuer) atOnce(ctx context.Context, houses int, p *pace, do func() error) error {
	if v.mayBeQuick && p.quick(houses) && v.beginQuick() {
		defer v.quick.Add(-1)
		return p.measure(houses, do)
	}
	work := p.turn(houses)
	ahead := v.backlog.Add(work) - work
	defer v.backlog.Add(-work)
	if err := v.acquire(ctx, false, ahead, p.turn(PricedAtOnce)); err != nil {
		return err
	}
	defer v.release()
	return p.measure(houses, do)
}

// beginQuick counts a quick call, unless too many are under way.
func (v *Valuer) beginQuick() bool {
	if v.quick.Add(1) <= quickPerWorker*int64(cap(v.workers)) {
		return true
	}
	v.quick.Add(-1)
	return false
}

// inTurns calls do with some of the houses at a time, from which on it says,
// each time on a worker for which it waits in line anew. What has begun is not
// refused. Workers for which nobody waits take a share of the houses, down to
// a quarter of perTurn: do is then called at once for several.
//
// No more calls of several turns are under way than there are workers: those
// that take turns with each other would all end when the last does. Between its
// turns a call lets other goroutines run, as they wait for ten milliseconds
// else: requests that are being read, and Go's poller, which knows of those to
// come.
func (v *Valuer) inTurns(ctx context.Context, houses []house.House, perTurn int, p *pace, do func(from int, some []house.House) error) error {
	each, all := int64(p.house()), int64(len(houses))
	ahead, turn := v.backlog.Add(each*all)-each*all, each*int64(perTurn)
	idle := v.idle() - 1
	if idle > 0 && v.waiting.Load() == 0 {
		perTurn = min(perTurn, max(perTurn/4, (len(houses)+idle)/(idle+1)))
	}
	t := turns{valuer: v, houses: houses, perTurn: perTurn, pace: p, each: each, do: do}
	defer func() { v.backlog.Add(-each * (all - t.valued.Load())) }()
	begun := false
	if len(houses) > perTurn {
		if err := v.take(ctx, v.long, begun, ahead, turn); err != nil {
			return err
		}
		defer func() { <-v.long }()
		begun = true
	}
	for shared := false; t.left(); begun, shared = true, true {
		if err := v.acquire(ctx, begun, ahead, turn); err != nil {
			t.stop(err)
			break
		}
		if !shared {
			t.share(idle)
		}
		t.next()
		v.release()
		if t.left() {
			runtime.Gosched()
		}
	}
	t.shared.Wait()
	return t.err
}

// turns is the houses of a call that are valued some at a time, and by whoever
// is free.
type turns struct {
	valuer  *Valuer
	houses  []house.House
	perTurn int
	pace    *pace
	each    int64
	do      func(from int, some []house.House) error

	taken  atomic.Int64 // houses
	valued atomic.Int64 // houses
	shared sync.WaitGroup
	failed sync.Once
	err    error // the first
}

func (t *turns) left() bool { return t.taken.Load() < int64(len(t.houses)) }

// stop leaves what has not been taken.
func (t *turns) stop(err error) {
	t.failed.Do(func() { t.err = err })
	t.taken.Store(int64(len(t.houses)))
}

// next values the next houses, if there are any left. Its caller has a worker.
func (t *turns) next() {
	from := int(t.taken.Add(int64(t.perTurn))) - t.perTurn
	if from >= len(t.houses) {
		return
	}
	some := t.houses[from:min(from+t.perTurn, len(t.houses))]
	if err := t.pace.measure(len(some), func() error { return t.do(from, some) }); err != nil {
		t.stop(err)
		return
	}
	t.valuer.backlog.Add(-t.each * int64(len(some)))
	t.valued.Add(int64(len(some)))
}

// share has idle workers value houses too, until another call waits for one.
func (t *turns) share(idle int) {
	v := t.valuer
	for range min(idle, (len(t.houses)-1)/t.perTurn) {
		select {
		case v.workers <- struct{}{}:
		default:
			return
		}
		v.metrics.WorkersBusy.Inc()
		t.shared.Go(func() {
			defer v.release()
			for t.left() && v.waiting.Load() == 0 {
				t.next()
			}
		})
	}
}

// idle returns how many workers have nothing to do, where a quick call, which
// has none, counts as one that has.
func (v *Valuer) idle() int { return cap(v.workers) - len(v.workers) - int(v.quick.Load()) }

// acquire takes a worker, and waits for one where the queue has room and the
// work ahead is little, or the call has begun. Workers come in the order in
// which they are asked for.
func (v *Valuer) acquire(ctx context.Context, begun bool, ahead, turn int64) error {
	if err := v.take(ctx, v.workers, begun, ahead, turn); err != nil {
		return err
	}
	v.metrics.WorkersBusy.Inc()
	return nil
}

// take puts a token into the workers or the long calls, as acquire does.
func (v *Valuer) take(ctx context.Context, tokens chan struct{}, begun bool, ahead, turn int64) error {
	select {
	case tokens <- struct{}{}:
		return nil
	default:
	}
	if n := v.waiting.Add(1); !begun && (n > v.queue || v.tooLong(n, ahead, turn)) {
		v.waiting.Add(-1)
		v.metrics.OverloadedQueue.Inc()
		return ErrOverloaded
	}
	v.metrics.QueueLength.Inc()
	defer func() { v.waiting.Add(-1); v.metrics.QueueLength.Dec() }()
	select {
	case tokens <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for a worker: %w", ctx.Err())
	}
}
