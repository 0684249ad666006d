// Package proxytest has what tests of the proxies' configurations share:
// replicas that are made up, and what any proxy before them must do.
package proxytest

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Replica is a service behind a proxy that notes what it is asked, but for
// its health.
type Replica struct {
	*httptest.Server
	Ill         atomic.Bool // what it says of its health
	connections atomic.Int64

	mu    sync.Mutex
	asked []Request
}

// Request is a request that a replica got.
type Request struct {
	*http.Request
	Body string
}

// Start starts a replica that answers by a handler.
func Start(t *testing.T, handler http.HandlerFunc) *Replica {
	t.Helper()
	r := new(Replica)
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if request.URL.Path == "/health" {
			if r.Ill.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return
		}
		body, _ := io.ReadAll(request.Body)
		r.mu.Lock()
		r.asked = append(r.asked, Request{request, string(body)})
		r.mu.Unlock()
		handler(w, request)
	}))
	r.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			r.connections.Add(1)
		}
	}
	r.Server.Start()
	t.Cleanup(r.Close)
	return r
}

// Address returns where it listens.
func (r *Replica) Address() string { return r.Listener.Addr().String() }

// Connections returns how many were opened to it.
func (r *Replica) Connections() int { return int(r.connections.Load()) }

// Asked returns the requests it got, in order.
func (r *Replica) Asked() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.asked)
}

// Says answers with a text.
func Says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

// HangUp ends the connection without an answer.
func HangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// Busy answers as a service with too much to do.
func Busy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Retry-After", "7")
	http.Error(w, "busy", http.StatusServiceUnavailable)
}

// Proxy is a proxy that runs.
type Proxy struct {
	Base   string // scheme and address
	Client *http.Client
}

// Ask sends a request with a body and headers, and returns the answer, read.
func (p Proxy) Ask(t *testing.T, method, path, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequest(method, p.Base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	answer, err := p.Client.Do(request)
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

// CheckAskedAgain holds that what a bad replica was asked a good one was asked
// too: the same body under the same ID.
func CheckAskedAgain(t *testing.T, bad, good *Replica) {
	t.Helper()
	if len(bad.Asked()) == 0 {
		t.Error("the bad one was not asked")
	}
	all := good.Asked()
	for _, request := range bad.Asked() {
		id := request.Header.Get("X-Request-ID")
		again := slices.IndexFunc(all, func(r Request) bool { return r.Body == request.Body })
		if again < 0 || all[again].Header.Get("X-Request-ID") != id || id == "" {
			t.Errorf("request %s of body %s is not the same again", id, request.Body)
		}
	}
}

// CheckBusy holds that a replica that is busy answers for all, as the others
// are no less so: that no request is tried twice.
func (p Proxy) CheckBusy(t *testing.T, all ...*Replica) {
	t.Helper()
	for range 10 {
		if answer, text := p.Ask(t, "POST", "/v1/predict", "{}"); answer.StatusCode != 503 || answer.Header.Get("Retry-After") != "7" || text != "busy\n" {
			t.Errorf("%d %v: %s", answer.StatusCode, answer.Header, text)
		}
	}
	tries := 0
	for _, r := range all {
		tries += len(r.Asked())
	}
	if tries != 10 {
		t.Errorf("10 requests were tried %d times", tries)
	}
}

// CheckProblem asks for what the proxy answers itself, and holds that it is a
// problem of a status as the service would have it.
func (p Proxy) CheckProblem(t *testing.T, status int, method, path, body string) {
	t.Helper()
	answer, text := p.Ask(t, method, path, body)
	var problem struct {
		Title, Detail string
		Status        int
	}
	err := json.Unmarshal([]byte(text), &problem)
	if err != nil || answer.StatusCode != status || problem.Status != status || problem.Title == "" || problem.Detail == "" ||
		answer.Header.Get("Content-Type") != "application/problem+json" || answer.Header.Get("X-Request-ID") == "" || (status == 503 || status == 429) != (answer.Header.Get("Retry-After") != "") {
		t.Errorf("%s %.20s: %d %v: %s", method, path, answer.StatusCode, answer.Header, text)
	}
}
