package httpapi

import (
	"net"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// bounded is a listener that holds at most so many connections open. One
// beyond is closed at once, so that its client turns to another replica
// rather than wait in a queue that nobody sees.
type bounded struct {
	net.Listener
	most    int64
	open    atomic.Int64
	refused prometheus.Counter
}

// Accept returns the next connection that there is room for.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		conn, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if b.open.Add(1) <= b.most {
			return &counted{Conn: conn, left: sync.OnceFunc(func() { b.open.Add(-1) })}, nil
		}
		b.open.Add(-1)
		b.refused.Inc()
		_ = conn.Close() // it carried nothing yet
	}
}

// counted is a connection that gives its place back when it is closed.
type counted struct {
	net.Conn
	left func()
}

// Close closes the connection.
func (c *counted) Close() error {
	defer c.left()
	return c.Conn.Close()
}

// keptInFlight is the memory that large bodies of all requests together may
// hold while they arrive; larger where one body may be so large.
const keptInFlight = 64 << 20

// BodyBudget returns the memory that large bodies of all requests together
// may hold while they arrive, where each has maxBodyBytes at most.
func BodyBudget(maxBodyBytes int64) int64 { return max(keptInFlight, 4*maxBodyBytes) }

// budget is a number of something that requests share: bytes, or places.
type budget struct {
	most int64
	used atomic.Int64
}

// take asks for more and says whether there is as much.
func (b *budget) take(n int64) bool {
	if b.used.Add(n) <= b.most {
		return true
	}
	b.used.Add(-n)
	return false
}

func (b *budget) give(n int64) { b.used.Add(-n) }
