package sequential

import (
	"fmt"
	"math"
)

// Counts is of how many things how many were so, such as requests and errors.
type Counts struct {
	N float64 `json:"n"`
	K float64 `json:"k"`
}

// Test is what a [Proportions] looks for.
type Test string

// The tests.
const (
	// Worse looks for B having a higher proportion than A by more than the
	// margin.
	Worse Test = "worse"
	// Different looks for any difference; it has no margin.
	Different Test = "different"
)

// The alternatives that bets are spread over evenly: B beyond A and the margin
// by so much, and B below A by so many parts of A. What is validly concluded
// does not depend on them, only how soon.
var (
	above = [...]float64{0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32}
	below = [...]float64{0.75, 0.5, 0.25, 0.05}
)

// A proportion of 2 % is believed of A before there are samples, as firmly as
// of 25 samples.
const (
	priorK = 0.5
	priorN = 25
)

// Proportions compares how often something happens in two streams while they
// are watched. It is a small value to carry on, also as JSON; make the first
// with [NewProportions], and each next with [Proportions.Add].
//
// It is an e-process: as long as there is nothing to find, the probability
// that E ever reaches 1/alpha is at most alpha, whatever the number of
// samples, however rare the event, and also where both proportions change in
// time. One sample of a stream must not say anything of the next: where
// errors come in bursts that strike one stream alone, a burst may be taken for
// a difference.
type Proportions struct {
	Test    Test      `json:"test"`
	Margin  float64   `json:"margin"`
	A       Counts    `json:"a"` // all that was added
	B       Counts    `json:"b"`
	Waiting [2]Counts `json:"waiting"` // that were not yet bet on, as one stream had none
	Log     []float64 `json:"log"`     // logarithm of what each bet has come to
}

// NewProportions returns a test that has seen nothing. The margin is a
// difference of proportions: 0.005 is half a percentage point.
func NewProportions(test Test, margin float64) (Proportions, error) {
	bets := len(above)
	switch {
	case test == Worse && margin >= 0 && margin < 1:
	case test == Different && margin == 0:
		bets += len(below)
	default:
		return Proportions{}, fmt.Errorf("a test %q with a margin of %v: want worse with 0 up to 1, or different with 0", test, margin)
	}
	return Proportions{Test: test, Margin: margin, Log: make([]float64, bets)}, nil
}

// Add returns the test after more samples, those that came since the last
// call. How many come at once must not depend on what they show.
func (p Proportions) Add(a, b Counts) (Proportions, error) {
	for _, c := range []Counts{a, b} {
		if !(c.N >= 0 && c.K >= 0 && c.K <= c.N) || math.IsInf(c.N, 0) {
			return p, fmt.Errorf("%v of %v is no count", c.K, c.N)
		}
	}
	a.N, a.K = a.N+p.Waiting[0].N, a.K+p.Waiting[0].K
	b.N, b.K = b.N+p.Waiting[1].N, b.K+p.Waiting[1].K
	p.Waiting = [2]Counts{a, b}
	if a.N == 0 || b.N == 0 {
		return p, nil
	}
	p.Waiting = [2]Counts{}
	// The bets are made by what was seen before these samples.
	believed := (p.A.K + priorK) / (p.A.N + priorN)
	log := make([]float64, len(p.Log))
	for i := range log {
		log[i] = p.Log[i]
		if other := p.alternative(i, believed); other > believed+p.Margin || other < believed {
			log[i] += bet(a, b, believed, other, p.Margin)
		}
	}
	p.Log = log
	p.A.N, p.A.K = p.A.N+a.N, p.A.K+a.K
	p.B.N, p.B.K = p.B.N+b.N, p.B.K+b.K
	return p, nil
}

// alternative returns the proportion of B that bet i is on.
func (p *Proportions) alternative(i int, believed float64) float64 {
	if i < len(above) {
		return min(believed+p.Margin+above[i], (1+believed+p.Margin)/2)
	}
	return believed * below[i-len(above)]
}

// E returns how much evidence there is: what 1 has become by betting that
// there is something to find. Where it is 1/alpha or more, there is.
func (p *Proportions) E() float64 {
	var sum float64
	for _, l := range p.Log {
		sum += math.Exp(l) / float64(len(p.Log))
	}
	return sum
}

// bet returns the logarithm of the e-variable of samples a and b: the
// likelihood if the proportions are x and y over that of the null hypothesis
// at its nearest point, (z, z+margin) for the z that minimises
//
//	a.N KL(x, z) + b.N KL(y, z+margin).
//
// That its mean is at most 1 under every point of the null hypothesis, as that
// is convex: the mean is f^a.N g^b.N, where f and g are linear in the
// proportions; by the inequality of means it is at most the weighted
// arithmetic mean of f and g to a power; and that one is 1 at the nearest
// point and falls from there into the null hypothesis, which is the condition
// of the minimum. (After Turner, Grünwald 2023.)
func bet(a, b Counts, x, y, margin float64) float64 {
	low, high := x, y-margin
	if high < low {
		low, high = high, low
	}
	// The derivative rises from low to high.
	slope := func(z float64) float64 {
		return a.N*(z-x)/(z*(1-z)) + b.N*(z+margin-y)/((z+margin)*(1-z-margin))
	}
	for range 60 {
		if middle := (low + high) / 2; slope(middle) < 0 {
			low = middle
		} else {
			high = middle
		}
	}
	z := (low + high) / 2
	return a.K*math.Log(x/z) + (a.N-a.K)*math.Log((1-x)/(1-z)) +
		b.K*math.Log(y/(z+margin)) + (b.N-b.K)*math.Log((1-y)/(1-z-margin))
}
