package httpapi

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// onSockets serves an API on a real socket until the test ends.
func onSockets(t *testing.T, a *API, connections int) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	server := &Server{API: a, Grace: time.Minute, MaxConnections: connections}
	go func() { done <- server.Run(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func TestOneConnectionTooManyIsClosed(t *testing.T) {
	a := newAPI(t, nil)
	address := onSockets(t, a, 2)
	var open []net.Conn
	for range 2 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, err := conn.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
	}
	third, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	if _, err := third.Read(make([]byte, 1)); err == nil {
		t.Error("the third connection is answered")
	}
	if n := testutil.ToFloat64(a.Metrics.ConnectionsRefused); n != 1 {
		t.Errorf("%v refused", n)
	}
	open[0].Close()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		answer, err := client.Get("http://" + address + "/livez")
		if err == nil {
			answer.Body.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatalf("a closed connection gives no place back: %v", err)
		}
	}
}

func TestLargeBodiesShareABudget(t *testing.T) {
	a := newAPI(t, nil)
	a.bodies.most = 100 << 10
	w := ask(a, "POST", "/v1/predict", strings.Repeat(" ", 900<<10))
	wantProblem(t, w, 503)
	if w.Header().Get("Connection") != "close" || w.Header().Get("Retry-After") == "" {
		t.Errorf("header %v", w.Header())
	}
	if a.bodies.used.Load() != 0 {
		t.Errorf("%d bytes are not given back", a.bodies.used.Load())
	}
	if w := ask(a, "POST", "/v1/predict", fullBody(10)); w.Code != 200 {
		t.Errorf("a small body: %d", w.Code)
	}
}

func TestOneRequestTooManyInFlightIsRefused(t *testing.T) {
	a := newAPI(t, func(s *setup) { s.MaxInFlight = 1 })
	reading, release := io.Pipe()
	done := make(chan int)
	begun := make(chan struct{})
	go func() {
		r, _ := http.NewRequest("POST", "/v1/predict", signalled{reading, begun})
		r.Header.Set("Content-Type", "application/json")
		w := &nowhere{header: http.Header{}}
		a.Handler().ServeHTTP(w, r)
		done <- w.status
	}()
	<-begun
	if w := ask(a, "POST", "/v1/predict", fullBody(1)); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("a second: %d", w.Code)
	}
	for _, path := range []string{"/health", "/livez", "/readyz", "/metrics"} {
		if w := ask(a, "GET", path, ""); w.Code != http.StatusOK {
			t.Errorf("%s meanwhile: %d", path, w.Code)
		}
	}
	if _, err := io.WriteString(release, fullBody(1)); err != nil {
		t.Fatal(err)
	}
	release.Close()
	if status := <-done; status != http.StatusOK {
		t.Errorf("the first: %d", status)
	}
	if w := ask(a, "POST", "/v1/predict", fullBody(1)); w.Code != http.StatusOK {
		t.Errorf("after it: %d", w.Code)
	}
}

// signalled says when it is first read.
type signalled struct {
	io.Reader
	begun chan struct{}
}

func (s signalled) Read(b []byte) (int, error) {
	select {
	case <-s.begun:
	default:
		close(s.begun)
	}
	return s.Reader.Read(b)
}
