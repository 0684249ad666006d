// Package telemetrytest receives traces for tests.
package telemetrytest

import (
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	traces "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// patience bounds how long a test waits for a span.
const patience = 30 * time.Second

// Span is a span as it was received.
type Span struct {
	Trace, ID, Parent string // hexadecimal; Parent is "" for none
	Name              string
	Kind              traces.Span_SpanKind
	Start, End        time.Time
	Failed            bool
	Attributes        map[string]any // texts and int64
	Resource          map[string]any
}

// Receiver is a server that takes traces by OTLP over HTTP, in the messages of
// go.opentelemetry.io/proto. It ends with the test.
type Receiver struct {
	*httptest.Server
	t testing.TB

	mu      sync.Mutex
	spans   []Span
	refuse  int // status of answers; 0 takes what comes
	refused int
	headers http.Header
}

// NewReceiver starts a receiver.
func NewReceiver(t testing.TB) *Receiver {
	t.Helper()
	r := &Receiver{t: t}
	r.Server = httptest.NewServer(http.HandlerFunc(r.receive))
	t.Cleanup(r.Close)
	return r
}

// Refuse makes answers have a status; 0 takes what comes.
func (r *Receiver) Refuse(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuse = status
}

// Refused returns how many requests were refused.
func (r *Receiver) Refused() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refused
}

// Headers returns those of the last request.
func (r *Receiver) Headers() http.Header {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.headers.Clone()
}

// Spans returns what was received.
func (r *Receiver) Spans() []Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Span(nil), r.spans...)
}

// Until waits until spans were received that are enough, and returns them.
func (r *Receiver) Until(what string, enough func([]Span) bool) []Span {
	r.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		spans := r.Spans()
		if enough(spans) {
			return spans
		}
		if time.Now().After(end) {
			r.t.Fatalf("%s: %d spans were received, not those: %+v", what, len(spans), spans)
		}
	}
}

func (r *Receiver) receive(w http.ResponseWriter, request *http.Request) {
	if request.URL.Path != "/v1/traces" { // another program's, that takes this port for one of its own
		w.WriteHeader(http.StatusNotFound)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.headers = request.Header.Clone()
	if r.refuse != 0 {
		r.refused++
		w.WriteHeader(r.refuse)
		return
	}
	spans, err := read(request)
	if err != nil {
		r.t.Errorf("what was received: %v", err)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.spans = append(r.spans, spans...)
	answer, err := proto.Marshal(&collector.ExportTraceServiceResponse{})
	if err != nil {
		r.t.Error(err)
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(answer)
}

func read(request *http.Request) (spans []Span, err error) {
	if request.Method != http.MethodPost || request.Header.Get("Content-Type") != "application/x-protobuf" {
		return nil, fmt.Errorf("%s %s with %s", request.Method, request.URL, request.Header.Get("Content-Type"))
	}
	body := io.Reader(request.Body)
	if request.Header.Get("Content-Encoding") == "gzip" {
		if body, err = gzip.NewReader(body); err != nil {
			return nil, err
		}
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	var message collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(text, &message); err != nil {
		return nil, err
	}
	for _, resource := range message.GetResourceSpans() {
		of := map[string]any{}
		for _, a := range resource.GetResource().GetAttributes() {
			of[a.GetKey()] = a.GetValue().GetStringValue()
		}
		for _, scope := range resource.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				span := Span{
					Trace: hex.EncodeToString(s.GetTraceId()), ID: hex.EncodeToString(s.GetSpanId()), Parent: hex.EncodeToString(s.GetParentSpanId()),
					Name: s.GetName(), Kind: s.GetKind(), Start: time.Unix(0, int64(s.GetStartTimeUnixNano())), End: time.Unix(0, int64(s.GetEndTimeUnixNano())),
					Failed: s.GetStatus().GetCode() == traces.Status_STATUS_CODE_ERROR, Attributes: map[string]any{}, Resource: of,
				}
				for _, a := range s.GetAttributes() {
					span.Attributes[a.GetKey()] = a.GetValue().GetStringValue()
					if n, whole := a.GetValue().GetValue().(*common.AnyValue_IntValue); whole {
						span.Attributes[a.GetKey()] = n.IntValue
					}
				}
				spans = append(spans, span)
			}
		}
	}
	return spans, nil
}
