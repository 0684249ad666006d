package store

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Status is how an outside system is. One that the settings do not ask for
// has no [Dependency].
type Status string

// The states of an outside system.
const (
	Up   Status = "up"
	Down Status = "down"
)

// State is a status, when it began, and the reason of the last failure.
type State struct {
	Status Status
	Since  time.Time
	Reason Reason // "" while it is up, and before it was asked
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
	d.state.Store(&State{Status: Down, Since: d.now().UTC()})
	gauge.Set(0)
	return d
}

// State returns how the system is.
func (d *Dependency) State() State { return *d.state.Load() }

// Report tells how a call to the system went; nil is well. The first report
// is logged, and after it each that changes the status. The error's text must
// hold no secret.
func (d *Dependency) Report(err error) { d.ReportAs(err, ReasonOf(err)) }

// ReportAs is Report for a system whose errors have a word of their own, one
// of a few; "" for nil.
func (d *Dependency) ReportAs(err error, reason Reason) {
	if s := d.state.Load(); s.Reason == reason && (s.Status == Up) == (err == nil) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	before := *d.state.Load()
	now := d.now().UTC()
	switch {
	case err == nil && before.Status == Up:
		return
	case err == nil:
		d.state.Store(&State{Status: Up, Since: now})
		d.gauge.Set(1)
		d.log.Info("dependency_up", "dependency", d.Name, "lasted_seconds", now.Sub(before.Since).Seconds())
	case before.Status == Down && before.Reason != "":
		d.state.Store(&State{Status: Down, Since: before.Since, Reason: reason})
	default:
		since := now
		if before.Status == Down {
			since = before.Since
		}
		d.state.Store(&State{Status: Down, Since: since, Reason: reason})
		d.gauge.Set(0)
		d.log.Warn("dependency_down", "dependency", d.Name, "reason", string(reason),
			"lasted_seconds", now.Sub(before.Since).Seconds(), "error", err.Error())
	}
}
