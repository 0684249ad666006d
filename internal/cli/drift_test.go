package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"housing/internal/bundle"
	"housing/internal/house"
	"housing/internal/httpapi"
	"housing/test/docrun"
)

// TestAServiceComparesWhatItIsAsked asks it for what docs/drift.md has, before
// and after requests, and waits for the metrics.
func TestAServiceComparesWhatItIsAsked(t *testing.T) {
	t.Parallel()
	document := docrun.Open(t, "../../docs/drift.md", nil, "curl")
	s := startService(t, map[string]string{"RATE_LIMIT": "off"})
	about := func() *httpapi.Drift {
		t.Helper()
		out := document.Run("the figures", "http://127.0.0.1:8000", s.base)
		var info httpapi.ModelInfo
		if err := json.Unmarshal([]byte(out), &info); err != nil || info.Drift == nil {
			t.Fatalf("%v: %s", err, out)
		}
		return info.Drift
	}
	if d := about(); d.Status != "waiting" || d.Houses != 0 {
		t.Errorf("before a request: %+v", d)
	}
	for part := range 3 {
		var records []string
		h := house.Example()
		for i := range 1000 {
			h.Values[house.SqftLot] = float64(1000 + 1000*part + i)
			records = append(records, string(house.AppendJSON(nil, &h)))
		}
		answer, err := s.client.Post(s.base+"/v1/predict", "application/json", strings.NewReader(`{"records":[`+strings.Join(records, ",")+`]}`))
		if err != nil {
			t.Fatal(err)
		}
		if answer.Body.Close(); answer.StatusCode != 200 {
			t.Fatal(answer.Status)
		}
	}
	if d := about(); d.Status != "on" || d.Houses != 3000 || !d.Population.Shifted {
		t.Errorf("after 3,000 houses that differ in their land alone: %+v", d)
	}
	label := fmt.Sprintf("model_version=%q} ", s.health().ModelVersion)
	for end := time.Now().Add(2 * patience); ; time.Sleep(100 * time.Millisecond) { // they come with the next 15 seconds
		answer, err := s.client.Get(s.base + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		metrics, err := io.ReadAll(answer.Body)
		if answer.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(metrics), "drift_houses_total{"+label+"3000\n") && strings.Contains(string(metrics), `feature_drift_psi{feature="sqft_living",`+label) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the metrics do not say so: %s", metrics)
		}
	}
}

// TestPrometheusAddsUpTheDriftOfReplicas asks one service for the houses with
// the less living space, and another for those with more: each is asked about
// another population than that of the training, and both together are not.
func TestPrometheusAddsUpTheDriftOfReplicas(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for services that compare every 15 seconds; run without -short")
	}
	t.Parallel()
	b, err := bundle.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	living := b.Model.Reference.Fields[house.SqftLiving]
	var records []string // as many of each bin as in the training, of 5,000 houses
	for i, n := range living.Counts {
		h := house.Example()
		h.Values[house.SqftLiving] = living.Min
		if i > 0 {
			h.Values[house.SqftLiving] = living.Edges[i-1]
		}
		for range int(math.Round(5000 * float64(n) / float64(living.Known()))) {
			h.Values[house.SqftLot] = float64(1000 + len(records))
			records = append(records, string(house.AppendJSON(nil, &h)))
		}
	}
	services := []*process{startService(t, map[string]string{"RATE_LIMIT": "off"}), startService(t, map[string]string{"RATE_LIMIT": "off"})}
	rules, err := filepath.Abs("../../deploy/prometheus/rules/drift.yml")
	if err != nil {
		t.Fatal(err)
	}
	prometheus := startPrometheus(t, services, rules)
	half := len(records) / 2
	parts := [][]string{records[:half], records[half:]}
	ask := func() {
		for i, s := range services {
			for part := range slices.Chunk(parts[i], 500) {
				answer, err := s.client.Post(s.base+"/v1/predict", "application/json", strings.NewReader(`{"records":[`+strings.Join(part, ",")+`]}`))
				if err != nil {
					t.Fatal(err)
				}
				if answer.Body.Close(); answer.StatusCode != 200 {
					t.Fatal(answer.Status)
				}
			}
		}
	}
	// query waits until Prometheus answers with n values, and returns them.
	query := func(n int, text string) (values []float64) {
		t.Helper()
		var answer struct {
			Data struct{ Result []struct{ Value [2]any } }
		}
		for end := time.Now().Add(2 * patience); ; time.Sleep(200 * time.Millisecond) {
			response, err := client.Get(prometheus + "/api/v1/query?" + url.Values{"query": {text}}.Encode())
			if err == nil {
				err = errors.Join(json.NewDecoder(response.Body).Decode(&answer), response.Body.Close())
			}
			if err == nil && len(answer.Data.Result) == n {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%s: %+v, %v; want %d values", text, answer, err, n)
			}
		}
		for _, r := range answer.Data.Result {
			v, err := strconv.ParseFloat(fmt.Sprint(r.Value[1]), 64)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, v)
		}
		return values
	}
	// Prometheus sees growth only where it has seen the counter before.
	ask()
	query(2, "drift_houses_total > 2000")
	ask()
	query(2, "increase(drift_houses_total[1h]) > 2000")
	for _, psi := range query(2, `feature_drift_psi{feature="sqft_living"}`) {
		if psi < 1 {
			t.Errorf("of one replica alone the PSI is %.3f", psi)
		}
	}
	query(1, `housing:feature_psi:1h{feature="sqft_living"} < 0.05`) // once the rule has seen both
	if psi := query(1, `housing:feature_psi:1h{feature="grade"}`); psi[0] < 0.5 {
		t.Errorf("the PSI of a grade that all houses have is %.3f", psi[0])
	}
}
