// Command load sends one request again and again at a fixed rate, over HTTP/1.1
// on this machine, and prints what came of it as a line of JSON.
//
//	load -url http://127.0.0.1:8000/v1/predict -body FILE -rate 1000 -connections 64 -seconds 10
//
// It is an open loop: requests are due at times that do not depend on the
// answers, and each is timed from when it was due, so that a server that is
// late is seen to be late with all that it kept waiting (no coordinated
// omission). A rate of 0 is a closed loop: each connection sends its next
// request as soon as it has its answer.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

// maxRequests bounds what one run keeps in memory.
const maxRequests = 20_000_000

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	address := flags.String("url", "", "what to ask")
	file := flags.String("body", "", "file with the body, of application/json")
	rate := flags.Float64("rate", 0, "requests a second that are due; 0 is as many as come")
	connections := flags.Int("connections", 64, "connections, each with one request at a time")
	seconds := flags.Float64("seconds", 5, "for how long requests are due")
	most := flags.Int("requests", maxRequests, "no more requests than these")
	if err := flags.Parse(args); err != nil {
		return err
	}
	target, err := url.Parse(*address)
	if err != nil {
		return err
	}
	body, err := os.ReadFile(*file)
	if err != nil {
		return err
	}
	if *connections < 1 || *most < 1 || *most > maxRequests || !(*seconds > 0) {
		return errors.New("connections, requests or seconds are out of range")
	}
	l := &load{
		host: target.Host, rate: *rate, most: int64(*most), lasts: time.Duration(*seconds * float64(time.Second)),
		request: fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", target.RequestURI(), target.Host, len(body), body),
	}
	return json.NewEncoder(out).Encode(l.run(*connections))
}

// load is one run.
type load struct {
	host    string
	request []byte
	rate    float64
	most    int64
	lasts   time.Duration
	start   time.Time
	next    atomic.Int64 // number of the next request
}

// outcome is what came of the requests of a connection.
type outcome struct {
	took    []time.Duration // of those answered 200, from when they were due
	sent    []time.Duration // of the same, from when they were sent
	refused []time.Duration // of those answered 429 or 503
	failed  int             // of those answered otherwise, or not at all
}

// result is what a run prints; times are in milliseconds.
type result struct {
	Seconds    float64 `json:"seconds"`
	Answered   int     `json:"answered"` // with 200
	Refused    int     `json:"refused"`  // with 429 or 503
	Failed     int     `json:"failed"`   // otherwise
	Rate       float64 `json:"rate"`     // answered a second
	P50        float64 `json:"p50_ms"`
	P99        float64 `json:"p99_ms"`
	Max        float64 `json:"max_ms"`
	SentP99    float64 `json:"sent_p99_ms"` // from when they were sent: without what this program was late with
	RefusedP99 float64 `json:"refused_p99_ms"`
}

func (l *load) run(connections int) result {
	outcomes := make([]outcome, connections)
	var all sync.WaitGroup
	l.start = time.Now()
	for i := range outcomes {
		all.Go(func() { l.connection(&outcomes[i]) })
	}
	all.Wait()
	var sum outcome
	for _, o := range outcomes {
		sum.took = append(sum.took, o.took...)
		sum.sent = append(sum.sent, o.sent...)
		sum.refused = append(sum.refused, o.refused...)
		sum.failed += o.failed
	}
	slices.Sort(sum.took)
	slices.Sort(sum.sent)
	slices.Sort(sum.refused)
	seconds := time.Since(l.start).Seconds()
	return result{
		Seconds: seconds, Answered: len(sum.took), Refused: len(sum.refused), Failed: sum.failed, Rate: float64(len(sum.took)) / seconds,
		P50: quantile(sum.took, 0.5), P99: quantile(sum.took, 0.99), Max: quantile(sum.took, 1), SentP99: quantile(sum.sent, 0.99), RefusedP99: quantile(sum.refused, 0.99),
	}
}

// quantile returns a quantile of sorted times in milliseconds, 0 of none.
func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := int(math.Ceil(q*float64(len(sorted)))) - 1
	return float64(sorted[max(at, 0)].Microseconds()) / 1000
}

// due returns when the next request is to be sent, or false after the last.
func (l *load) due() (time.Time, bool) {
	n := l.next.Add(1) - 1
	at := time.Now()
	if l.rate > 0 {
		at = l.start.Add(time.Duration(float64(n) / l.rate * float64(time.Second)))
	}
	return at, n < l.most && at.Sub(l.start) < l.lasts
}

// patience bounds how long one request may take.
const patience = 30 * time.Second

// connection sends requests one after the other, and connects anew where the
// server closes.
func (l *load) connection(o *outcome) {
	var conn net.Conn
	var in *bufio.Reader
	defer func() {
		if conn != nil {
			_ = conn.Close()
		}
	}()
	for {
		due, ok := l.due()
		if !ok {
			return
		}
		time.Sleep(time.Until(due))
		if conn == nil {
			var err error
			if conn, err = net.DialTimeout("tcp", l.host, patience); err != nil {
				o.failed++
				continue
			}
			in = bufio.NewReaderSize(conn, 16<<10)
		}
		sent := time.Now()
		status, closes, err := l.exchange(conn, in)
		took := time.Since(due)
		switch {
		case err != nil:
			o.failed++
			closes = true
		case status == http.StatusOK:
			o.took, o.sent = append(o.took, took), append(o.sent, time.Since(sent))
		case status == http.StatusServiceUnavailable, status == http.StatusTooManyRequests:
			o.refused = append(o.refused, took)
		default:
			o.failed++
		}
		if closes {
			_ = conn.Close()
			conn = nil
		}
	}
}

// exchange sends the request and reads the answer.
func (l *load) exchange(conn net.Conn, in *bufio.Reader) (status int, closes bool, err error) {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, false, err
	}
	if _, err := conn.Write(l.request); err != nil {
		return 0, false, err
	}
	length := -1
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return 0, false, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if status == 0 {
			if _, err := fmt.Sscanf(string(line), "HTTP/1.1 %d", &status); err != nil {
				return 0, false, fmt.Errorf("answer %q", line)
			}
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if _, err := fmt.Sscan(string(value), &length); err != nil {
				return 0, false, err
			}
		case bytes.EqualFold(name, []byte("Connection")):
			closes = bytes.EqualFold(value, []byte("close"))
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			return 0, false, errors.New("an answer in chunks cannot be read")
		}
	}
	if length < 0 {
		return 0, false, errors.New("an answer without its length")
	}
	_, err = in.Discard(length)
	return status, closes, err
}
