//go:build linux

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
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net/netip"
	"net/url"
	"os"
	"slices"
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
	address := flags.String("url", "", "what to ask; its host is an address and a port")
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
	host, err := netip.ParseAddrPort(target.Host)
	if err != nil {
		return fmt.Errorf("-url %q must have an address and a port, as http://127.0.0.1:8000/v1/predict: %w", *address, err)
	}
	body, err := os.ReadFile(*file)
	if err != nil {
		return err
	}
	if *connections < 1 || *most < 1 || *most > maxRequests || !(*seconds > 0) {
		return errors.New("connections, requests or seconds are out of range")
	}
	l := &load{
		host: host, rate: *rate, most: *most, lasts: time.Duration(*seconds * float64(time.Second)),
		request: fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", target.RequestURI(), target.Host, len(body), body),
	}
	if err := l.run(*connections); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(l.result())
}

// result is what a run prints; times are in milliseconds.
type result struct {
	Seconds    float64 `json:"seconds"`
	Answered   int     `json:"answered"` // with 200
	Refused    int     `json:"refused"`  // with 429 or 503
	Failed     int     `json:"failed"`   // otherwise, or not at all
	Rate       float64 `json:"rate"`     // answered a second
	P50        float64 `json:"p50_ms"`   // of those answered, from when they were due
	P99        float64 `json:"p99_ms"`
	Max        float64 `json:"max_ms"`
	SentP99    float64 `json:"sent_p99_ms"` // from when they were sent: without what waited here for a connection
	RefusedP99 float64 `json:"refused_p99_ms"`
}

func (l *load) result() result {
	slices.Sort(l.took)
	slices.Sort(l.sent)
	slices.Sort(l.refused)
	seconds := l.ran.Seconds()
	return result{
		Seconds: seconds, Answered: len(l.took), Refused: len(l.refused), Failed: l.failed, Rate: float64(len(l.took)) / seconds,
		P50: quantile(l.took, 0.5), P99: quantile(l.took, 0.99), Max: quantile(l.took, 1), SentP99: quantile(l.sent, 0.99), RefusedP99: quantile(l.refused, 0.99),
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
