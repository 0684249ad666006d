package cli

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"housing/internal/buildinfo"
	"housing/internal/config"
	"housing/internal/store"
	"housing/internal/telemetry"
)

// servedTraces is where a service sends its traces: nowhere, where the
// settings name no receiver.
type servedTraces struct {
	dependencies []*store.Dependency
	tracer       *telemetry.Tracer // nil without a receiver
	log          *slog.Logger
	end          context.CancelFunc
	running      sync.WaitGroup
}

// openTraces prepares the export; the receiver need not answer yet.
func (c *serveCommand) openTraces(getenv config.Getenv, metrics *telemetry.Metrics, log *slog.Logger) (*servedTraces, error) {
	t := &servedTraces{log: log}
	if err := c.Traces.CheckVariables(getenv); err != nil || !c.Traces.Tracing() {
		return t, err
	}
	headers, err := c.Traces.HeaderValues()
	if err != nil {
		return nil, &config.Error{Source: "OTEL_EXPORTER_OTLP_HEADERS", Problem: err.Error()}
	}
	roots, err := c.Traces.Roots()
	if err != nil {
		return nil, err
	}
	dependency := store.NewDependency("traces", metrics.DependencyUp("traces"), log)
	t.dependencies = append(t.dependencies, dependency)
	t.tracer = telemetry.NewTracer(telemetry.TracerOptions{
		Exporter: telemetry.OTLP{
			URL: c.Traces.URL(), Headers: headers, Timeout: time.Duration(c.Traces.Timeout) * time.Millisecond,
			Gzip: c.Traces.Compression == "gzip", Roots: roots, Report: dependency.Report,
		},
		Service: c.Traces.ServiceName, Version: buildinfo.Version, Attributes: c.Traces.Attributes.Map(),
		Sampling: telemetry.Sampling{Name: c.Traces.Sampler, Ratio: float64(c.Traces.SamplerArg)},
	})
	return t, nil
}

// lastTraces is how long a service that stops waits for its last traces to be
// taken.
const lastTraces = 2 * time.Second

// start begins to ask how the receiver is.
func (t *servedTraces) start(ctx context.Context) {
	if t.tracer == nil {
		return
	}
	ctx, t.end = context.WithCancel(ctx)
	t.running.Go(func() { t.tracer.Run(ctx) })
}

// stop sends what is left.
func (t *servedTraces) stop() {
	if t.tracer == nil {
		return
	}
	t.end()
	t.running.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), lastTraces)
	defer cancel()
	if err := t.tracer.Close(ctx); err != nil {
		t.log.Warn("traces_lost", "error", err.Error())
	}
}
