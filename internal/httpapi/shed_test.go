package httpapi

import (
	"context"
	"math"
	"net"
	"net/http/httptest"
	"runtime"
	"syscall"
	"testing"
	"time"
)

func TestShedsWhileEveryRequestIsLate(t *testing.T) {
	var s shedding
	now := time.Unix(1_700_000_000, 0)
	refused := func(wait, after time.Duration) bool {
		now = now.Add(after)
		return s.tooLate(wait, now)
	}
	const quick, slow, moment = longestUnread, longestUnread + time.Millisecond, time.Millisecond
	for range 3 { // bursts that pass by themselves
		if refused(slow, time.Second) || refused(slow, overloadedAfter) || refused(quick, moment) {
			t.Fatal("a request of a burst is refused")
		}
	}
	refused(slow, time.Second)
	if !refused(slow, overloadedAfter+1) || !refused(10*slow, moment) {
		t.Error("all were late for long, and one is not refused")
	}
	if refused(quick, moment) {
		t.Error("one is refused that did not wait")
	}
	if !refused(slow, moment) {
		t.Error("one is let in that waited, as one before it did not")
	}
	if refused(quick, overloadedAfter+moment) || refused(slow, moment) {
		t.Error("none was late for long, and one is refused")
	}
}

// TestTheKernelKnowsHowLongARequestWaited leaves what came on a connection
// unread.
func TestTheKernelKnowsHowLongARequestWaited(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux is asked")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	ctx := withConnection(context.Background(), &counted{Conn: server, left: func() {}})
	raw, ok := ctx.Value(connection{}).(syscall.RawConn)
	if !ok {
		t.Fatal("the connection is not in its context")
	}
	if _, err := client.Write([]byte("POST")); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for {
		wait, known := waited(raw)
		if !known || wait > time.Since(start)+time.Second {
			t.Fatalf("waited %v, known %t", wait, known)
		}
		if wait > longestUnread {
			break
		}
		if time.Since(start) > time.Minute {
			t.Fatalf("after a minute it has waited %v", wait)
		}
		time.Sleep(time.Millisecond)
	}

	// A request on that connection is let in, as nobody was late before, and
	// then, when all have been for long, refused.
	r := httptest.NewRequest("POST", "/v1/predict", nil).WithContext(ctx)
	var s shedding
	s.open.Store(fewConnections + 1)
	now := time.Now()
	for range looksAtOneIn {
		if s.refuses(r, now) {
			t.Fatal("the first is refused")
		}
	}
	if !s.refuses(r, now.Add(overloadedAfter+1)) {
		t.Error("it is let in, though all were late for long")
	}

	a := newAPI(t, nil)
	a.shed.open.Store(fewConnections)
	a.shed.until.Store(math.MaxInt64)
	if a.shed.refuses(r, now) {
		t.Error("one of few connections is refused")
	}
	a.shed.open.Add(1)
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, r)
	wantProblem(t, w, 503)
	if w.Header().Get("Retry-After") == "" {
		t.Error("it is not told when to come again")
	}
	if w := ask(a, "GET", "/health", ""); w.Code != 200 {
		t.Errorf("a probe is refused with %d", w.Code)
	}
}
