package nginx_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"housing/deploy/nginx/nginxtest"
)

// replica is a service behind nginx that notes what it is asked.
type replica struct {
	*httptest.Server
	mu          sync.Mutex
	requests    []*http.Request
	bodies      []string
	connections int
}

// startReplica starts a replica that answers by a handler, or its name to
// everything.
func startReplica(t *testing.T, name string, handler http.HandlerFunc) *replica {
	t.Helper()
	r := new(replica)
	if handler == nil {
		handler = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) }
	}
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		r.mu.Lock()
		r.requests, r.bodies = append(r.requests, request), append(r.bodies, string(body))
		r.mu.Unlock()
		handler(w, request)
	}))
	r.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			r.mu.Lock()
			r.connections++
			r.mu.Unlock()
		}
	}
	r.Start()
	t.Cleanup(r.Close)
	return r
}

func (r *replica) address() string { return r.Listener.Addr().String() }

func (r *replica) asked() []*http.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.requests)
}

// hangUp ends the connection without an answer.
func hangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// ask sends a request with a body and headers, and returns the answer, read.
func ask(t *testing.T, s *nginxtest.Server, method, path, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequest(method, "http://"+s.Address+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(text)
}

func TestAPredictionIsAskedOfAnotherReplica(t *testing.T) {
	for _, path := range []string{"/v1/predict", "/v1/predict-minimal", "/v1/valuations", "/v1/outcomes", "/v2/models/housing/infer", "/invocations"} {
		t.Run(path, func(t *testing.T) {
			bad, good := startReplica(t, "", hangUp), startReplica(t, "good", nil)
			s := nginxtest.Start(t, nginxtest.Options{Replicas: []string{bad.address(), good.address(), "127.0.0.1:1"}})
			const n = 6
			for i := range n {
				if answer, text := ask(t, s, "POST", path, fmt.Sprintf(`{"records": [%d]}`, i)); answer.StatusCode != 200 || text != "good" {
					t.Fatalf("%d: %s", answer.StatusCode, text)
				}
			}
			if len(bad.asked()) == 0 || len(good.asked()) != n {
				t.Errorf("the bad one was asked %d times, the good one %d times", len(bad.asked()), len(good.asked()))
			}
			for i, request := range bad.asked() {
				again := slices.Index(good.bodies, bad.bodies[i])
				if again < 0 || good.requests[again].Header.Get("X-Request-ID") != request.Header.Get("X-Request-ID") || request.Header.Get("X-Request-ID") == "" {
					t.Errorf("request %s of body %s is not the same again", request.Header.Get("X-Request-ID"), bad.bodies[i])
				}
			}
		})
	}
}

func TestAPlanIsPutOnce(t *testing.T) {
	bad := []*replica{startReplica(t, "", hangUp), startReplica(t, "", hangUp)}
	s := nginxtest.Start(t, nginxtest.Options{Replicas: []string{bad[0].address(), bad[1].address()}})
	answer, text := ask(t, s, "PUT", "/v1/rollout", "{}")
	if tries := len(bad[0].asked()) + len(bad[1].asked()); answer.StatusCode != 503 || tries != 1 {
		t.Errorf("%d after %d tries: %s", answer.StatusCode, tries, text)
	}
}

func TestABusyReplicaAnswersForAll(t *testing.T) {
	busy := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		http.Error(w, "busy", http.StatusServiceUnavailable)
	}
	all := []*replica{startReplica(t, "", busy), startReplica(t, "", busy)}
	s := nginxtest.Start(t, nginxtest.Options{Replicas: []string{all[0].address(), all[1].address()}})
	for range 10 {
		if answer, text := ask(t, s, "POST", "/v1/predict", "{}"); answer.StatusCode != 503 || answer.Header.Get("Retry-After") != "7" || text != "busy\n" {
			t.Errorf("%d %v: %s", answer.StatusCode, answer.Header, text)
		}
	}
	if tries := len(all[0].asked()) + len(all[1].asked()); tries != 10 {
		t.Errorf("10 requests were tried %d times", tries)
	}
}

func TestRequestIDsAndAddresses(t *testing.T) {
	r := startReplica(t, "", nil)
	s := nginxtest.Start(t, nginxtest.Options{Replicas: []string{r.address()}})
	for i, c := range []struct {
		id, forwarded          string
		wantsID, wantForwarded string
	}{
		{"", "", "", "127.0.0.1"},
		{"order-7.a_b", "203.0.113.9", "order-7.a_b", "203.0.113.9, 127.0.0.1"},
		{strings.Repeat("a", 129), "", "", "127.0.0.1"},
		{"with space", "", "", "127.0.0.1"},
	} {
		headers := []string{"X-Forwarded-Proto", "gopher", "Host", "evil.example"}
		if c.id != "" {
			headers = append(headers, "X-Request-ID", c.id)
		}
		if c.forwarded != "" {
			headers = append(headers, "X-Forwarded-For", c.forwarded)
		}
		ask(t, s, "POST", "/v1/predict", "{}", headers...)
		h := r.asked()[i].Header
		id := h.Get("X-Request-ID")
		if c.wantsID != "" && id != c.wantsID || c.wantsID == "" && (len(id) != 32 || id == c.id) {
			t.Errorf("%q became %q", c.id, id)
		}
		if h.Get("X-Forwarded-For") != c.wantForwarded || h.Get("X-Forwarded-Proto") != "http" {
			t.Errorf("forwarded for %q by %q, want %q", h.Get("X-Forwarded-For"), h.Get("X-Forwarded-Proto"), c.wantForwarded)
		}
	}
}

