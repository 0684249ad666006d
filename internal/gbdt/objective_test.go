package gbdt

import (
	"math"
	"testing"
)

func TestDerivativesAreThoseOfTheLoss(t *testing.T) {
	for _, o := range []Objective{Squared{}, Absolute{}, Quantile{0.2}, Huber{0.7}} {
		for _, prediction := range []float64{-3, -0.4, 0.3, 2} {
			const label, step = 0.1, 1e-6
			got, hessian := o.Derivatives(prediction, label)
			want := (o.Loss(prediction+step, label) - o.Loss(prediction-step, label)) / (2 * step)
			if math.Abs(got-want) > 1e-6 || hessian != 1 {
				t.Errorf("%#v at %g: gradient %g and hessian %g, want %g and 1", o, prediction, got, hessian, want)
			}
		}
	}
}

func TestConstantHasTheLeastLoss(t *testing.T) {
	label := []float64{5, 1, 2, 2, 9, 4}
	weight := []float64{1, 2, 1, 1, 3, 1}
	for _, c := range []struct {
		objective Objective
		weight    []float64
		want      float64
	}{
		{Squared{}, nil, 23. / 6},
		{Squared{}, weight, 42. / 9},
		{Absolute{}, nil, 3},
		{Absolute{}, weight, 4},
		{Quantile{0.9}, nil, 9},
		{Huber{1}, nil, 3},
	} {
		if got := c.objective.Constant(label, c.weight); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%#v: %g, want %g", c.objective, got, c.want)
		}
	}
}
