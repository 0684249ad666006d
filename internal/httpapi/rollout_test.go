package httpapi

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"housing/internal/bundle/bundletest"
	"housing/internal/registry"
	"housing/internal/rollout"
	"housing/internal/store"
	"housing/internal/valuer"
)

// planned is an API that follows the plan of a registry in a folder, which
// has the versions kc-1 and kc-2; kc-1 is the primary. Its clients may say in
// X-Forwarded-For where they are.
type planned struct {
	*API
	folder string
}

func newPlanned(t testing.TB) planned {
	t.Helper()
	folder := t.TempDir()
	r, err := registry.Open(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	for i, version := range []string{"kc-1", "kc-2"} {
		if _, err := r.Push(t.Context(), version, bytes.NewReader(bundletest.Bytes(t, version, uint64(i+1))), nil); err != nil {
			t.Fatal(err)
		}
	}
	load := func(ctx context.Context, version string) (valuer.Model, error) {
		b, err := r.Load(ctx, version, nil, "")
		if err != nil {
			return valuer.Model{}, err
		}
		return valuer.FromBundle(b), nil
	}
	first, err := load(t.Context(), "kc-1")
	if err != nil {
		t.Fatal(err)
	}
	a := newAPI(t, func(s *setup) {
		s.model = first
		s.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	})
	ctx, stop := context.WithCancel(context.Background())
	a.Traffic = rollout.NewTraffic(rollout.Options{
		Registry: r, Valuer: a.Valuer, Load: load, Metrics: a.Metrics, Log: slog.New(slog.DiscardHandler), Poll: 20 * time.Millisecond,
		Dependency: store.NewDependency("registry", prometheus.NewGauge(prometheus.GaugeOpts{Name: "up"}), slog.New(slog.DiscardHandler)),
	})
	a.Traffic.Start(ctx, "kc-1")
	t.Cleanup(func() {
		stop()
		a.Traffic.Wait()
		if err := a.Valuer.Close(); err != nil {
			t.Error(err)
		}
	})
	return planned{a, folder}
}
