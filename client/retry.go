package client

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// finalError is an error that another attempt would not mend.
type finalError struct{ error }

func (e *finalError) Unwrap() error { return e.error }

// maxWait bounds the wait that doubles from attempt to attempt.
const maxWait = 5 * time.Second

// wait says whether to make another attempt of a call after one that failed,
// and how long to wait first.
func (c *Client) wait(ctx context.Context, q *call, attempt int, err error) (time.Duration, bool) {
	var final *finalError
	if !q.repeat || attempt >= c.options.Attempts || ctx.Err() != nil || errors.As(err, &final) {
		return 0, false
	}
	var said *Error
	var asked time.Duration
	if errors.As(err, &said) {
		switch said.Status {
		case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
			asked = said.RetryAfter
		default:
			return 0, false
		}
	}
	// A certificate that is not trusted now is not in a second.
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) {
		return 0, false
	}
	grown := min(maxWait, c.options.Wait<<min(attempt-1, 20))
	wait := grown/2 + rand.N(grown/2+1)
	if asked > 0 {
		wait = asked + rand.N(c.options.Wait)
	}
	deadline, _ := ctx.Deadline() // do sets one
	return wait, wait < time.Until(deadline)
}

// sleep waits, or returns the error of a context that ends meanwhile.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// retryAfter reads the header of that name, seconds or a date (RFC 9110,
// 10.2.3); 0 where there is none that can be read.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return max(0, at.Sub(now))
}
