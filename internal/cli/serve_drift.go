package cli

import (
	"context"
	"sync"

	"housing/internal/drift"
	"housing/internal/telemetry"
)

// servedDrift compares what a service is asked with what its models were
// trained on.
type servedDrift struct {
	monitor *drift.Monitor
	end     context.CancelFunc
	running sync.WaitGroup
}

func openDrift(metrics *telemetry.Metrics) *servedDrift {
	return &servedDrift{monitor: drift.New(metrics)}
}

func (d *servedDrift) start(ctx context.Context) {
	ctx, d.end = context.WithCancel(ctx)
	d.running.Go(func() { d.monitor.Run(ctx) })
}

func (d *servedDrift) stop() {
	d.end()
	d.running.Wait()
}
