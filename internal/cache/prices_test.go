package cache_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"housing/internal/cache"
	"housing/internal/store"
	"housing/internal/telemetry"
)

var discard = slog.New(slog.DiscardHandler)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a Redis that a test can look into, lie with and take away.
type memory struct {
	mu      sync.Mutex
	entries map[string][]byte
	err     error
}

func (m *memory) Get(_ context.Context, _ time.Duration, _ int64, keys ...string) ([][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return nil, m.err
	}
	values := make([][]byte, len(keys))
	for i, k := range keys {
		values[i] = m.entries[k]
	}
	return values, nil
}

func (m *memory) Set(_ context.Context, _, ttl time.Duration, entries ...store.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	for _, e := range entries {
		m.entries[e.Key] = e.Value
	}
	return nil
}

func (m *memory) SetAside(ttl time.Duration, entries ...store.Entry) {
	_ = m.Set(context.Background(), 0, ttl, entries...)
}

func newPrices(t testing.TB, remote cache.Remote, secret string) (*cache.Prices, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	p, err := cache.NewPrices(cache.PricesOptions{TTL: time.Minute, Metrics: telemetry.NewMetrics(reg), Remote: remote, Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p, reg
}

func keys(names ...byte) []cache.Key {
	keys := make([]cache.Key, len(names))
	for i, n := range names {
		keys[i][0] = n
	}
	return keys
}

// hundred prices a house by its key: 100 for each, and counts what it prices.
type hundred struct {
	mu    sync.Mutex
	count int
}

func (h *hundred) compute(keys []cache.Key) cache.Compute {
	return func(_ context.Context, missing []int) ([]float64, error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.count += len(missing)
		prices := make([]float64, len(missing))
		for n, i := range missing {
			prices[n] = 100 * float64(keys[i][0])
		}
		return prices, nil
	}
}

func count(t *testing.T, reg *prometheus.Registry, cache, result string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			if f.GetName() == "cache_requests_total" && m.Label[0].GetValue() == cache && m.Label[1].GetValue() == result {
				return m.Counter.GetValue()
			}
		}
	}
	t.Fatalf("there is no count of %s %s", cache, result)
	return 0
}

func TestPricesAreComputedOnce(t *testing.T) {
	remote := &memory{entries: map[string][]byte{}}
	p, reg := newPrices(t, remote, "s")
	other, otherReg := newPrices(t, remote, "s")
	var h hundred
	for i, step := range []struct {
		prices   *cache.Prices
		keys     []cache.Key
		want     []float64
		computed int // so far
	}{
		{p, keys(1), []float64{100}, 1},
		{p, keys(1), []float64{100}, 1},
		{p, keys(3, 1, 2, 3), []float64{300, 100, 200, 300}, 3},
		{p, keys(), []float64{}, 3},
		{other, keys(2), []float64{200}, 3}, // from Redis
		{other, keys(2, 1, 4), []float64{200, 100, 400}, 4},
		{other, keys(4, 4), []float64{400, 400}, 4},
	} {
		got, err := step.prices.Value(t.Context(), nil, step.keys, h.compute(step.keys))
		if err != nil || !slices.Equal(got, step.want) || h.count != step.computed {
			t.Errorf("step %d: %v, %d computed, %v; want %v, %d", i, got, h.count, err, step.want, step.computed)
		}
	}
	if hits := count(t, reg, "prices_memory", "hit"); hits != 2 {
		t.Errorf("%v hits in memory, want 2", hits)
	}
	if hits := count(t, otherReg, "prices_redis", "hit"); hits != 2 {
		t.Errorf("%v hits in Redis, want 2", hits)
	}
	if testutil.CollectAndCount(reg, "cache_requests_total") != 8 {
		t.Error("the results of the caches are not all shown from the start")
	}
}

// TestATamperedPriceIsRefusedAndReplaced puts other prices in the place of
// those in Redis, in every way that needs no secret.
func TestATamperedPriceIsRefusedAndReplaced(t *testing.T) {
	remote := &memory{entries: map[string][]byte{}}
	writer, _ := newPrices(t, remote, "secret")
	var h hundred
	k := keys(1)
	fill := func(p *cache.Prices, k []cache.Key) {
		if _, err := p.Value(t.Context(), nil, k, h.compute(k)); err != nil {
			t.Fatal(err)
		}
	}
	fill(writer, k)
	fill(writer, keys(2))
	if len(remote.entries) != 2 {
		t.Fatalf("Redis holds %d entries", len(remote.entries))
	}
	name := "housing:price:" + base64.RawURLEncoding.EncodeToString(k[0][:])
	good := slices.Clone(remote.entries[name])
	var moved []byte
	for n, v := range remote.entries {
		if n != name {
			moved = slices.Clone(v)
		}
	}
	flipped := func(i int) []byte { b := slices.Clone(good); b[i] ^= 1; return b }
	infinite := slices.Clone(good)
	copy(infinite, []byte{0, 0, 0, 0, 0, 0, 0xf0, 0x7f})
	foreign := &memory{entries: map[string][]byte{}}
	forger, _ := newPrices(t, foreign, "guessed")
	fill(forger, k)
	for what, poison := range map[string][]byte{
		"a price": []byte("1.0"), "nothing": {}, "cut": good[:23], "longer": append(slices.Clone(good), 0),
		"a bit of the price": flipped(7), "a bit of the seal": flipped(20), "another house's": moved, "infinite": infinite,
		"sealed with another secret": foreign.entries[name],
	} {
		remote.entries[name] = poison
		reader, reg := newPrices(t, remote, "secret")
		before := h.count
		got, err := reader.Value(t.Context(), nil, k, h.compute(k))
		if err != nil || got[0] != 100 || h.count != before+1 {
			t.Errorf("%s: %v, %v", what, got, err)
		}
		if refused := count(t, reg, "prices_redis", "refused"); refused != 1 {
			t.Errorf("%s: %v refused", what, refused)
		}
		if !slices.Equal(remote.entries[name], good) {
			t.Errorf("%s: it was not replaced", what)
		}
	}
}

