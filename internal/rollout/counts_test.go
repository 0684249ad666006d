package rollout

import (
	"math"
	"testing"
)

// TestARestartIsNoEvidence restarts a replica of which, at the next look, some
// counters are above and some below where they were: what is counted of it is
// possible, and no request is slow that was not.
func TestARestartIsNoEvidence(t *testing.T) {
	plan := &Plan{Primary: "a", Candidate: "b", Mode: Canary, Percent: 5000}
	look := func(started, requests, fast float64) []Sample {
		labels := func(le string) map[string]string {
			return map[string]string{"model_version": "b", "role": "candidate", "le": le}
		}
		samples := []Sample{
			{"one", seriesRequests, labels(""), requests},
			{"one", seriesDurations, labels("0.001"), fast},
			{"one", seriesDurations, labels("+Inf"), requests},
		}
		if started > 0 {
			samples = append(samples, Sample{"one", seriesStarted, nil, started})
		}
		return samples
	}
	for name, c := range map[string]struct {
		started        [2]float64
		requests, fast float64 // after
		want, wantFast float64
	}{
		"goes on":                             {[2]float64{1, 1}, 30, 29, 10, 9},
		"a version was loaded again":          {[2]float64{1, 1}, 25, 18, 25, 18},
		"a process that does not say when":    {[2]float64{0, 0}, 25, 18, 25, 18},
		"another process, past where it was":  {[2]float64{1, 2}, 40, 20, 0, 0},
		"another process, of fewer until now": {[2]float64{1, 2}, 3, 3, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var m meter
			m.grow(plan, look(c.started[0], 20, 20))
			g := m.grow(plan, look(c.started[1], c.requests, c.fast))
			if got := g.candidate; got.requests != c.want || got.durations[0.001] != c.wantFast || got.durations[math.Inf(1)] != c.want {
				t.Errorf("%+v, want %v requests, %v of them fast", got, c.want, c.wantFast)
			}
			g = m.grow(plan, look(c.started[1], c.requests+5, c.fast+5))
			if got := g.candidate; got.requests != 5 || got.durations[0.001] != 5 {
				t.Errorf("5 requests later: %+v", got)
			}
		})
	}
}
