//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// load is one run: a loop of one thread over all connections, which takes from
// the server, on the same processors, as little as it can.
type load struct {
	host    netip.AddrPort
	request []byte
	rate    float64
	most    int
	lasts   time.Duration

	poll        int // epoll
	connections []connection
	idle        []int // connections without a request, which take turns
	start       time.Time
	begun       int // requests
	open        int // requests that are sent and not answered
	buffer      []byte

	took    []time.Duration // of those answered 200, from when they were due
	sent    []time.Duration // of the same, from when they were sent
	refused []time.Duration // of those answered 429 or 503, from when they were due
	failed  int             // answered otherwise, or not at all
	ran     time.Duration
}

// connection has at most one request under way.
type connection struct {
	socket    int  // -1 is none
	busy      bool // with a request
	due, sent time.Duration
	left      int    // of the request, to be written
	head      []byte // of the answer, as far as it is read
	rest      int    // of the answer's body, once its head is read
	status    int    // once the head is read
	closes    bool
}

const (
	// patience bounds how long one request may take.
	patience = 30 * time.Second
	// mostHead bounds the head of an answer.
	mostHead = 64 << 10
)

// now is the time since the start.
func (l *load) now() time.Duration { return time.Since(l.start) }

func (l *load) run(connections int) (err error) {
	if l.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	defer func() { _ = unix.Close(l.poll) }()
	l.connections = make([]connection, connections)
	for i := range l.connections {
		l.connections[i].socket = -1
		l.idle = append(l.idle, i)
	}
	defer func() {
		for i := range l.connections {
			l.hangUp(i)
		}
	}()
	l.start = time.Now()
	l.buffer = make([]byte, 64<<10)
	events := make([]unix.EpollEvent, 256)
	looked := time.Duration(0)
	for {
		next, more := l.sendDue()
		if !more && l.open == 0 {
			break
		}
		n, err := l.wait(events, next, more)
		if err != nil {
			return err
		}
		for _, event := range events[:n] {
			l.proceed(int(event.Fd), event.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0)
		}
		if now := l.now(); now-looked > time.Second {
			looked = now
			for i := range l.connections {
				if c := &l.connections[i]; c.busy && now-c.sent > patience {
					l.fail(i)
				}
			}
		}
	}
	l.ran = l.now()
	return nil
}

// sendDue sends what is due, as far as connections are idle, and returns when
// the next request is due, if more are to be sent.
func (l *load) sendDue() (next time.Duration, more bool) {
	for turns := len(l.idle); ; turns-- { // once each, where all fail at once
		due := l.now()
		if l.rate > 0 {
			due = time.Duration(float64(l.begun) / l.rate * float64(time.Second))
		}
		if l.begun >= l.most || due >= l.lasts {
			return 0, false
		}
		if len(l.idle) == 0 || turns == 0 || due > l.now() {
			return due, true
		}
		i := l.idle[0]
		l.idle = l.idle[1:]
		l.begun++
		l.begin(i, due)
	}
}

// wait waits for something to read or to write, or until the next request can
// be sent.
func (l *load) wait(events []unix.EpollEvent, next time.Duration, more bool) (int, error) {
	until := time.Second
	if more && len(l.idle) > 0 {
		until = min(until, max(next-l.now(), 0))
	}
	milliseconds := int(until / time.Millisecond)
	if until > 0 && milliseconds == 0 { // which epoll_wait does not know
		timeout := unix.NsecToTimespec(int64(until))
		if _, err := unix.Ppoll([]unix.PollFd{{Fd: int32(l.poll), Events: unix.POLLIN}}, &timeout, nil); err != nil {
			return 0, ignoreInterrupt(err)
		}
	}
	n, err := unix.EpollWait(l.poll, events, milliseconds)
	return max(n, 0), ignoreInterrupt(err)
}

func ignoreInterrupt(err error) error {
	if errors.Is(err, unix.EINTR) {
		return nil
	}
	return err
}

// begin sends a request on an idle connection.
func (l *load) begin(i int, due time.Duration) {
	c := &l.connections[i]
	*c = connection{socket: c.socket, busy: true, due: due, sent: l.now(), left: len(l.request), head: c.head[:0]}
	l.open++
	if c.socket < 0 {
		if err := l.connect(i); err != nil {
			l.fail(i)
			return
		}
	}
	l.write(i)
}

