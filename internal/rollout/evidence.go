package rollout

import (
	"fmt"
	"math"

	"housing/internal/sequential"
)

// Limits are what a candidate may be worse by than the primary.
type Limits struct {
	Errors  float64 `json:"errors"`      // share of requests in which the model failed, in points of 1
	Refused float64 `json:"refused"`     // share of refused requests, in points of 1
	Slower  float64 `json:"slower"`      // factor on the 95th percentile of the duration
	Prices  float64 `json:"price_shift"` // of the median ratio of both prices for a house, of 1
	PSI     float64 `json:"psi"`         // population stability index of log price over a step
}

// DefaultLimits are strict on errors and generous on what a better model may
// well do otherwise.
func DefaultLimits() Limits {
	return Limits{Errors: 0.005, Refused: 0.02, Slower: 1.5, Prices: 0.05, PSI: 0.25}
}

// PriceShifts are the shifts of prices that can be told, those of the buckets
// of shadow_difference_ratio.
var PriceShifts = map[float64][2]float64{ // lower and upper ratio
	0.01: {0.99, 1.01}, 0.02: {0.98, 1.02}, 0.05: {0.95, 1.05}, 0.1: {0.9, 1.1}, 0.15: {0.85, 1.15}, 0.25: {0.8, 1.25},
}

// Check refuses limits that cannot be told.
func (l Limits) Check() error {
	switch {
	case !(l.Errors >= 0 && l.Errors < 1) || !(l.Refused >= 0 && l.Refused < 1):
		return fmt.Errorf("limits of %v on errors and %v on refused requests: want a share from 0 up to 1", l.Errors, l.Refused)
	case !(l.Slower >= 1):
		return fmt.Errorf("a limit of %v on slowness: want a factor from 1", l.Slower)
	case PriceShifts[l.Prices] == [2]float64{}:
		return fmt.Errorf("a limit of %v on the shift of prices: want 0.01, 0.02, 0.05, 0.1, 0.15 or 0.25", l.Prices)
	case !(l.PSI > 0):
		return fmt.Errorf("a limit of %v on the PSI: want a number above 0", l.PSI)
	}
	return nil
}

// What evidence must come to.
const (
	// alpha bounds the probability with which each of the tests finds fault
	// with a candidate that has none, over the whole of a rollout.
	alpha = 0.001
	// slowShare is the share of the candidate's requests that may take longer
	// than the limit beside the share of the primary's.
	slowShare = 0.05
	// fewSamples is how many requests there must be before a duration or a
	// distribution of prices is taken for known.
	fewSamples = 200
	// fewRatios is how many houses must have been valued by both versions, as
	// those of one request are alike.
	fewRatios = 50
)

// evidence is what has been seen of a candidate.
type evidence struct {
	limits                Limits
	errors, refused, slow sequential.Proportions
	over                  float64 // duration in seconds that counts as slow; 0 until it is known
	durations             histogram
	dearer, cheaper       coin
	step                  growth // since the step began
}

func newEvidence(l Limits) (*evidence, error) {
	if err := l.Check(); err != nil {
		return nil, err
	}
	e := &evidence{limits: l, durations: histogram{}}
	var err error
	for _, t := range []struct {
		test   *sequential.Proportions
		margin float64
	}{{&e.errors, l.Errors}, {&e.refused, l.Refused}, {&e.slow, slowShare}} {
		if *t.test, err = sequential.NewProportions(sequential.Worse, t.margin); err != nil {
			return nil, err
		}
	}
	e.nextStep()
	return e, nil
}

// nextStep begins another step: distributions are compared over it alone.
func (e *evidence) nextStep() {
	e.step = growth{primary: newArm(), candidate: newArm()}
}

// add takes what was counted since the last look, and returns why the
// candidate is to go, or "".
func (e *evidence) add(g growth) (why string, err error) {
	e.step.primary.add(g.primary)
	e.step.candidate.add(g.candidate)
	if g.sentBack > 0 {
		return "replicas sent it back, as it panicked or gave what is no price", nil
	}
	a, b := g.primary, g.candidate
	if e.errors, err = e.errors.Add(counts(a.requests+a.errors, a.errors), counts(b.requests+b.errors, b.errors)); err != nil {
		return "", err
	}
	if e.refused, err = e.refused.Add(counts(a.requests+a.refused, a.refused), counts(b.requests+b.refused, b.refused)); err != nil {
		return "", err
	}
	if err := e.addDurations(a.durations, b.durations); err != nil {
		return "", err
	}
	e.addRatios(g.ratios)
	return e.verdict(), nil
}

