package telemetry

import (
	"context"
	"encoding/hex"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Names of the steps of a request, as its trace shows them.
const (
	StepDecode       = "decode"       // the body is read and checked
	StepRollout      = "rollout"      // the version that answers is chosen
	StepCache        = "cache"        // prices that were computed before are looked for
	StepPredict      = "predict"      // the model values the houses, waiting for a worker included
	StepDemographics = "demographics" // the zipcodes are looked up
	StepEncode       = "encode"       // the answer is written
)

// Attributes of the span of a request, beside those of OpenTelemetry.
const (
	AttributeRequestID    = "housing.request_id"
	AttributeModelVersion = "housing.model_version"
	AttributeRole         = "housing.role"
	AttributeRecords      = "housing.n_records"
)

const scopeName = "housing" // of the spans

// The headers of W3C Trace Context, https://www.w3.org/TR/trace-context-2/.
var traceContext propagation.TraceContext

// TracerOptions are where the spans go, and which traces are kept.
type TracerOptions struct {
	Exporter   OTLP
	Service    string            // service.name; "" is housing
	Version    string            // service.version
	Attributes map[string]string // of the resource, beside those two
	Sampling   Sampling
}

// Tracer begins the traces of requests. Make one with [NewTracer]. A nil
// *Tracer begins none, and its methods cost nothing.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	exporter *exporter
}

// NewTracer returns a tracer that exports on a goroutine of its own until
// Close.
func NewTracer(o TracerOptions) *Tracer {
	attributes := []attribute.KeyValue{attribute.String("service.name", "housing"), attribute.String("service.version", o.Version)}
	for key, value := range o.Attributes {
		attributes = append(attributes, attribute.String(key, value))
	}
	if o.Service != "" {
		attributes = append(attributes, attribute.String("service.name", o.Service)) // the last one counts
	}
	exporter := newExporter(o.Exporter)
	provider := sdk.NewTracerProvider(
		sdk.WithBatcher(exporter),
		sdk.WithResource(resource.NewSchemaless(attributes...)),
		sdk.WithSampler(o.Sampling.sampler()),
	)
	return &Tracer{provider: provider, tracer: provider.Tracer(scopeName), exporter: exporter}
}

// Run asks the receiver now and then how it is, until ctx ends.
func (t *Tracer) Run(ctx context.Context) { t.exporter.probe(ctx) }

// Close exports what waits and ends the export.
func (t *Tracer) Close(ctx context.Context) error { return t.provider.Shutdown(ctx) }

// Request begins the span of a request to a route, as a child of the span
// that the header traceparent names, if any. It is ended by End.
func (t *Tracer) Request(ctx context.Context, h http.Header, method, route string) context.Context {
	if len(h["Traceparent"]) > 0 {
		ctx = traceContext.Extract(ctx, propagation.HeaderCarrier(h))
	}
	ctx, span := t.tracer.Start(ctx, route, ofServer...)
	if span.IsRecording() { // what is not kept shall cost little
		method = boundedMethod(method)
		span.SetName(method + " " + route)
		span.SetAttributes(attribute.String("http.request.method", method), attribute.String("http.route", route))
	}
	return ctx
}

var ofServer = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer)}

// End ends the span of a request that was answered with a status.
func (t *Tracer) End(ctx context.Context, status int, requestID string) {
	if t == nil {
		return
	}
	span := trace.SpanFromContext(ctx)
	if span.IsRecording() {
		span.SetAttributes(attribute.Int("http.response.status_code", status), attribute.String(AttributeRequestID, requestID))
		if status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, http.StatusText(status))
		}
	}
	span.End()
}

// Answered notes on the span of a request who valued its houses.
func (t *Tracer) Answered(ctx context.Context, version, role string, records int) {
	if t == nil {
		return
	}
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.SetAttributes(attribute.String(AttributeModelVersion, version), attribute.String(AttributeRole, role), attribute.Int(AttributeRecords, records))
	}
}

