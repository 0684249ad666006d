package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/prometheus/client_golang/prometheus"

	"housing/internal/batch"
	"housing/internal/bundle"
	"housing/internal/house"
	"housing/internal/httpapi"
	"housing/internal/model/modeltest"
	"housing/internal/registry/registrytest"
	"housing/internal/telemetry"
	"housing/internal/valuer"
)

// smallBundle returns the path of a bundle of a small model.
func smallBundle(t *testing.T) string {
	t.Helper()
	return filepath.Join(registryOf(t, map[string]uint64{"small": 1}), "small", "bundle")
}

// service returns an API that serves the bundle.
func service(t *testing.T, path string) http.Handler {
	t.Helper()
	b, err := openBundle(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	metrics, log := prometheus.NewRegistry(), slog.New(slog.DiscardHandler)
	named := telemetry.NewMetrics(metrics)
	v := valuer.New(valuer.Options{Metrics: named, Log: log})
	if err := v.Use(valuer.FromBundle(b), 0); err != nil {
		t.Fatal(err)
	}
	return httpapi.New(httpapi.Options{
		Valuer: v, Metrics: named, Gatherer: metrics, Log: log, MaxBodyBytes: 1 << 20, MaxRecords: 1000,
	}).Handler()
}

// ask returns what the API answers for the records, as text.
func ask(t *testing.T, api http.Handler, records []byte) []string {
	t.Helper()
	request := httptest.NewRequest(http.MethodPost, "/v1/predict", bytes.NewReader(fmt.Appendf(nil, `{"records":[%s]}`, records)))
	request.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	api.ServeHTTP(recorder, request)
	body := recorder.Body.String()
	_, rest, found := strings.Cut(body, `{"predictions":[`)
	prices, _, _ := strings.Cut(rest, "]")
	if recorder.Code != http.StatusOK || !found {
		t.Fatalf("status %d: %s", recorder.Code, body)
	}
	return strings.Split(prices, ",")
}

// pricesOf returns the last column of a CSV file.
func pricesOf(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var prices []string
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n")[1:] {
		prices = append(prices, line[strings.LastIndex(line, ",")+1:])
	}
	return prices
}

