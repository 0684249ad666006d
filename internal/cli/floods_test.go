package cli

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"housing/internal/certificate/certificatetest"
)

// mostMemory is what the process of a service may ever hold while it is
// attacked (VmHWM).
const mostMemory = 256 << 20

// attacked is a service of its own process that attackers and an honest
// client meet, over TLS.
type attacked struct {
	*process
	address string
	honest  *http.Client
}

func newAttacked(t *testing.T) *attacked {
	t.Helper()
	pair := certificatetest.Write(t, t.TempDir(), "tls", 1, time.Now().Add(time.Hour))
	s := launch(t, map[string]string{"TLS_CERT_FILE": pair.Cert, "TLS_KEY_FILE": pair.Key, "OPS_LISTEN": "127.0.0.1:0"})
	s.serving()
	text, err := os.ReadFile(pair.Cert)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "housing.test"}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &attacked{s, strings.TrimPrefix(s.base, "http://"), &http.Client{Transport: transport, Timeout: patience}}
}

// dial connects as an attacker does; nil where it is refused, which is as
// good.
func (a *attacked) dial(protocol string) *tls.Conn {
	dialer := &net.Dialer{Timeout: patience}
	conn, err := tls.DialWithDialer(dialer, "tcp", a.address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}})
	if err != nil {
		return nil
	}
	return conn
}

const honestBody = `{"records":[{"bedrooms":3,"bathrooms":2,"sqft_living":2000,"zipcode":"98115"}]}`

// ask asks for a price as an honest client does.
func (a *attacked) ask() error {
	answer, err := a.honest.Post("https://"+a.address+"/v1/predict-minimal", "application/json", strings.NewReader(honestBody))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, text)
	}
	return err
}

// honestly asks 200 times a second for a while, whether or not answers come,
// and 40 times with the race detector, with which the service can do a fifth of
// that. None may fail; times are logged, and decide nothing.
func (a *attacked) honestly(while time.Duration) {
	a.t.Helper()
	var asking sync.WaitGroup
	var mu sync.Mutex
	var took []time.Duration
	var faults []error
	every := 5 * time.Millisecond
	if raceEnabled {
		every = 25 * time.Millisecond
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for range int(while / every) {
		<-tick.C
		asking.Go(func() {
			start := time.Now()
			err := a.ask()
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(start))
			if err != nil {
				faults = append(faults, err)
			}
		})
	}
	asking.Wait()
	if len(faults) > 0 {
		a.t.Errorf("of %d honest requests %d failed, as with: %v", len(took), len(faults), faults[0])
	}
	slices.Sort(took)
	a.t.Logf("%d honest requests: p50 %v, p99 %v", len(took), took[len(took)/2].Round(time.Microsecond), took[len(took)*99/100].Round(time.Microsecond))
}

// memory returns a line of /proc/PID/status such as VmHWM, in bytes.
func (a *attacked) memory(line string) int64 {
	a.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.command.Process.Pid))
	if os.IsNotExist(err) {
		a.t.Skip("this system has no /proc")
	}
	found := regexp.MustCompile(`(?m)^` + line + `:\s+(\d+) kB$`).FindSubmatch(text)
	if err != nil || found == nil {
		a.t.Fatalf("/proc has no %s: %v", line, err)
	}
	kilobytes, err := strconv.ParseInt(string(found[1]), 10, 64)
	if err != nil {
		a.t.Fatal(err)
	}
	return kilobytes << 10
}

// checkMemory holds what the process ever held to the bound.
func (a *attacked) checkMemory(before int64) {
	a.t.Helper()
	most := a.memory("VmHWM")
	a.t.Logf("the process held %d MiB before, %d MiB at most, %d MiB now", before>>20, most>>20, a.memory("VmRSS")>>20)
	// The race detector's own memory, several times that of the program, is
	// none of the service's.
	if most > mostMemory && !raceEnabled {
		a.t.Errorf("the process held %d MiB, more than %d", most>>20, int64(mostMemory)>>20)
	}
}

// long says whether the floods are to last as long as docs/security.md says.
func long() bool { return os.Getenv("FLOODS") == "long" }

// TestSlowConnectionsDoNotHarmOthers holds connections that send a byte a
// second, of a header, of a body that is said to be large, or of one that
// stops half way, and asks for prices beside them. One that is cut comes
// again.
func TestSlowConnectionsDoNotHarmOthers(t *testing.T) {
	slow, while := 300, 3*time.Second
	if long() {
		slow, while = 2000, 30*time.Second
	}
	a := newAttacked(t)
	before := a.memory("VmRSS")
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer func() { stop(); running.Wait() }()
	var cut atomic.Int64
	starts := []string{
		"POST /v1/predict HTTP/1.1\r\nHost: x\r\n",
		"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1048576\r\n\r\n",
		"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 65536\r\n\r\n" + strings.Repeat(" ", 32<<10),
	}
	var connected sync.WaitGroup
	connected.Add(slow)
	for i := range slow {
		running.Go(func() {
			once := sync.OnceFunc(connected.Done)
			for ctx.Err() == nil {
				a.dribble(ctx, starts[i%len(starts)], once)
				cut.Add(1)
			}
		})
	}
	connected.Wait()
	a.honestly(while)
	t.Logf("%d slow connections, cut %d times", slow, cut.Load())
	a.checkMemory(before)
}

