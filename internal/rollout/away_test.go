package rollout_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"housing/internal/registry"
	"housing/internal/rollout"
)

// TestARegistryThatHangsHoldsUpNobodyForLong asks for versions that do not run
// while the registry takes calls and answers none: each request ends after
// the time of one list, not after that of all who asked before.
func TestARegistryThatHangsHoldsUpNobodyForLong(t *testing.T) {
	good, _ := registryWith(t, "a")
	end := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-end }))
	defer server.Close()
	defer close(end)
	hanging, err := registry.Open(t.Context(), "gs://models/kc?endpoint="+server.URL)
	if err != nil {
		t.Fatal(err)
	}
	s := startReplica(t, good, nil, func(o *rollout.Options) { o.Registry, o.Poll = hanging, time.Minute })
	start := time.Now()
	var asking sync.WaitGroup
	for range 5 {
		asking.Go(func() {
			if _, err := s.Ask(t.Context(), "b"); !errors.Is(err, rollout.ErrLoading) {
				t.Errorf("got %v", err)
			}
		})
	}
	gone, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Ask(gone, "b"); err == nil || time.Since(start) > time.Second {
		t.Errorf("a client that went away was held for %v: %v", time.Since(start), err)
	}
	asking.Wait()
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("five requests took %v", took)
	}
}