func TestAFileIsValuedAsOverHTTP(t *testing.T) {
	path := smallBundle(t)
	records := modeltest.Houses(900)
	var lines [][]byte
	for i := range records {
		lines = append(lines, house.AppendJSON(nil, &records[i]))
	}
	dir := t.TempDir()
	in, out := filepath.Join(dir, "houses.jsonl"), filepath.Join(dir, "prices.csv")
	if err := os.WriteFile(in, bytes.Join(lines, []byte("\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := run(t, nil, "predict", "--in", in, "--out", out, "--model", path); code != success || stdout != "" {
		t.Fatalf("code %d: %s%s", code, stdout, stderr)
	}
	sameTexts(t, pricesOf(t, out), ask(t, service(t, path), bytes.Join(lines, []byte(","))))
}

func TestUnseenHousesAreValuedAsOverHTTP(t *testing.T) {
	in := filepath.Join("..", "..", "..", "shared", "data", "unseen_houses.csv")
	if _, err := os.Stat(in); err != nil {
		t.Skip("the unseen houses are not here: ", err)
	}
	dir := t.TempDir()
	for _, out := range []string{"prices.csv", "prices.ndjson"} {
		if code, _, stderr := run(t, nil, "predict", "--in", in, "--out", filepath.Join(dir, out)); code != success {
			t.Fatalf("code %d: %s", code, stderr)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "prices.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	// Without its price, a line is a record of the API as it stands.
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	for i, line := range lines {
		before, _, _ := bytes.Cut(line, []byte(`,"`+batch.PriceColumn+`"`))
		lines[i] = append(bytes.Clone(before), '}')
	}
	api, got := service(t, ""), pricesOf(t, filepath.Join(dir, "prices.csv"))
	sameTexts(t, got, ask(t, api, bytes.Join(lines, []byte(","))))
	for i, line := range lines {
		sameTexts(t, got[i:i+1], ask(t, api, line))
	}
	for i, text := range got {
		var price float64
		if err := json.Unmarshal([]byte(text), &price); err != nil || price < 75_000 || price > 8_000_000 {
			t.Errorf("house %d is valued at %s: %v", i+1, text, err)
		}
	}
}

func sameTexts(t *testing.T, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d prices, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("house %d is valued at %s, want %s", i+1, got[i], want[i])
		}
	}
}

func TestAStopLeavesNoFile(t *testing.T) {
	dir := t.TempDir()
	in, out := filepath.Join(dir, "houses.jsonl"), filepath.Join(dir, "prices.csv")
	typical := house.Example()
	if err := os.WriteFile(in, house.AppendJSON(nil, &typical), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stderr bytes.Buffer
	none := func(string) (string, bool) { return "", false }
	code := Run(ctx, []string{"predict", "--in", in, "--out", out, "--model", smallBundle(t)}, none, nil, io.Discard, &stderr)
	if code != failure || stderr.String() != "housing: stopped: nothing was written\n" {
		t.Errorf("code %d: %s", code, &stderr)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// stopAt stops a command when it writes a text.
type stopAt struct {
	bytes.Buffer
	text string
	stop context.CancelFunc
}

func (s *stopAt) Write(p []byte) (int, error) {
	if strings.Contains(string(p), s.text) {
		s.stop()
	}
	return s.Buffer.Write(p)
}

// TestAStopSaysWhatIsThere stops commands that write as they go.
func TestAStopSaysWhatIsThere(t *testing.T) {
	dir, model, typical := t.TempDir(), smallBundle(t), house.Example()
	for _, name := range []string{"a.jsonl", "b.jsonl", "c.jsonl"} {
		if err := os.WriteFile(filepath.Join(dir, name), house.AppendJSON(nil, &typical), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	none := func(string) (string, bool) { return "", false }
	for says, c := range map[string]struct {
		at   string // "" is the start
		args []string
	}{
		"1 of 3 files are written; run it again for the rest":  {"1 of 3: ", []string{"predict", "--in", dir, "--out", filepath.Join(t.TempDir(), "prices"), "--model", model}},
		"stdout may have a part of the prices":                 {"", []string{"predict", "--in", filepath.Join(dir, "a.jsonl"), "--out", "-", "--model", model}},
		"without its bundle: push the same bundle again to fi": {`"audit"`, []string{"model", "push", model, "--model-dir", registrytest.NewGS(t).Location("kc")}},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		stderr := &stopAt{text: c.at, stop: cancel}
		if c.at == "" {
			cancel()
		}
		if code := Run(ctx, c.args, none, nil, io.Discard, stderr); code != failure || !strings.Contains(stderr.String(), "housing: stopped: ") || !strings.Contains(stderr.String(), says) {
			t.Errorf("%v: code %d: %s", c.args, code, stderr)
		}
		cancel()
	}
}

func TestABundleThatIsNone(t *testing.T) {
	dir := t.TempDir()
	in := filepath.Join(dir, "houses.csv")
	if err := os.WriteFile(in, []byte("a\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := run(t, nil, "predict", "--in", in, "--out", "-", "--model", in)
	if _, err := bundle.Open(in); code != failure || stderr != fmt.Sprintf("housing: %v\n", err) {
		t.Errorf("code %d: %s", code, stderr)
	}
}

func TestHelpNamesEveryField(t *testing.T) {
	_, stdout, _ := run(t, nil, "predict", "--help")
	for _, s := range house.Fields() {
		need := "optional"
		if s.Required {
			need = "required"
		}
		found := false
		for line := range strings.Lines(stdout) {
			words := strings.Fields(line)
			found = found || len(words) > 2 && words[0] == s.Name && words[1] == need
		}
		if !found {
			t.Errorf("%s is not there as %s", s.Name, need)
		}
	}
	if table := fieldTable(2026); !strings.Contains(table, "yr_renovated   optional  0 or 1800 to 2027  year\n") {
		t.Error(table)
	}
}
