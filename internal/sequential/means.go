package sequential

import "math"

// MinSamples is how many numbers each stream needs before anything is said of
// its mean: the confidence sequence rests on the central limit theorem.
const MinSamples = 50

// DefaultPlan is the number of samples of the smaller stream at which an
// interval is narrowest unless the caller plans otherwise. It is valid at
// every number; a plan that is wrong by 10 costs about a tenth of the width.
const DefaultPlan = 1000

// Interval is a difference, B less A, and where it lies. Where there are too
// few samples, Low and High are infinite.
type Interval struct {
	Estimate float64 `json:"estimate"`
	Low      float64 `json:"low"`
	High     float64 `json:"high"`
}

// Real says whether the difference is not chance: 0 lies outside.
func (i Interval) Real() bool { return i.Low > 0 || i.High < 0 }

// Means returns the interval of mean(B) - mean(A). With probability of 1-alpha
// it has the true difference in it at all times at once. The plan is the
// number of samples at which it should be narrowest; 0 is [DefaultPlan].
//
// The numbers of a stream must be independent of each other and of which
// stream they fell to, as where callers are split by a hash, and the share of
// each stream should stay about the same: after a change, better begin anew
// (in simulations the error stays below alpha where a share of 5 % grows to 50 %).
func Means(a, b Moments, alpha, plan float64) Interval {
	estimate, deviation, t := difference(a, b)
	if math.IsNaN(deviation) {
		return Interval{estimate, math.Inf(-1), math.Inf(1)}
	}
	// Theorem 2.2 of Waudby-Smith et al. tuned as their appendix says.
	rho2 := (-2*math.Log(alpha) + math.Log(-2*math.Log(alpha)+1)) / planned(plan)
	half := deviation * math.Sqrt(2*(1+1/(t*rho2))*math.Log(math.Sqrt(t*rho2+1)/alpha))
	return Interval{estimate, estimate - half, estimate + half}
}

// Excess returns mean(B) - mean(A) and a bound that the true difference is
// above: with probability of 1-alpha at all times at once. B is above A by
// more than a margin where low > margin. The rest is as in [Means].
func Excess(a, b Moments, alpha, plan float64) (estimate, low float64) {
	estimate, deviation, t := difference(a, b)
	if math.IsNaN(deviation) {
		return estimate, math.Inf(-1)
	}
	// The one-sided form in the appendix of Waudby-Smith et al.; the tuning is that of 2 alpha.
	two := min(2*alpha, 0.99)
	rho2 := (-2*math.Log(two) + math.Log(-2*math.Log(two)+1)) / planned(plan)
	half := deviation * math.Sqrt(2*(1+1/(t*rho2))*math.Log(1+math.Sqrt(t*rho2+1)/(2*alpha)))
	return estimate, estimate - half
}

func planned(plan float64) float64 {
	if plan > 0 {
		return plan
	}
	return DefaultPlan
}

// difference returns the difference of the means, the standard deviation of
// that, NaN where there are too few samples, and the time that has passed: the
// number of samples that would tell as much if one of the streams were without
// end. The difference is the estimator of an average effect of section 3 of
// Waudby-Smith et al. with the means as its regressions; at a constant share
// every count is in proportion, and this one goes by the smaller stream.
func difference(a, b Moments) (estimate, deviation, t float64) {
	estimate = b.Mean - a.Mean
	if a.N < MinSamples || b.N < MinSamples {
		return estimate, math.NaN(), 0
	}
	return estimate, math.Sqrt(a.Variance()/a.N + b.Variance()/b.N), a.N * b.N / (a.N + b.N)
}
