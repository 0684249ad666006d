package config

import (
	"crypto/x509"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Traces holds the settings of traces, under the names that OpenTelemetry
// gives them:
// https://opentelemetry.io/docs/specs/otel/protocol/exporter/ and
// https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/.
type Traces struct {
	Endpoint       string       `setting:"" name:"otel-exporter-otlp-endpoint" placeholder:"URL" help:"Receiver of traces by OTLP over HTTP, such as http://127.0.0.1:4318; /v1/traces is added. Default: no traces."`
	TracesEndpoint string       `setting:"" name:"otel-exporter-otlp-traces-endpoint" placeholder:"URL" help:"The same with its path, taken as it is. Default: none."`
	Headers        Secret       `setting:"" secret:"" name:"otel-exporter-otlp-headers" placeholder:"NAME=VALUE,..." help:"Headers that the receiver asks for, such as a key; values are percent-encoded. Default: none."`
	Timeout        Milliseconds `setting:"" name:"otel-exporter-otlp-timeout" default:"10000" placeholder:"MS" help:"How long one batch may take, in milliseconds. Default: 10000."`
	Compression    Compression  `setting:"" name:"otel-exporter-otlp-compression" default:"none" placeholder:"NAME" help:"gzip or none. Default: none."`
	Certificate    string       `setting:"" name:"otel-exporter-otlp-certificate" placeholder:"FILE" help:"Certificates in PEM that the receiver's is checked against. Default: the system's."`
	ServiceName    string       `setting:"" name:"otel-service-name" placeholder:"NAME" help:"Name of this service in traces. Default: housing."`
	Attributes     Pairs        `setting:"" name:"otel-resource-attributes" placeholder:"NAME=VALUE,..." help:"What else traces say of this service, such as deployment.environment.name=production. Default: nothing."`
	Sampler        string       `setting:"" name:"otel-traces-sampler" placeholder:"NAME" help:"Which traces are kept: always_on, always_off, traceidratio, or one of these with parentbased_ before it. Default: those of callers who keep theirs, and the first 100 of each second of others."`
	SamplerArg     Ratio        `setting:"" name:"otel-traces-sampler-arg" default:"1" placeholder:"RATIO" help:"Share of traces, of 1, that is kept with traceidratio. Default: 1."`
	Disabled       bool         `setting:"" name:"otel-sdk-disabled" help:"No traces, whatever else is set."`
}

// Tracing says whether there is a receiver of traces.
func (t *Traces) Tracing() bool { return !t.Disabled && (t.Endpoint != "" || t.TracesEndpoint != "") }

// samplers are the words of OTEL_TRACES_SAMPLER that are known.
var samplers = []string{"always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"}

// Check looks at the settings together. Its error is an [*Error].
func (t *Traces) Check() error {
	for name, address := range map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": t.Endpoint, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": t.TracesEndpoint} {
		if address == "" {
			continue
		}
		// The address is not named in the error, as it may hold a password.
		u, err := url.Parse(address)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
			return &Error{Source: name, Problem: "cannot be used: want http://HOST:4318 or https://HOST, without a password; keys go into OTEL_EXPORTER_OTLP_HEADERS"}
		}
	}
	if t.Sampler != "" && !slices.Contains(samplers, t.Sampler) {
		return &Error{Source: "OTEL_TRACES_SAMPLER", Problem: fmt.Sprintf("%q is not a sampler: want one of %s", t.Sampler, strings.Join(samplers, ", "))}
	}
	if _, err := t.HeaderValues(); err != nil {
		return &Error{Source: "OTEL_EXPORTER_OTLP_HEADERS", Problem: err.Error()}
	}
	if _, err := t.Roots(); err != nil {
		return err
	}
	return nil
}

// URL returns the address that spans are posted to.
func (t *Traces) URL() string {
	if t.TracesEndpoint != "" {
		return t.TracesEndpoint
	}
	u, err := url.Parse(t.Endpoint)
	if err != nil {
		return "" // Check has refused it
	}
	return u.JoinPath("v1", "traces").String()
}

// HeaderValues returns the headers. Its error names no value.
func (t *Traces) HeaderValues() (http.Header, error) {
	pairs, err := parsePairs(string(t.Headers))
	if err != nil {
		return nil, fmt.Errorf("cannot be read: want NAME=VALUE with commas between, values percent-encoded")
	}
	h := http.Header{}
	for name, value := range pairs {
		h.Set(name, value)
	}
	return h, nil
}

