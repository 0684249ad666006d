package nginx_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"housing/deploy/nginx/nginxtest"
	"housing/deploy/proxytest"
)

// at returns the proxy that nginx is.
func at(s *nginxtest.Server) proxytest.Proxy {
	return proxytest.Proxy{Base: "http://" + s.Address, Client: http.DefaultClient}
}

func TestAPredictionIsAskedOfAnotherReplica(t *testing.T) {
	for _, path := range []string{"/v1/predict", "/v1/predict-minimal", "/v1/valuations", "/v1/outcomes", "/v2/models/housing/infer", "/invocations"} {
		t.Run(path, func(t *testing.T) {
			bad, good := proxytest.Start(t, proxytest.HangUp), proxytest.Start(t, proxytest.Says("good"))
			s := nginxtest.Start(t, nginxtest.Options{Replicas: []string{bad.Address(), good.Address(), "127.0.0.1:1"}})
			const n = 6
			for i := range n {
				if answer, text := at(s).Ask(t, "POST", path, fmt.Sprintf(`{"records": [%d]}`, i)); answer.StatusCode != 200 || text != "good" {
					t.Fatalf("%d: %s", answer.StatusCode, text)
				}
			}
			if len(good.Asked()) != n {
				t.Errorf("the good one was asked %d times", len(good.Asked()))
			}
			proxytest.CheckAskedAgain(t, bad, good)
		})
	}
}

func TestAPlanIsPutOnce(t *testing.T) {
	bad := []*proxytest.Replica{proxytest.Start(t, proxytest.HangUp), proxytest.Start(t, proxytest.HangUp)}
	s := nginxtest.Start(t, nginxtest.Options{Replicas: []string{bad[0].Address(), bad[1].Address()}})
	answer, text := at(s).Ask(t, "PUT", "/v1/rollout", "{}")
	if tries := len(bad[0].Asked()) + len(bad[1].Asked()); answer.StatusCode != 503 || tries != 1 {
		t.Errorf("%d after %d tries: %s", answer.StatusCode, tries, text)
	}
}

func TestABusyReplicaAnswersForAll(t *testing.T) {
	all := []*proxytest.Replica{proxytest.Start(t, proxytest.Busy), proxytest.Start(t, proxytest.Busy)}
	s := nginxtest.Start(t, nginxtest.Options{Replicas: []string{all[0].Address(), all[1].Address()}})
	at(s).CheckBusy(t, all...)
}

func TestRequestIDsAndAddresses(t *testing.T) {
	r := proxytest.Start(t, proxytest.Says(""))
	s := nginxtest.Start(t, nginxtest.Options{Replicas: []string{r.Address()}})
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
		at(s).Ask(t, "POST", "/v1/predict", "{}", headers...)
		h := r.Asked()[i].Header
		id := h.Get("X-Request-ID")
		if c.wantsID != "" && id != c.wantsID || c.wantsID == "" && (len(id) != 32 || id == c.id) {
			t.Errorf("%q became %q", c.id, id)
		}
		if h.Get("X-Forwarded-For") != c.wantForwarded || h.Get("X-Forwarded-Proto") != "http" {
			t.Errorf("forwarded for %q by %q, want %q", h.Get("X-Forwarded-For"), h.Get("X-Forwarded-Proto"), c.wantForwarded)
		}
		if got := r.Asked()[i].Host; got != s.Address {
			t.Errorf("asked as %s, want %s", got, s.Address)
		}
	}
}

func TestWhatNginxSaysItself(t *testing.T) {
	r := proxytest.Start(t, proxytest.Says(""))
	s := nginxtest.Start(t, nginxtest.Options{Replicas: []string{r.Address()}})
	dead := nginxtest.Start(t, nginxtest.Options{Replicas: []string{"127.0.0.1:1"}})
	flooded := nginxtest.Start(t, nginxtest.Options{Replicas: []string{r.Address()}, Edits: []string{"rate=1000r/s", "rate=1r/m", "burst=500", "burst=1"}})
	for range 2 {
		at(flooded).Ask(t, "GET", "/v1/model-info", "")
	}
	before := len(r.Asked())
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
		at(c.server).CheckProblem(t, c.status, c.method, c.path, c.body)
	}
	if answer, text := at(s).Ask(t, "GET", "/health", "", "X-Long", strings.Repeat("a", 9000)); answer.StatusCode != 431 || !strings.Contains(text, `"status":431`) {
		t.Errorf("a long header: %d: %s", answer.StatusCode, text)
	}
	if after := len(r.Asked()); after != before {
		t.Errorf("the replica was asked %d times", after-before)
	}
}

func TestConnectionsToReplicasAreKept(t *testing.T) {
	r := proxytest.Start(t, proxytest.Says(""))
	s := nginxtest.Start(t, nginxtest.Options{Replicas: []string{r.Address()}, Edits: []string{"worker_processes auto", "worker_processes 1"}})
	for range 50 {
		at(s).Ask(t, "POST", "/v1/predict", "{}")
	}
	if n := r.Connections(); n > 2 {
		t.Errorf("50 requests took %d connections", n)
	}
}

func TestTheLogNamesNoClientAndNoHealthCheck(t *testing.T) {
	r := proxytest.Start(t, proxytest.Says(""))
	s := nginxtest.Start(t, nginxtest.Options{Replicas: []string{r.Address()}})
	at(s).Ask(t, "GET", "/health", "")
	at(s).Ask(t, "POST", "/v1/predict?model_version=secret-query", `{"secret": "body"}`, "Authorization", "Bearer secret-token", "X-Forwarded-For", "203.0.113.9", "X-Request-ID", "known")
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
	r := proxytest.Start(t, proxytest.Says("through"))
	s := nginxtest.Start(t, nginxtest.Options{Replicas: []string{r.Address()}, TLS: true})
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
	if answer.StatusCode != 200 || answer.TLS.Version != tls.VersionTLS13 || answer.ProtoMajor != 2 || r.Asked()[0].Header.Get("X-Forwarded-Proto") != "https" || r.Asked()[0].Host != s.Address {
		t.Errorf("%d by %s over %s, asked as %s", answer.StatusCode, answer.Proto, tls.VersionName(answer.TLS.Version), r.Asked()[0].Host)
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
