package httpapi

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"time"
)

// exchange is one request and its answer on their way through the chain: the
// writer that handlers get. It is pooled, and what would go into a context
// stands in its fields, so that a request costs next to no allocation.
type exchange struct {
	http.ResponseWriter
	api     *API
	request *http.Request
	id      string
	made    bool   // the ID is ours, not the client's
	trace   string // ID of the trace, once it was asked for: see traceID
	route   string // of the registered pattern, or unmatched
	user    string // who asks: the sub of the token, "" for anyone
	status  int    // 0 until the answer begins
	started time.Time
	problem bool // the body of the mux's own 404 or 405 is swallowed
	predict bool // its errors are events of a prediction
	records int  // houses that were read
}

// unmatched is the route of requests that no pattern matches.
const unmatched = "unmatched"

var exchanges = sync.Pool{New: func() any { return new(exchange) }}

// Header values that are the same in every answer; shared, never changed.
var (
	valueNoSniff     = []string{"nosniff"}
	valueNoStore     = []string{"no-store"}
	valueClose       = []string{"close"}
	valueHSTS        = []string{"max-age=31536000"}
	valueJSON        = []string{"application/json"}
	valueProblemJSON = []string{"application/problem+json"}
	valueText        = []string{"text/plain; charset=utf-8"}
	valueScript      = []string{"text/javascript; charset=utf-8"}
)

// chain composes what every request goes through, outermost first: the
// exchange with its request ID, metrics and log, recovery from a panic, pages
// of other origins, the mux. The limit on a body stands where bodies are read, see readBody.
func (a *API) chain(mux *http.ServeMux) http.Handler {
	inner := a.recovered(a.crossOrigin(mux))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := exchanges.Get().(*exchange)
		*x = exchange{ResponseWriter: w, api: a, request: r, route: unmatched, started: a.Now()}
		x.id, x.made = requestID(r)
		a.Metrics.HTTPInFlight.Inc()
		a.processors.requests.Add(1)
		defer a.finish(x)
		header := w.Header()
		header["X-Request-Id"] = []string{x.id}
		header["X-Content-Type-Options"] = valueNoSniff
		header["Cache-Control"] = valueNoStore
		if r.TLS != nil {
			header["Strict-Transport-Security"] = valueHSTS
		}
		if a.draining.Load() {
			header["Connection"] = valueClose
		}
		inner.ServeHTTP(x, r)
	})
}

// finish counts the exchange and lets go of it, also when a panic goes
// through.
func (a *API) finish(x *exchange) {
	took := a.Now().Sub(x.started)
	if x.status == 0 {
		x.status = http.StatusOK
	}
	a.Metrics.HTTPInFlight.Dec()
	ctx := x.request.Context()
	a.Metrics.ObserveHTTP(ctx, a.Tracer, x.request.Method, x.route, x.status, took)
	if a.Log.Enabled(ctx, slog.LevelDebug) {
		a.Log.LogAttrs(ctx, slog.LevelDebug, "http_request", x.requestAttr(), x.traceAttr(),
			slog.String("route", x.route), slog.Int("status", x.status), slog.Float64("took_ms", milliseconds(took)))
	}
	a.Tracer.End(ctx, x.status, x.id)
	*x = exchange{}
	exchanges.Put(x)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// recovered turns a panic into an answer 500, or cuts the connection if an
// answer has begun.
func (a *API) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			fault := recover()
			if fault == nil {
				return
			}
			x := w.(*exchange)
			if err, ok := fault.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(http.ErrAbortHandler)
			}
			a.Log.LogAttrs(x.request.Context(), slog.LevelError, "http_panic", x.requestAttr(), x.traceAttr(),
				slog.String("route", x.route), slog.String("panic", fmt.Sprint(fault)), slog.String("stack", string(debug.Stack())))
			if x.status != 0 {
				panic(http.ErrAbortHandler)
			}
			x.write(internalProblem())
		}()
		next.ServeHTTP(w, r)
	})
}

// requestID returns the client's X-Request-ID if it is 1 to 128 of
// A-Z a-z 0-9 . _ - and else a new one.
func requestID(r *http.Request) (id string, made bool) {
	if ids := r.Header["X-Request-Id"]; len(ids) == 1 && usableID(ids[0]) {
		return ids[0], false
	}
	return newID(), true
}

// newID returns 16 random bytes as hexadecimal digits, which may also name a
// trace.
func newID() string {
	var digits [32]byte
	const hexadecimal = "0123456789abcdef"
	high, low := rand.Uint64(), rand.Uint64()
	for i := range 16 {
		digits[i] = hexadecimal[high>>(4*i)&15]
		digits[16+i] = hexadecimal[low>>(4*i)&15]
	}
	return string(digits[:])
}

func usableID(id string) bool {
	if len(id) < 1 || len(id) > 128 {
		return false
	}
	for i := 0; i < len(id); i++ {
		c := id[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

// Unwrap gives http.ResponseController the connection's own writer.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// WriteHeader begins the answer. The mux's own plain-text 404 and 405 become
// problems here, its Allow header kept.
func (x *exchange) WriteHeader(status int) {
	if x.status != 0 {
		return
	}
	if x.route == unmatched && x.request.Pattern == "" && status >= 400 {
		x.problem = true
		x.write(unmatchedProblem(status, x.request))
		return
	}
	x.status = status
	x.ResponseWriter.WriteHeader(status)
}

// Write writes a part of the body.
func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	if x.problem {
		return len(b), nil
	}
	return x.ResponseWriter.Write(b)
}

// answer writes a whole answer. Values of header are shared, see above.
func (x *exchange) answer(status int, contentType []string, body []byte) {
	header := x.Header()
	header["Content-Type"] = contentType
	// Up to 2048 bytes net/http counts for itself.
	if len(body) > 2048 {
		header["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	x.status = status
	x.ResponseWriter.WriteHeader(status)
	// An error here is a client that went away; there is nobody to tell.
	_, _ = x.ResponseWriter.Write(body)
}