// Roots returns the authorities of the receiver; nil are the system's.
func (t *Traces) Roots() (*x509.CertPool, error) {
	const source = "OTEL_EXPORTER_OTLP_CERTIFICATE"
	if t.Certificate == "" {
		return nil, nil
	}
	text, err := os.ReadFile(t.Certificate)
	if err != nil {
		return nil, &Error{Source: source, Problem: err.Error()}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, &Error{Source: source, Problem: t.Certificate + " holds no certificate in PEM"}
	}
	return pool, nil
}

// unsupported lists variables of OpenTelemetry that this service cannot heed,
// with the values that say what it does anyway.
var unsupported = map[string][]string{
	"OTEL_EXPORTER_OTLP_PROTOCOL":           {"http/protobuf"},
	"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL":    {"http/protobuf"},
	"OTEL_EXPORTER_OTLP_TRACES_HEADERS":     nil,
	"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT":     nil,
	"OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": nil,
	"OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE": nil,
	"OTEL_EXPORTER_OTLP_CLIENT_KEY":         nil,
	"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": nil,
	"OTEL_TRACES_EXPORTER":                  {"otlp"},
	"OTEL_PROPAGATORS":                      {"tracecontext", "tracecontext,baggage"},
}

// CheckVariables returns an [*Error] where a standard variable asks for what
// this service cannot do with traces; one that is not heeded could send them
// where they should not go. Without traces they mean nothing. The values are
// not named, as they may be secrets.
func (t *Traces) CheckVariables(getenv Getenv) error {
	if !t.Tracing() {
		return nil
	}
	for name, usable := range unsupported {
		value, _ := getenv(name)
		if value == "" || slices.Contains(usable, value) {
			continue
		}
		problem := "is not supported: unset it"
		if len(usable) > 0 {
			problem += ", or set it to " + usable[0]
		}
		return &Error{Source: name, Problem: problem}
	}
	return nil
}

// Pairs is a list of names with values, NAME=VALUE with commas between,
// values percent-encoded.
type Pairs string

// UnmarshalText reads a list.
func (p *Pairs) UnmarshalText(text []byte) error {
	if _, err := parsePairs(string(text)); err != nil {
		return err
	}
	*p = Pairs(text)
	return nil
}

// Map returns the values by their names.
func (p Pairs) Map() map[string]string {
	pairs, _ := parsePairs(string(p)) // it was read before
	return pairs
}

// maxPairs bounds a list.
const maxPairs = 128

func parsePairs(text string) (map[string]string, error) {
	pairs := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		decoded, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || name == "" || strings.ContainsAny(name, " \r\n:") || strings.ContainsAny(decoded, "\r\n\x00") || err != nil {
			return nil, fmt.Errorf("%q is not a list: want NAME=VALUE with commas between, values percent-encoded", text)
		}
		pairs[name] = decoded
	}
	if len(pairs) > maxPairs {
		return nil, fmt.Errorf("%d pairs are more than %d", len(pairs), maxPairs)
	}
	return pairs, nil
}

// Milliseconds is a time in whole milliseconds, up to an hour.
type Milliseconds int64

// UnmarshalText reads a number of milliseconds.
func (m *Milliseconds) UnmarshalText(text []byte) error {
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || n < 1 || n > time.Hour.Milliseconds() {
		return fmt.Errorf("%q is not a usable time: want a whole number of milliseconds from 1 to %d", text, time.Hour.Milliseconds())
	}
	*m = Milliseconds(n)
	return nil
}

// Ratio is a share of 1.
type Ratio float64

// UnmarshalText reads a share.
func (r *Ratio) UnmarshalText(text []byte) error {
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil || !(v >= 0 && v <= 1) || math.Signbit(v) {
		return fmt.Errorf("%q is not a share: want a number from 0 to 1", text)
	}
	*r = Ratio(v)
	return nil
}

// Compression is how what is sent is made smaller.
type Compression string

// UnmarshalText reads a compression.
func (c *Compression) UnmarshalText(text []byte) error {
	switch string(text) {
	case "gzip", "none":
		*c = Compression(text)
		return nil
	}
	return fmt.Errorf("%q is not a compression: want gzip or none", text)
}
