package config

import (
	"strings"
	"testing"
)

func TestTracesAreOffUntilTheyHaveAReceiver(t *testing.T) {
	for _, c := range []struct {
		pairs []string
		on    bool
		url   string
	}{
		{nil, false, ""},
		{[]string{"OTEL_SERVICE_NAME=prices", "OTEL_TRACES_SAMPLER=always_on"}, false, ""},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318"}, true, "http://127.0.0.1:4318/v1/traces"},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=https://h.example/otlp/"}, true, "https://h.example/otlp/v1/traces"},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://a:1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://b:2/t"}, true, "http://b:2/t"},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://a:1", "OTEL_SDK_DISABLED=true"}, false, ""},
	} {
		s, err := read(nil, c.pairs...)
		if err != nil {
			t.Errorf("%v: %v", c.pairs, err)
			continue
		}
		if s.Traces.Tracing() != c.on || c.on && s.Traces.URL() != c.url {
			t.Errorf("%v: on %t, to %q", c.pairs, s.Traces.Tracing(), s.Traces.URL())
		}
	}
}

func TestSettingsOfTracesThatCannotBeUsed(t *testing.T) {
	for _, pair := range []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=localhost:4317",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://u:hunter2@h",
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=grpc://h",
		"OTEL_EXPORTER_OTLP_HEADERS=hunter2",
		"OTEL_EXPORTER_OTLP_HEADERS=api-key=hunter2%0d%0aX: y",
		"OTEL_EXPORTER_OTLP_TIMEOUT=10s",
		"OTEL_EXPORTER_OTLP_COMPRESSION=zstd",
		"OTEL_EXPORTER_OTLP_CERTIFICATE=/nowhere",
		"OTEL_RESOURCE_ATTRIBUTES=a",
		"OTEL_TRACES_SAMPLER=sometimes",
		"OTEL_TRACES_SAMPLER_ARG=2",
	} {
		name, _, _ := strings.Cut(pair, "=")
		if _, err := read(nil, pair); err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", pair, err)
		}
	}
}

func TestHeadersOfTracesAreDecoded(t *testing.T) {
	s, err := read(nil, "OTEL_EXPORTER_OTLP_HEADERS=api-key=a%2Cb, x-tenant = one", "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test,host.name=a=b")
	if err != nil {
		t.Fatal(err)
	}
	h, err := s.Traces.HeaderValues()
	if err != nil || h.Get("Api-Key") != "a,b" || h.Get("X-Tenant") != "one" {
		t.Errorf("%v, %v", h, err)
	}
	if m := s.Traces.Attributes.Map(); len(m) != 2 || m["deployment.environment.name"] != "test" || m["host.name"] != "a=b" {
		t.Errorf("%v", m)
	}
}

func TestVariablesOfTracesThatAreNotHeededAreRefused(t *testing.T) {
	on := Traces{Endpoint: "http://127.0.0.1:4318"}
	for pair, refused := range map[string]bool{
		"OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf":     false,
		"OTEL_EXPORTER_OTLP_PROTOCOL=grpc":              true,
		"OTEL_EXPORTER_OTLP_TRACES_HEADERS=key=hunter2": true,
		"OTEL_TRACES_EXPORTER=otlp":                     false,
		"OTEL_TRACES_EXPORTER=zipkin":                   true,
		"OTEL_PROPAGATORS=tracecontext,baggage":         false,
		"OTEL_PROPAGATORS=b3":                           true,
		"OTEL_EXPORTER_OTLP_CLIENT_KEY=/hunter2":        true,
		"OTEL_EXPORTER_OTLP_CLIENT_KEY=":                false,
		"OTEL_METRICS_EXPORTER=prometheus":              false,
	} {
		err := on.CheckVariables(environment(pair))
		name, _, _ := strings.Cut(pair, "=")
		if (err != nil) != refused || err != nil && (!strings.HasPrefix(err.Error(), name) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%s: %v", pair, err)
		}
		if err := new(Traces).CheckVariables(environment(pair)); err != nil {
			t.Errorf("without traces %s: %v", pair, err)
		}
	}
}

func FuzzPairs(f *testing.F) {
	for _, seed := range []string{"", "a=b", "api-key=a%2Cb, x = y", "=", "a", "a=%zz", "a=%0d%0a", ",,"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var p Pairs
		if p.UnmarshalText([]byte(text)) != nil {
			return
		}
		for name, value := range p.Map() {
			if name == "" || strings.ContainsAny(name, "\r\n") || strings.ContainsAny(value, "\r\n\x00") {
				t.Errorf("%q has the name %q with the value %q", text, name, value)
			}
		}
	})
}
