package httpapi

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"housing/internal/bundle"
	"housing/internal/demographics"
	"housing/internal/house"
	"housing/internal/telemetry"
	"housing/internal/valuer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pricer lets a test put a fault in the place of the model.
type pricer func(dst []float64, houses []house.House) []float64

func (p pricer) Prices(dst []float64, houses []house.House, _ *demographics.Table) []float64 {
	return p(dst, houses)
}

// setup is what a test may change before the API is made.
type setup struct {
	Options
	valuer  valuer.Options
	model   valuer.Model
	noModel bool
}

// newAPI returns an API that runs the built-in model, as change makes it.
func newAPI(t testing.TB, change func(*setup)) *API {
	t.Helper()
	b, err := bundle.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	reg := prometheus.NewRegistry()
	metrics, log := telemetry.NewMetrics(reg), slog.New(slog.DiscardHandler)
	s := setup{
		Options: Options{Metrics: metrics, Gatherer: reg, Log: log, MaxBodyBytes: 1 << 20, MaxRecords: 1000},
		valuer:  valuer.Options{Metrics: metrics, Log: log},
		model:   valuer.FromBundle(b),
	}
	if change != nil {
		change(&s)
	}
	s.Valuer = valuer.New(s.valuer)
	if !s.noModel {
		if err := s.Valuer.Use(s.model, time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	return New(s.Options)
}

// ask sends a request through the whole chain. Header are pairs.
func ask(a *API, method, target, body string, header ...string) *httptest.ResponseRecorder {
	return askFrom(a, "192.0.2.1:1234", "example.com", method, target, body, header...)
}

// askFrom is ask for a client at an address that asks for a host.
func askFrom(a *API, peer, host, method, target, body string, header ...string) *httptest.ResponseRecorder {
	return askOf(a.Handler(), peer, host, method, target, body, header...)
}

// askOf is askFrom for a handler of the API.
func askOf(h http.Handler, peer, host, method, target, body string, header ...string) *httptest.ResponseRecorder {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, target, reader)
	r.RemoteAddr, r.Host = peer, host
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// local is ask for a client on this machine.
func local(a *API, method, target, body string, header ...string) *httptest.ResponseRecorder {
	return askFrom(a, "127.0.0.1:50000", "127.0.0.1:8000", method, target, body, header...)
}

// read decodes an answer.
func read[T any](t testing.TB, w *httptest.ResponseRecorder) (v T) {
	t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("%v in %q", err, w.Body)
	}
	return v
}

// wireProblem is a problem as a client reads it.
type wireProblem struct {
	Type, Title, Detail string
	Status              int
	Errors              []struct {
		Location, Message string
		Value             any
	}
}

// wantProblem checks that an answer is a problem with this status, whole and
// without a word about our insides.
func wantProblem(t *testing.T, w *httptest.ResponseRecorder, status int) wireProblem {
	t.Helper()
	if w.Code != status {
		t.Fatalf("status %d, want %d: %s", w.Code, status, w.Body)
	}
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type %q", got)
	}
	p := read[wireProblem](t, w)
	if p.Type == "" || p.Title == "" || p.Detail == "" || p.Status != status {
		t.Errorf("the problem is not whole: %s", w.Body)
	}
	for _, inside := range []string{"goroutine", ".go:", "/internal/", "panic", os.TempDir()} {
		if strings.Contains(w.Body.String(), inside) {
			t.Errorf("the answer tells of our insides: %s", w.Body)
		}
	}
	return p
}

// fullBody is a request with n houses.
func fullBody(n int) string {
	h := house.Example()
	one := string(house.AppendJSON(nil, &h))
	return `{"records":[` + strings.TrimSuffix(strings.Repeat(one+",", n), ",") + `]}`
}

const minimalBody = `{"records":[{"bedrooms":3,"bathrooms":2.5,"sqft_living":2220,"zipcode":"98115"}]}`

// lines decodes the lines of a log.
func lines(t *testing.T, log *bytes.Buffer) (events []map[string]any) {
	t.Helper()
	for line := range bytes.Lines(log.Bytes()) {
		var event map[string]any
		if err := json.Unmarshal(line, &event); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		events = append(events, event)
	}
	return events
}

func TestEveryAnswerHasItsHeaders(t *testing.T) {
	a := newAPI(t, nil)
	for _, path := range []string{"/health", "/nothing", "/docs", "/metrics", "/"} {
		w := ask(a, "GET", path, "")
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		if len(w.Header().Get("X-Request-Id")) != 32 {
			t.Errorf("%s: request ID %q", path, w.Header().Get("X-Request-Id"))
		}
	}
}

