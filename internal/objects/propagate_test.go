package objects

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.opentelemetry.io/otel/trace"
)

func TestRequestsNameTheSpanTheyAreMadeFor(t *testing.T) {
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header["Traceparent"] }))
	defer server.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: propagated{transport}}
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	for want, ctx := range map[string]context.Context{
		"": t.Context(),
		"00-01000000000000000000000000000000-0200000000000000-01": trace.ContextWithSpanContext(t.Context(), span),
	} {
		r, err := http.NewRequestWithContext(ctx, "GET", server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if want == "" && got != nil || want != "" && (len(got) != 1 || got[0] != want) {
			t.Errorf("traceparent is %q, want %q", got, want)
		}
		if r.Header.Get("traceparent") != "" {
			t.Error("the transport changed the request that it was given")
		}
	}
}
