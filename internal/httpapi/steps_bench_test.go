package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"housing/internal/bundle"
	"housing/internal/features"
	"housing/internal/valuer"
)

// BenchmarkSteps measures each step of a request for the price of one house,
// in the order in which they are taken.
func BenchmarkSteps(b *testing.B) {
	built, err := bundle.Builtin()
	if err != nil {
		b.Fatal(err)
	}
	defer built.Close()
	a := newAPI(b, nil)
	text := []byte(fullBody(1))
	houses, err := a.full.Records(nil, text)
	if err != nil {
		b.Fatal(err)
	}
	zipcode := houses[0].Zipcode()
	area, _ := built.Demographics.Lookup(zipcode)
	row := make([]float32, features.NumColumns())
	prices := make([]float64, 1)
	answer, err := a.Valuer.Value(b.Context(), nil, houses, valuer.Choice{})
	if err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequest("POST", "/v1/predict", nil)
	x := &exchange{api: a, request: r}
	var out []byte
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"decode", func() (err error) { houses, err = a.full.Records(houses, text); return err }},
		{"choose", func() error { _, err := a.choose(x, r, ""); return err }},
		{"join", func() error { area, _ = built.Demographics.Lookup(zipcode); return nil }},
		{"features", func() error { built.Model.Row(row, &houses[0], area); return nil }},
		{"predict", func() error { prices = built.Model.Prices(prices, houses, built.Demographics); return nil }},
		{"value", func() (err error) {
			answer, err = a.Valuer.Value(b.Context(), answer.Prices, houses, valuer.Choice{})
			return err
		}},
		{"encode", func() error { out = appendAnswer(out[:0], &answer, 41*time.Microsecond); return nil }},
	} {
		b.Run(step.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := step.do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkChain asks a service over sixteen connections for the price of a
// house, and by turns its peer: an empty handler of net/http that reads the
// same body and writes as long an answer. It reports the median of the ratios
// of what both answer in a second, and how much more the service allocates a
// request. The clients do as little as they can, on the same processors.
func BenchmarkChain(b *testing.B) {
	a := newAPI(b, nil)
	text := fullBody(1)
	answer := ask(a, "POST", "/v1/predict", text).Body.Bytes()
	empty := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	})
	const connections, block = 16, 4000
	sides := []struct {
		clients []*rawClient
		allocs  uint64
	}{{clients: rawClients(b, a.Handler(), text, connections)}, {clients: rawClients(b, empty, text, connections)}}
	send := func(clients []*rawClient) time.Duration {
		start := time.Now()
		var all sync.WaitGroup
		for _, c := range clients {
			all.Go(func() {
				for range block / connections {
					if err := c.ask(); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		return time.Since(start)
	}
	var ratios []float64
	blocks := 0
	for b.Loop() {
		var took [2]time.Duration
		for i := range sides {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			took[i] = send(sides[i].clients)
			runtime.ReadMemStats(&after)
			sides[i].allocs += after.Mallocs - before.Mallocs
		}
		blocks++
		ratios = append(ratios, took[1].Seconds()/took[0].Seconds())
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "of-empty")
	b.ReportMetric((float64(sides[0].allocs)-float64(sides[1].allocs))/float64(blocks*block), "allocs-more")
	b.ReportMetric(0, "ns/op")
}

// rawClient is a connection that sends one request again and again.
type rawClient struct {
	conn    net.Conn
	in      *bufio.Reader
	request []byte
}

// rawClients serves a handler, with the limits of the service, and connects.
func rawClients(b *testing.B, h http.Handler, text string, n int) []*rawClient {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := new(Server).server(h, writeTimeout)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	b.Cleanup(func() {
		if err := server.Shutdown(context.Background()); err != nil {
			b.Error(err)
		}
		<-ended
	})
	request := fmt.Appendf(nil, "POST /v1/predict HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", l.Addr(), len(text), text)
	clients := make([]*rawClient, n)
	for i := range clients {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = conn.Close() })
		clients[i] = &rawClient{conn, bufio.NewReader(conn), request}
	}
	return clients
}

// ask sends the request and reads the answer.
func (c *rawClient) ask() error {
	if _, err := c.conn.Write(c.request); err != nil {
		return err
	}
	length := -1
	for first := true; ; first = false {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200")) {
			return fmt.Errorf("answer %q", line)
		}
		if len(line) == 0 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return err
			}
		}
	}
	_, err := c.in.Discard(length)
	return err
}
