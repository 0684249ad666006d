package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"housing/internal/store"
	"housing/internal/store/storetest"
	"housing/internal/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newLimiter(t testing.TB, limit Limit, shared Shared) *Limiter {
	t.Helper()
	l, err := New("test", limit, shared, telemetry.NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func TestAClientMaySendTheWholeLimitAndThenAsItRefills(t *testing.T) {
	limit := Limit{100, time.Minute}
	var tat time.Duration
	var d Decision
	now := time.Hour
	for i := range int64(100) {
		if d, tat = limit.decide(tat, now, 1); !d.Allowed || d.Remaining != 99-i {
			t.Fatalf("request %d: %+v", i, d)
		}
	}
	if d, _ = limit.decide(tat, now, 1); d.Allowed || d.RetryAfter != 600*time.Millisecond || d.Remaining != 0 || d.Reset != time.Minute {
		t.Errorf("one more: %+v", d)
	}
	now += 600 * time.Millisecond
	if d, tat = limit.decide(tat, now, 1); !d.Allowed {
		t.Errorf("after the time that it was told: %+v", d)
	}
	if d, _ = limit.decide(tat, now+time.Minute, 1000); !d.Allowed || d.Remaining != 0 {
		t.Errorf("a cost above the limit: %+v", d)
	}
	if d, _ = limit.decide(tat, now+30*time.Second, 1000); d.Allowed || d.RetryAfter != 30*time.Second {
		t.Errorf("a cost above the limit, with half of it there: %+v", d)
	}
}

// TestNoMoreThanTheLimit holds the algorithm to what it promises, whatever a
// client does: in any stretch of time at most the limit and what refills.
func TestNoMoreThanTheLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := Limit{rapid.Int64Range(1, 1000).Draw(t, "requests"), time.Minute}
		type grant struct {
			at   time.Duration
			cost int64
		}
		var grants []grant
		var tat, now time.Duration
		for range rapid.IntRange(1, 60).Draw(t, "asks") {
			now += time.Duration(rapid.Int64Range(0, int64(20*time.Second)).Draw(t, "wait"))
			cost := rapid.Int64Range(1, limit.Requests).Draw(t, "cost")
			var d Decision
			if d, tat = limit.decide(tat, now, cost); d.Allowed {
				grants = append(grants, grant{now, cost})
			} else if later, _ := limit.decide(tat, now+d.RetryAfter, cost); !later.Allowed {
				t.Fatalf("refused again after the time that it was told: %+v", d)
			}
		}
		for i := range grants {
			var sum int64
			for _, g := range grants[i:] {
				sum += g.cost
				if most := limit.Requests + int64((g.at-grants[i].at)/limit.interval()) + 1; sum > most {
					t.Fatalf("%d in %v, at most %d", sum, g.at-grants[i].at, most)
				}
			}
		}
	})
}

// away is a Redis that does not answer.
type away struct{ err error }

func (a away) RunScript(context.Context, time.Duration, *store.Script, string, ...string) ([]int64, error) {
	return nil, a.err
}

func TestClientsAreLimitedHereWhileRedisIsAway(t *testing.T) {
	for _, shared := range []Shared{nil, away{store.ErrAway}, away{errors.New("odd")}, away{nil}} {
		synctest.Test(t, func(t *testing.T) {
			l := newLimiter(t, Limit{10, time.Minute}, shared)
			defer l.Close()
			for _, who := range []string{"a", "b"} {
				for i := range 15 {
					if d := l.Allow(t.Context(), who, 1); d.Allowed != (i < 10) {
						t.Errorf("%v: request %d of %s: %+v", shared, i, who, d)
					}
				}
			}
			time.Sleep(6 * time.Second)
			if d := l.Allow(t.Context(), "a", 1); !d.Allowed {
				t.Errorf("%v: nothing refills: %+v", shared, d)
			}
		})
	}
}