func TestRequestIDIsTakenOrMade(t *testing.T) {
	a := newAPI(t, nil)
	for id, taken := range map[string]bool{
		"abc-1_2.Z":              true,
		"x":                      true,
		strings.Repeat("a", 128): true,
		strings.Repeat("a", 129): false,
		"with space":             false,
		"<script>":               false,
		"ü":                      false,
		"":                       false,
	} {
		got := ask(a, "GET", "/livez", "", "X-Request-ID", id).Header().Get("X-Request-Id")
		if (got == id) != taken || got == "" {
			t.Errorf("%q: got %q", id, got)
		}
	}
	if first, second := ask(a, "GET", "/livez", ""), ask(a, "GET", "/livez", ""); first.Header().Get("X-Request-Id") == second.Header().Get("X-Request-Id") {
		t.Error("two requests got one ID")
	}
}

func TestHeadWorksWhereGetDoes(t *testing.T) {
	server := httptest.NewServer(newAPI(t, nil).Handler())
	defer server.Close()
	client := server.Client()
	for _, path := range []string{"/health", "/livez", "/readyz", "/metrics", "/docs", "/openapi.json", "/v1/model-info"} {
		answer, err := client.Head(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("HEAD %s: %d", path, answer.StatusCode)
		}
	}
}

func TestUnknownPathAndWrongMethod(t *testing.T) {
	a := newAPI(t, nil)
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/nothing", 404, ""},
		{"GET", "/v1/predict/", 404, ""},
		{"POST", "/v1/nothing", 404, ""},
		{"GET", "/debug/pprof/", 404, ""},
		{"GET", "/v1/predict", 405, "POST"},
		{"HEAD", "/v1/predict-minimal", 405, "POST"},
		{"DELETE", "/v1/predict", 405, "POST"},
		{"BREW", "/v1/predict", 405, "POST"},
		{"POST", "/health", 405, "GET, HEAD"},
		{"PUT", "/", 405, "GET, HEAD, POST"},
	} {
		w := ask(a, c.method, c.path, "")
		wantProblem(t, w, c.status)
		if got := w.Header().Get("Allow"); got != c.allow {
			t.Errorf("%s %s: Allow %q, want %q", c.method, c.path, got, c.allow)
		}
	}
}

func TestHealth(t *testing.T) {
	a := newAPI(t, nil)
	w := ask(a, "GET", "/health", "")
	h := read[Health](t, w)
	if w.Code != 200 || h.Status != Healthy || !h.ModelLoaded || !h.DemographicsLoaded || h.ModelVersion == "" || h.Version == "" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, name := range []string{"model", "demographics"} {
		if c := h.Components[name]; c.Status != "up" || c.Since == nil {
			t.Errorf("%s is %+v", name, c)
		}
	}
	if w := ask(a, "GET", "/readyz", ""); w.Code != 200 || w.Body.String() != "ok\n" {
		t.Errorf("readyz: %d %q", w.Code, w.Body)
	}
}

func TestWithoutAModel(t *testing.T) {
	a := newAPI(t, func(s *setup) { s.noModel = true })
	w := ask(a, "GET", "/health", "")
	if h := read[Health](t, w); w.Code != 503 || h.Status != Unhealthy || h.ModelLoaded || h.Components["model"].Status != "down" {
		t.Errorf("health: %d %s", w.Code, w.Body)
	}
	wantProblem(t, ask(a, "GET", "/readyz", ""), 503)
	wantProblem(t, ask(a, "GET", "/v1/model-info", ""), 503)
	if w := ask(a, "POST", "/v1/predict", fullBody(1)); w.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	} else {
		wantProblem(t, w, 503)
	}
	if w := ask(a, "GET", "/livez", ""); w.Code != 200 {
		t.Errorf("livez: %d", w.Code)
	}
}

func TestDraining(t *testing.T) {
	a := newAPI(t, nil)
	a.Drain()
	wantProblem(t, ask(a, "GET", "/readyz", ""), 503)
	w := ask(a, "POST", "/v1/predict", fullBody(1))
	if w.Code != 200 || w.Header().Get("Connection") != "close" {
		t.Errorf("a request while draining: %d, Connection %q", w.Code, w.Header().Get("Connection"))
	}
}

func TestModelInfo(t *testing.T) {
	a := newAPI(t, nil)
	info := read[ModelInfo](t, ask(a, "GET", "/v1/model-info", ""))
	m := a.Valuer.Model()
	if info.ModelVersion != m.Manifest.Version || info.SHA256 != m.Digest || info.FeatureCount != len(info.Features) || len(info.Features) != len(m.Features) ||
		info.Sales != m.Manifest.Sales || info.NewestSale != m.Manifest.NewestSale || len(info.Accuracy) != len(m.Manifest.Accuracy) || info.Zipcodes != m.Demographics.Len() {
		t.Errorf("%+v does not say what the model is", info)
	}
}

