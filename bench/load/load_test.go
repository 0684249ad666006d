//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLoadCountsWhatComesOfRequests has servers that answer in all ways.
func TestLoadCountsWhatComesOfRequests(t *testing.T) {
	const good, refusal = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
	// whole reads a request, and says whether there was one.
	whole := func(in *bufio.Reader) bool {
		r, err := http.ReadRequest(in)
		if err != nil {
			return false
		}
		_, err = io.Copy(io.Discard, r.Body)
		return err == nil
	}
	always := func(answer string) func(net.Conn, *bufio.Reader) {
		return func(c net.Conn, in *bufio.Reader) {
			for whole(in) {
				if _, err := io.WriteString(c, answer); err != nil {
					return
				}
			}
		}
	}
	tests := map[string]struct {
		serve                     func(c net.Conn, in *bufio.Reader) // until it returns
		body                      int
		answered, refused, failed int // of eight requests
	}{
		"good answers":  {always(good), 10, 8, 0, 0},
		"refusals":      {always(refusal), 10, 0, 8, 0},
		"other answers": {always("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), 10, 0, 0, 8},
		"no length":     {always("HTTP/1.1 200 OK\r\n\r\nhello"), 10, 0, 0, 8},
		"no HTTP":       {always("hello\r\n\r\n"), 10, 0, 0, 8},
		"large bodies":  {always(good), 8 << 20, 8, 0, 0},
		"an answer in parts": {func(c net.Conn, in *bufio.Reader) {
			for whole(in) {
				for part := range strings.SplitSeq(good, "e") {
					_, _ = io.WriteString(c, part)
					if !strings.HasSuffix(part, "llo") {
						time.Sleep(5 * time.Millisecond)
						_, _ = io.WriteString(c, "e")
					}
				}
			}
		}, 10, 8, 0, 0},
		"half an answer": {func(c net.Conn, in *bufio.Reader) {
			whole(in)
			_, _ = io.WriteString(c, good[:30])
		}, 10, 0, 0, 8},
		"no answer": {func(_ net.Conn, in *bufio.Reader) { whole(in) }, 10, 0, 0, 8},
		"refused before the body was read": {func(c net.Conn, in *bufio.Reader) {
			_, _ = in.ReadString('\n')
			_, _ = io.WriteString(c, refusal)
		}, 8 << 20, 0, 8, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := ask(t, test.serve, test.body)
			if got.Answered != test.answered || got.Refused != test.refused || got.Failed != test.failed {
				t.Errorf("got %+v, want %d, %d and %d", got, test.answered, test.refused, test.failed)
			}
			if got.Seconds > patience.Seconds()/2 {
				t.Errorf("it took %.1f s", got.Seconds)
			}
		})
	}
}

// TestLoadIsAnOpenLoop has a server that answers nothing for a while: the
// requests that were due meanwhile are timed from then.
func TestLoadIsAnOpenLoop(t *testing.T) {
	const stalls = 400 * time.Millisecond
	first := true
	got := ask(t, func(c net.Conn, in *bufio.Reader) {
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			if first {
				time.Sleep(stalls)
				first = false
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	}, 10, "-connections=1", "-rate=100", "-requests=40")
	// Of 40 requests, 10 ms apart, the median was due when half of the stall was left.
	if got.Answered != 40 || got.Max < 400 || got.P50 < 150 || got.SentP99 < 400 {
		t.Errorf("got %+v", got)
	}
}

// ask sends eight requests to a server over two connections, unless flags say
// otherwise.
func ask(t *testing.T, serve func(net.Conn, *bufio.Reader), body int, flags ...string) result {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c, bufio.NewReader(c))
			}()
		}
	}()
	defer func() { _ = l.Close(); <-ended }()
	file := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(file, bytes.Repeat([]byte("x"), body), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := run(append([]string{"-url=http://" + l.Addr().String() + "/", "-body=" + file, "-requests=8", "-connections=2", "-seconds=60"}, flags...), &out); err != nil {
		t.Fatal(err)
	}
	var got result
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	return got
}
