package httpapi

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// The capacity with which a body begins: its length if that is known, within
// bounds, so that a client gets memory for what it has sent, not for what it
// says it will send.
const (
	firstRead     = 4 << 10
	mostFirstRead = 16 << 10
)

// readJSON appends the request's JSON body to dst[:0] and checks that it is
// one: its type, its encoding, its size.
func (a *API) readJSON(dst []byte, x *exchange, r *http.Request) ([]byte, error) {
	if _, err := checkContent(r.Header, false); err != nil {
		return dst, err
	}
	return a.readBody(dst, x, r)
}

// readBody appends the request's body to dst[:0], and checks its size.
func (a *API) readBody(dst []byte, x *exchange, r *http.Request) ([]byte, error) {
	if r.ContentLength > a.MaxBodyBytes {
		return dst, a.tooLarge()
	}
	dst = dst[:0]
	limit := int(a.MaxBodyBytes)
	// One byte more than fits says whether the body goes on.
	if want := min(max(int(r.ContentLength), firstRead), mostFirstRead, limit) + 1; cap(dst) < want {
		dst = make([]byte, 0, want)
	}
	var taken int64 // from the budget, while the body arrives
	defer func() { a.bodies.give(taken) }()
	for {
		if len(dst) == cap(dst) {
			// Twice as much, or what the body is said to have and a byte.
			more := int64(cap(dst))
			if left := r.ContentLength + 1 - more; left > 0 {
				more = min(more, left)
			}
			if !a.bodies.take(more) {
				a.Metrics.OverloadedBodies.Inc()
				p := unavailable("too many large bodies are arriving; try again")
				p.close = true
				return dst, p
			}
			taken += more
			dst = slices.Grow(dst, int(more))
		}
		n, err := r.Body.Read(dst[len(dst):min(cap(dst), limit+1)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst) > limit:
			return dst, a.tooLarge()
		case err == io.EOF:
			return dst, nil
		case err != nil:
			return dst, unreadable(x, err)
		}
	}
}

func (a *API) tooLarge() error {
	p := problem(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", a.MaxBodyBytes))
	p.close = true
	return p
}

// answerTime is how long a client that sent too slowly has to take the
// answer.
const answerTime = 5 * time.Second

// unreadable says why a body could not be read to its end.
func unreadable(x *exchange, err error) error {
	p := problem(http.StatusBadRequest, "the body ended before its end")
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p = problem(http.StatusRequestTimeout, "the body did not arrive in time")
		// The time to write began with the time to read, and is over too.
		if err := http.NewResponseController(x.ResponseWriter).SetWriteDeadline(time.Now().Add(answerTime)); err != nil {
			return err
		}
	}
	p.close = true
	return p
}

// checkContent refuses what is not JSON in UTF-8 as it is, or CSV where that is
// taken too, and says whether it is CSV. No type at all is taken for JSON.
func checkContent(header http.Header, csvToo bool) (isCSV bool, err error) {
	if encoding := header["Content-Encoding"]; len(encoding) > 0 {
		return false, problem(http.StatusUnsupportedMediaType, "a body with a Content-Encoding is not read: send it as it is")
	}
	types := header["Content-Type"]
	if len(types) == 0 || len(types) == 1 && (types[0] == mediaJSON || types[0] == "") {
		return false, nil
	}
	media, parameters, err := mime.ParseMediaType(types[0])
	if err != nil || len(types) > 1 || media != mediaJSON && !(csvToo && media == mediaCSV) {
		if csvToo {
			return false, problem(http.StatusUnsupportedMediaType, "the body must be application/json or text/csv")
		}
		return false, problem(http.StatusUnsupportedMediaType, "the body must be application/json")
	}
	if charset, ok := parameters["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return false, problem(http.StatusUnsupportedMediaType, "the body must be in UTF-8")
	}
	return media == mediaCSV, nil
}
