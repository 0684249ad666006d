package httpapi

import (
	"net/http"
	"sync"
	"time"
)

// keptErrors is how many errors are remembered.
const keptErrors = 50

// RecentErrors is the answer of GET /v1/errors.
type RecentErrors struct {
	Errors []RecentError `json:"errors" nullable:"false" doc:"The latest errors with a status of 500 or more, newest first; at most 50."`
}

// RecentError is a request that the service could not answer.
type RecentError struct {
	Time      time.Time `json:"time" doc:"When it failed."`
	Route     string    `json:"route" doc:"The path that was asked, as the documents have it."`
	Status    int       `json:"status" doc:"Status of the answer."`
	Detail    string    `json:"detail" doc:"What the client was told; the log knows the cause by the request ID."`
	RequestID string    `json:"request_id" doc:"X-Request-ID of the request."`
}

// recentErrors remembers the latest errors of this replica. The zero value
// has none; it is safe for concurrent use.
type recentErrors struct {
	mu   sync.Mutex
	ring [keptErrors]RecentError
	n    int // that were ever added
}

func (e *recentErrors) add(of RecentError) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ring[e.n%keptErrors] = of
	e.n++
}

// latest returns the errors, newest first.
func (e *recentErrors) latest() []RecentError {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := make([]RecentError, 0, min(e.n, keptErrors))
	for i := e.n - 1; i >= 0 && i >= e.n-keptErrors; i-- {
		list = append(list, e.ring[i%keptErrors])
	}
	return list
}

func (a *API) recentErrors(x *exchange, _ *http.Request) error {
	return x.answerJSON(http.StatusOK, RecentErrors{Errors: a.errors.latest()})
}
