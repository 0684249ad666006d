// Package telemetry holds every name under which the service is watched:
// metrics, logs and traces.
//
// The metrics stand in one table ([Table]); [NewMetrics] makes them on a
// registry that is passed in, and the documents are generated from the same
// table. No label ever holds a value that a client chooses: a route is a
// registered pattern, a method is a known one or "other", a version is one
// that was loaded.
//
// Logs are [log/slog] lines ([NewLogger]); the events of single predictions
// go through a [Sampler], so that load cannot fill a disk.
//
// Traces are OpenTelemetry's. A [Tracer] begins a span for each request and
// for its steps, and sends those that are kept by OTLP over HTTP; without one
// all of that costs nothing. Exemplars join the histograms to the traces.
package telemetry
