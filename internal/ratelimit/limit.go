package ratelimit

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Limit is how much a client may ask. The zero value sets no limit.
type Limit struct {
	Requests int64
	Period   time.Duration
}

// periods are the words for a Period.
var periods = []struct {
	name string
	time time.Duration
}{{"second", time.Second}, {"minute", time.Minute}, {"hour", time.Hour}}

// maxRequests bounds a limit, so that its arithmetic cannot overflow.
const maxRequests = 1_000_000

// ParseLimit reads a limit such as 100/minute; "off" is none.
func ParseLimit(text string) (Limit, error) {
	if text == "off" {
		return Limit{}, nil
	}
	count, per, _ := strings.Cut(text, "/")
	n, err := strconv.ParseInt(count, 10, 32)
	for _, p := range periods {
		if per == p.name && err == nil && 1 <= n && n <= maxRequests {
			return Limit{Requests: n, Period: p.time}, nil
		}
	}
	return Limit{}, fmt.Errorf("%q is not a limit: want 100/minute, N/second, N/hour with N up to %d, or off", text, maxRequests)
}

// String returns the limit as ParseLimit reads it.
func (l Limit) String() string {
	for _, p := range periods {
		if l.Requests > 0 && l.Period == p.time {
			return fmt.Sprintf("%d/%s", l.Requests, p.name)
		}
	}
	return "off"
}

// interval is the time in which one request refills.
func (l Limit) interval() time.Duration { return l.Period / time.Duration(l.Requests) }

// Decision is what a limiter says of a request.
type Decision struct {
	Allowed    bool
	Remaining  int64         // further requests that may come at once
	Reset      time.Duration // until the whole limit may come at once
	RetryAfter time.Duration // until this request may come, if it may not now
}

// decide is the algorithm: tat is the client's theoretical arrival time, and
// now the time, both since the same moment. The new tat is to be kept if the
// request is allowed. The script for Redis says the same.
func (l Limit) decide(tat, now time.Duration, cost int64) (Decision, time.Duration) {
	cost = min(cost, l.Requests)
	tat = max(tat, now)
	next := tat + l.interval()*time.Duration(cost)
	room := now + l.Period - next
	if room < 0 {
		return Decision{Remaining: l.remaining(now + l.Period - tat), Reset: tat - now, RetryAfter: -room}, tat
	}
	return Decision{Allowed: true, Remaining: l.remaining(room), Reset: next - now}, next
}

func (l Limit) remaining(room time.Duration) int64 { return int64(room / l.interval()) }