// openRedis returns a connection that is up.
func openRedis(t *testing.T, url string) *store.Redis {
	t.Helper()
	d := store.NewDependency("redis", prometheus.NewGauge(prometheus.GaugeOpts{Name: "redis"}), slog.New(slog.DiscardHandler))
	r, err := store.OpenRedis(url, "", d)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
	for end := time.Now().Add(30 * time.Second); r.State().Status != store.Up; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("Redis is %+v", r.State())
		}
	}
	return r
}

// unhurried gives a busy machine more time than a request would.
type unhurried struct{ *store.Redis }

func (u unhurried) RunScript(ctx context.Context, _ time.Duration, s *store.Script, key string, args ...string) ([]int64, error) {
	return u.Redis.RunScript(ctx, 5*time.Second, s, key, args...)
}

// TestReplicasShareALimit has three limiters on one Redis: together they let
// the limit through, whichever is asked.
func TestReplicasShareALimit(t *testing.T) {
	server := storetest.NewRedis(t)
	limit := Limit{300, time.Hour}
	var replicas []*Limiter
	for range 3 {
		replicas = append(replicas, newLimiter(t, limit, unhurried{openRedis(t, server.URL)}))
	}
	var group sync.WaitGroup
	var mu sync.Mutex
	allowed := map[string]int{}
	for i := range 1500 {
		group.Go(func() {
			who := fmt.Sprint("client-", i%2)
			d := replicas[i%3].Allow(t.Context(), who, 1)
			mu.Lock()
			defer mu.Unlock()
			if d.Allowed {
				allowed[who]++
			} else if d.RetryAfter <= 0 {
				t.Errorf("refused without a time to wait: %+v", d)
			}
		})
		if i%50 == 49 {
			group.Wait() // the connection takes a few hundred at once
		}
	}
	group.Wait()
	for who, n := range allowed {
		if n < 285 || n > 315 {
			t.Errorf("%s: %d were let through, want 300 ± 5 %%", who, n)
		}
	}
	if keys := server.Keys("housing:limit:test:*"); len(keys) != 2 {
		t.Errorf("Redis holds %v", keys)
	}
}

// TestTheScriptSaysWhatTheAlgorithmSays compares them step by step.
func TestTheScriptSaysWhatTheAlgorithmSays(t *testing.T) {
	server := storetest.NewRedis(t)
	r := unhurried{openRedis(t, server.URL)}
	limit := Limit{10, time.Hour}
	args := []string{fmt.Sprint(limit.interval().Microseconds()), fmt.Sprint(limit.Period.Microseconds())}
	var tat time.Duration
	for i, cost := range []int64{1, 3, 6, 1, 10} {
		want, next := limit.decide(tat, 0, cost)
		tat = next
		got, err := r.RunScript(t.Context(), 0, script, "housing:limit:k", append(args, fmt.Sprint(cost))...)
		if err != nil || len(got) != 4 || (got[0] == 1) != want.Allowed || got[1] != want.Remaining {
			t.Fatalf("step %d: %v, %v; want %+v", i, got, err, want)
		}
		for n, want := range map[int]time.Duration{2: want.Reset, 3: want.RetryAfter} {
			if off := time.Duration(got[n])*time.Microsecond - want; off < -time.Minute || off > time.Minute {
				t.Errorf("step %d: number %d is off by %v", i, n, off)
			}
		}
	}
	for _, poison := range []string{"nan", "inf", "-inf", "1e300", "x", ""} {
		server.Do("SET", "housing:limit:k", poison)
		got, err := r.RunScript(t.Context(), 0, script, "housing:limit:k", append(args, "10")...)
		if err != nil || got[0] != 1 {
			t.Errorf("poisoned with %q: %v, %v", poison, got, err)
		}
		if got, err = r.RunScript(t.Context(), 0, script, "housing:limit:k", append(args, "1")...); err != nil || got[0] != 0 {
			t.Errorf("poisoned with %q, the limit used up: %v, %v", poison, got, err)
		}
	}
}

func BenchmarkAllow(b *testing.B) {
	l := newLimiter(b, Limit{1_000_000, time.Second}, nil)
	b.ReportAllocs()
	for b.Loop() {
		l.Allow(b.Context(), "client", 1)
	}
}