func counts(n, k float64) sequential.Counts { return sequential.Counts{N: max(n, k), K: max(0, k)} }

// addDurations compares how often requests take longer than the limit, which
// is set once by what the primary took until then.
func (e *evidence) addDurations(a, b histogram) (err error) {
	if e.over == 0 {
		for bound, n := range a {
			e.durations[bound] += n
		}
		if e.durations.total() >= fewSamples {
			bounds, cumulative := e.durations.sorted()
			limit := e.limits.Slower * sequential.Quantile(0.95, bounds, cumulative)
			for _, bound := range bounds {
				if bound >= limit {
					e.over = bound
					break
				}
			}
		}
		return nil // what set the limit is no evidence
	}
	if math.IsInf(e.over, 1) {
		return nil // the primary is slower than the histogram can tell
	}
	e.slow, err = e.slow.Add(counts(a.total(), a.total()-a[e.over]), counts(b.total(), b.total()-b[e.over]))
	return err
}

// addRatios compares the prices of both versions for the same houses.
func (e *evidence) addRatios(ratios histogram) {
	bounds := PriceShifts[e.limits.Prices]
	n := ratios.total()
	e.cheaper = e.cheaper.add(n, ratios[bounds[0]])
	e.dearer = e.dearer.add(n, max(0, n-ratios[bounds[1]]))
}

// verdict returns why the candidate is to go, or "".
func (e *evidence) verdict() string {
	rate := func(c sequential.Counts) string { return fmt.Sprintf("%.2f %% of %.0f", 100*c.K/max(1, c.N), c.N) }
	switch {
	case e.errors.E() >= 1/alpha:
		return fmt.Sprintf("it fails in %s requests, the primary in %s", rate(e.errors.B), rate(e.errors.A))
	case e.refused.E() >= 1/alpha:
		return fmt.Sprintf("%s of its requests are refused, %s of the primary's", rate(e.refused.B), rate(e.refused.A))
	case e.slow.E() >= 1/alpha:
		return fmt.Sprintf("%s of its requests take longer than %v ms, %s of the primary's", rate(e.slow.B), 1000*e.over, rate(e.slow.A))
	case e.dearer.n >= fewRatios && e.dearer.e() >= 1/alpha:
		return fmt.Sprintf("%.0f of %.0f houses are more than %.0f %% dearer than by the primary", e.dearer.k, e.dearer.n, 100*e.limits.Prices)
	case e.cheaper.n >= fewRatios && e.cheaper.e() >= 1/alpha:
		return fmt.Sprintf("%.0f of %.0f houses are more than %.0f %% cheaper than by the primary", e.cheaper.k, e.cheaper.n, 100*e.limits.Prices)
	}
	return ""
}

// endStep returns why the candidate is to go, by the distribution of its
// prices over the step, or "". It is to be asked once a step.
func (e *evidence) endStep() string {
	a, b := e.step.primary.prices, e.step.candidate.prices
	if a.total() < fewSamples || b.total() < fewSamples {
		return ""
	}
	s, err := sequential.Compare(a.bins(), b.bins())
	if err != nil || s.PSI <= max(e.limits.PSI, s.Critical(alpha)) {
		return ""
	}
	bounds, before := a.sorted()
	_, now := b.sorted()
	return fmt.Sprintf("its prices are distributed otherwise: PSI %.2f, median %.0f instead of %.0f dollars",
		s.PSI, sequential.Quantile(0.5, bounds, now), sequential.Quantile(0.5, bounds, before))
}

// coin tests whether something happens in more than half of the cases: the
// evidence is what 1 has become by betting on it in fair games, which is
// above 1/alpha, ever, with probability alpha at most if it does not (Ville's
// inequality). n cases, in k of them it happened.
type coin struct{ n, k float64 }

func (c coin) add(n, k float64) coin { return coin{c.n + n, c.k + min(k, n)} }

// stakes are the shares that the bets are on.
var stakes = [...]float64{0.6, 0.75, 0.9}

func (c coin) e() float64 {
	var sum float64
	for _, p := range stakes {
		sum += math.Exp(c.k*math.Log(2*p)+(c.n-c.k)*math.Log(2*(1-p))) / float64(len(stakes))
	}
	return sum
}
