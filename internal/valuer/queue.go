package valuer

import (
	"context"
	"fmt"
	"runtime"
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

// mayWait is how many short calls may wait for each worker, or how many turns of
// long ones, however long that takes: where the processors are taken away for a
// while, all seems slow, and a few calls are no overload.
const mayWait = 8

// kind is what calls ask for, prices or valuations. A call of so many houses
// that they are valued in turns is a long one: short calls pass it between its
// turns, and long ones of a kind come one after the other.
type kind struct {
	pace
	long    chan struct{} // holds a token for each long call under way
	backlog atomic.Int64  // work of long calls that are let in, in nanoseconds
}

// behind says whether a short call is to be refused that would be one of some
// waiting, behind so much work of short ones.
func (v *Valuer) behind(waiting, backlog int64) bool {
	workers := int64(cap(v.workers))
	return waiting > mayWait*workers && backlog > workers*int64(longestWait)
}

// longBehind says the same of a long call behind so much work of long ones,
// where a turn takes so long.
func (v *Valuer) longBehind(backlog, turn int64) bool {
	workers := int64(cap(v.workers))
	return backlog > workers*max(int64(longestWait), mayWait*turn)
}

// Behind says whether a call for prices that came now would be refused for how
// long it would wait. What that takes to know is little, so that a request can
// be refused before it is read.
func (v *Valuer) Behind(long bool) bool {
	return v.behind(v.waiting.Load()+1, v.backlog.Load()) ||
		long && v.longBehind(v.pricing.backlog.Load(), v.pricing.turn(PricedAtOnce))
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
	if houses == 0 {
		return err
	}
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
func (v *Valuer) atOnce(ctx context.Context, houses int, k *kind, do func() error) error {
	if v.mayBeQuick && k.quick(houses) && v.beginQuick() {
		defer v.quick.Add(-1)
		return k.measure(houses, do)
	}
	work := k.turn(houses)
	ahead := v.backlog.Add(work) - work
	defer v.backlog.Add(-work)
	if err := v.acquire(ctx, false, ahead); err != nil {
		return err
	}
	defer v.release()
	return k.measure(houses, do)
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
// No more long calls of a kind are under way than there are workers: those that
// take turns with each other would all end when the last does. Between its
// turns a call lets other goroutines run, as they wait for ten milliseconds
// else: requests that are being read, and Go's poller, which knows of those to
// come.
func (v *Valuer) inTurns(ctx context.Context, houses []house.House, perTurn int, k *kind, do func(from int, some []house.House) error) error {
	each, all := int64(k.house()), int64(len(houses))
	t := turns{valuer: v, houses: houses, perTurn: perTurn, kind: k, each: each, backlog: &v.backlog, do: do}
	long := 0
	if len(houses) > perTurn {
		t.backlog, long = &k.backlog, 1
	}
	ahead := t.backlog.Add(each*all) - each*all
	defer func() { t.backlog.Add(-each * (all - t.valued.Load())) }()
	begun := false
	if long > 0 {
		var err error
		if begun, err = v.join(ctx, k, ahead, k.turn(perTurn)); err != nil {
			return err
		}
		defer func() { <-k.long }()
		ahead = v.backlog.Load()
	}
	idle := v.idle(long) - 1
	if idle > 0 && v.noneWaits() {
		t.perTurn = min(perTurn, max(perTurn/4, (len(houses)+idle)/(idle+1)))
	}
	for shared := false; t.left(); begun, shared = true, true {
		if err := ctx.Err(); err != nil { // nobody waits for the rest
			t.stop(fmt.Errorf("value houses: %w", err))
			break
		}
		if err := v.acquire(ctx, begun, ahead); err != nil {
			t.stop(err)
			break
		}
		if !shared {
			t.share(ctx, idle)
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
	kind    *kind
	each    int64         // nanoseconds that a house takes
	backlog *atomic.Int64 // that the call is part of
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
	if err := t.kind.measure(len(some), func() error { return t.do(from, some) }); err != nil {
		t.stop(err)
		return
	}
	t.backlog.Add(-t.each * int64(len(some)))
	t.valued.Add(int64(len(some)))
}

// share has idle workers value houses too, until another call waits for one.
func (t *turns) share(ctx context.Context, idle int) {
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
			for ctx.Err() == nil && t.left() && v.noneWaits() {
				t.next()
			}
		})
	}
}

// idle returns how many workers have nothing to do, for a call that has some
// tokens of long ones itself. A quick call, which has no worker, counts as one
// that has, and so does a long call between two turns.
func (v *Valuer) idle(own int) int {
	long := len(v.pricing.long) + len(v.valuing.long) - own
	return cap(v.workers) - max(len(v.workers), long) - int(v.quick.Load())
}

// full says whether more calls wait than may.
func (v *Valuer) full() bool { return v.waiting.Load()+v.longWaiting.Load() > v.queue }

func (v *Valuer) noneWaits() bool { return v.waiting.Load() == 0 && v.longWaiting.Load() == 0 }

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
	n := v.waiting.Add(1)
	if err := v.wait(ctx, v.workers, &v.waiting, !begun && (v.full() || v.behind(n, ahead))); err != nil {
		return err
	}
	v.metrics.WorkersBusy.Inc()
	return nil
}

// join makes a long call one of those of its kind that are under way, and waits
// for that as acquire does; it says whether it had to.
func (v *Valuer) join(ctx context.Context, k *kind, ahead, turn int64) (waited bool, err error) {
	select {
	case k.long <- struct{}{}:
		return false, nil
	default:
	}
	v.longWaiting.Add(1)
	return true, v.wait(ctx, k.long, &v.longWaiting, v.full() || v.longBehind(ahead, turn))
}

// wait puts a token into a channel once there is room, for a call that has been
// counted as waiting, unless it is to be refused.
func (v *Valuer) wait(ctx context.Context, tokens chan struct{}, waiting *atomic.Int64, refuse bool) error {
	defer waiting.Add(-1)
	if refuse {
		v.metrics.OverloadedQueue.Inc()
		return ErrOverloaded
	}
	v.metrics.QueueLength.Inc()
	defer v.metrics.QueueLength.Dec()
	select {
	case tokens <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for a worker: %w", ctx.Err())
	}
}
