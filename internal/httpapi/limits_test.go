package httpapi

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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

// TestSlowConnectionsDoNotHarmOthers opens connections that send a byte a
// second, of a header or of a body that is said to be large, and asks for
// prices beside them. What a slow client holds is bounded by the time-outs of
// a connection, tested in fake time by TestAClientThatSendsItsBodyTooSlowly;
// here, no honest request may fail. Times are logged, and decide nothing.
func TestSlowConnectionsDoNotHarmOthers(t *testing.T) {
	slow, honest := 2000, 2000
	if testing.Short() {
		slow, honest = 200, 100
	}
	a := newAPI(t, nil)
	address := onSockets(t, a, 4096)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer func() { stop(); running.Wait() }()
	var connected sync.WaitGroup
	connected.Add(slow)
	var held atomic.Int64
	for i := range slow {
		running.Go(func() {
			dribble(ctx, t, address, i%2 == 0, connected.Done)
			held.Add(1)
		})
	}
	connected.Wait()

	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	defer client.CloseIdleConnections()
	var took []time.Duration
	tick := time.NewTicker(5 * time.Millisecond) // 200 a second
	defer tick.Stop()
	for range honest {
		<-tick.C
		start := time.Now()
		if _, err := post(client, "http://"+address+"/v1/predict", fullBody(1)); err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	slices.Sort(took)
	t.Logf("%d slow connections (%d cut meanwhile): p50 %v, p99 %v, heap %d MiB, all memory from the system %d MiB (both ends)",
		slow, held.Load(), took[len(took)/2], took[len(took)*99/100], memory.HeapInuse>>20, memory.Sys>>20)
	if memory.HeapInuse > 256<<20 {
		t.Errorf("the heap has grown to %d bytes", memory.HeapInuse)
	}
}

// dribble sends a byte a second until it is cut or ctx ends.
func dribble(ctx context.Context, t *testing.T, address string, header bool, connected func()) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		connected()
		t.Error(err)
		return
	}
	defer conn.Close()
	start := "POST /v1/predict HTTP/1.1\r\nHost: x\r\n"
	if !header {
		start += "Content-Length: 1048576\r\n\r\n"
	}
	_, err = io.WriteString(conn, start)
	connected()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for err == nil {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_, err = io.WriteString(conn, "x")
		}
	}
}
