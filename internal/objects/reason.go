package objects

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
)

// Reason is why a store did not do what it was asked, in one word that
// anyone may see.
type Reason string

// The reasons. There are no others, so that they may label a metric.
const (
	Unreachable    Reason = "unreachable" // refused, no such host, broken off
	Timeout        Reason = "timeout"
	Authentication Reason = "authentication"
	Permission     Reason = "permission"
	Missing        Reason = "missing" // no such bucket, folder or object
	Conflict       Reason = "conflict"
	Overloaded     Reason = "overloaded"
	Other          Reason = "error"
)

// statusError is an answer of a bucket's server that is no success.
type statusError interface{ HTTPStatusCode() int }

// coded is an error with a word of the server's.
type coded interface {
	ErrorCode() string
	ErrorMessage() string
}

// codes are the words of S3 that say more than their status.
var codes = map[string]Reason{
	"InvalidAccessKeyId":    Authentication,
	"SignatureDoesNotMatch": Authentication,
	"ExpiredToken":          Authentication,
	"InvalidToken":          Authentication,
	"RequestTimeTooSkewed":  Authentication,
	"NoSuchBucket":          Missing,
	"SlowDown":              Overloaded,
}

// ReasonOf returns why a call failed; "" for nil.
func ReasonOf(err error) Reason {
	var status statusError
	var code coded
	var network net.Error
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrAbsent), errors.Is(err, fs.ErrNotExist):
		return Missing
	case errors.Is(err, ErrTaken):
		return Conflict
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return Timeout
	case errors.Is(err, errCredentials):
		return Authentication
	case errors.Is(err, fs.ErrPermission):
		return Permission
	case errors.As(err, &code) && codes[code.ErrorCode()] != "":
		return codes[code.ErrorCode()]
	case errors.As(err, &status) && status.HTTPStatusCode() != 0:
		return reasonOfStatus(status.HTTPStatusCode())
	case errors.As(err, &network) && network.Timeout():
		return Timeout
	case errors.As(err, &network), errors.Is(err, net.ErrClosed), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Unreachable
	}
	return Other
}

func reasonOfStatus(status int) Reason {
	switch status {
	case http.StatusUnauthorized:
		return Authentication
	case http.StatusForbidden:
		return Permission
	case http.StatusNotFound:
		return Missing
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return Timeout
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return Overloaded
	case http.StatusBadGateway:
		return Unreachable
	}
	return Other
}

// Passing says whether what failed for a reason may succeed by itself later.
func (r Reason) Passing() bool { return r == Unreachable || r == Timeout || r == Overloaded }
