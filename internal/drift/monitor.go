package drift

import (
	"context"
	"slices"
	"sync"
	"time"

	"housing/internal/model"
	"housing/internal/telemetry"
)

// maxShown is how many versions have metrics at a time: a primary and a
// candidate. A version that comes while there are two is shown when one of
// them is gone.
const maxShown = 2

// Monitor watches the versions that run. Make one with [New]; it is safe for
// concurrent use.
type Monitor struct {
	metrics  *telemetry.Metrics
	mu       sync.Mutex // of all but the counters of a version
	versions []*Version // the longest watched first
}

// New returns a monitor that watches no version yet.
func New(metrics *telemetry.Metrics) *Monitor { return &Monitor{metrics: metrics} }

// Watch begins to compare what a version is asked with the statistics of its
// training. It returns nil, which counts nothing, where there are none or the
// monitor is nil.
func (m *Monitor) Watch(version string, r *model.Reference, now time.Time) *Version {
	if m == nil || r == nil {
		return nil
	}
	v := newVersion(version, r)
	v.history.add(now, v.cells, v.snapshot)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.versions = append(m.versions, v)
	return v
}

// Forget stops watching, and takes the version from the metrics.
func (m *Monitor) Forget(v *Version) {
	if v == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.versions = slices.DeleteFunc(m.versions, func(other *Version) bool { return other == v })
	if v.exported != nil {
		m.metrics.Drift(v.name).Forget()
	}
}

// Run compares every 15 seconds until ctx ends.
func (m *Monitor) Run(ctx context.Context) {
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			m.Tick(now)
		}
	}
}

// Tick compares now: what Run does every 15 seconds.
func (m *Monitor) Tick(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	shown := 0
	for _, v := range m.versions {
		if v.exported != nil {
			shown++
		}
	}
	for _, v := range m.versions {
		v.history.add(now, v.cells, v.snapshot)
		newest := v.history.snapshots[len(v.history.snapshots)-1].totals
		if v.exported == nil && newest[0] > 0 && shown < maxShown {
			v.exported = make([]uint64, v.cells)
			shown++
		}
		if v.exported != nil {
			v.show(m.metrics.Drift(v.name), newest, v.report(now))
		}
	}
}

// show brings the metrics of the version to what was counted and compared.
func (v *Version) show(metrics telemetry.Drift, totals []uint64, r *Report) {
	grown := func(cell int) float64 { return float64(totals[cell] - v.exported[cell]) }
	metrics.Houses().Add(grown(0))
	metrics.SetPopulation(r.Population.PValue)
	for i := range v.features {
		f := &v.features[i]
		for g := range f.groups {
			var n float64
			for b := f.groups[g]; b < f.end(g); b++ {
				n += grown(f.first + b)
			}
			metrics.Values(f.name, g, uint64(f.grouped[g])).Add(n)
		}
		if f.canBeUnknown() {
			metrics.Unknown(f.name).Add(grown(f.unknownCell()))
		}
		metrics.OutsideRange(f.name).Add(grown(f.outsideCell()))
		metrics.SetPSI(f.name, r.Features[i].PSI)
	}
	copy(v.exported, totals)
}

// Report compares a version now. It is nil where the version is nil.
func (m *Monitor) Report(v *Version, now time.Time) *Report {
	if m == nil || v == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return v.report(now)
}
