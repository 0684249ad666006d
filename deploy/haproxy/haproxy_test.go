// Package haproxy_test runs HAProxy with the configuration that is shipped,
// before replicas that are made up.
package haproxy_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"housing/deploy/proxytest"
	"housing/internal/certificate/certificatetest"
)

// patience is how long a machine with much else to do may take.
const patience = time.Minute

// proxy is a HAProxy that runs.
type proxy struct {
	proxytest.Proxy
	mu  sync.Mutex
	log bytes.Buffer
}

// Write takes what HAProxy writes.
func (p *proxy) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(text)
}

func (p *proxy) logged() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// start starts HAProxy as shipped, but for addresses and places, before one to
// three replicas. Edits are texts of the file, each before what stands for it.
func start(t *testing.T, replicas []string, edits ...string) *proxy {
	t.Helper()
	program, err := exec.LookPath("haproxy")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("haproxy is not installed")
		}
		t.Skip("haproxy is not installed")
	}
	shipped, err := os.ReadFile("haproxy.cfg")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	pair := certificatetest.Write(t, dir, "haproxy", 1, time.Now().Add(time.Hour))
	key, err := os.ReadFile(pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(pair.Cert+".key", key, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	edits = append(edits, "bind :8443", "bind "+address, "/run/secrets/tls_certificate", pair.Cert)
	for i := range 3 {
		line := fmt.Sprintf("    server api%d api%d:8000\n", i+1, i+1)
		if i < len(replicas) {
			edits = append(edits, line, fmt.Sprintf("    server api%d %s\n", i+1, replicas[i]))
		} else {
			edits = append(edits, line, "")
		}
	}
	config := string(shipped)
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(config, edits[i]) {
			t.Fatalf("haproxy.cfg has no %q", edits[i])
		}
		config = strings.ReplaceAll(config, edits[i], edits[i+1])
	}
	file := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(program, "-c", "-f", file).CombinedOutput(); err != nil || bytes.Contains(out, []byte("WARNING")) {
		t.Fatalf("haproxy -c: %v: %s", err, out)
	}
	text, err := os.ReadFile(pair.Cert)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	p := &proxy{Proxy: proxytest.Proxy{Base: "https://" + address, Client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: nameOf(t, pair.Cert)}}}}}
	command := exec.Command(program, "-db", "-f", file)
	command.Stdout, command.Stderr = p, p
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Client.CloseIdleConnections()
		_ = command.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = command.Wait()                          // it was told to
	})
	p.until(t, "HAProxy listens", func() bool {
		c, err := net.Dial("tcp", address)
		return err == nil && c.Close() == nil
	})
	return p
}

// nameOf returns a name of the certificate in a file.
func nameOf(t *testing.T, file string) string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(file, file+".key")
	if err != nil {
		t.Fatal(err)
	}
	if len(pair.Leaf.DNSNames) > 0 {
		return pair.Leaf.DNSNames[0]
	}
	return pair.Leaf.IPAddresses[0].String()
}

func (p *proxy) until(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !reached(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not after %v: %s", what, patience, p.logged())
		}
	}
}

func TestAPredictionIsAskedOfAnotherReplica(t *testing.T) {
	bad, good := proxytest.Start(t, proxytest.HangUp), proxytest.Start(t, proxytest.Says("good"))
	p := start(t, []string{bad.Address(), good.Address(), "127.0.0.1:1"})
	paths := []string{"/v1/predict", "/v1/predict-minimal", "/v1/valuations", "/v1/outcomes", "/v2/models/housing/infer", "/invocations"}
	for i := range 4 * len(paths) {
		if answer, text := p.Ask(t, "POST", paths[i%len(paths)], fmt.Sprintf(`{"records": [%d]}`, i)); answer.StatusCode != 200 || text != "good" {
			t.Fatalf("%d: %s", answer.StatusCode, text)
		}
	}
	if len(good.Asked()) != 4*len(paths) {
		t.Errorf("the good one was asked %d times", len(good.Asked()))
	}
	proxytest.CheckAskedAgain(t, bad, good)
}

func TestAPlanIsPutOnce(t *testing.T) {
	bad := []*proxytest.Replica{proxytest.Start(t, proxytest.HangUp), proxytest.Start(t, proxytest.HangUp)}
	p := start(t, []string{bad[0].Address(), bad[1].Address()})
	answer, text := p.Ask(t, "PUT", "/v1/rollout", "{}")
	if tries := len(bad[0].Asked()) + len(bad[1].Asked()); answer.StatusCode != 502 || tries != 1 {
		t.Errorf("%d after %d tries: %s", answer.StatusCode, tries, text)
	}
}

func TestABusyReplicaAnswersForAll(t *testing.T) {
	all := []*proxytest.Replica{proxytest.Start(t, proxytest.Busy), proxytest.Start(t, proxytest.Busy)}
	p := start(t, []string{all[0].Address(), all[1].Address()})
	p.CheckBusy(t, all...)
}

