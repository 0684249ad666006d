package client

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Error is what the service, or a proxy before it, answered in place of a
// result: a problem as RFC 9457 has it.
type Error struct {
	Status int    `json:"-"` // of HTTP
	Title  string `json:"title"`
	Detail string `json:"detail"` // for people; empty where a proxy answered
	// Faults are what is wrong with the request, by place: all of them, or
	// the first hundred.
	Faults     []Fault       `json:"errors"`
	RequestID  string        `json:"-"` // by which the service's log has it
	RetryAfter time.Duration `json:"-"` // when to come again; 0 is not said
	Attempts   int           `json:"-"` // how often it was asked
}

// Fault is one thing that is wrong with a request.
type Fault struct {
	Location string          `json:"location"` // such as body.records[3].sqft_living
	Message  string          `json:"message"`
	Value    json.RawMessage `json:"value,omitempty"` // that is wrong, where it is short
}

// Error says what the service said, with the faults of the request.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s", e.Status, http.StatusText(e.Status))
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	for i, f := range e.Faults {
		if i == 5 {
			fmt.Fprintf(&b, "; and %d more", len(e.Faults)-i)
			break
		}
		fmt.Fprintf(&b, "; %s %s", f.Location, f.Message)
		if len(f.Value) > 0 {
			fmt.Fprintf(&b, ", is %s", f.Value)
		}
	}
	return b.String()
}

var recordLocation = regexp.MustCompile(`^body\.(?:records|outcomes)\[(\d{1,9})\](?:\.(.+))?$`)

// Record returns the index in the request of the house or outcome that the
// fault is of, and its field, "" for the whole; false where it is of none.
func (f *Fault) Record() (index int, field string, ok bool) {
	m := recordLocation.FindStringSubmatch(f.Location)
	if m == nil {
		return 0, "", false
	}
	index, err := strconv.Atoi(m[1])
	return index, m[2], err == nil
}

// readError reads the error that an answer is.
func readError(answer *http.Response) *Error {
	e := &Error{}
	// Where the body cannot be read the status says enough.
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if body, err := io.ReadAll(io.LimitReader(answer.Body, maxProblem)); err == nil && kind == "application/problem+json" {
		if json.Unmarshal(body, e) != nil {
			*e = Error{}
		}
	}
	e.Status, e.RequestID = answer.StatusCode, answer.Header.Get("X-Request-ID")
	e.RetryAfter = retryAfter(answer.Header.Get("Retry-After"), time.Now())
	return e
}
