package cli

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"housing/internal/bundle"
	"housing/internal/bundle/bundletest"
	"housing/internal/house"
	"housing/internal/httpapi"
	"housing/internal/registry"
)

// pricedHouses are houses with what each of some versions asks for them.
type pricedHouses struct {
	bodies []string             // requests, of two houses each
	prices map[string][]float64 // by version, two for each body

	mu       sync.Mutex
	answered map[string]bool // IDs of predictions, where the service has a journal
}

// priceHouses values a hundred houses with bundles, apart from any service.
func priceHouses(t *testing.T, bundles map[string][]byte, change func(i int, h *house.House)) *pricedHouses {
	t.Helper()
	p := &pricedHouses{prices: map[string][]float64{}, answered: map[string]bool{}}
	var houses []house.House
	for i := range 100 {
		h := house.Example()
		h.Values[house.SqftLiving] = float64(1000 + 20*i)
		if change != nil {
			change(i, &h)
		}
		houses = append(houses, h)
	}
	for i := 0; i < len(houses); i += 2 {
		body := append(house.AppendJSON([]byte(`{"records":[`), &houses[i]), ',')
		p.bodies = append(p.bodies, string(append(house.AppendJSON(body, &houses[i+1]), "]}"...)))
	}
	for version, data := range bundles {
		b, err := bundle.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		for _, price := range b.Model.Prices(nil, houses, b.Demographics) {
			p.prices[version] = append(p.prices[version], math.Round(price*100)/100)
		}
	}
	return p
}

// ask asks for the prices of the ith body, and holds the answer to the
// version that it names.
func (p *pricedHouses) ask(s *process, i int, header ...string) (version string, err error) {
	i %= len(p.bodies)
	request, err := http.NewRequest("POST", s.base+"/v1/predict", strings.NewReader(p.bodies[i]))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	for j := 0; j < len(header); j += 2 {
		request.Header.Set(header[j], header[j+1])
	}
	answer, err := s.client.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return "", err
	}
	var got httpapi.Prediction
	if err := json.Unmarshal(text, &got); err != nil || answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", answer.Status, text)
	}
	want := p.prices[got.ModelVersion]
	if want == nil || len(got.Predictions) != 2 || got.Predictions[0] != want[2*i] || got.Predictions[1] != want[2*i+1] || answer.Header.Get("X-Model-Version") != got.ModelVersion {
		return "", fmt.Errorf("version %q answers %v, it values the houses at %v", got.ModelVersion, got.Predictions, want)
	}
	if got.PredictionID != "" {
		p.mu.Lock()
		p.answered[got.PredictionID] = true
		p.mu.Unlock()
	}
	return got.ModelVersion, nil
}

// untilAnswers waits until a version answers.
func (p *pricedHouses) untilAnswers(s *process, what, version string) {
	s.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		got, err := p.ask(s, 0)
		if err != nil {
			s.t.Fatalf("%s: %v", what, err)
		}
		if got == version {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("%s: %s answers, not %s\n%s", what, got, version, s.logged())
		}
	}
}

// number returns a metric of the service as a number.
func (s *process) number(name string) float64 {
	s.t.Helper()
	n, err := strconv.ParseFloat(s.metric(name), 64)
	if err != nil {
		s.t.Fatalf("%s: %v", name, err)
	}
	return n
}

// resident returns how many bytes of memory the service's process has.
func (s *process) resident() float64 {
	s.t.Helper()
	return s.number("process_resident_memory_bytes")
}

