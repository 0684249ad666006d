package cli

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"

	"housing/internal/config"
	"housing/internal/httpapi"
)

// perConnection is what a connection takes, with TLS and a request begun.
const perConnection = 32 << 10

// moreModels is how many models may run beside the first: a candidate, the
// primary before, and two that were asked for.
const moreModels = 4

// How much garbage may pile up: so much of what is in use, and at least so many
// bytes. What is in use is mostly a model, which holds no pointers and takes
// little to look through, so that 30 percent do in place of Go's 100. But a
// collection costs some 2 ms of the processors however little is in use, most of
// it for the stacks of connections, which shrink and then grow again: beside a
// mapped model, which is not in the heap, 30 percent are one in 240 requests.
const (
	garbagePercent = 30
	leastGarbage   = 5 << 18
)

// limitGarbage lets less garbage pile up than Go does by itself. GOGC, which the
// runtime heeds, wins.
func limitGarbage(getenv config.Getenv) {
	if percent, _ := getenv("GOGC"); percent != "" {
		return
	}
	runtime.GC() // so that what lives is known
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/globals:bytes"}, {Name: "/gc/scan/stack:bytes"}}
	metrics.Read(live)
	var inUse uint64 // as Go's percentage has it
	for _, part := range live {
		inUse += part.Value.Uint64()
	}
	debug.SetGCPercent(garbageFor(inUse))
}

// garbageFor returns the percentage of garbage for so many bytes in use.
func garbageFor(inUse uint64) int {
	return max(garbagePercent, int(100*leastGarbage/max(inUse, 1)))
}

// Much of the program is needed only once, by the start and by the first
// requests. It is forgotten so long after the start, and then ever more seldom:
// the pages that are in use come back within a millisecond.
const (
	forgetAfter  = 250 * time.Millisecond
	forgetSeldom = time.Hour
)

// keepForgetting calls forgetPages now and then until stop is called.
func keepForgetting() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for wait := forgetAfter; ; wait = min(2*wait, forgetSeldom) {
			select {
			case <-time.After(wait):
				forgetPages()
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}

// limitMemory sets how much memory the process may take before garbage is
// collected more often than usual: what it has now, with its model loaded,
// and room for the connections and bodies that the settings allow. Without it
// a flood lets garbage pile up to several times of what is in use, as the
// collector gets too little of the processors. GOMEMLIMIT, which the runtime
// heeds by itself, wins.
func (c *serveCommand) limitMemory(getenv config.Getenv) {
	if limit, _ := getenv("GOMEMLIMIT"); limit != "" {
		return
	}
	now := taken()
	room := httpapi.BodyBudget(int64(c.MaxBodyBytes)) + int64(c.MaxConnections)*perConnection
	if c.RedisURL != "" && c.ModelDir != "" {
		// Bundles from Redis lie in memory rather than in mapped files: leave
		// room for those that come beside the first.
		room += moreModels * now
	}
	debug.SetMemoryLimit(now + room)
}

// taken returns how much memory the runtime has taken and not given back,
// which is what its limit is held to.
func taken() int64 {
	debug.FreeOSMemory()
	now := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(now)
	return int64(now[0].Value.Uint64() - now[1].Value.Uint64())
}
