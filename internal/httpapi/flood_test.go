package httpapi

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"housing/internal/certificate"
	"housing/internal/certificate/certificatetest"
)

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
// client asks for prices: none of its requests fails, and no memory
// stays behind.
func TestFloodsDoNotHarmOthers(t *testing.T) {
	if testing.Short() {
		t.Skip("floods for half a minute")
	}
	pair := certificatetest.Write(t, t.TempDir(), "tls", 1, time.Now().Add(time.Hour))
	keeper, err := certificate.Load(pair.Cert, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	address := overTLS(t, &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: keeper.Get})
	attacker := trusting(t, []string{pair.Cert}, false, nil)
	dial := func() *tls.Conn {
		conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		if err != nil {
			return nil // refused is as good
		}
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		return conn
	}
	send := func(body io.Reader, header ...string) {
		r, err := http.NewRequest("POST", "https://"+address+"/v1/predict", body)
		if err != nil {
			t.Error(err)
			return
		}
		r.Header.Set("Content-Type", "application/json")
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		if answer, err := attacker.Do(r); err == nil { // it may well be cut off
			_, _ = io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
			if answer.StatusCode < 400 || answer.StatusCode == http.StatusInternalServerError {
				t.Errorf("an attack is answered with %s", answer.Status)
			}
		}
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
	deep := strings.Repeat("[", 1<<19) + strings.Repeat("]", 1<<19)
	many := `{"records":[` + strings.Repeat("{},", 300_000) + "{}]}"
	for name, attack := range map[string]func(){
		"HTTP/2 resets": func() {
			if conn := dial(); conn != nil {
				if n := resets(conn); n > 150_000 {
					t.Errorf("a connection reset %d streams and was not closed", n)
				}
				_ = conn.Close()
			}
		},
		"a header without end": func() {
			if conn := dial(); conn != nil {
				headersWithoutEnd(conn)
				_ = conn.Close()
			}
		},
		"a huge header":     func() { send(strings.NewReader("{}"), "X-Huge", strings.Repeat("x", 1<<20)) },
		"deep JSON":         func() { send(strings.NewReader(`{"records":` + deep[:1<<19] + "}")) },
		"many small faults": func() { send(strings.NewReader(many)) },
		"a compressed bomb": func() { send(bytes.NewReader(bomb.Bytes()), "Content-Encoding", "gzip") },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			var attackers sync.WaitGroup
			var attacks atomic.Int64
			for range 4 {
				attackers.Go(func() {
					for ctx.Err() == nil {
						attack()
						attacks.Add(1)
					}
				})
			}
			honest := trusting(t, []string{pair.Cert}, true, nil)
			var most uint64
			for i := range 200 {
				answer, err := honest.Post("https://"+address+"/v1/predict", "application/json", strings.NewReader(fullBody(1)))
				if err != nil {
					t.Fatalf("honest request %d: %v", i, err)
				}
				_, _ = io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
				if answer.StatusCode != http.StatusOK {
					t.Fatalf("honest request %d: %s", i, answer.Status)
				}
				if i%20 == 0 {
					most = max(most, held())
				}
			}
			stop()
			attackers.Wait()
			// The attackers are in this process too, so that the most says more
			// of them than of the service; what stays has a bound.
			attacker.CloseIdleConnections()
			var stays uint64
			for end := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
				if stays = held(); stays < 128<<20 {
					break
				}
				if time.Now().After(end) {
					t.Fatalf("%d MiB are held after the flood", stays>>20)
				}
			}
			t.Logf("%d attacks, %d MiB held at most and %d MiB after it, both ends together", attacks.Load(), most>>20, stays>>20)
		})
	}
}

// held returns how many bytes of the heap are in use.
func held() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
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
