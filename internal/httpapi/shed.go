package httpapi

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"
)

// shedding refuses requests, before anything of their body is read, while more
// of them arrive than the processors can answer. They then wait where nothing
// in this program sees them, in the kernel and for their turn on a processor;
// but the kernel knows how long ago the data came (see waited).
//
// It is CoDel (RFC 8289) with an answer in place of a drop. A burst passes by
// itself, and so does a moment without a processor; but when for overloadedAfter
// no request was read within longestUnread, those that waited longer are
// refused, until none has for as long. Refusing takes a fraction of what
// answering does, so that the others are reached in time.
type shedding struct {
	late  atomic.Int64 // nanoseconds of the clock since which every request waited too long; 0 while some do not
	until atomic.Int64 // likewise, when to stop refusing
	count atomic.Uint32
	open  atomic.Int64 // connections
}

const (
	longestUnread   = 50 * time.Millisecond
	overloadedAfter = 200 * time.Millisecond
	// fewConnections are no overload, whatever they wait for: they do not send
	// more before they have an answer.
	fewConnections = 64
	// looksAtOneIn is how many requests there are to one that the kernel is
	// asked about, while none is late.
	looksAtOneIn = 8
)

// refuses says whether a request is to be refused that is handled now.
func (s *shedding) refuses(r *http.Request, now time.Time) bool {
	if s.open.Load() <= fewConnections {
		return false
	}
	if s.late.Load() == 0 && s.until.Load() < now.UnixNano() && s.count.Add(1)%looksAtOneIn != 0 {
		return false
	}
	conn, _ := r.Context().Value(connection{}).(syscall.RawConn)
	if conn == nil {
		return false
	}
	wait, known := waited(conn)
	return known && s.tooLate(wait, now)
}

// tooLate takes note that a request waited, and says whether it is to be
// refused.
func (s *shedding) tooLate(wait time.Duration, now time.Time) bool {
	if wait <= longestUnread {
		s.late.Store(0)
		return false
	}
	at := now.UnixNano()
	s.late.CompareAndSwap(0, at)
	if since := s.late.Load(); at > s.until.Load() && at-since <= int64(overloadedAfter) {
		return false
	}
	s.until.Store(at + int64(overloadedAfter))
	return true
}

// connection is the key of a connection in the context of its requests.
type connection struct{}

// withConnection keeps a TCP connection in the context of its requests.
func withConnection(ctx context.Context, c net.Conn) context.Context {
	for {
		switch inner := c.(type) {
		case interface{ NetConn() net.Conn }: // of TLS, and counted
			c = inner.NetConn()
			continue
		case syscall.Conn:
			if raw, err := inner.SyscallConn(); err == nil {
				return context.WithValue(ctx, connection{}, raw)
			}
		}
		return ctx
	}
}
