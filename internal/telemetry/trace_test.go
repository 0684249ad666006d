package telemetry_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"housing/internal/telemetry"
	"housing/internal/telemetry/telemetrytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tracer returns a tracer that sends to a receiver; it is closed by the test.
func tracer(t testing.TB, o telemetry.TracerOptions) *telemetry.Tracer {
	t.Helper()
	made := telemetry.NewTracer(o)
	t.Cleanup(func() { flush(t, made) })
	return made
}

func flush(t testing.TB, made *telemetry.Tracer) {
	t.Helper()
	if err := made.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// byName returns the spans by their names.
func byName(spans []telemetrytest.Span) map[string]telemetrytest.Span {
	found := map[string]telemetrytest.Span{}
	for _, s := range spans {
		found[s.Name] = s
	}
	return found
}

func TestARequestIsOneTrace(t *testing.T) {
	receiver := telemetrytest.NewReceiver(t)
	made := telemetry.NewTracer(telemetry.TracerOptions{
		Exporter: telemetry.OTLP{URL: receiver.URL + "/v1/traces", Gzip: true, Headers: http.Header{"Api-Key": {"k"}}},
		Service:  "prices", Version: "1.2.3", Attributes: map[string]string{"deployment.environment.name": "test"},
	})
	const caller, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	header := http.Header{"Traceparent": {"00-" + caller + "-" + parent + "-01"}}
	ctx := made.Request(context.Background(), header, "POST", "/v1/predict")
	outer, cache := made.Step(ctx, telemetry.StepCache)
	_, predict := made.Step(outer, telemetry.StepPredict)
	predict.End()
	cache.End()
	made.Answered(ctx, "kc-1", "primary", 3)
	if id := telemetry.TraceID(ctx); id != caller {
		t.Errorf("trace %s, want the caller's", id)
	}
	if answer := telemetry.TraceResponse(ctx); !strings.HasPrefix(answer, "00-"+caller+"-") || !strings.HasSuffix(answer, "-01") {
		t.Errorf("traceresponse %q", answer)
	}
	made.End(ctx, 503, "id-1")
	flush(t, made)

	found := byName(receiver.Spans())
	root := found["POST /v1/predict"]
	if len(found) != 3 || root.Trace != caller || root.Parent != parent || !root.Failed || root.Kind.String() != "SPAN_KIND_SERVER" {
		t.Fatalf("spans %+v", found)
	}
	if c := found["cache"]; c.Parent != root.ID || c.Trace != caller || c.Start.Before(root.Start) || c.End.After(root.End) || c.End.Before(c.Start) {
		t.Errorf("cache %+v of %+v", c, root)
	}
	if found["predict"].Parent != found["cache"].ID {
		t.Errorf("predict is no part of cache: %+v", found)
	}
	for key, want := range map[string]any{"http.request.method": "POST", "http.route": "/v1/predict", "http.response.status_code": int64(503),
		telemetry.AttributeModelVersion: "kc-1", telemetry.AttributeRole: "primary", telemetry.AttributeRecords: int64(3), telemetry.AttributeRequestID: "id-1"} {
		if root.Attributes[key] != want {
			t.Errorf("%s is %v, want %v", key, root.Attributes[key], want)
		}
	}
	for key, want := range map[string]any{"service.name": "prices", "service.version": "1.2.3", "deployment.environment.name": "test"} {
		if root.Resource[key] != want {
			t.Errorf("%s is %v, want %v", key, root.Resource[key], want)
		}
	}
	if h := receiver.Headers(); h.Get("Api-Key") != "k" || h.Get("Content-Encoding") != "gzip" {
		t.Errorf("headers %v", h)
	}
}

func TestWhichTracesAreKept(t *testing.T) {
	kept, dropped := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	for _, c := range []struct {
		sampling telemetry.Sampling
		parent   string
		want     bool
	}{
		{telemetry.Sampling{}, "", true},
		{telemetry.Sampling{}, kept, true},
		{telemetry.Sampling{}, dropped, false},
		{telemetry.Sampling{}, "no trace", true},
		{telemetry.Sampling{Name: "always_on"}, dropped, true},
		{telemetry.Sampling{Name: "always_off"}, kept, false},
		{telemetry.Sampling{Name: "traceidratio", Ratio: 0}, kept, false},
		{telemetry.Sampling{Name: "traceidratio", Ratio: 1}, dropped, true},
		{telemetry.Sampling{Name: "parentbased_always_on"}, dropped, false},
		{telemetry.Sampling{Name: "parentbased_always_off"}, "", false},
		{telemetry.Sampling{Name: "parentbased_always_off"}, kept, true},
		{telemetry.Sampling{Name: "parentbased_traceidratio", Ratio: 0}, "", false},
		{telemetry.Sampling{Name: "parentbased_traceidratio", Ratio: 1}, "", true},
	} {
		receiver := telemetrytest.NewReceiver(t)
		made := tracer(t, telemetry.TracerOptions{Exporter: telemetry.OTLP{URL: receiver.URL + "/v1/traces"}, Sampling: c.sampling})
		header := http.Header{}
		if c.parent != "" {
			header.Set("traceparent", c.parent)
		}
		ctx := made.Request(context.Background(), header, "GET", "/v1/models")
		if got := trace.SpanContextFromContext(ctx).IsSampled(); got != c.want {
			t.Errorf("%+v of %q: kept %t, want %t", c.sampling, c.parent, got, c.want)
		}
		made.End(ctx, 200, "")
	}
}

func TestOfManyTracesTheFirstOfASecondAreKept(t *testing.T) {
	receiver := telemetrytest.NewReceiver(t)
	made := tracer(t, telemetry.TracerOptions{Exporter: telemetry.OTLP{URL: receiver.URL + "/v1/traces"}})
	start, kept := time.Now(), 0
	for range 2000 {
		ctx := made.Request(context.Background(), nil, "GET", "/v1/models")
		if trace.SpanContextFromContext(ctx).IsSampled() {
			kept++
		}
		made.End(ctx, 200, "")
	}
	// A hundred in each second that the loop touched.
	if seconds := int(time.Since(start)/time.Second) + 2; kept < 100 || kept > 100*seconds {
		t.Errorf("%d of 2000 traces in %d seconds were kept", kept, seconds)
	}
}

// reports collects what an exporter says of its receiver.
type reports struct {
	mu  sync.Mutex
	all []error
}

func (r *reports) add(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, err)
}

