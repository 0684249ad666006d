package httpapi

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"housing/internal/house"
	"housing/internal/telemetry"
)

// nowhere takes an answer and keeps nothing, so that only the handler counts.
type nowhere struct {
	header http.Header
	status int
}

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n *nowhere) WriteHeader(status int)      { n.status = status }

// body can be read again and again.
type body struct{ *strings.Reader }

func (body) Close() error { return nil }

// repeated returns a function that sends the same request each time.
func repeated(t testing.TB, h http.Handler, text string) func() {
	r := httptest.NewRequest("POST", "/v1/predict", nil)
	r.Header["Content-Type"] = []string{"application/json"}
	r.ContentLength = int64(len(text))
	content := body{strings.NewReader(text)}
	r.Body = content
	w := &nowhere{header: http.Header{}}
	return func() {
		content.Reset(text)
		clear(w.header)
		h.ServeHTTP(w, r)
		if w.status != http.StatusOK {
			t.Fatalf("status %d", w.status)
		}
	}
}

func TestAPredictionAllocatesLittle(t *testing.T) {
	for name, log := range map[string]*slog.Logger{
		"without log": slog.New(slog.DiscardHandler),
		"with log":    telemetry.NewLogger(io.Discard, slog.LevelInfo, telemetry.JSON),
	} {
		a := newAPI(t, func(s *setup) { s.Log = log })
		send := repeated(t, a.Handler(), fullBody(1))
		// The request's ID, its header and the version's header; none for a house.
		const most = 4
		if n := testing.AllocsPerRun(200, send); n > most && !raceEnabled {
			t.Errorf("%s: %v allocations a request, want at most %d", name, n, most)
		}
	}
}

// TestALargeRequestUsesMemoryAgain asks for as many houses as a request may
// have: its body, its houses and its answer lie where those of the one before
// did.
func TestALargeRequestUsesMemoryAgain(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has pools forget at random")
	}
	send := repeated(t, newAPI(t, nil).Handler(), fullBody(house.DefaultMaxRecords))
	send()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const requests = 50
	for range requests {
		send()
	}
	runtime.ReadMemStats(&after)
	// The collector may empty a pool now and then; anew it was 1.9 MB each.
	if each := (after.TotalAlloc - before.TotalAlloc) / requests; each > 200_000 {
		t.Errorf("%d bytes a request, want those of the one before to be used again", each)
	}
}

// BenchmarkHandler measures the whole chain without a network.
func BenchmarkHandler(b *testing.B) {
	for _, houses := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("houses=%d", houses), func(b *testing.B) {
			send := repeated(b, newAPI(b, nil).Handler(), fullBody(houses))
			b.ReportAllocs()
			for b.Loop() {
				send()
			}
		})
	}
}

// BenchmarkDocuments measures what the first reader of the documents waits.
func BenchmarkDocuments(b *testing.B) {
	a := newAPI(b, nil)
	for b.Loop() {
		if err := a.document(new(documents)); err != nil {
			b.Fatal(err)
		}
	}
}
