package sequential

import "math"

// Moments is what is known of numbers of which only their count, mean and
// spread were kept. The zero value is of none.
type Moments struct {
	N    float64 `json:"n"`    // how many
	Mean float64 `json:"mean"` // in the unit of the numbers
	M2   float64 `json:"m2"`   // sum of the squared distances from the mean
}

// MomentsOf returns the moments of n numbers with this sum and sum of
// squares. Far from zero, squares lose digits: better [Moments.Add].
func MomentsOf(n, sum, squares float64) Moments {
	if n <= 0 {
		return Moments{}
	}
	mean := sum / n
	return Moments{n, mean, max(0, squares-sum*mean)}
}

// Add returns the moments with one number more (Welford).
func (m Moments) Add(x float64) Moments {
	d := x - m.Mean
	m.N++
	m.Mean += d / m.N
	m.M2 += d * (x - m.Mean)
	return m
}

// Merge returns the moments of the numbers of both (Chan, Golub, LeVeque).
func (m Moments) Merge(o Moments) Moments {
	n := m.N + o.N
	if n <= 0 {
		return Moments{}
	}
	d := o.Mean - m.Mean
	return Moments{n, m.Mean + d*o.N/n, m.M2 + o.M2 + d*d*m.N*o.N/n}
}

// Sub returns the moments of those numbers of m that came after the earlier
// ones, as where a counter that only grows is read twice. It is of none where
// the earlier are not fewer: the counter began anew.
func (m Moments) Sub(earlier Moments) Moments {
	n := m.N - earlier.N
	if n <= 0 {
		return Moments{}
	}
	mean := (m.N*m.Mean - earlier.N*earlier.Mean) / n
	d := mean - earlier.Mean
	return Moments{n, mean, max(0, m.M2-earlier.M2-d*d*n*earlier.N/m.N)}
}

// Variance returns the sample variance, NaN for fewer than two numbers.
func (m Moments) Variance() float64 {
	if m.N < 2 {
		return math.NaN()
	}
	return m.M2 / (m.N - 1)
}
