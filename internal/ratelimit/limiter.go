package ratelimit

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/prometheus/client_golang/prometheus"

	"housing/internal/store"
	"housing/internal/telemetry"
)

// clients bounds how many clients a limiter knows at once, some 16 MB when it
// is full. Past it the least used are forgotten, and begin anew.
const clients = 100_000

// Shared is what of [store.Redis] a limiter needs; tests put a faulty one in
// its place.
type Shared interface {
	RunScript(ctx context.Context, budget time.Duration, s *store.Script, key string, args ...string) ([]int64, error)
}

// Limiter keeps clients to a limit. It is safe for concurrent use.
type Limiter struct {
	Limit  Limit
	name   string
	shared Shared
	local  *otter.Cache[string, *client]
	start  time.Time

	refusedHere, refusedShared prometheus.Counter
}

// client is what a limiter knows of one.
type client struct {
	mu  sync.Mutex
	tat time.Duration // since the limiter's start
}

// New returns a limiter, to be ended by Close. The name tells limits on one
// Redis apart; shared may be nil.
func New(name string, limit Limit, shared Shared, m *telemetry.Metrics) (*Limiter, error) {
	local, err := otter.New(&otter.Options[string, *client]{
		MaximumSize: clients,
		// After a period without a request the whole limit has refilled.
		ExpiryCalculator: otter.ExpiryAccessing[string, *client](limit.Period),
	})
	if err != nil {
		return nil, err
	}
	return &Limiter{Limit: limit, name: name, shared: shared, local: local, start: time.Now(),
		refusedHere: m.RateLimited("local"), refusedShared: m.RateLimited("shared")}, nil
}

// Close ends what the limiter does aside.
func (l *Limiter) Close() { l.local.StopAllGoroutines() }

// Allow says whether the client may ask for something of a cost, and counts
// it if so. A cost above the limit counts as the whole of it.
//
// What this replica alone has seen may be enough to refuse: then Redis is not
// asked, so that a flood does not reach it.
func (l *Limiter) Allow(ctx context.Context, who string, cost int64) Decision {
	known, _ := l.local.ComputeIfAbsent(who, func() (*client, bool) { return new(client), false })
	known.mu.Lock()
	here, tat := l.Limit.decide(known.tat, time.Since(l.start), cost)
	if here.Allowed {
		known.tat = tat
	}
	known.mu.Unlock()
	if !here.Allowed {
		l.refusedHere.Inc()
		return here
	}
	if l.shared == nil {
		return here
	}
	numbers, err := l.shared.RunScript(ctx, store.RedisBudget, script, l.key(who),
		strconv.FormatInt(l.Limit.interval().Microseconds(), 10),
		strconv.FormatInt(l.Limit.Period.Microseconds(), 10),
		strconv.FormatInt(min(cost, l.Limit.Requests), 10))
	if err != nil || len(numbers) != 4 {
		return here // by what this replica has seen
	}
	d := Decision{
		Allowed:    numbers[0] == 1,
		Remaining:  numbers[1],
		Reset:      time.Duration(numbers[2]) * time.Microsecond,
		RetryAfter: time.Duration(numbers[3]) * time.Microsecond,
	}
	if !d.Allowed {
		l.refusedShared.Inc()
	}
	return d
}

// key is the client's name in Redis, which tells nobody who it is.
func (l *Limiter) key(who string) string {
	sum := sha256.Sum256([]byte(who))
	return "housing:limit:" + l.name + ":" + base64.RawURLEncoding.EncodeToString(sum[:16])
}

// script is Limit.decide in Redis, by the clock of Redis, in microseconds.
var script = store.NewScript(`
local interval, period, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local kept = redis.pcall('GET', KEYS[1]) -- what is no string is replaced
local tat = type(kept) == 'string' and tonumber(kept) or now
if not (tat >= now and tat <= now + period) then tat = now end
local next = tat + interval * cost
local room = now + period - next
if room < 0 then
  return {0, math.floor((now + period - tat) / interval), tat - now, -room}
end
redis.call('SET', KEYS[1], string.format('%.0f', next), 'PX', math.ceil((next - now) / 1000) + 1)
return {1, math.floor(room / interval), next - now, 0}
`)
