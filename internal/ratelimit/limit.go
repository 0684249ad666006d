package ratelimit

import "time"

// Limit is how much a client may ask: 1 to 1,000,000 requests in a period.
type Limit struct {
	Requests int64
	Period   time.Duration
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
