package cache

import (
	"context"
	"encoding/base64"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"housing/internal/store"
	"housing/internal/telemetry"
)

// Key is a SHA-256 of everything that a price depends on.
type Key [32]byte

// redisName is the key of an entry in Redis.
func (k Key) redisName() string { return "housing:price:" + base64.RawURLEncoding.EncodeToString(k[:]) }

// memoryEntries bounds the prices in memory, some 8 MB when it is full.
const memoryEntries = 1 << 16

// Remote is what of [store.Redis] a cache needs; tests put a lying one in its
// place.
type Remote interface {
	Get(ctx context.Context, budget time.Duration, most int64, keys ...string) ([][]byte, error)
	Set(ctx context.Context, budget, ttl time.Duration, entries ...store.Entry) error
	SetAside(ttl time.Duration, entries ...store.Entry)
}

// PricesOptions are how [Prices] keeps them.
type PricesOptions struct {
	TTL     time.Duration      // in memory, and again in Redis
	Metrics *telemetry.Metrics // required
	Remote  Remote             // nil keeps prices in memory alone
	// Secret is shared by the replicas and unknown to Redis: who knows it can
	// put prices there.
	Secret string
}

// Prices keeps prices of houses. It is safe for concurrent use.
type Prices struct {
	memory *otter.Cache[Key, float64]
	remote Remote
	off    atomic.Bool
	seal   atomic.Pointer[seal]
	ttl    time.Duration
	near   telemetry.Cache
	far    telemetry.Cache
}

// NewPrices returns an empty cache that is on, to be ended by Close.
func NewPrices(o PricesOptions) (*Prices, error) {
	memory, err := otter.New(&otter.Options[Key, float64]{
		MaximumSize:      memoryEntries,
		ExpiryCalculator: otter.ExpiryWriting[Key, float64](o.TTL),
	})
	if err != nil {
		return nil, err
	}
	p := &Prices{memory: memory, remote: o.Remote, ttl: o.TTL,
		near: o.Metrics.Cache("prices_memory"), far: o.Metrics.Cache("prices_redis")}
	return p, p.UseSecret(o.Secret)
}

// UseSecret seals prices with another secret from now on. Those that the old
// one sealed are refused and replaced, and those in memory forgotten, as who
// knew it may have made them.
func (p *Prices) UseSecret(secret string) error {
	sealed, err := newSeal(secret)
	if err != nil {
		return err
	}
	p.seal.Store(&sealed)
	p.memory.InvalidateAll()
	return nil
}

// Close ends what the cache does aside.
func (p *Prices) Close() { p.memory.StopAllGoroutines() }

// On says whether prices are looked for here: see [Prices.Choose].
func (p *Prices) On() bool { return !p.off.Load() }

// Compute returns the prices of those houses whose indices are missing, in
// their order.
type Compute func(ctx context.Context, missing []int) ([]float64, error)

// Value appends to dst[:0] the price under each key, and has those computed
// that are not kept. Of requests that miss the same key at the same time one
// computes. Prices that could not be computed are not kept.
func (p *Prices) Value(ctx context.Context, dst []float64, keys []Key, compute Compute) ([]float64, error) {
	dst = slices.Grow(dst[:0], len(keys))[:len(keys)]
	var missing []int
	for i, key := range keys {
		price, ok := p.memory.GetIfPresent(key)
		if !ok {
			missing = append(missing, i)
			continue
		}
		dst[i] = price
	}
	p.near.Hit.Add(float64(len(keys) - len(missing)))
	if len(missing) == 0 {
		return dst, nil
	}
	p.near.Miss.Add(float64(len(missing)))
	if len(missing) == 1 {
		i := missing[0]
		price, err := p.memory.Get(ctx, keys[i], otter.LoaderFunc[Key, float64](func(ctx context.Context, _ Key) (float64, error) {
			loaded, err := p.load(ctx, keys, missing, compute)
			if err != nil {
				return 0, err
			}
			return loaded[0], nil
		}))
		dst[i] = price
		return dst, err
	}
	return dst, p.several(ctx, dst, keys, missing, compute)
}