func TestOpsAddressTakesItsRoutesAway(t *testing.T) {
	a := newAPI(t, func(s *setup) { s.OwnOps = true })
	for path, want := range map[string][2]int{
		"/metrics": {404, 200}, "/livez": {404, 200}, "/readyz": {404, 200}, "/health": {200, 200},
		"/debug/pprof/": {404, 200}, "/debug/pprof/cmdline": {404, 404}, "/docs": {200, 404}, "/v1/model-info": {200, 404},
	} {
		for i, h := range []http.Handler{a.Handler(), a.OpsHandler()} {
			if w := askOf(h, "127.0.0.1:5", "localhost", "GET", path, ""); w.Code != want[i] {
				t.Errorf("%s on address %d: %d, want %d", path, i, w.Code, want[i])
			}
		}
	}
}

func TestProfilesAreForThisMachine(t *testing.T) {
	a := newAPI(t, func(s *setup) { s.OwnOps = true })
	for _, c := range []struct {
		address, host, header string
		want                  int
	}{
		{"127.0.0.1:5", "localhost:9090", "", 200},
		{"[::1]:5", "[::1]:9090", "", 200},
		{"[::ffff:127.0.0.1]:5", "127.0.0.1", "", 200},
		{"10.0.0.7:5", "localhost", "", 403},
		{"[2001:db8::1]:5", "localhost", "", 403},
		{"@", "localhost", "", 403},
		{"127.0.0.1:5", "housing.example.com", "", 403},
		{"127.0.0.1:5", "localhost", "X-Forwarded-For", 403},
		{"127.0.0.1:5", "localhost", "X-Forwarded-Proto", 403},
		{"127.0.0.1:5", "localhost", "X-Envoy-Attempt-Count", 403},
		{"127.0.0.6:5", "localhost", "", 403},
	} {
		var header []string
		if c.header != "" {
			header = []string{c.header, "1"}
		}
		w := askOf(a.OpsHandler(), c.address, c.host, "GET", "/debug/pprof/symbol", "", header...)
		if w.Code != c.want {
			t.Errorf("%+v: %d", c, w.Code)
		}
	}
}

func TestMetricsAfterTraffic(t *testing.T) {
	a := newAPI(t, nil)
	ask(a, "POST", "/v1/predict?model_version=nonsense", fullBody(1))
	ask(a, "POST", "/v1/predict", fullBody(3))
	for range 50 {
		ask(a, "GET", "/no/"+rndPath(), "")
		ask(a, "M"+strings.ToUpper(rndPath()), "/v1/predict", "")
	}
	text := ask(a, "GET", "/metrics", "").Body.String()
	version := a.Valuer.Model().Manifest.Version
	for _, want := range []string{
		`prediction_requests_total{model_version="` + version + `",role="primary"} 1`,
		`prediction_records_total{model_version="` + version + `",role="primary"} 3`,
		`prediction_duration_seconds_count{model_version="` + version + `",role="primary"} 1`,
		`predicted_price_dollars_count{model_version="` + version + `",role="primary"} 3`,
		`http_requests_total{method="POST",route="/v1/predict",status="200"} 1`,
		`http_requests_total{method="POST",route="/v1/predict",status="404"} 1`,
		`http_requests_total{method="GET",route="unmatched",status="404"} 50`,
		`http_requests_total{method="other",route="unmatched",status="405"} 50`,
		`http_request_duration_seconds_count{method="POST",route="/v1/predict"} 2`,
		`http_requests_in_flight 1`,
		`demographics_lookups_total{result="known"} 3`,
		`model_info{sha256="` + a.Valuer.Model().Digest + `",version="` + version + `"} 1`,
		`model_load_time_seconds 0.001`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(text, "nonsense") || strings.Contains(text, "/no/") {
		t.Error("a label holds what a client chose")
	}
	w := ask(a, "GET", "/metrics", "", "Accept", "application/openmetrics-text; version=1.0.0")
	if !strings.HasPrefix(w.Header().Get("Content-Type"), "application/openmetrics-text") || !strings.HasSuffix(w.Body.String(), "# EOF\n") {
		t.Errorf("not OpenMetrics: %s", w.Header().Get("Content-Type"))
	}
}

func TestAPanicIsAnAnswer(t *testing.T) {
	var log bytes.Buffer
	a := newAPI(t, func(s *setup) { s.Log = telemetry.NewLogger(&log, slog.LevelInfo, telemetry.JSON) })
	for i := range a.routes {
		if a.routes[i].path == "/livez" {
			a.routes[i].handle = func(*exchange, *http.Request) error { panic("a mistake") }
		}
	}
	wantProblem(t, ask(a, "GET", "/livez", "", "X-Request-ID", "find-me"), 500)
	if event := lines(t, &log)[0]; event["msg"] != "http_panic" || event["request_id"] != "find-me" || event["panic"] != "a mistake" {
		t.Errorf("logged %v", event)
	}
	if text := ask(a, "GET", "/metrics", "").Body.String(); !strings.Contains(text, `http_requests_total{method="GET",route="/livez",status="500"} 1`) {
		t.Error("the panic is not counted")
	}
}
