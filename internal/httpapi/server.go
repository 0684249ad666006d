package httpapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Limits on a connection, so that a slow or greedy client cannot hold one
// for long.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 120 * time.Second
	maxHeaderBytes    = 16 << 10

	// profileTime is how long an answer of the ops address may take, where
	// profiles of 30 seconds are asked for.
	profileTime = 90 * time.Second

	// drainTime is how long the service goes on accepting after it was told
	// to stop, so that clients and balancers hear of it and turn elsewhere.
	drainTime  = 2 * time.Second
	drainCheck = 10 * time.Millisecond
)

// Server runs an [API] on its listeners.
type Server struct {
	API   *API
	Ops   net.Listener // nil if there is no own ops address
	Grace time.Duration
	// MaxConnections is how many connections of the API are open at most; 0
	// is no bound.
	MaxConnections int
	TLS            *tls.Config // of the API's listener; nil is plain HTTP/1.1. The ops address is never encrypted
}

// Run serves on l until ctx ends, then stops without losing a request: first
// /readyz says no and answers ask clients to close, while new connections
// are still taken, until none is open or two seconds are over; then nothing
// more is accepted, and requests in flight have Grace to finish. The ops
// address is served to the very end. Run closes the listeners.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	var open atomic.Int64
	main := s.server(s.API.Handler(), writeTimeout)
	if s.TLS != nil {
		secure(main, s.TLS)
	}
	main.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed, http.StateHijacked:
			open.Add(-1)
		}
	}
	ended := make(chan error, 2)
	serve := func(server *http.Server, l net.Listener) {
		err := error(nil)
		if server.TLSConfig != nil {
			err = server.ServeTLS(l, "", "")
		} else {
			err = server.Serve(l)
		}
		ended <- fmt.Errorf("serve on %s: %w", l.Addr(), err)
	}
	if s.MaxConnections > 0 {
		l = &bounded{Listener: l, most: int64(s.MaxConnections), refused: s.API.Metrics.ConnectionsRefused}
	}
	running := 1
	go serve(main, l)
	var ops *http.Server
	if s.Ops != nil {
		running++
		ops = s.server(s.API.OpsHandler(), profileTime)
		go serve(ops, s.Ops)
	}

	var failure error
	select {
	case <-ctx.Done():
		s.API.Drain()
		waitUntil(func() bool { return open.Load() == 0 }, drainTime)
	case failure = <-ended:
		running--
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Grace)
	defer cancel()
	for _, server := range []*http.Server{main, ops} {
		if server == nil {
			continue
		}
		if err := server.Shutdown(stop); err != nil && failure == nil {
			failure = fmt.Errorf("stop: requests were still in flight after %v: %w", s.Grace, err)
		}
		// What did not finish in time is cut; closing the closed does nothing.
		_ = server.Close()
	}
	for range running {
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) && failure == nil {
			failure = err
		}
	}
	return failure
}

// server returns a server of HTTP/1.1 with the limits above.
func (s *Server) server(h http.Handler, write time.Duration) *http.Server {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      write,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(io.Discard, "", 0), // its lines name the addresses of clients
		Protocols:         new(http.Protocols),
	}
	server.Protocols.SetHTTP1(true)
	return server
}

// Limits of HTTP/2: how much of our memory and time one connection can ask
// for. net/http itself counts floods of resets and of control frames.
const (
	maxStreams       = 100
	maxConnBuffer    = 1 << 20
	maxStreamBuffer  = 256 << 10
	frameBytes       = 16 << 10
	pingAfter        = 30 * time.Second
	pingTimeout      = 10 * time.Second
	stalledWriteTime = 10 * time.Second
)

// secure makes a server speak TLS, and over it HTTP/2 too.
func secure(server *http.Server, config *tls.Config) {
	server.TLSConfig = config.Clone()
	server.Protocols.SetHTTP2(true)
	server.HTTP2 = &http.HTTP2Config{
		MaxConcurrentStreams:          maxStreams,
		MaxReadFrameSize:              frameBytes,
		MaxReceiveBufferPerConnection: maxConnBuffer,
		MaxReceiveBufferPerStream:     maxStreamBuffer,
		SendPingTimeout:               pingAfter,
		PingTimeout:                   pingTimeout,
		WriteByteTimeout:              stalledWriteTime,
	}
}

func waitUntil(done func() bool, most time.Duration) {
	deadline := time.NewTimer(most)
	defer deadline.Stop()
	tick := time.NewTicker(drainCheck)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline.C:
			return
		}
	}
}