func (r *reports) last() (n int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) > 0 {
		err = r.all[len(r.all)-1]
	}
	return len(r.all), err
}

func TestAReceiverThatIsAwayIsSeenAndTriedAgain(t *testing.T) {
	receiver, said := telemetrytest.NewReceiver(t), new(reports)
	receiver.Refuse(http.StatusServiceUnavailable)
	made := telemetry.NewTracer(telemetry.TracerOptions{Exporter: telemetry.OTLP{URL: receiver.URL + "/v1/traces", Report: said.add}})
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { made.Run(ctx) })
	defer running.Wait()
	defer stop()
	for end := time.Now().Add(10 * time.Second); receiver.Refused() == 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if n, err := said.last(); n > 0 && err != nil && strings.Contains(err.Error(), "503") {
			break
		}
	}
	if _, err := said.last(); err == nil {
		t.Fatal("a receiver that refuses is not told of")
	}
	made.End(made.Request(context.Background(), nil, "GET", "/v1/models"), 200, "")
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		flush(t, made)
	}()
	before := receiver.Refused()
	for end := time.Now().Add(10 * time.Second); receiver.Refused() == before && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	receiver.Refuse(0)
	<-closed
	if spans := receiver.Spans(); len(spans) != 1 {
		t.Errorf("%d spans came once it took them, want 1", len(spans))
	}
	if _, err := said.last(); err != nil {
		t.Errorf("the last word of the receiver is %v", err)
	}
}

func TestABatchThatIsRefusedForGoodIsNotSentAgain(t *testing.T) {
	receiver, said := telemetrytest.NewReceiver(t), new(reports)
	receiver.Refuse(http.StatusUnauthorized)
	made := telemetry.NewTracer(telemetry.TracerOptions{Exporter: telemetry.OTLP{URL: receiver.URL + "/v1/traces", Headers: http.Header{"Api-Key": {"hunter2"}}, Report: said.add}})
	made.End(made.Request(context.Background(), nil, "GET", "/v1/models"), 200, "")
	flush(t, made)
	if _, err := said.last(); receiver.Refused() != 1 || err == nil || !strings.Contains(err.Error(), "401") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("refused %d times, told %v", receiver.Refused(), err)
	}
}

func TestAReceiverThatIsAwayIsToldOfWithoutItsKey(t *testing.T) {
	said := new(reports)
	made := telemetry.NewTracer(telemetry.TracerOptions{Exporter: telemetry.OTLP{URL: "http://127.0.0.1:1/v1/traces?key=hunter2", Timeout: time.Millisecond, Report: said.add}})
	made.End(made.Request(context.Background(), nil, "GET", "/v1/models"), 200, "")
	flush(t, made)
	if _, err := said.last(); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("told %v", err)
	}
}

func TestTheReceiversCertificateIsChecked(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	for name, pool := range map[string]*x509.CertPool{"known": roots, "unknown": x509.NewCertPool()} {
		said := new(reports)
		made := telemetry.NewTracer(telemetry.TracerOptions{Exporter: telemetry.OTLP{URL: server.URL, Roots: pool, Timeout: time.Second, Report: said.add}})
		made.End(made.Request(context.Background(), nil, "GET", "/v1/models"), 200, "")
		flush(t, made)
		if _, err := said.last(); (err == nil) != (name == "known") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWithoutATracerAStepIsFree(t *testing.T) {
	var made *telemetry.Tracer
	ctx := context.WithValue(context.Background(), http.ServerContextKey, 1)
	n := testing.AllocsPerRun(100, func() {
		inner, span := made.Step(ctx, telemetry.StepPredict)
		made.Answered(inner, "kc-1", "primary", 1)
		span.End()
		made.End(inner, 200, "")
	})
	if n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// BenchmarkStep measures a step of a request whose trace is kept, of one whose
// is not, and without a tracer.
func BenchmarkStep(b *testing.B) {
	receiver := telemetrytest.NewReceiver(b)
	for _, name := range []string{"always_on", "always_off", "off"} {
		b.Run(name, func(b *testing.B) {
			ctx := context.WithValue(context.Background(), http.ServerContextKey, 1)
			var made *telemetry.Tracer
			if name != "off" {
				made = tracer(b, telemetry.TracerOptions{Exporter: telemetry.OTLP{URL: receiver.URL + "/v1/traces"}, Sampling: telemetry.Sampling{Name: name}})
				ctx = made.Request(ctx, nil, "POST", "/v1/predict")
			}
			b.ReportAllocs()
			for b.Loop() {
				_, span := made.Step(ctx, telemetry.StepPredict)
				span.End()
			}
		})
	}
}