func TestPricesGoOnWithoutRedis(t *testing.T) {
	remote := &memory{entries: map[string][]byte{}, err: store.ErrAway}
	p, reg := newPrices(t, remote, "s")
	var h hundred
	for _, k := range [][]cache.Key{keys(1), keys(2, 3)} {
		got, err := p.Value(t.Context(), nil, k, h.compute(k))
		if err != nil || got[0] != 100*float64(k[0][0]) {
			t.Errorf("%v, %v", got, err)
		}
	}
	if errors := count(t, reg, "prices_redis", "error"); errors != 2 {
		t.Errorf("%v errors", errors)
	}
	if misses := count(t, reg, "prices_redis", "miss"); misses != 0 {
		t.Errorf("%v misses of a Redis that did not answer", misses)
	}
}

func TestWhatCannotBeComputedIsNotKept(t *testing.T) {
	p, _ := newPrices(t, nil, "")
	broken := errors.New("broken")
	for _, k := range [][]cache.Key{keys(1), keys(1, 2)} {
		_, err := p.Value(t.Context(), nil, k, func(context.Context, []int) ([]float64, error) { return nil, broken })
		if !errors.Is(err, broken) {
			t.Errorf("error %v", err)
		}
		var h hundred
		if got, err := p.Value(t.Context(), nil, k, h.compute(k)); err != nil || got[0] != 100 {
			t.Errorf("after an error: %v, %v", got, err)
		}
	}
}

// TestOneOfManyComputes lets many ask for the same houses at once, some of
// whom leave.
func TestOneOfManyComputes(t *testing.T) {
	p, _ := newPrices(t, nil, "")
	for _, k := range [][]cache.Key{keys(1), keys(2, 3, 4)} {
		var h hundred
		release := make(chan struct{})
		began := make(chan struct{}, 100)
		slow := func(ctx context.Context, missing []int) ([]float64, error) {
			began <- struct{}{}
			<-release
			return h.compute(k)(ctx, missing)
		}
		var group sync.WaitGroup
		for i := range 50 {
			ctx, leave := context.WithCancel(t.Context())
			group.Go(func() {
				defer leave()
				got, err := p.Value(ctx, nil, k, slow)
				if err == nil && got[0] != 100*float64(k[0][0]) || err != nil && i%2 == 0 {
					t.Errorf("%v, %v", got, err)
				}
			})
			if i == 0 {
				<-began // the first computes, the others wait for it
			} else if i%2 == 1 {
				leave()
			}
		}
		close(release)
		group.Wait()
		if h.count != len(k) {
			t.Errorf("%d were computed, want %d", h.count, len(k))
		}
	}
}

func TestTheCacheIsOnOnlyIfRedisIsQuicker(t *testing.T) {
	for valuing, asked := range map[time.Duration]bool{time.Nanosecond: false, time.Hour: true} {
		remote := &memory{entries: map[string][]byte{}}
		p, _ := newPrices(t, remote, "s")
		p.Choose(t.Context(), valuing, discard)
		if p.On() != asked {
			t.Errorf("valuing takes %v: the cache is on: %t", valuing, p.On())
		}
	}
}

// BenchmarkPrices measures what a cache costs and gains a request.
func BenchmarkPrices(b *testing.B) {
	for _, n := range []int{1, 100} {
		p, _ := newPrices(b, nil, "")
		k := make([]cache.Key, n)
		prices := make([]float64, n)
		compute := func(context.Context, []int) ([]float64, error) { return prices, nil }
		var dst []float64
		next := uint64(0)
		fresh := func() {
			for i := range k {
				next++
				k[i] = cache.Key{byte(next), byte(next >> 8), byte(next >> 16), byte(next >> 24), byte(next >> 32)}
			}
		}
		for _, hit := range []bool{true, false} {
			b.Run(fmt.Sprintf("houses=%d/hit=%t", n, hit), func(b *testing.B) {
				b.ReportAllocs()
				fresh()
				for b.Loop() {
					if !hit {
						fresh()
					}
					var err error
					if dst, err = p.Value(b.Context(), dst, k, compute); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