// TestSwapsFailNoRequest swaps two versions while houses are valued, with
// pushes of bundles that are cut, changed, unsigned and of another program
// between. With SWAPS=long it is 200 swaps in 100 seconds under 300 requests
// a second.
func TestSwapsFailNoRequest(t *testing.T) {
	if testing.Short() {
		t.Skip("swaps for seconds")
	}
	swaps, perSecond, each, warm := 24, 100, 100*time.Millisecond, time.Duration(0)
	if os.Getenv("SWAPS") == "long" {
		swaps, perSecond, each, warm = 200, 300, 500*time.Millisecond, 20*time.Second
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	r, err := registry.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	bundles := map[string][]byte{"a": bundletest.Bytes(t, "a", 1), "b": bundletest.Bytes(t, "b", 2)}
	for version, data := range bundles {
		if _, err := r.Push(t.Context(), version, bytes.NewReader(data), private, pushed); err != nil {
			t.Fatal(err)
		}
	}
	priced := priceHouses(t, bundles, nil)
	// What is pushed and must never answer.
	good := func(version string) []byte { return bundletest.Bytes(t, version, 3) }
	bad := []struct {
		version string
		damage  func([]byte) []byte
		signed  bool
	}{
		{"cut", func(b []byte) []byte { return b[:len(b)/2] }, true},
		{"flipped", func(b []byte) []byte { b = bytes.Clone(b); b[len(b)-1000] ^= 1; return b }, true},
		{"unsigned", func(b []byte) []byte { return b }, false},
		{"schema", func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("sqft_living15"), []byte("sqft_livinG15")) }, true},
	}
	for _, v := range bad {
		key := private
		if !v.signed {
			key = nil
		}
		data := good(v.version)
		if _, err := r.Push(t.Context(), v.version, bytes.NewReader(data), key, pushed); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, v.version, "bundle"), v.damage(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	env := map[string]string{"MODEL_DIR": dir, "MODEL_PUBLIC_KEY": base64.StdEncoding.EncodeToString(public), "MODEL_POLL": "100ms", "MODEL_PROBATION": "0s"}
	primary := func(version string) {
		t.Helper()
		if code, _, stderr := run(t, env, "rollout", "set", "--primary", version); code != success {
			t.Fatalf("rollout set: %s", stderr)
		}
	}
	primary("a")
	s := startService(t, env)
	goroutines := s.number("go_goroutines")
	l := startLoad([]*process{s}, nil, perSecond, func(s *process, i int) error { _, err := priced.ask(s, i); return err })
	end := sync.OnceFunc(func() { l.end(t) })
	defer end()

	time.Sleep(warm) // until memory is what the load alone makes of it
	var resident float64
	start := time.Now()
	for i := range swaps {
		next := []string{"b", "a"}[i%2]
		if i%6 == 3 {
			worse := bad[(i/6)%len(bad)].version
			primary(worse)
			s.until(worse, "rollout", "down", "refused")
		}
		primary(next)
		priced.untilAnswers(s, fmt.Sprintf("swap %d", i+1), next)
		time.Sleep(time.Until(start.Add(time.Duration(i+1) * each)))
		if i+1 == 5 {
			resident = s.resident()
		}
		if (i+1)%20 == 5 {
			t.Logf("swap %d: %.1f MiB resident, %.1f of them heap in use", i+1, s.resident()/(1<<20), s.number("go_memstats_heap_inuse_bytes")/(1<<20))
		}
	}
	took := time.Since(start)
	s.until("at the end", "rollout", "up", "")
	if n := s.number("model_swaps_total"); n < float64(swaps) {
		t.Errorf("%v swaps, want %d", n, swaps)
	}
	t.Logf("%d swaps in %v: %s", swaps, took.Round(time.Millisecond), l.lap())
	t.Logf("resident at the fifth swap %.1f MiB, at the end %.1f MiB", resident/(1<<20), s.resident()/(1<<20))
	if os.Getenv("SWAPS") == "long" && s.resident() > 1.1*resident {
		t.Errorf("resident memory grew from %.1f to %.1f MiB", resident/(1<<20), s.resident()/(1<<20))
	}
	if n := s.number(`model_load_failures_total{reason="refused"}`); n < 4 {
		t.Errorf("%v bundles were refused, want 4", n)
	}
	end() // and the goroutines of its connections with it
	for limit := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		now := s.number("go_goroutines")
		if now <= goroutines {
			t.Logf("goroutines before the load %v, after it %v", goroutines, now)
			break
		}
		if time.Now().After(limit) {
			t.Errorf("goroutines grew from %v to %v", goroutines, now)
			break
		}
	}
}
