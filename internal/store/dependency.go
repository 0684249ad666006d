package store

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Status is how an outside system is.
type Status string

// The states of an outside system.
const (
	Up   Status = "up"
	Down Status = "down"
	Off  Status = "off" // not asked for in the settings
)

// State is a status and when it began.
type State struct {
	Status Status
	Since  time.Time // zero for Off
}

// Dependency keeps how an outside system is. What uses the system reports
// what it meets; a change is logged once and shown by a gauge.
type Dependency struct {
	Name  string
	gauge prometheus.Gauge
	log   *slog.Logger
	now   func() time.Time

	state atomic.Pointer[State]
	mu    sync.Mutex // held while the state changes
}

// NewDependency returns a dependency that is down until something succeeds;
// gauge shows 1 for up and 0 for down.
func NewDependency(name string, gauge prometheus.Gauge, log *slog.Logger) *Dependency {
	d := &Dependency{Name: name, gauge: gauge, log: log, now: time.Now}
	d.state.Store(&State{Down, d.now().UTC()})
	gauge.Set(0)
	return d
}

// State returns how the system is.
func (d *Dependency) State() State { return *d.state.Load() }

// Report tells how a call to the system went; nil is well.
func (d *Dependency) Report(err error) {
	status := Up
	if err != nil {
		status = Down
	}
	if d.state.Load().Status == status {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.state.Load()
	if before.Status == status {
		return
	}
	now := d.now().UTC()
	d.state.Store(&State{status, now})
	lasted := slog.Float64("lasted_seconds", now.Sub(before.Since).Seconds())
	if err != nil {
		d.gauge.Set(0)
		d.log.Warn("dependency_down", "dependency", d.Name, lasted, "error", err.Error())
		return
	}
	d.gauge.Set(1)
	d.log.Info("dependency_up", "dependency", d.Name, lasted)
}
