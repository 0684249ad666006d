package gp

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/mat"
)

// Tuning says how [Tune] searches.
type Tuning struct {
	Rows  int // drawn at random from those given
	Steps int
	Rate  float64 // of the steps, in logarithms
	Seed  uint64
}

// Tune returns kernel with length scales, variances and noise that make the
// labels of some of the rows likelier, found from kernel's own by gradient
// steps. weight divides the noise of each label.
func Tune(ctx context.Context, kernel Kernel, rows Rows, y, weight []float64, o Tuning) (Kernel, error) {
	if err := errors.Join(rows.check(y, weight), kernel.check(rows.Columns)); err != nil {
		return Kernel{}, fmt.Errorf("tune: %w", err)
	}
	indices := rand.New(rand.NewPCG(o.Seed, 0x74756e65)).Perm(len(y))[:min(o.Rows, len(y))]
	slices.Sort(indices)
	part := newLikelihood(rows.pick(indices))
	for _, i := range indices {
		part.y = append(part.y, y[i])
		part.weight = append(part.weight, weight[i])
	}
	centre(part.y, part.weight)

	best, bestValue := kernel.clone(), math.Inf(-1)
	current := kernel.clone()
	var steps adam
	for range o.Steps {
		if err := ctx.Err(); err != nil {
			return Kernel{}, fmt.Errorf("tune: %w", err)
		}
		value, gradient, ok := part.at(&current)
		if !ok {
			break // the covariance is singular in floating point: what was found stands
		}
		if value > bestValue {
			best, bestValue = current.clone(), value
		}
		parameters := current.parameters()
		steps.climb(parameters, gradient, o.Rate)
	}
	return best, nil
}

// centre takes the weighted mean off values and returns it.
func centre(values, weight []float64) float64 {
	var sum, total float64
	for i, v := range values {
		sum += weight[i] * v
		total += weight[i]
	}
	mean := sum / total
	for i := range values {
		values[i] -= mean
	}
	return mean
}

// parameters returns where the numbers that Tune moves stand: those of each
// term, its length scales before its variance, then linear and noise.
func (k *Kernel) parameters() []*float64 {
	var p []*float64
	for i := range k.Terms {
		t := &k.Terms[i]
		for c := range t.Scales {
			p = append(p, &t.Scales[c])
		}
		p = append(p, &t.Variance)
	}
	return append(p, &k.Linear, &k.Noise)
}

// likelihood is the log marginal likelihood of labels as a function of the
// kernel (Rasmussen & Williams 2006, 5.4.1).
type likelihood struct {
	rows      Rows
	y, weight []float64
}

func newLikelihood(rows Rows) *likelihood { return &likelihood{rows: rows} }

// at returns the likelihood but for a constant, and its gradient by the
// logarithms of the kernel's parameters. It is false where the covariance
// cannot be factorised.
func (l *likelihood) at(k *Kernel) (value float64, gradient []float64, ok bool) {
	n := l.rows.Len()
	scaled := make([]Rows, len(k.Terms))
	for t := range k.Terms {
		scaled[t] = k.Terms[t].scaled(l.rows)
	}
	covariance := mat.NewSymDense(n, nil)
	for i := range n {
		for j := i; j < n; j++ {
			v := k.Linear * dot(l.rows.Row(i), l.rows.Row(j))
			for t := range k.Terms {
				correlation, _ := matern(scaled[t].Row(i), scaled[t].Row(j))
				v += k.Terms[t].Variance * correlation
			}
			if i == j {
				v += k.Noise / l.weight[i]
			}
			covariance.SetSym(i, j, v)
		}
	}
	var factor mat.Cholesky
	if !factor.Factorize(covariance) {
		return 0, nil, false
	}
	inverse := covariance // its memory is free now
	solution := mat.NewVecDense(n, nil)
	if factor.SolveVecTo(solution, mat.NewVecDense(n, l.y)) != nil || factor.InverseTo(inverse) != nil {
		return 0, nil, false
	}
	a := solution.RawVector().Data
	value = -dot(l.y, a)/2 - factor.LogDet()/2
	return value, l.gradient(k, scaled, a, inverse), !math.IsNaN(value)
}

// gradient sums over pairs of rows what each adds to half the trace of
// (a aᵀ - K⁻¹) ∂K/∂θ.
func (l *likelihood) gradient(k *Kernel, scaled []Rows, a []float64, inverse *mat.SymDense) []float64 {
	n := l.rows.Len()
	gradient := make([]float64, len(k.parameters()))
	linear, noise := &gradient[len(gradient)-2], &gradient[len(gradient)-1]
	for i := range n {
		for j := i; j < n; j++ {
			g := a[i]*a[j] - inverse.At(i, j) // a pair off the diagonal counts twice, and halved
			if i == j {
				g /= 2
				*noise += g * k.Noise / l.weight[i]
			}
			*linear += g * k.Linear * dot(l.rows.Row(i), l.rows.Row(j))
			at := 0
			for t := range k.Terms {
				x, y := scaled[t].Row(i), scaled[t].Row(j)
				correlation, decay := matern(x, y)
				slope := 3 * g * k.Terms[t].Variance * decay
				for c, v := range x {
					d := v - y[c]
					gradient[at+c] += slope * d * d
				}
				gradient[at+len(x)] += g * k.Terms[t].Variance * correlation
				at += len(x) + 1
			}
		}
	}
	return gradient
}

// adam makes steps whose size does not depend on that of the gradient.
type adam struct {
	first, second []float64
	count         float64
}

// climb multiplies each parameter by the exponential of a step up the
// gradient.
func (s *adam) climb(parameters []*float64, gradient []float64, rate float64) {
	const keepFirst, keepSecond, least = 0.9, 0.99, 1e-8
	const bound = 1e4 // beyond it, a column no longer matters
	if s.first == nil {
		s.first, s.second = make([]float64, len(gradient)), make([]float64, len(gradient))
	}
	s.count++
	for i, g := range gradient {
		s.first[i] = keepFirst*s.first[i] + (1-keepFirst)*g
		s.second[i] = keepSecond*s.second[i] + (1-keepSecond)*g*g
		first := s.first[i] / (1 - math.Pow(keepFirst, s.count))
		second := s.second[i] / (1 - math.Pow(keepSecond, s.count))
		*parameters[i] = max(1/bound, min(bound, *parameters[i]*math.Exp(rate*first/(math.Sqrt(second)+least))))
	}
}
