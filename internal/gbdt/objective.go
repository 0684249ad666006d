package gbdt

import (
	"math"
	"sort"
)

// Objective is a loss to minimise. Labels, predictions and weights have one
// entry a row; a nil weight is one everywhere.
type Objective interface {
	// Constant returns the constant prediction with the least loss.
	Constant(label, weight []float64) float64
	// Derivatives returns the first and second derivative of a row's loss by
	// its prediction (the second, where it vanishes, as the constant 1).
	Derivatives(prediction, label float64) (gradient, hessian float64)
	// Loss returns a row's loss.
	Loss(prediction, label float64) float64
}

// leafRefiner is an Objective whose leaves take the constant with the least
// loss of their rows in place of a Newton step (Friedman 2001, 4.3 and 4.4).
type leafRefiner interface {
	refine(residual, weight []float64) float64
}

// Squared is half the squared error.
type Squared struct{}

// Constant returns the mean.
func (Squared) Constant(label, weight []float64) float64 { return mean(label, weight) }

// Derivatives implements Objective.
func (Squared) Derivatives(prediction, label float64) (gradient, hessian float64) {
	return prediction - label, 1
}

// Loss implements Objective.
func (Squared) Loss(prediction, label float64) float64 {
	return (prediction - label) * (prediction - label) / 2
}

// Absolute is the absolute error.
type Absolute struct{}

// Constant returns the median.
func (Absolute) Constant(label, weight []float64) float64 { return quantile(label, weight, 0.5) }

// Derivatives implements Objective.
func (Absolute) Derivatives(prediction, label float64) (gradient, hessian float64) {
	if prediction < label {
		return -1, 1
	}
	return 1, 1
}

// Loss implements Objective.
func (Absolute) Loss(prediction, label float64) float64 { return math.Abs(prediction - label) }

func (Absolute) refine(residual, weight []float64) float64 { return quantile(residual, weight, 0.5) }

// Quantile is the pinball loss, least at the quantile Alpha in (0, 1)
// (Koenker & Bassett 1978).
type Quantile struct{ Alpha float64 }

// Constant returns the quantile.
func (q Quantile) Constant(label, weight []float64) float64 {
	return quantile(label, weight, q.Alpha)
}

// Derivatives implements Objective.
func (q Quantile) Derivatives(prediction, label float64) (gradient, hessian float64) {
	if prediction < label {
		return -q.Alpha, 1
	}
	return 1 - q.Alpha, 1
}

// Loss implements Objective.
func (q Quantile) Loss(prediction, label float64) float64 {
	if prediction < label {
		return q.Alpha * (label - prediction)
	}
	return (1 - q.Alpha) * (prediction - label)
}

func (q Quantile) refine(residual, weight []float64) float64 {
	return quantile(residual, weight, q.Alpha)
}

// Huber is squared up to an error of Delta and linear beyond (Huber 1964).
type Huber struct{ Delta float64 }

// Constant returns the median, which is near the minimum and robust.
func (h Huber) Constant(label, weight []float64) float64 { return quantile(label, weight, 0.5) }

// Derivatives implements Objective.
func (h Huber) Derivatives(prediction, label float64) (gradient, hessian float64) {
	return max(-h.Delta, min(h.Delta, prediction-label)), 1
}

// Loss implements Objective.
func (h Huber) Loss(prediction, label float64) float64 {
	e := math.Abs(prediction - label)
	if e <= h.Delta {
		return e * e / 2
	}
	return h.Delta * (e - h.Delta/2)
}

func mean(values, weight []float64) float64 {
	var sum, total float64
	for i, v := range values {
		w := weightOf(weight, i)
		sum += w * v
		total += w
	}
	return sum / total
}

// quantile returns the weighted alpha-quantile of values, midway between two
// where the weight splits exactly between them.
func quantile(values, weight []float64, alpha float64) float64 {
	order := make([]int, len(values))
	var total float64
	for i := range order {
		order[i] = i
		total += weightOf(weight, i)
	}
	sort.SliceStable(order, func(a, b int) bool { return values[order[a]] < values[order[b]] })
	var sum float64
	for k, i := range order {
		sum += weightOf(weight, i)
		if sum == alpha*total && k+1 < len(order) {
			return (values[i] + values[order[k+1]]) / 2
		}
		if sum >= alpha*total {
			return values[i]
		}
	}
	return values[order[len(order)-1]]
}

func weightOf(weight []float64, i int) float64 {
	if weight == nil {
		return 1
	}
	return weight[i]
}