// Step begins the span of a step of a request, which the caller ends; a span
// that does nothing where the request's is not recorded.
func (t *Tracer) Step(ctx context.Context, name string) (context.Context, trace.Span) {
	if t == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, noSpan
	}
	return t.tracer.Start(ctx, name)
}

// noSpan does nothing.
var noSpan = trace.SpanFromContext(context.Background())

// TraceID returns the ID of the trace that a context belongs to, "" for none.
func TraceID(ctx context.Context) string {
	if span := trace.SpanContextFromContext(ctx); span.HasTraceID() {
		return span.TraceID().String()
	}
	return ""
}

// TraceIDOf returns the ID of the trace that a request's traceparent names, ""
// for none.
func TraceIDOf(h http.Header) string {
	if len(h["Traceparent"]) == 0 {
		return ""
	}
	return TraceID(traceContext.Extract(context.Background(), propagation.HeaderCarrier(h)))
}

// TraceResponse returns the header traceresponse of a request's span, "" where
// there is none: what traceparent is to a request, this is to an answer.
func TraceResponse(ctx context.Context) string {
	span := trace.SpanContextFromContext(ctx)
	if !span.IsValid() {
		return ""
	}
	id, parent := span.TraceID(), span.SpanID()
	var room [64]byte
	text := append(room[:0], "00-"...)
	text = hex.AppendEncode(text, id[:])
	text = hex.AppendEncode(append(text, '-'), parent[:])
	text = hex.AppendEncode(append(text, '-'), []byte{byte(span.TraceFlags())})
	return string(text)
}

// Observe counts a value in a histogram, with the trace of ctx as its
// exemplar where that is kept.
func (t *Tracer) Observe(ctx context.Context, histogram prometheus.Observer, value float64) {
	if t == nil {
		histogram.Observe(value)
		return
	}
	span := trace.SpanContextFromContext(ctx)
	if with, ok := histogram.(prometheus.ExemplarObserver); ok && span.IsSampled() {
		with.ObserveWithExemplar(value, prometheus.Labels{"trace_id": span.TraceID().String(), "span_id": span.SpanID().String()})
		return
	}
	histogram.Observe(value)
}

// tracesPerSecond is how many traces a second begin here unless the settings
// say otherwise, for the same reason as with logs.
const tracesPerSecond = 100

// Sampling says which traces are kept. Those that were begun elsewhere are
// kept if they are there. The zero value keeps the first 100 of each second
// of those that begin here.
type Sampling struct {
	Name  string  // of OTEL_TRACES_SAMPLER, or ""
	Ratio float64 // of those with traceidratio
}

func (s Sampling) sampler() sdk.Sampler {
	switch s.Name {
	case "always_on":
		return sdk.AlwaysSample()
	case "always_off":
		return sdk.NeverSample()
	case "traceidratio":
		return sdk.TraceIDRatioBased(s.Ratio)
	case "parentbased_always_on":
		return sdk.ParentBased(sdk.AlwaysSample())
	case "parentbased_always_off":
		return sdk.ParentBased(sdk.NeverSample())
	case "parentbased_traceidratio":
		return sdk.ParentBased(sdk.TraceIDRatioBased(s.Ratio))
	}
	return sdk.ParentBased(&perSecond{Sampler{Limit: tracesPerSecond}})
}

// perSecond keeps the first traces of each second.
type perSecond struct{ sampler Sampler }

func (p *perSecond) ShouldSample(parameters sdk.SamplingParameters) sdk.SamplingResult {
	result := sdk.SamplingResult{Decision: sdk.Drop, Tracestate: trace.SpanContextFromContext(parameters.ParentContext).TraceState()}
	if p.sampler.Allow(time.Now()) {
		result.Decision = sdk.RecordAndSample
	}
	return result
}

func (p *perSecond) Description() string {
	return "PerSecond{" + strconv.FormatUint(uint64(p.sampler.Limit), 10) + "}"
}
