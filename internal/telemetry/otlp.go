package telemetry

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	collector "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	resource "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	traces "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// OTLP is where spans are sent to, by OTLP over HTTP in binary:
// https://opentelemetry.io/docs/specs/otlp/#otlphttp.
type OTLP struct {
	URL     string        // that spans are posted to, such as http://127.0.0.1:4318/v1/traces
	Headers http.Header   // of each request, such as a key; may hold secrets
	Timeout time.Duration // of one batch, waiting and trying again included; 0 is 10 s
	Gzip    bool
	Roots   *x509.CertPool // that the receiver's certificate is checked against; nil is the system's
	// Report hears of each batch whether the receiver took it. The error
	// holds no secret. nil is nobody.
	Report func(error)
}

// Bounds of the export.
const (
	exportTimeout = 10 * time.Second
	firstWait     = 500 * time.Millisecond // before a batch is tried again; doubles
	longestWait   = 5 * time.Second
	maxAnswer     = 64 << 10
	probeEvery    = 10 * time.Second // that the receiver is asked for nothing, where no batch asks it
)

// exporter sends batches of spans.
type exporter struct {
	OTLP
	client  *http.Client
	batches atomic.Int64
}

func newExporter(o OTLP) *exporter {
	if o.Timeout <= 0 {
		o.Timeout = exportTimeout
	}
	if o.Report == nil {
		o.Report = func(error) {}
	}
	return &exporter{OTLP: o, client: &http.Client{
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
			TLSHandshakeTimeout: 3 * time.Second,
			TLSClientConfig:     &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
			MaxIdleConns:        1,
			IdleConnTimeout:     30 * time.Second,
			ForceAttemptHTTP2:   true,
		},
		// What is configured is posted to that address and no other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// ExportSpans sends a batch. Its failure is reported and is none of the
// caller's, who could only drop the batch too.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	if len(spans) == 0 {
		return nil
	}
	e.batches.Add(1)
	ctx, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	body, err := proto.Marshal(requestOf(spans))
	if err == nil && e.Gzip {
		body, err = compressed(body)
	}
	if err == nil {
		err = e.deliver(ctx, body)
	}
	if err != nil {
		err = fmt.Errorf("export %d spans: %w", len(spans), err)
	}
	e.Report(err)
	return nil
}

// probe sends a batch without spans, which a receiver takes, at the start and
// while there is nothing to send, so that it is known how the receiver is.
func (e *exporter) probe(ctx context.Context) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for before := int64(0); ; {
		if n := e.batches.Load(); n == before {
			asked, cancel := context.WithTimeout(ctx, e.Timeout)
			err := e.post(asked, nil)
			cancel()
			if ctx.Err() == nil {
				e.Report(err)
			}
		} else {
			before = n
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Shutdown closes the connections.
func (e *exporter) Shutdown(context.Context) error {
	e.client.CloseIdleConnections()
	return nil
}

func compressed(body []byte) ([]byte, error) {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(body)
	err = errors.Join(err, w.Close())
	return out.Bytes(), err
}

// rejected is an answer that is no success.
type rejected struct {
	status int
	after  time.Duration // that the receiver asks for
}

func (r *rejected) Error() string {
	return fmt.Sprintf("the receiver answered %d %s", r.status, http.StatusText(r.status))
}

// passing says whether the same batch may be taken later.
func (r *rejected) passing() bool {
	switch r.status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// deliver posts a batch, again and again while there is time and it may help.
func (e *exporter) deliver(ctx context.Context, body []byte) error {
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		err := e.post(ctx, body)
		var answer *rejected
		if err == nil || errors.As(err, &answer) && !answer.passing() {
			return err
		}
		pause := wait/2 + rand.N(wait)
		if answer != nil {
			pause = max(pause, answer.after)
		}
		if until, ok := ctx.Deadline(); ok && time.Now().Add(pause).After(until) {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

func (e *exporter) post(ctx context.Context, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header = e.Headers.Clone()
	if request.Header == nil {
		request.Header = http.Header{}
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	request.Header.Set("User-Agent", "housing-otlp")
	if e.Gzip && len(body) > 0 {
		request.Header.Set("Content-Encoding", "gzip")
	}
	answer, err := e.client.Do(request)
	if err != nil {
		if failed := (*url.Error)(nil); errors.As(err, &failed) {
			failed.URL = request.URL.Host // the rest may hold a key
		}
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if answer.StatusCode/100 != 2 {
		seconds, _ := strconv.ParseUint(answer.Header.Get("Retry-After"), 10, 16) // a date is not read: 0
		return &rejected{status: answer.StatusCode, after: time.Duration(seconds) * time.Second}
	}
	if err != nil {
		return err
	}
	var taken collector.ExportTraceServiceResponse
	if proto.Unmarshal(text, &taken) == nil && taken.GetPartialSuccess().GetRejectedSpans() > 0 {
		return &rejected{status: answer.StatusCode}
	}
	return nil
}

// requestOf returns the message of a batch, all of which one provider made.
func requestOf(spans []sdk.ReadOnlySpan) *collector.ExportTraceServiceRequest {
	made := make([]*traces.Span, len(spans))
	for i, s := range spans {
		made[i] = spanOf(s)
	}
	scope := spans[0].InstrumentationScope()
	return &collector.ExportTraceServiceRequest{ResourceSpans: []*traces.ResourceSpans{{
		Resource: &resource.Resource{Attributes: keyValues(spans[0].Resource().Attributes())},
		ScopeSpans: []*traces.ScopeSpans{{
			Scope: &common.InstrumentationScope{Name: scope.Name, Version: scope.Version},
			Spans: made,
		}},
	}}}
}

// parentIsRemote are the bits of Span.flags that say that it is known whether
// the parent is another process's, and that it is.
const (
	parentIsKnown  = uint32(traces.SpanFlags_SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK)
	parentIsRemote = uint32(traces.SpanFlags_SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK)
)

func spanOf(s sdk.ReadOnlySpan) *traces.Span {
	id, trace, parent := s.SpanContext().SpanID(), s.SpanContext().TraceID(), s.Parent()
	made := &traces.Span{
		TraceId:                trace[:],
		SpanId:                 id[:],
		TraceState:             s.SpanContext().TraceState().String(),
		Flags:                  uint32(s.SpanContext().TraceFlags()) | parentIsKnown,
		Name:                   s.Name(),
		Kind:                   traces.Span_SpanKind(s.SpanKind()), // both number them as the specification does
		StartTimeUnixNano:      uint64(max(0, s.StartTime().UnixNano())),
		EndTimeUnixNano:        uint64(max(0, s.EndTime().UnixNano())),
		Attributes:             keyValues(s.Attributes()),
		DroppedAttributesCount: uint32(max(0, s.DroppedAttributes())),
	}
	if parent.HasSpanID() {
		id := parent.SpanID()
		made.ParentSpanId = id[:]
	}
	if parent.IsRemote() {
		made.Flags |= parentIsRemote
	}
	if s.Status().Code == codes.Error {
		made.Status = &traces.Status{Code: traces.Status_STATUS_CODE_ERROR, Message: s.Status().Description}
	}
	return made
}

// keyValues returns attributes, of which there are texts and whole numbers.
func keyValues(attributes []attribute.KeyValue) []*common.KeyValue {
	made := make([]*common.KeyValue, len(attributes))
	for i, a := range attributes {
		value := &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: a.Value.String()}}
		if a.Value.Type() == attribute.INT64 {
			value = &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: a.Value.AsInt64()}}
		}
		made[i] = &common.KeyValue{Key: string(a.Key), Value: value}
	}
	return made
}
