package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"housing/internal/house"
	"housing/internal/httpapi"
)

// TestAServiceComparesWhatItIsAsked asks it for what docs/drift.md has, before
// and after requests, and waits for the metrics.
func TestAServiceComparesWhatItIsAsked(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"curl", "sh"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	text, err := os.ReadFile("../../docs/drift.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "<!-- commands: a test runs them -->\n```sh\n")
	commands, _, _ := strings.Cut(rest, "```\n")
	if !found {
		t.Fatal("docs/drift.md has no commands")
	}
	s := startService(t, map[string]string{"RATE_LIMIT": "off"})
	about := func() *httpapi.Drift {
		t.Helper()
		shell := exec.Command("sh", "-e")
		shell.Stdin = strings.NewReader(strings.ReplaceAll(commands, "http://127.0.0.1:8000", s.base))
		out, err := shell.Output()
		var info httpapi.ModelInfo
		if err = errors.Join(err, json.Unmarshal(out, &info)); err != nil || info.Drift == nil {
			t.Fatalf("%v: %s", err, out)
		}
		return info.Drift
	}
	if d := about(); d.Status != "waiting" || d.Houses != 0 {
		t.Errorf("before a request: %+v", d)
	}
	h := house.Example()
	record := string(house.AppendJSON(nil, &h))
	body := `{"records":[` + strings.Repeat(record+",", 999) + record + `]}`
	for range 3 {
		answer, err := s.client.Post(s.base+"/v1/predict", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if answer.Body.Close(); answer.StatusCode != 200 {
			t.Fatal(answer.Status)
		}
	}
	if d := about(); d.Status != "on" || d.Houses != 3000 || !d.Population.Shifted {
		t.Errorf("after 3,000 requests for one house: %+v", d)
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
