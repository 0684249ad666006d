package rollout

import (
	"context"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"housing/internal/house"
	"housing/internal/journal"
	"housing/internal/telemetry"
	"housing/internal/valuer"
)

// Bounds on what is valued aside.
const (
	shadowQueue  = 64  // requests that wait
	shadowHouses = 100 // of one request; the rest of it is not compared
)

// comparison is a request that was answered, to be valued aside by the other
// version.
type comparison struct {
	houses    []house.House
	prices    []float64 // by the version that answered
	other     valuer.Choice
	candidate string
	answered  valuer.Role
	noted     journal.Prediction // the answer as it was noted; without an ID it was not
}

// Recorder notes predictions; that of package journal does.
type Recorder interface{ Record(p *journal.Prediction) }

// shadows values requests aside, one at a time; what there is no room for is
// dropped and counted.
type shadows struct {
	valuer                  *valuer.Valuer
	metrics                 *telemetry.Metrics
	journal                 Recorder // nil without one
	queue                   chan comparison
	valued, dropped, failed prometheus.Counter
}

func newShadows(v *valuer.Valuer, m *telemetry.Metrics, j Recorder) *shadows {
	return &shadows{valuer: v, metrics: m, journal: j, queue: make(chan comparison, shadowQueue),
		valued: m.Shadow("valued"), dropped: m.Shadow("dropped"), failed: m.Shadow("failed")}
}

// Aside lets a request that was answered be valued by the other version of
// the plan too: in shadow by the candidate, as often as the plan says; else
// those of the candidate by the primary. What that gives is noted under the ID
// of noted, so that both can be compared with what the houses sell for. It
// never waits, and keeps nothing that it is given.
func (t *Traffic) Aside(request string, houses []house.House, answer *valuer.Answer, noted *journal.Prediction) {
	plan := t.plan.Load()
	if plan.Candidate == "" || len(houses) == 0 {
		return
	}
	c := comparison{candidate: plan.Candidate, answered: answer.Role, noted: *noted}
	switch {
	case answer.Role == valuer.Primary && answer.Version == plan.Primary && plan.Shadows(request) && t.Valuer.Ready(plan.Candidate):
		c.other = valuer.Choice{Version: plan.Candidate, Role: valuer.Candidate}
	case answer.Role == valuer.Candidate && answer.Version == plan.Candidate && t.Valuer.Ready(plan.Primary):
		c.other = valuer.Choice{Version: plan.Primary, Role: valuer.Primary}
	default:
		return
	}
	if len(t.aside.queue) == cap(t.aside.queue) {
		t.aside.dropped.Inc()
		return
	}
	n := min(len(houses), shadowHouses)
	c.houses, c.prices = slices.Clone(houses[:n]), slices.Clone(answer.Prices[:n])
	select {
	case t.aside.queue <- c:
	default:
		t.aside.dropped.Inc()
	}
}

// run compares until ctx ends.
func (s *shadows) run(ctx context.Context) {
	var prices []float64
	for {
		select {
		case <-ctx.Done():
			return
		case c := <-s.queue:
			prices = s.compare(c, prices[:0])
		}
	}
}

func (s *shadows) compare(c comparison, room []float64) []float64 {
	prices, err := s.valuer.Revalue(room, c.houses, c.other)
	switch {
	case err == nil:
		s.valued.Inc()
	case err == valuer.ErrOverloaded, err == valuer.ErrUnknownVersion:
		s.dropped.Inc()
		return room
	default:
		s.failed.Inc()
		return room
	}
	if s.journal != nil && c.noted.ID != (journal.ID{}) {
		c.noted.Version, c.noted.Role, c.noted.Shadow, c.noted.Prices = c.other.Version, string(c.other.Role), true, prices
		s.journal.Record(&c.noted)
	}
	ratios := s.metrics.ShadowDifference(c.candidate)
	for i, price := range prices {
		if by, of := c.prices[i], price; by > 0 && of > 0 {
			if c.answered == valuer.Primary {
				by, of = of, by
			}
			ratios.Observe(by / of)
		}
	}
	return prices
}
