package httpapi

import (
	"log/slog"
	"net/http"

	"housing/internal/telemetry"
)

// traced returns a request whose context has the span of its exchange, which
// finish ends. The answer names it in traceresponse (W3C Trace Context 2).
func (a *API) traced(x *exchange, r *http.Request) *http.Request {
	ctx := a.Tracer.Request(r.Context(), r.Header, r.Method, x.route)
	r = r.WithContext(ctx)
	x.request = r
	x.Header()["Traceresponse"] = []string{telemetry.TraceResponse(ctx)}
	return r
}

// traceID returns the ID of the trace that the request belongs to: that of its
// span, else of its traceparent; where there is neither, one of its own, so
// that every line of a log can be joined in the same way.
func (x *exchange) traceID() string {
	if x.trace == "" {
		x.trace = telemetry.TraceID(x.request.Context())
	}
	if x.trace == "" {
		x.trace = telemetry.TraceIDOf(x.request.Header)
	}
	switch {
	case x.trace != "":
	case x.made:
		x.trace = x.id
	default:
		x.trace = newID()
	}
	return x.trace
}

// requestAttr and traceAttr are what each line of a request's log has.
func (x *exchange) requestAttr() slog.Attr { return slog.String("request_id", x.id) }

func (x *exchange) traceAttr() slog.Attr { return slog.String("trace_id", x.traceID()) }
