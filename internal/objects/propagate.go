package objects

import (
	"net/http"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// propagated is a transport whose requests name in traceparent (W3C Trace
// Context) the span on whose behalf they are made, where there is one.
type propagated struct{ http.RoundTripper }

// RoundTrip sends a request.
func (p propagated) RoundTrip(r *http.Request) (*http.Response, error) {
	if trace.SpanContextFromContext(r.Context()).IsValid() {
		r = r.Clone(r.Context()) // a transport must not change what it is given
		propagation.TraceContext{}.Inject(r.Context(), propagation.HeaderCarrier(r.Header))
	}
	return p.RoundTripper.RoundTrip(r)
}
