package httpapi

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"housing/internal/cache"
	"housing/internal/telemetry"
	"housing/internal/telemetry/telemetrytest"
)

// tracing lets an API send all of its traces to a receiver, and keep prices
// in memory.
func tracing(t testing.TB, sampling telemetry.Sampling) (*API, *telemetry.Tracer, *telemetrytest.Receiver) {
	t.Helper()
	receiver := telemetrytest.NewReceiver(t)
	tracer := telemetry.NewTracer(telemetry.TracerOptions{Exporter: telemetry.OTLP{URL: receiver.URL + "/v1/traces"}, Sampling: sampling})
	t.Cleanup(func() { flush(t, tracer) })
	a := newAPI(t, func(s *setup) {
		prices, err := cache.NewPrices(cache.PricesOptions{TTL: time.Minute, Metrics: s.Metrics})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(prices.Close)
		s.valuer.Cache, s.Tracer, s.valuer.Tracer = prices, tracer, tracer
	})
	return a, tracer, receiver
}

func flush(t testing.TB, tracer *telemetry.Tracer) {
	if err := tracer.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestATraceHasTheStepsOfAPrediction(t *testing.T) {
	a, tracer, receiver := tracing(t, telemetry.Sampling{Name: "parentbased_always_on"})
	const caller, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	w := ask(a, "POST", "/v1/predict", fullBody(2), "traceparent", "00-"+caller+"-"+parent+"-01", "X-Request-ID", "one")
	if got := w.Header().Get("Traceresponse"); !strings.HasPrefix(got, "00-"+caller+"-") {
		t.Errorf("traceresponse %q", got)
	}
	// Nothing of these is kept: the caller's choice, a probe, an unknown path.
	ask(a, "POST", "/v1/predict", fullBody(1), "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")
	for _, path := range []string{"/livez", "/readyz", "/health", "/metrics", "/nothing"} {
		ask(a, "GET", path, "")
	}
	flush(t, tracer)
	spans := map[string]telemetrytest.Span{}
	for _, s := range receiver.Spans() {
		if s.Trace != caller {
			t.Errorf("span %+v is of no trace that is kept", s)
		}
		spans[s.Name] = s
	}
	root := spans["POST /v1/predict"]
	if root.Parent != parent || root.Attributes[telemetry.AttributeRequestID] != "one" || root.Attributes[telemetry.AttributeRecords] != int64(2) ||
		root.Attributes[telemetry.AttributeModelVersion] != a.Valuer.Model().Manifest.Version || root.Attributes["http.response.status_code"] != int64(200) {
		t.Errorf("root %+v", root)
	}
	for name, of := range map[string]string{
		telemetry.StepDecode: root.ID, telemetry.StepRollout: root.ID, telemetry.StepCache: root.ID,
		telemetry.StepDemographics: root.ID, telemetry.StepEncode: root.ID, telemetry.StepPredict: spans[telemetry.StepCache].ID,
	} {
		if s, ok := spans[name]; !ok || s.Parent != of || s.Start.Before(root.Start) || s.End.After(root.End) {
			t.Errorf("%s: %+v, want it below %s", name, s, of)
		}
	}
	if len(spans) != 7 {
		t.Errorf("%d spans, want 7: %v", len(spans), spans)
	}
}

func TestAFailedRequestIsAFailedSpan(t *testing.T) {
	a, tracer, receiver := tracing(t, telemetry.Sampling{Name: "always_on"})
	ask(a, "POST", "/v1/predict", "no JSON")
	ask(a, "GET", "/v1/rollout", "")
	flush(t, tracer)
	for _, s := range receiver.Spans() {
		status, root := s.Attributes["http.response.status_code"].(int64)
		if root && s.Failed != (status >= 500) {
			t.Errorf("status %d: failed %t", status, s.Failed)
		}
		if strings.Contains(s.Name, "predict") && root && status != 400 {
			t.Errorf("span %+v", s)
		}
	}
}

func TestExemplarsJoinHistogramsToTraces(t *testing.T) {
	a, _, _ := tracing(t, telemetry.Sampling{Name: "parentbased_always_on"})
	const caller = "4bf92f3577b34da6a3ce929d0e0e4736"
	metrics := func() string {
		return ask(a, "GET", "/metrics", "", "Accept", "application/openmetrics-text; version=1.0.0").Body.String()
	}
	ask(a, "POST", "/v1/predict", fullBody(1), "traceparent", "00-"+caller+"-00f067aa0ba902b7-00")
	if strings.Contains(metrics(), caller) {
		t.Error("a trace that is not kept is an exemplar")
	}
	// Another house, as the price of the first one is kept.
	another := strings.Replace(fullBody(1), `"sqft_living":2220`, `"sqft_living":2221`, 1)
	ask(a, "POST", "/v1/predict", another, "traceparent", "00-"+caller+"-00f067aa0ba902b7-01")
	text := metrics()
	for _, histogram := range []string{"http_request_duration_seconds_bucket", "prediction_duration_seconds_bucket"} {
		found := false
		for line := range strings.Lines(text) {
			found = found || strings.HasPrefix(line, histogram) && strings.Contains(line, `# {`) && strings.Contains(line, `trace_id="`+caller+`"`)
		}
		if !found {
			t.Errorf("%s has no exemplar", histogram)
		}
	}
}

// TestTracesThatAreOffAreFree holds that a service without a receiver
// allocates no more than one that could not trace at all.
func TestTracesThatAreOffAreFree(t *testing.T) {
	a := newAPI(t, nil)
	send := repeated(t, a.Handler(), fullBody(1))
	const most = 4 // as in TestAPredictionAllocatesLittle, which knows no traces
	if n := testing.AllocsPerRun(200, send); n > most && !raceEnabled {
		t.Errorf("%v allocations a request, want at most %d", n, most)
	}
	if w := ask(a, "GET", "/v1/models", "", "traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"); w.Header().Get("Traceresponse") != "" {
		t.Error("an answer names a span that there is not")
	}
}

// BenchmarkTraces measures the chain without traces, with a tracer that keeps
// none, the default, and one that keeps all.
func BenchmarkTraces(b *testing.B) {
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer receiver.Close()
	for _, name := range []string{"off", "always_off", "default", "always_on"} {
		b.Run(name, func(b *testing.B) {
			var tracer *telemetry.Tracer
			if name != "off" {
				sampling := telemetry.Sampling{Name: name}
				if name == "default" {
					sampling.Name = ""
				}
				tracer = telemetry.NewTracer(telemetry.TracerOptions{Exporter: telemetry.OTLP{URL: receiver.URL + "/v1/traces"}, Sampling: sampling})
				defer flush(b, tracer)
			}
			send := repeated(b, newAPI(b, func(s *setup) { s.Tracer, s.valuer.Tracer = tracer, tracer }).Handler(), fullBody(1))
			b.ReportAllocs()
			for b.Loop() {
				send()
			}
		})
	}
}
