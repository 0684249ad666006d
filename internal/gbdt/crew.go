package gbdt

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// crew is goroutines that share one piece of work after another. A tree is
// grown in thousands of pieces of some ten microseconds, which is less than it
// takes to wake a goroutine that sleeps: a helper that has nothing to do looks
// out for the next piece for a while before it does.
type crew struct {
	helpers []*helper
	done    sync.WaitGroup
}

// piece is work that is called by number, by whoever is free.
type piece struct {
	do      func(i int)
	numbers int64
	next    atomic.Int64 // the number that is called next
	busy    atomic.Int64 // helpers that have not left it
}

type helper struct {
	given  atomic.Pointer[piece]
	asleep atomic.Bool
	wake   chan struct{}
}

// newCrew starts the helpers of a crew of threads, which stop ends.
func newCrew(threads int) *crew {
	c := &crew{}
	for range min(threads, runtime.GOMAXPROCS(0)) - 1 {
		h := &helper{wake: make(chan struct{}, 1)}
		c.helpers = append(c.helpers, h)
		c.done.Go(h.help)
	}
	return c
}

func (c *crew) stop() {
	for _, h := range c.helpers {
		h.give(&piece{})
	}
	c.done.Wait()
}

// share calls do(0) to do(n-1), of which as many at once as the crew has
// members, and returns when all have returned.
func (c *crew) share(n int, do func(i int)) {
	helpers := c.helpers[:max(0, min(n-1, len(c.helpers)))]
	p := &piece{do: do, numbers: int64(n)}
	p.busy.Store(int64(len(helpers)))
	for _, h := range helpers {
		h.give(p)
	}
	p.work()
	for !lookOut(func() bool { return p.busy.Load() == 0 }) {
		time.Sleep(shortSleep) // somebody else has the processor
	}
}

func (p *piece) work() {
	for i := p.next.Add(1) - 1; i < p.numbers; i = p.next.Add(1) - 1 {
		p.do(int(i))
	}
}

// lookOutFor is how long a helper looks for work, or its caller for the end of
// it, before they sleep: about what it takes to wake it on a virtual machine,
// whose host has to start an idle processor again. With 10 µs two threads took
// longer than one there.
const lookOutFor = 100 * time.Microsecond

const shortSleep = 50 * time.Microsecond

// lookOut waits for something without sleeping, and says whether it came.
func lookOut(came func() bool) bool {
	const looks = 1 << 10 // are faster than one at the clock by far
	for began := time.Now(); ; {
		for range looks {
			if came() {
				return true
			}
		}
		if time.Since(began) > lookOutFor {
			return false
		}
	}
}

func (h *helper) help() {
	for {
		p := h.take()
		if p.do == nil {
			return
		}
		p.work()
		p.busy.Add(-1)
	}
}

func (h *helper) give(p *piece) {
	h.given.Store(p)
	if h.asleep.Swap(false) {
		select {
		case h.wake <- struct{}{}:
		default: // it was told before, and has not slept since
		}
	}
}

func (h *helper) take() *piece {
	var p *piece
	given := func() bool { p = h.given.Load(); return p != nil }
	for !lookOut(given) {
		h.asleep.Store(true)
		if h.given.Load() == nil {
			<-h.wake
		}
		h.asleep.Store(false)
	}
	h.given.Store(nil)
	return p
}