// TestAnIllReplicaIsNotAsked is what nginx cannot: it learns of a replica from
// the requests that it sends there.
func TestAnIllReplicaIsNotAsked(t *testing.T) {
	ill, well := proxytest.Start(t, proxytest.Says("ill")), proxytest.Start(t, proxytest.Says("well"))
	ill.Ill.Store(true)
	p := start(t, []string{ill.Address(), well.Address()})
	p.until(t, "the ill one is down", func() bool { return strings.Contains(p.logged(), "replicas/api1 is DOWN") })
	before := len(ill.Asked())
	for range 20 {
		if _, text := p.Ask(t, "POST", "/v1/predict", "{}"); text != "well" {
			t.Errorf("answered by %s", text)
		}
	}
	if after := len(ill.Asked()); after != before {
		t.Errorf("the ill one was asked %d times", after-before)
	}
	ill.Ill.Store(false)
	p.until(t, "it is asked again", func() bool { _, text := p.Ask(t, "POST", "/v1/predict", "{}"); return text == "ill" })
}

func TestRequestIDsAndAddresses(t *testing.T) {
	r := proxytest.Start(t, proxytest.Says(""))
	p := start(t, []string{r.Address()})
	for i, c := range []struct{ id, forwarded, wants string }{
		{"", "", ""},
		{"order-7.a_b", "203.0.113.9", "order-7.a_b"},
		{strings.Repeat("a", 129), "", ""},
		{"with space", "", ""},
	} {
		headers := []string{"X-Forwarded-Proto", "gopher"}
		if c.id != "" {
			headers = append(headers, "X-Request-ID", c.id)
		}
		if c.forwarded != "" {
			headers = append(headers, "X-Forwarded-For", c.forwarded)
		}
		answer, _ := p.Ask(t, "POST", "/v1/predict", "{}", headers...)
		h := r.Asked()[i].Header
		id, forwarded := h.Get("X-Request-ID"), h.Values("X-Forwarded-For")
		if c.wants != "" && id != c.wants || c.wants == "" && (len(id) != 36 || id == c.id) || answer.Header.Get("X-Request-ID") != id {
			t.Errorf("%q became %q, and is answered as %q", c.id, id, answer.Header.Get("X-Request-ID"))
		}
		// What counts is the last: lists are read as one (RFC 9110, 5.3).
		if len(forwarded) == 0 || forwarded[len(forwarded)-1] != "127.0.0.1" || h.Get("X-Forwarded-Proto") != "https" {
			t.Errorf("forwarded for %q by %q", forwarded, h.Get("X-Forwarded-Proto"))
		}
		if got := r.Asked()[i].Host; "https://"+got != p.Base {
			t.Errorf("asked as %s, want %s", got, p.Base)
		}
	}
}

func TestWhatHAProxySaysItself(t *testing.T) {
	r := proxytest.Start(t, proxytest.Says(""))
	p := start(t, []string{r.Address()})
	dead := start(t, []string{"127.0.0.1:1"})
	flooded := start(t, []string{r.Address()}, "sc0_http_req_rate gt 1000", "sc0_http_req_rate gt 0")
	before := len(r.Asked())
	for _, c := range []struct {
		proxy              *proxy
		method, path, body string
		status             int
	}{
		{p, "GET", "/metrics", "", 404},
		{p, "GET", "/debug/pprof/heap", "", 404},
		{p, "GET", "/livez", "", 404},
		{p, "GET", "/readyz", "", 404},
		{dead, "POST", "/v1/predict", "{}", 503},
		{flooded, "GET", "/v1/model-info", "", 429},
	} {
		c.proxy.CheckProblem(t, c.status, c.method, c.path, c.body)
	}
	if after := len(r.Asked()); after != before {
		t.Errorf("the replica was asked %d times", after-before)
	}
}

func TestTheLogNamesNoClientAndNoHealthCheck(t *testing.T) {
	p := start(t, []string{proxytest.Start(t, proxytest.Says("")).Address()})
	p.Ask(t, "GET", "/health", "")
	p.Ask(t, "POST", "/v1/predict?model_version=secret-query", `{"secret": "body"}`, "Authorization", "Bearer secret-token", "X-Forwarded-For", "203.0.113.9", "X-Request-ID", "known")
	p.until(t, "the line is there", func() bool { return strings.Contains(p.logged(), `"known"`) })
	var event struct {
		RequestID string `json:"request_id"`
		Path      string
		Status    int
	}
	for line := range strings.Lines(p.logged()) {
		if strings.Contains(line, `"known"`) {
			if err := json.Unmarshal([]byte(line), &event); err != nil || event.RequestID != "known" || event.Path != "/v1/predict" || event.Status != 200 {
				t.Errorf("%v: %s", err, line)
			}
		}
	}
	for _, not := range []string{`"/health"`, "secret", "203.0.113.9"} {
		if strings.Contains(p.logged(), not) {
			t.Errorf("the log holds %s: %s", not, p.logged())
		}
	}
}

func TestTLSIsNewestAlone(t *testing.T) {
	p := start(t, []string{proxytest.Start(t, proxytest.Says("through")).Address()})
	answer, text := p.Ask(t, "GET", "/v1/model-info", "")
	if text != "through" || answer.TLS.Version != tls.VersionTLS13 {
		t.Errorf("%s by TLS %x", text, answer.TLS.Version)
	}
	old := p.Client.Transport.(*http.Transport).Clone()
	old.TLSClientConfig.MaxVersion = tls.VersionTLS12
	if _, err := (&http.Client{Transport: old}).Get(p.Base + "/v1/model-info"); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.2: %v", err)
	}
}