// dribble sends the start of a request and then a byte a second, until it is
// cut or ctx ends.
func (a *attacked) dribble(ctx context.Context, start string, connected func()) {
	conn := a.dial("http/1.1")
	if conn == nil {
		connected()
		return
	}
	defer conn.Close()
	_, err := io.WriteString(conn, start)
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

// frame appends a frame of HTTP/2, RFC 9113 section 4.1.
func frame(b []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	b = append(b, byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload)), kind, flags)
	b = binary.BigEndian.AppendUint32(b, stream)
	return append(b, payload...)
}

// Kinds and flags of frames.
const (
	framesHeaders  = 1
	framesReset    = 3
	framesSettings = 4
	framesContinue = 9
	endStream      = 1
	endHeaders     = 4
)

// resets opens streams and resets each at once ("rapid reset",
// CVE-2023-44487), until the server closes the connection. It returns how
// many it opened.
func resets(conn *tls.Conn) (streams int) {
	out := frame([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), framesSettings, 0, 0, nil)
	// HPACK, RFC 7541: GET, https, path /health, authority x.
	request := append([]byte{0x82, 0x87, 0x04, 7}, "/health"...)
	request = append(request, 0x01, 1, 'x')
	for id := uint32(1); id < 200_000; id += 2 {
		out = frame(out, framesHeaders, endStream|endHeaders, id, request)
		out = frame(out, framesReset, 0, id, []byte{0, 0, 0, 8})
		if len(out) > 1<<14 {
			if _, err := conn.Write(out); err != nil {
				return streams
			}
			out = out[:0]
		}
		streams++
	}
	return streams
}

// headersWithoutEnd sends a header in ever more frames (CVE-2024-27316).
func headersWithoutEnd(conn *tls.Conn) {
	out := frame([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), framesSettings, 0, 0, nil)
	out = frame(out, framesHeaders, endStream, 1, []byte{0x82, 0x87})
	part := append([]byte{0x00, 1, 'a', 0x7f, 0x80, 0x20}, bytes.Repeat([]byte("a"), 4096-1)...)
	for range 4096 {
		if _, err := conn.Write(out); err != nil {
			return
		}
		out = frame(out[:0], framesContinue, 0, 1, part)
	}
}

// TestFloodsDoNotHarmOthers lets attackers do what they can while an honest
// client asks for prices: none of its requests fails, and the process stays
// within its memory.
func TestFloodsDoNotHarmOthers(t *testing.T) {
	while := time.Second
	if long() {
		while = 20 * time.Second
	}
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	for range 100 {
		if _, err := w.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	deep := `{"records":` + strings.Repeat("[", 1<<19) + "}"
	many := `{"records":[` + strings.Repeat("{},", 300_000) + "{}]}"
	raw := func(do func(*tls.Conn)) func(*attacked, *http.Client) {
		return func(a *attacked, _ *http.Client) {
			if conn := a.dial("h2"); conn != nil {
				_ = conn.SetDeadline(time.Now().Add(patience))
				do(conn)
				_ = conn.Close()
			}
		}
	}
	send := func(body string, header ...string) func(*attacked, *http.Client) {
		return func(a *attacked, client *http.Client) { a.send(client, body, header...) }
	}
	for _, flood := range []struct {
		name   string
		attack func(*attacked, *http.Client)
	}{
		{"HTTP/2 resets", raw(func(conn *tls.Conn) {
			if n := resets(conn); n > 150_000 {
				t.Errorf("a connection reset %d streams and was not closed", n)
			}
		})},
		{"a header without end", raw(headersWithoutEnd)},
		{"a huge header", send("{}", "X-Huge", strings.Repeat("x", 1<<20))},
		{"deep JSON", send(deep)},
		{"many small faults", send(many)},
		{"a compressed bomb", send(bomb.String(), "Content-Encoding", "gzip")},
	} {
		t.Run(flood.name, func(t *testing.T) {
			a := newAttacked(t)
			before := a.memory("VmRSS")
			ctx, stop := context.WithCancel(t.Context())
			var attackers sync.WaitGroup
			defer func() { stop(); attackers.Wait() }()
			var attacks atomic.Int64
			for range 4 {
				transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
				attackers.Go(func() {
					defer transport.CloseIdleConnections()
					for ctx.Err() == nil {
						flood.attack(a, &http.Client{Transport: transport, Timeout: patience})
						attacks.Add(1)
					}
				})
			}
			a.honestly(while)
			stop()
			attackers.Wait()
			t.Logf("%d attacks", attacks.Load())
			a.checkMemory(before)
		})
	}
}

// send sends a request that must be refused, if it is answered at all.
func (a *attacked) send(client *http.Client, body string, header ...string) {
	r, err := http.NewRequest("POST", "https://"+a.address+"/v1/predict", strings.NewReader(body))
	if err != nil {
		a.t.Error(err)
		return
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := client.Do(r)
	if err != nil {
		return // it may well be cut off
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
	if answer.StatusCode < 400 || answer.StatusCode == http.StatusInternalServerError {
		a.t.Errorf("an attack is answered with %s", answer.Status)
	}
}
