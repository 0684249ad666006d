package httpapi

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"housing/internal/ratelimit"
)

// caller returns the name under which the client of a request is counted: the
// user that its token names, else its address.
func (a *API) caller(x *exchange, r *http.Request) string {
	if x.user != "" {
		return "user:" + x.user
	}
	return a.address(r)
}

// address returns the name under which the address of a request is counted.
func (a *API) address(r *http.Request) string {
	return "address:" + network(clientAddress(r, a.TrustedProxies))
}

// limit counts a request of a cost, and refuses it if its client has sent too
// many. Either way the answer says how many are left, in the headers of
// draft-ietf-httpapi-ratelimit-headers-10.
func (a *API) limit(x *exchange, r *http.Request, cost int) error {
	if a.Limiter == nil {
		return nil
	}
	d := a.Limiter.Allow(r.Context(), a.caller(x, r), int64(cost))
	header := x.Header()
	header["Ratelimit-Policy"] = a.limitPolicy
	header["Ratelimit"] = []string{`"default";r=` + strconv.FormatInt(d.Remaining, 10) + ";t=" + strconv.FormatInt(seconds(d.Reset), 10)}
	if d.Allowed {
		return nil
	}
	return tooMany(d, fmt.Sprintf("too many requests: this client may send %d in %v", a.Limiter.Limit.Requests, a.Limiter.Limit.Period))
}

// tooMany refuses a request, and says when it may come again.
func tooMany(d ratelimit.Decision, why string) *Problem {
	wait := max(1, seconds(d.RetryAfter))
	p := problem(http.StatusTooManyRequests, fmt.Sprintf("%s; try again in %d s", why, wait))
	p.retryAfter = strconv.FormatInt(wait, 10)
	return p
}

// seconds rounds up, so that who waits as long has waited long enough.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
