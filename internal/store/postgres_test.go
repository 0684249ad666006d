package store_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"housing/internal/store"
	"housing/internal/store/storetest"
)

func TestMain(m *testing.M) {
	// The Redis client's second look at a changed cluster sleeps up to a
	// second, whether or not the client is closed meanwhile.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1"))
}

// TestServersSayHowTheyAre takes a primary and its replica through what can
// happen to them.
func TestServersSayHowTheyAre(t *testing.T) {
	t.Parallel()
	primary := storetest.NewPostgres(t)
	replica := primary.NewReplica()
	dependency := func(name string) *store.Dependency {
		return store.NewDependency(name, prometheus.NewGauge(prometheus.GaugeOpts{Name: name}), slog.New(slog.DiscardHandler))
	}
	first, copies := dependency("primary"), dependency("replicas")
	servers, err := store.OpenPostgres(primary.URL, []string{replica.URL}, first, copies)
	if err != nil {
		t.Fatal(err)
	}
	defer servers.Close()
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { servers.Run(ctx) })
	defer running.Wait()
	defer stop()

	until := func(what string, d *store.Dependency, status store.Status, reason store.Reason) {
		t.Helper()
		start := time.Now()
		for end := start.Add(30 * time.Second); d.State().Status != status || d.State().Reason != reason; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: %s is %+v, want %s %s", what, d.Name, d.State(), status, reason)
			}
		}
		t.Logf("%s: seen after %v", what, time.Since(start).Round(time.Millisecond))
	}
	until("start", first, store.Up, "")
	until("start", copies, store.Up, "")

	primary.ReadOnly(true)
	until("read-only", first, store.Down, store.ReadOnly)
	primary.ReadOnly(false)
	until("no longer read-only", first, store.Up, "")

	primary.Hang()
	until("hung", first, store.Down, store.Timeout)
	if s := copies.State(); s.Status != store.Up {
		t.Errorf("the replica is %+v while the primary hangs", s)
	}
	primary.Resume()
	until("goes on", first, store.Up, "")

	replica.Kill()
	until("replica killed", copies, store.Down, store.Unreachable)
	replica.Start()
	until("replica started", copies, store.Up, "")

	primary.Kill()
	until("killed", first, store.Down, store.Unreachable)
	primary.Start()
	until("started again", first, store.Up, "")
}

func TestAServerWithoutConnectionsLeft(t *testing.T) {
	t.Parallel()
	server := storetest.NewPostgres(t, "max_connections=8", "max_wal_senders=0")
	release := server.Exhaust()
	defer release()
	pool, err := store.OpenPool(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	err = pool.Ping(t.Context())
	if reason := store.ReasonOf(err); reason != store.OutOfConnections {
		t.Errorf("reason %q of %v", reason, err)
	}
	if text := store.Explain(pool, err).Error(); !strings.Contains(text, "has no connection left: try again, or raise its max_connections (SQLSTATE 53300)") {
		t.Error(text)
	}
	release()
	for end := time.Now().Add(30 * time.Second); pool.Ping(t.Context()) != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come back")
		}
	}
}

func TestAServerThatDoesNotLetUsIn(t *testing.T) {
	t.Parallel()
	server := storetest.NewPostgres(t)
	for name, url := range map[string]string{
		"user":     strings.Replace(server.URL, "housing@", "stranger:hunter2@", 1),
		"database": strings.Replace(server.URL, "/postgres?", "/none?", 1),
	} {
		pool, err := store.OpenPool(url)
		if err != nil {
			t.Fatal(err)
		}
		err = pool.Ping(t.Context())
		pool.Close()
		if reason := store.ReasonOf(err); reason != store.Authentication || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: reason %q of %v", name, reason, err)
		}
	}
}