func (l *load) connect(i int) error {
	family, address := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: int(l.host.Port()), Addr: l.host.Addr().As16()})
	if l.host.Addr().Is4() {
		family, address = unix.AF_INET, &unix.SockaddrInet4{Port: int(l.host.Port()), Addr: l.host.Addr().As4()}
	}
	socket, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	l.connections[i].socket = socket
	if err := unix.SetsockoptInt(socket, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return err
	}
	if err := unix.Connect(socket, address); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return err
	}
	// By edges: each event is told of once, and the socket is read and written until it would wait.
	return unix.EpollCtl(l.poll, unix.EPOLL_CTL_ADD, socket, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(i)})
}

// hangUp closes a connection.
func (l *load) hangUp(i int) {
	if c := &l.connections[i]; c.socket >= 0 {
		_ = unix.Close(c.socket)
		c.socket = -1
	}
}

// done makes a connection idle again, after its request was answered or failed.
func (l *load) done(i int) {
	l.connections[i].busy = false
	l.open--
	l.idle = append(l.idle, i)
}

func (l *load) fail(i int) {
	l.failed++
	l.hangUp(i)
	l.done(i)
}

// proceed does what a connection is ready for. Where the server has ended it
// there may be something to read before.
func (l *load) proceed(i int, ended bool) {
	c := &l.connections[i]
	switch {
	case c.busy:
		l.receive(i, ended)
		if c.busy && c.left > 0 {
			l.write(i)
		}
	case c.socket >= 0: // idle, so that all that it may tell is that it has ended
		if n, err := unix.Read(c.socket, l.buffer); n >= 0 && err == nil || err != nil && !errors.Is(err, unix.EAGAIN) {
			l.hangUp(i)
		}
	}
}

func (l *load) write(i int) {
	c := &l.connections[i]
	for c.left > 0 {
		n, err := unix.Write(c.socket, l.request[len(l.request)-c.left:])
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOTCONN):
			return
		case errors.Is(err, unix.EINTR):
		case err != nil: // it may have been answered before it was read whole
			if l.receive(i, true); c.busy {
				l.fail(i)
			}
			return
		default:
			c.left -= n
		}
	}
}

// receive reads what there is of an answer, to its end where that has come.
func (l *load) receive(i int, ended bool) {
	c := &l.connections[i]
	for c.busy {
		n, err := unix.Read(c.socket, l.buffer)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOTCONN):
			return
		case errors.Is(err, unix.EINTR):
		case err != nil || n == 0:
			l.fail(i)
		default:
			l.read(i, l.buffer[:n])
			if n < len(l.buffer) && !ended {
				return // all that there was
			}
		}
	}
}

// read takes some of an answer, and counts it when it is whole.
func (l *load) read(i int, some []byte) {
	c := &l.connections[i]
	if c.status == 0 {
		c.head = append(c.head, some...)
		end := bytes.Index(c.head, []byte("\r\n\r\n"))
		if end < 0 {
			if len(c.head) > mostHead {
				l.fail(i)
			}
			return
		}
		if !c.parse(c.head[:end]) {
			l.fail(i)
			return
		}
		some = c.head[end+4:]
	}
	c.rest -= len(some)
	switch {
	case c.rest > 0:
		return
	case c.rest < 0:
		l.fail(i)
		return
	}
	now := l.now()
	switch c.status {
	case 200:
		l.took, l.sent = append(l.took, now-c.due), append(l.sent, now-c.sent)
	case 429, 503:
		l.refused = append(l.refused, now-c.due)
	default:
		l.failed++
	}
	if c.closes || c.left > 0 { // refused before it was read whole
		l.hangUp(i)
	}
	l.done(i)
}

// parse reads the head of an answer: its status, its length, and whether the
// server closes. It does not know answers in chunks.
func (c *connection) parse(head []byte) bool {
	line, head, _ := bytes.Cut(head, []byte("\r\n"))
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return false
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil {
		return false
	}
	c.status, c.rest = status, -1
	for len(head) > 0 {
		line, head, _ = bytes.Cut(head, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if c.rest, err = strconv.Atoi(string(value)); err != nil {
				return false
			}
		case bytes.EqualFold(name, []byte("Connection")):
			c.closes = bytes.EqualFold(value, []byte("close"))
		}
	}
	return c.rest >= 0
}