// several puts the missing prices into dst.
func (p *Prices) several(ctx context.Context, dst []float64, keys []Key, missing []int, compute Compute) error {
	index := make(map[Key]int, len(missing))
	wanted := make([]Key, 0, len(missing))
	for _, i := range missing {
		if _, twice := index[keys[i]]; !twice {
			index[keys[i]] = i
			wanted = append(wanted, keys[i])
		}
	}
	prices, err := p.memory.BulkGet(ctx, wanted, otter.BulkLoaderFunc[Key, float64](func(ctx context.Context, load []Key) (map[Key]float64, error) {
		indices := make([]int, len(load))
		for n, key := range load {
			indices[n] = index[key]
		}
		slices.Sort(indices)
		loaded, err := p.load(ctx, keys, indices, compute)
		if err != nil {
			return nil, err
		}
		found := make(map[Key]float64, len(load))
		for n, i := range indices {
			found[keys[i]] = loaded[n]
		}
		return found, nil
	}))
	if err != nil {
		return err
	}
	for _, i := range missing {
		dst[i] = prices[keys[i]]
	}
	return nil
}

// load returns the prices of the houses at the indices: those that Redis has
// from there, and the others computed.
func (p *Prices) load(ctx context.Context, keys []Key, indices []int, compute Compute) ([]float64, error) {
	if p.remote == nil {
		return compute(ctx, indices)
	}
	prices := make([]float64, len(indices))
	absent := p.fetch(ctx, prices, keys, indices)
	if len(absent) == 0 {
		return prices, nil
	}
	missing := make([]int, len(absent))
	for n, at := range absent {
		missing[n] = indices[at]
	}
	computed, err := compute(ctx, missing)
	if err != nil {
		return nil, err
	}
	entries := make([]store.Entry, len(absent))
	for n, at := range absent {
		prices[at] = computed[n]
		key := keys[missing[n]]
		entries[n] = store.Entry{Key: key.redisName(), Value: p.seal.Load().close(key, computed[n])}
	}
	p.remote.SetAside(p.ttl, entries...)
	return prices, nil
}

// fetch asks Redis for the prices of the houses at the indices, and returns
// the positions of those that it does not have.
func (p *Prices) fetch(ctx context.Context, prices []float64, keys []Key, indices []int) (absent []int) {
	names := make([]string, len(indices))
	for n, i := range indices {
		names[n] = keys[i].redisName()
	}
	values, err := p.remote.Get(ctx, store.RedisBudget, sealedBytes+1, names...)
	if err != nil {
		p.far.Error.Inc()
		values = make([][]byte, len(indices))
	}
	for n, i := range indices {
		price, ok := p.seal.Load().open(keys[i], values[n])
		switch {
		case ok:
			prices[n] = price
			p.far.Hit.Inc()
			continue
		case values[n] != nil:
			p.far.Refused.Inc()
		case err == nil:
			p.far.Miss.Inc()
		}
		absent = append(absent, n)
	}
	return absent
}

// Times of Choose.
const (
	choiceSamples = 25
	choiceRetry   = 2 * time.Second
	choiceFactor  = 2 // asking pays if half of the requests hit
)

// Choose turns the cache off, and on again only if asking Redis for a price
// takes less than half the time of computing one, which is valuing: who misses
// pays for both. It waits until Redis answers, or ctx ends, and logs what it
// measured.
func (p *Prices) Choose(ctx context.Context, valuing time.Duration, log *slog.Logger) {
	p.off.Store(true)
	for {
		if asking, ok := p.measure(ctx); ok {
			p.off.Store(choiceFactor*asking >= valuing)
			log.Info("response_cache", "on", p.On(), "asking_us", microseconds(asking), "valuing_us", microseconds(valuing))
			return
		}
		timer := time.NewTimer(store.Jitter(choiceRetry))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// measure returns the median time that Redis takes to say that it has not a
// price.
func (p *Prices) measure(ctx context.Context) (median time.Duration, ok bool) {
	took := make([]time.Duration, choiceSamples)
	for i := range took {
		start := time.Now()
		if _, err := p.remote.Get(ctx, store.RedisBudget, sealedBytes+1, (Key{byte(i)}).redisName()); err != nil {
			return 0, false
		}
		took[i] = time.Since(start)
	}
	slices.Sort(took)
	return took[choiceSamples/2], true
}
