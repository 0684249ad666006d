package httpapi

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// caller returns the name under which the client of a request is counted.
func (a *API) caller(r *http.Request) string {
	return "address:" + network(clientAddress(r, a.TrustedProxies))
}

// limit counts a request of a cost, and refuses it if its client has sent too
// many. Either way the answer says how many are left, in the headers of
// draft-ietf-httpapi-ratelimit-headers-10.
func (a *API) limit(x *exchange, r *http.Request, cost int) error {
	if a.Limiter == nil {
		return nil
	}
	d := a.Limiter.Allow(r.Context(), a.caller(r), int64(cost))
	header := x.Header()
	header["Ratelimit-Policy"] = a.limitPolicy
	header["Ratelimit"] = []string{`"default";r=` + strconv.FormatInt(d.Remaining, 10) + ";t=" + strconv.FormatInt(seconds(d.Reset), 10)}
	if d.Allowed {
		return nil
	}
	wait := max(1, seconds(d.RetryAfter))
	p := problem(http.StatusTooManyRequests, fmt.Sprintf("too many requests: this client may send %d in %v; try again in %d s",
		a.Limiter.Limit.Requests, a.Limiter.Limit.Period, wait))
	p.retryAfter = strconv.FormatInt(wait, 10)
	return p
}

// seconds rounds up, so that who waits as long has waited long enough.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
