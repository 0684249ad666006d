package httpapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"housing/internal/house"
)

// pipes is a listener in memory, so that a test can run in fake time.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { p.once.Do(func() { close(p.closed) }); return nil }

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

// serving runs a server in fake time while use runs.
func serving(t *testing.T, change func(*setup), use func(l *pipes)) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		server := &Server{API: newAPI(t, change), Grace: time.Minute}
		go func() { done <- server.Run(ctx, l) }()
		use(l)
		stop()
		if err := <-done; err != nil {
			t.Errorf("stop: %v", err)
		}
	})
}

func TestAClientThatSendsItsBodyTooSlowly(t *testing.T) {
	serving(t, nil, func(l *pipes) {
		conn := l.dial()
		defer conn.Close()
		start := time.Now()
		fmt.Fprintf(conn, "POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusRequestTimeout || !answer.Close || !strings.Contains(string(body), "in time") {
			t.Errorf("%d, close %v: %s (%v)", answer.StatusCode, answer.Close, body, err)
		}
		if took := time.Since(start); took != readTimeout {
			t.Errorf("answered after %v, want %v", took, readTimeout)
		}
	})
}

func TestAClientThatSendsItsHeaderTooSlowly(t *testing.T) {
	serving(t, nil, func(l *pipes) {
		conn := l.dial()
		defer conn.Close()
		start := time.Now()
		fmt.Fprintf(conn, "POST /v1/predict HTTP/1.1\r\nHost:")
		if _, err := io.ReadAll(conn); err != nil {
			t.Errorf("read: %v", err)
		}
		if took := time.Since(start); took != readHeaderTimeout {
			t.Errorf("cut after %v, want %v", took, readHeaderTimeout)
		}
	})
}

func TestAHeaderThatIsTooLarge(t *testing.T) {
	serving(t, nil, func(l *pipes) {
		conn := l.dial()
		defer conn.Close()
		go fmt.Fprintf(conn, "GET /livez HTTP/1.1\r\nHost: x\r\nX-Large: %s\r\n\r\n", strings.Repeat("x", 64<<10))
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%v, %v", answer, err)
		}
	})
}

func TestStopWaitsTwoSecondsForIdleConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		server := &Server{API: newAPI(t, nil), Grace: time.Minute}
		go func() { done <- server.Run(ctx, l) }()
		conn := l.dial()
		defer conn.Close()
		fmt.Fprintf(conn, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
		reader := bufio.NewReader(conn)
		if answer, err := http.ReadResponse(reader, nil); err != nil || answer.Close {
			t.Fatalf("%v, %v", answer, err)
		} else if _, err := io.ReadAll(answer.Body); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		stop()
		time.Sleep(drainTime - time.Millisecond) // fake time: the listener still accepts
		late := l.dial()
		fmt.Fprintf(late, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
		answer, err := http.ReadResponse(bufio.NewReader(late), nil)
		if err != nil || answer.StatusCode != http.StatusServiceUnavailable || !answer.Close {
			t.Errorf("while draining: %v, %v", answer, err)
		}
		late.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took < drainTime || took > drainTime+time.Second {
			t.Errorf("stopped after %v", took)
		}
	})
}

func TestRequestsPastTheGraceAreCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		l := newPipes()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		api := newAPI(t, func(s *setup) {
			s.model.Pricer = pricer(func(dst []float64, _ []house.House) []float64 { <-gate; return append(dst[:0], 1) })
		})
		go func() { done <- (&Server{API: api, Grace: 10 * time.Second}).Run(ctx, l) }()
		conn := l.dial()
		defer conn.Close()
		body := fullBody(1)
		fmt.Fprintf(conn, "POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		start := time.Now()
		stop()
		if err := <-done; !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "in flight") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took != drainTime+10*time.Second {
			t.Errorf("stopped after %v", took)
		}
		close(gate)
	})
}

func TestAListenerThatFailsStopsTheServer(t *testing.T) {
	l, ops := newPipes(), newPipes()
	l.Close()
	server := &Server{API: newAPI(t, nil), Ops: ops, Grace: time.Second}
	if err := server.Run(t.Context(), l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// TestNoRequestIsLostOnStop keeps connections busy while the server is told
// to stop: over real sockets, every request that was sent is answered.
func TestNoRequestIsLostOnStop(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ops, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	entered, gate := make(chan struct{}), make(chan struct{})
	const slow = 30 // houses in the request that is in flight all along
	api := newAPI(t, func(s *setup) {
		s.OwnOps, s.valuer.Workers = true, 4
		s.model.Pricer = pricer(func(dst []float64, houses []house.House) []float64 {
			if len(houses) == slow {
				close(entered)
				<-gate
			}
			for range houses {
				dst = append(dst, 1)
			}
			return dst
		})
	})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- (&Server{API: api, Ops: ops, Grace: 30 * time.Second}).Run(ctx, l) }()
	url := "http://" + l.Addr().String() + "/v1/predict"

	var group sync.WaitGroup
	group.Go(func() {
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		if _, err := post(client, url, fullBody(slow)); err != nil {
			t.Errorf("the request in flight: %v", err)
		}
	})
	<-entered
	var answered atomic.Int64
	warm := make(chan struct{})
	for range 4 {
		group.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for {
				closing, err := post(client, url, fullBody(1))
				if err != nil {
					t.Errorf("after %d answers: %v", answered.Load(), err)
					return
				}
				if answered.Add(1) == 200 {
					close(warm)
				}
				if closing { // asked to go elsewhere, as a balancer would
					return
				}
			}
		})
	}
	<-warm
	stop()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for { // the ops address answers to the end
		answer, err := client.Get("http://" + ops.Addr().String() + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode == http.StatusServiceUnavailable {
			break
		}
	}
	close(gate)
	group.Wait()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", l.Addr().String()); err == nil {
		conn.Close()
		t.Error("the listener still accepts")
	}
	t.Logf("%d requests answered", answered.Load())
}

// post sends a body and says whether the answer asked to close.
func post(client *http.Client, url, body string) (closing bool, err error) {
	answer, err := client.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		return false, err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return false, err
	}
	if answer.StatusCode != http.StatusOK {
		return false, fmt.Errorf("status %d", answer.StatusCode)
	}
	return answer.Close, nil
}