func TestWhatNginxSaysItself(t *testing.T) {
	r := startReplica(t, "", nil)
	s := nginxtest.Start(t, nginxtest.Options{Replicas: []string{r.address()}})
	dead := nginxtest.Start(t, nginxtest.Options{Replicas: []string{"127.0.0.1:1"}})
	flooded := nginxtest.Start(t, nginxtest.Options{Replicas: []string{r.address()}, Edits: []string{"rate=1000r/s", "rate=1r/m", "burst=500", "burst=1"}})
	for range 2 {
		ask(t, flooded, "GET", "/v1/model-info", "")
	}
	before := len(r.asked())
	for _, c := range []struct {
		server             *nginxtest.Server
		method, path, body string
		status             int
	}{
		{s, "GET", "/metrics", "", 404},
		{s, "GET", "/debug/pprof/heap", "", 404},
		{s, "GET", "/livez", "", 404},
		{s, "GET", "/readyz", "", 404},
		{s, "POST", "/v1/predict", strings.Repeat(" ", 1<<20+1), 413},
		{s, "GET", "/" + strings.Repeat("a", 9000), "", 414},
		{dead, "POST", "/v1/predict", "{}", 503},
		{flooded, "GET", "/v1/model-info", "", 429},
	} {
		answer, text := ask(t, c.server, c.method, c.path, c.body)
		var problem struct {
			Title, Detail string
			Status        int
		}
		err := json.Unmarshal([]byte(text), &problem)
		if err != nil || answer.StatusCode != c.status || problem.Status != c.status || problem.Title == "" || problem.Detail == "" ||
			answer.Header.Get("Content-Type") != "application/problem+json" || answer.Header.Get("X-Request-ID") == "" || (c.status == 503 || c.status == 429) != (answer.Header.Get("Retry-After") != "") {
			t.Errorf("%s %.20s: %d %v: %s", c.method, c.path, answer.StatusCode, answer.Header, text)
		}
	}
	if answer, text := ask(t, s, "GET", "/health", "", "X-Long", strings.Repeat("a", 9000)); answer.StatusCode != 431 || !strings.Contains(text, `"status":431`) {
		t.Errorf("a long header: %d: %s", answer.StatusCode, text)
	}
	if after := len(r.asked()); after != before {
		t.Errorf("the replica was asked %d times", after-before)
	}
}

func TestConnectionsToReplicasAreKept(t *testing.T) {
	r := startReplica(t, "", nil)
	s := nginxtest.Start(t, nginxtest.Options{Replicas: []string{r.address()}, Edits: []string{"worker_processes auto", "worker_processes 1"}})
	for range 50 {
		ask(t, s, "POST", "/v1/predict", "{}")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.connections > 2 {
		t.Errorf("50 requests took %d connections", r.connections)
	}
}

func TestTheLogNamesNoClientAndNoHealthCheck(t *testing.T) {
	r := startReplica(t, "", nil)
	s := nginxtest.Start(t, nginxtest.Options{Replicas: []string{r.address()}})
	ask(t, s, "GET", "/health", "")
	ask(t, s, "POST", "/v1/predict?model_version=secret-query", `{"secret": "body"}`, "Authorization", "Bearer secret-token", "X-Forwarded-For", "203.0.113.9", "X-Request-ID", "known")
	for end := time.Now().Add(time.Minute); !strings.Contains(s.Log(), "known"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no line in %s", s.Log())
		}
	}
	lines := strings.Split(strings.TrimSpace(s.Log()), "\n")
	var event struct {
		RequestID string `json:"request_id"`
		Path      string
		Status    int
		Seconds   float64
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &event); err != nil || event.RequestID != "known" || event.Path != "/v1/predict" || event.Status != 200 {
		t.Errorf("%v: %s", err, lines)
	}
	for _, not := range []string{"/health", "secret", "203.0.113.9", "127.0.0.1\""} {
		if strings.Contains(s.Log(), not) {
			t.Errorf("the log holds %s: %s", not, s.Log())
		}
	}
}

func TestTLSIsNewestAlone(t *testing.T) {
	r := startReplica(t, "through", nil)
	s := nginxtest.Start(t, nginxtest.Options{Replicas: []string{r.address()}, TLS: true})
	text, err := os.ReadFile(s.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	client := func(most uint16) *http.Client {
		return &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "housing.test", MaxVersion: most}}}
	}
	answer, err := client(0).Post("https://"+s.Address+"/v1/predict", "application/json", bytes.NewReader([]byte("{}")))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != 200 || answer.TLS.Version != tls.VersionTLS13 || answer.ProtoMajor != 2 || r.asked()[0].Header.Get("X-Forwarded-Proto") != "https" {
		t.Errorf("%d by %s over %s", answer.StatusCode, answer.Proto, tls.VersionName(answer.TLS.Version))
	}
	if answer, err := client(tls.VersionTLS12).Get("https://" + s.Address + "/health"); err == nil {
		answer.Body.Close()
		t.Error("it speaks TLS 1.2")
	}
	if answer, err := http.Get("http://" + s.Address + "/health"); err == nil {
		answer.Body.Close()
		if answer.StatusCode != http.StatusBadRequest {
			t.Errorf("without TLS: %d", answer.StatusCode)
		}
	}
	if strings.Contains(s.Log(), "[emerg]") {
		t.Error(s.Log())
	}
}
