package model

import (
	"math"
	"strings"
	"testing"
)

// The expected figures were computed with numpy.
func TestMeasure(t *testing.T) {
	prices := []float64{100_000, 200_000, 300_000, 400_000, 800_000}
	predicted := []float64{110_000, 190_000, 330_000, 360_000, 700_000}
	got, err := Measure(prices, predicted)
	if err != nil {
		t.Fatal(err)
	}
	want := Metrics{
		Sales: 5, R2: 0.9565068493150685, RMSE: 50_398.41267341661, MAE: 38_000, MAPE: 9.5, MdAPE: 10, PPE10: 80, PPE20: 100,
		MedianRatio: 0.95, COD: 8.947368421052635, PRD: 1.049112426035503, PRB: -0.0742782244,
	}
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"R2", got.R2, want.R2}, {"RMSE", got.RMSE, want.RMSE}, {"MAE", got.MAE, want.MAE}, {"MAPE", got.MAPE, want.MAPE},
		{"MdAPE", got.MdAPE, want.MdAPE}, {"PPE10", got.PPE10, want.PPE10}, {"PPE20", got.PPE20, want.PPE20},
		{"median ratio", got.MedianRatio, want.MedianRatio}, {"COD", got.COD, want.COD}, {"PRD", got.PRD, want.PRD}, {"PRB", got.PRB, want.PRB},
	} {
		if math.Abs(c.got-c.want) > 1e-6*math.Abs(c.want) {
			t.Errorf("%s is %.10g, want %.10g", c.name, c.got, c.want)
		}
	}
}

func TestMeasureRefuses(t *testing.T) {
	for _, c := range []struct{ prices, predicted []float64 }{
		{nil, nil},
		{[]float64{1}, []float64{1}},
		{[]float64{1, 2}, []float64{1}},
		{[]float64{1, 0}, []float64{1, 1}},
		{[]float64{1, 2}, []float64{1, math.NaN()}},
		{[]float64{1, math.Inf(1)}, []float64{1, 1}},
	} {
		if _, err := Measure(c.prices, c.predicted); err == nil || !strings.HasPrefix(err.Error(), "measure: ") {
			t.Errorf("%v against %v: error %v", c.prices, c.predicted, err)
		}
	}
}

func TestExpectedIsTheWorstOfWholeRecords(t *testing.T) {
	of := func(fields string, mdape float64) Accuracy {
		return Accuracy{Fields: fields, Metrics: Metrics{MdAPE: mdape}}
	}
	got, ok := Expected([]Accuracy{of(allFields, 7.6), of(minimalFields, 11), of(allFields, 8.6), of(allFields, 7.8)})
	if !ok || got.MdAPE != 8.6 {
		t.Errorf("%+v, %v", got, ok)
	}
	if _, ok := Expected([]Accuracy{of(requiredFields, 10)}); ok {
		t.Error("something is expected of whole records that was not measured")
	}
}
