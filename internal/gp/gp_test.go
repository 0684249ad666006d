package gp

import (
	"context"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// made makes up n rows of four columns and labels that follow them.
func made(n int, noise float64, seed uint64) (rows Rows, y, weight []float64) {
	random := rand.New(rand.NewPCG(seed, 1))
	rows = Rows{Columns: 4}
	for range n {
		x := []float64{random.NormFloat64(), random.NormFloat64(), random.NormFloat64(), random.NormFloat64()}
		rows.Data = append(rows.Data, x...)
		y = append(y, 13+math.Sin(2*x[0])*math.Cos(x[1])+0.5*x[2]+noise*random.NormFloat64())
		weight = append(weight, 0.5+random.Float64())
	}
	return rows, y, weight
}

func kernel() Kernel {
	return Kernel{
		Terms: []Term{
			{Columns: []int{0, 1}, Scales: []float64{1, 1.3}, Variance: 0.8, Centres: 80},
			{Columns: []int{0, 1, 2, 3}, Scales: []float64{2, 3, 4, 5}, Variance: 0.3, Centres: 60},
		},
		Linear: 0.2,
		Noise:  0.05,
	}
}

func TestGradientIsThatOfTheLikelihood(t *testing.T) {
	rows, y, weight := made(40, 0.2, 1)
	centre(y, weight)
	l := &likelihood{rows: rows, y: y, weight: weight}
	k := kernel()
	_, gradient, ok := l.at(&k)
	if !ok {
		t.Fatal("the covariance is singular")
	}
	for i := range gradient {
		const step = 1e-5
		shifted := func(by float64) float64 {
			moved := k.clone()
			*moved.parameters()[i] *= math.Exp(by)
			v, _, _ := l.at(&moved)
			return v
		}
		want := (shifted(step) - shifted(-step)) / (2 * step)
		if math.Abs(gradient[i]-want) > 1e-4*(1+math.Abs(want)) {
			t.Errorf("gradient of parameter %d is %g, by differences %g", i, gradient[i], want)
		}
	}
}

func TestTuningMakesTheLabelsLikelier(t *testing.T) {
	rows, y, weight := made(150, 0.2, 2)
	tuned, err := Tune(context.Background(), kernel(), rows, y, weight, Tuning{Rows: 150, Steps: 25, Rate: 0.1, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	centred := slices.Clone(y)
	centre(centred, weight)
	l := &likelihood{rows: rows, y: centred, weight: weight}
	start := kernel()
	before, _, _ := l.at(&start)
	if after, _, _ := l.at(&tuned); after < before+5 {
		t.Errorf("log likelihood went from %.2f to %.2f", before, after)
	}
	if math.Abs(math.Sqrt(tuned.Noise)-0.2) > 0.08 {
		t.Errorf("noise is %.3f, was made with 0.2", math.Sqrt(tuned.Noise))
	}
}

// TestFitOnEveryRowIsTheExactProcess compares with the textbook's formula
// where the inducing points are the rows themselves.
func TestFitOnEveryRowIsTheExactProcess(t *testing.T) {
	rows, y, weight := made(60, 0.2, 3)
	k := kernel()
	k.Terms[0].Centres, k.Terms[1].Centres = 60, 60
	p, err := Fit(context.Background(), k, rows, y, weight, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	centred := slices.Clone(y)
	mean := centre(centred, weight)
	// k(x, X) (K + N)⁻¹ y, by Gauss's elimination.
	n := len(y)
	covariance := func(a, b []float64) float64 {
		v := k.Linear * dot(a, b)
		for i := range k.Terms {
			sa, sb := make([]float64, len(k.Terms[i].Columns)), make([]float64, len(k.Terms[i].Columns))
			k.Terms[i].scale(sa, a)
			k.Terms[i].scale(sb, b)
			c, _ := matern(sa, sb)
			v += k.Terms[i].Variance * c
		}
		return v
	}
	a := make([][]float64, n)
	for i := range a {
		a[i] = make([]float64, n+1)
		for j := range n {
			a[i][j] = covariance(rows.Row(i), rows.Row(j))
		}
		a[i][i] += k.Noise / weight[i]
		a[i][n] = centred[i]
	}
	for i := range n {
		for j := i + 1; j < n; j++ {
			f := a[j][i] / a[i][i]
			for c := i; c <= n; c++ {
				a[j][c] -= f * a[i][c]
			}
		}
	}
	solution := make([]float64, n)
	for i := n - 1; i >= 0; i-- {
		v := a[i][n]
		for j := i + 1; j < n; j++ {
			v -= a[i][j] * solution[j]
		}
		solution[i] = v / a[i][i]
	}
	unseen, _, _ := made(20, 0, 4)
	got := p.Predict(unseen, 1)
	for i := range got {
		want := mean
		for j := range n {
			want += solution[j] * covariance(unseen.Row(i), rows.Row(j))
		}
		if math.Abs(got[i]-want) > 2e-3 {
			t.Errorf("row %d is %.5f, exactly %.5f", i, got[i], want)
		}
	}
}

func TestProcessLearnsASurface(t *testing.T) {
	rows, y, weight := made(1500, 0.2, 5)
	p, err := Fit(context.Background(), kernel(), rows, y, weight, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	unseen, want, _ := made(300, 0, 6)
	var squares float64
	for i, v := range p.Predict(unseen, 2) {
		squares += (v - want[i]) * (v - want[i])
	}
	if rms := math.Sqrt(squares / 300); rms > 0.15 {
		t.Errorf("errs by %.3f", rms)
	}
}

func TestProcessDoesNotDependOnThreads(t *testing.T) {
	rows, y, weight := made(5000, 0.2, 7)
	unseen, _, _ := made(100, 0, 8)
	var first []float64
	for _, threads := range []int{1, 2, 5} {
		p, err := Fit(context.Background(), kernel(), rows, y, weight, 1, threads)
		if err != nil {
			t.Fatal(err)
		}
		got := p.Predict(unseen, threads)
		if first == nil {
			first = got
		} else if !reflect.DeepEqual(got, first) {
			t.Errorf("the process of %d threads differs from that of one", threads)
		}
	}
}

func TestCentresAreMeansOfTheirRows(t *testing.T) {
	rows, _, _ := made(500, 0, 9)
	centres := centresOf(rows, 20, 1, 2)
	if centres.Len() != 20 {
		t.Errorf("%d centres, want 20", centres.Len())
	}
	same := Rows{slices.Repeat([]float64{1, 2}, 50), 2}
	if c := centresOf(same, 20, 1, 1); c.Len() != 1 || c.Data[0] != 1 || c.Data[1] != 2 {
		t.Errorf("centres of equal rows are %v", c)
	}
}

func TestRefuses(t *testing.T) {
	rows, y, weight := made(50, 0.2, 1)
	bad := func(change func(k *Kernel)) Kernel {
		k := kernel()
		k = k.clone()
		change(&k)
		return k
	}
	infinite := slices.Clone(y)
	infinite[3] = math.Inf(1)
	zero := slices.Clone(weight)
	zero[2] = 0
	for _, c := range []struct {
		kernel    Kernel
		y, weight []float64
		want      string
	}{
		{kernel(), y[1:], weight, "do not fit each other"},
		{kernel(), infinite, weight, "not finite"},
		{kernel(), y, zero, "weight is not over 0"},
		{bad(func(k *Kernel) { k.Terms[0].Scales[0] = 0 }), y, weight, "length scale 0"},
		{bad(func(k *Kernel) { k.Terms[0].Columns[0] = 9 }), y, weight, "in column 9 of 4"},
		{bad(func(k *Kernel) { k.Terms[1].Centres = 0 }), y, weight, "0 centres"},
		{bad(func(k *Kernel) { k.Noise = 0 }), y, weight, "noise 0"},
	} {
		if _, err := Fit(context.Background(), c.kernel, rows, c.y, c.weight, 1, 1); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("fit: error %v, want one with %q", err, c.want)
		}
		if _, err := Tune(context.Background(), c.kernel, rows, c.y, c.weight, Tuning{Rows: 50, Steps: 1, Rate: 0.1}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("tune: error %v, want one with %q", err, c.want)
		}
	}
	stopped, stop := context.WithCancel(context.Background())
	stop()
	if _, err := Fit(stopped, kernel(), rows, y, weight, 1, 1); err == nil {
		t.Error("fit goes on when it is told to stop")
	}
	if _, err := Tune(stopped, kernel(), rows, y, weight, Tuning{Rows: 50, Steps: 1, Rate: 0.1}); err == nil {
		t.Error("tune goes on when it is told to stop")
	}
}

// TestStudentIsNotBentByWhatIsFarOff compares with the normal distribution,
// where one label in twenty is off by a lot and always upwards.
func TestStudentIsNotBentByWhatIsFarOff(t *testing.T) {
	rows, y, weight := made(1500, 0.2, 7)
	spoilt := slices.Clone(y)
	for i := 0; i < len(spoilt); i += 20 {
		spoilt[i] += 3
	}
	off := func(p *Process, err error) (squares float64) {
		if err != nil {
			t.Fatal(err)
		}
		truth, want, _ := made(1000, 0, 8)
		for i, v := range p.Predict(truth, 2) {
			squares += (v - want[i]) * (v - want[i]) / 1000
		}
		return math.Sqrt(squares)
	}
	clean := off(Fit(t.Context(), kernel(), rows, y, weight, 1, 2))
	normal := off(Fit(t.Context(), kernel(), rows, spoilt, weight, 1, 2))
	student := off(FitStudent(t.Context(), kernel(), rows, spoilt, weight, 4, 3, 1, 2))
	t.Logf("off by %.3f, with spoilt labels by %.3f, and by %.3f where errors may be large", clean, normal, student)
	if student > (clean+normal)/2 {
		t.Errorf("off by %.3f, want nearer to %.3f than to %.3f", student, clean, normal)
	}
	if _, err := FitStudent(t.Context(), kernel(), rows, y, weight, 0, 1, 1, 1); err == nil {
		t.Error("took a t distribution without degrees of freedom")
	}
}
