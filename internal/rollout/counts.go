package rollout

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"housing/internal/valuer"
)

// histogram is what a classic histogram has counted: cumulative counts by
// upper bound.
type histogram map[float64]float64

// total returns how much was counted.
func (h histogram) total() float64 { return h[math.Inf(1)] }

// sorted returns the bounds in rising order and the count up to each.
func (h histogram) sorted() (bounds, cumulative []float64) {
	bounds = slices.Sorted(maps.Keys(h))
	for _, b := range bounds {
		cumulative = append(cumulative, h[b])
	}
	return bounds, cumulative
}

// bins returns how much was counted between each bound and the one before.
func (h histogram) bins() []float64 {
	_, cumulative := h.sorted()
	for i := len(cumulative) - 1; i > 0; i-- {
		cumulative[i] = max(0, cumulative[i]-cumulative[i-1])
	}
	return cumulative
}

// arm is what the replicas have counted of a version in a role.
type arm struct {
	requests, errors, refused float64
	durations, prices         histogram
}

func newArm() arm { return arm{durations: histogram{}, prices: histogram{}} }

// add adds what another one counted.
func (a *arm) add(o arm) {
	a.requests, a.errors, a.refused = a.requests+o.requests, a.errors+o.errors, a.refused+o.refused
	for bound, n := range o.durations {
		a.durations[bound] += n
	}
	for bound, n := range o.prices {
		a.prices[bound] += n
	}
}

// growth is what was counted between two looks at all replicas.
type growth struct {
	primary, candidate arm
	ratios             histogram // price by the candidate over price by the primary
	sentBack           float64   // replicas that sent the candidate back
}

// meter tells how much counters have grown. Where one of a version falls, all
// of that version have begun anew: those that do not fall have only come past
// where they were. A replica that was not seen before, or is another process
// than the one that was, is not counted before its second look, as nobody
// knows how long it has counted.
type meter struct {
	last    map[string]map[string]float64 // by replica and series
	started map[string]float64            // by replica, in seconds since 1970
}

// grow returns what was counted since the last look.
func (m *meter) grow(plan *Plan, samples []Sample) growth {
	if m.last == nil {
		m.last, m.started = map[string]map[string]float64{}, map[string]float64{}
	}
	g := growth{primary: newArm(), candidate: newArm(), ratios: histogram{}}
	type life struct{ replica, version string }
	anew, fresh := map[life]bool{}, map[string]bool{}
	for _, s := range samples {
		switch before, known := m.started[s.Replica]; {
		case s.Name == seriesStarted:
			if known && before != s.Value {
				delete(m.last, s.Replica)
			}
			if known || len(m.started) < maxReplicas {
				m.started[s.Replica] = s.Value
			}
		case s.counts() && s.Value < m.last[s.Replica][s.key()]:
			anew[life{s.Replica, s.Labels["model_version"]}] = true
		}
	}
	for _, s := range samples {
		if !s.counts() {
			continue
		}
		if m.last[s.Replica] == nil {
			if len(m.last) >= maxReplicas {
				m.last = map[string]map[string]float64{} // so many come and go: begin anew
			}
			m.last[s.Replica] = map[string]float64{}
			fresh[s.Replica] = true
		}
		series, now := m.last[s.Replica], s.Value
		key := s.key()
		before := series[key]
		series[key] = now
		if fresh[s.Replica] {
			continue
		}
		if anew[life{s.Replica, s.Labels["model_version"]}] {
			before = 0
		}
		g.count(plan, s, now-before)
	}
	return g
}

// counts says whether the sample is of what only grows while a process runs.
func (s *Sample) counts() bool {
	return s.Name != seriesModels && s.Name != seriesShares && s.Name != seriesStarted
}

// key names a series of a replica.
func (s *Sample) key() string {
	return strings.Join([]string{s.Name, s.Labels["model_version"], s.Labels["role"], s.Labels["le"]}, "\x00")
}

// count adds the growth of one series.
func (g *growth) count(plan *Plan, s Sample, n float64) {
	version, role := s.Labels["model_version"], valuer.Role(s.Labels["role"])
	switch {
	case s.Name == seriesSentBack && version == plan.Candidate:
		g.sentBack += n
		return
	case s.Name == seriesRatios && version == plan.Candidate:
		if bound, ok := s.bound(); ok {
			g.ratios[bound] += n
		}
		return
	}
	a := &g.primary
	switch {
	case version == plan.Candidate && role == valuer.Candidate:
		a = &g.candidate
	case version != plan.Primary || role != valuer.Primary:
		return
	}
	bound, bounded := s.bound()
	switch {
	case s.Name == seriesRequests:
		a.requests += n
	case s.Name == seriesErrors:
		a.errors += n
	case s.Name == seriesRefused:
		a.refused += n
	case s.Name == seriesDurations && bounded:
		a.durations[bound] += n
	case s.Name == seriesPrices && bounded:
		a.prices[bound] += n
	}
}

// bound returns the upper bound of a bucket.
func (s *Sample) bound() (float64, bool) {
	bound, err := strconv.ParseFloat(s.Labels["le"], 64)
	return bound, err == nil && !math.IsNaN(bound)
}

// Replica is what one replica serves.
type Replica struct {
	Address string             `json:"address"`
	Models  []string           `json:"models"` // that run, sorted
	Shares  map[string]float64 `json:"shares"` // of the callers, of 1, by version
}

// ReplicasOf returns what each replica serves, sorted by address.
func ReplicasOf(samples []Sample) []Replica {
	found := map[string]*Replica{}
	for _, s := range samples {
		if s.Name == seriesStarted { // which every process has
			continue
		}
		r := found[s.Replica]
		if r == nil {
			r = &Replica{Address: s.Replica, Shares: map[string]float64{}}
			found[s.Replica] = r
		}
		switch {
		case s.Name == seriesModels && s.Value == 1 && !slices.Contains(r.Models, s.Labels["version"]):
			r.Models = append(r.Models, s.Labels["version"])
		case s.Name == seriesShares:
			r.Shares[s.Labels["version"]] = s.Value
		}
	}
	replicas := make([]Replica, 0, len(found))
	for _, address := range slices.Sorted(maps.Keys(found)) {
		slices.Sort(found[address].Models)
		replicas = append(replicas, *found[address])
	}
	return replicas
}

// follows says whether a replica does what the plan says.
func (r *Replica) follows(plan *Plan) bool {
	share := plan.Percent.Fraction()
	return slices.Contains(r.Models, plan.Candidate) && math.Abs(r.Shares[plan.Candidate]-share) < 1e-9
}
