package sequential

import (
	"errors"
	"math"
)

// Stability is how far a histogram is from another of the same bins.
type Stability struct {
	// PSI is the population stability index, the sum over the bins of
	// (q-p) ln(q/p). By habit, below 0.1 is stable and above 0.25 has shifted.
	PSI float64 `json:"psi"`
	// Expected is what PSI comes to by chance alone.
	Expected float64 `json:"expected"`

	scale, freedom float64
}

// Compare returns how far the counts of the current histogram are from those
// of the reference. Half a count is added to each bin, so that an empty one
// counts, and counts little where there are few samples. A bin that is empty
// in both says nothing and is left out.
func Compare(reference, current []float64) (Stability, error) {
	if len(reference) != len(current) {
		return Stability{}, errors.New("the histograms have different bins")
	}
	const half = 0.5
	var n, m, bins float64
	for i := range reference {
		if !(reference[i] >= 0 && current[i] >= 0) {
			return Stability{}, errors.New("a count is negative or not a number")
		}
		n, m = n+reference[i], m+current[i]
		if reference[i]+current[i] > 0 {
			bins++
		}
	}
	if n == 0 || m == 0 {
		return Stability{}, errors.New("a histogram is empty")
	}
	var psi float64
	for i := range reference {
		if reference[i]+current[i] > 0 {
			p, q := (reference[i]+half)/(n+half*bins), (current[i]+half)/(m+half*bins)
			psi += (q - p) * math.Log(q/p)
		}
	}
	s := Stability{PSI: psi, scale: 1/n + 1/m, freedom: bins - 1}
	s.Expected = s.scale * s.freedom
	return s, nil
}

// Critical returns what PSI exceeds by chance with a probability of alpha,
// where both histograms are of one population: PSI is then distributed as
// (1/n + 1/m) times chi-squared with one degree of freedom less than there are
// bins (Yurdakul, Naranjo 2020). With few samples it is far above 0.25, so a
// shift is one that exceeds both. It is for one look, not for watching.
func (s Stability) Critical(alpha float64) float64 {
	if s.freedom <= 0 {
		return 0
	}
	// Wilson, Hilferty 1931.
	z := math.Sqrt2 * math.Erfinv(1-2*alpha)
	v := 2 / (9 * s.freedom)
	return s.scale * s.freedom * math.Pow(1-v+z*math.Sqrt(v), 3)
}

// Chance returns the probability of a PSI at least as large where that of the
// populations is no larger than tolerance: a test whose power grows with the
// samples and which yet does not call every small difference a shift, as a
// test for equality does once there are enough of them (Murphy, Myors 1999).
// It is for one look, and for samples that are independent.
//
// To second order in q-p, PSI is Pearson's distance, so PSI over (1/n + 1/m)
// is distributed as noncentral chi-squared, the noncentrality being tolerance
// over the same; its upper tail is Sankaran's (1963) approximation.
func (s Stability) Chance(tolerance float64) float64 {
	if s.freedom <= 0 {
		return 1
	}
	return noncentral(s.PSI/s.scale, s.freedom, tolerance/s.scale)
}

// noncentral returns the probability that noncentral chi-squared with k
// degrees of freedom and noncentrality l is above x, to 4 % of it where l is 3
// or more.
func noncentral(x, k, l float64) float64 {
	mean := k + l
	h := 1 - 2*mean*(k+3*l)/(3*(k+2*l)*(k+2*l))
	p := (k + 2*l) / (mean * mean)
	m := (h - 1) * (1 - 3*h)
	z := (math.Pow(x/mean, h) - (1 + h*p*(h-1-0.5*(2-h)*m*p))) / (h * math.Sqrt(2*p) * (1 + 0.5*m*p))
	return math.Erfc(z/math.Sqrt2) / 2
}

// Quantile returns a quantile, q from 0 to 1, of what a classic histogram has
// counted, in the unit of its bounds, as histogram_quantile of Prometheus
// does. bounds are the upper bounds of the buckets in rising order, the last
// +Inf; cumulative[i] is the count of all that is at most bounds[i], or its
// rate.
//
// In a bucket the numbers are taken to lie evenly; the lowest begins at 0 if
// its bound is positive. A quantile in the last bucket is the bound below it,
// so an answer that equals the highest finite bound means "that or more". It
// is NaN where the histogram is empty or is none.
func Quantile(q float64, bounds, cumulative []float64) float64 {
	last := len(bounds) - 1
	if len(bounds) != len(cumulative) || last < 1 || !math.IsInf(bounds[last], 1) || !(cumulative[last] > 0) || !(q >= 0 && q <= 1) {
		return math.NaN()
	}
	rank := q * cumulative[last]
	i, before := 0, 0.0
	for i < last && cumulative[i] < rank {
		before = max(before, cumulative[i])
		i++
	}
	switch {
	case i == last:
		return bounds[last-1]
	case i == 0 && bounds[0] <= 0:
		return bounds[0]
	}
	low := 0.0
	if i > 0 {
		low = bounds[i-1]
	}
	if cumulative[i] <= before {
		return bounds[i]
	}
	return low + (bounds[i]-low)*(rank-before)/(cumulative[i]-before)
}
