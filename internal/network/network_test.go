package network

import (
	"context"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

const testInputs = 5

// made makes up n rows and labels that follow them.
func made(n int, seed uint64) (rows []float32, label, weight []float64) {
	random := rand.New(rand.NewPCG(seed, 1))
	for range n {
		var x [testInputs]float64
		for i := range x {
			x[i] = random.NormFloat64()
			rows = append(rows, float32(x[i]))
		}
		label = append(label, 13+0.3*math.Sin(2*x[0])*math.Cos(x[1])+0.2*x[2]+0.1*x[2]*math.Max(x[3], 0))
		weight = append(weight, 0.5+random.Float64())
	}
	return rows, label, weight
}

func params() Params {
	p := DefaultParams()
	p.Waves, p.First, p.Second, p.Epochs = 8, 32, 16, 20
	return p
}

func trained(t testing.TB, n int, p Params) *Network {
	t.Helper()
	rows, label, weight := made(n, 1)
	network, err := Train(context.Background(), rows, testInputs, label, weight, p)
	if err != nil {
		t.Fatal(err)
	}
	return network
}

func TestNetworkLearnsASurface(t *testing.T) {
	n := trained(t, 6000, params())
	rows, label, _ := made(500, 2)
	var squares float64
	for i := range label {
		e := n.Predict(rows[i*testInputs:(i+1)*testInputs]) - label[i]
		squares += e * e
	}
	if rms := math.Sqrt(squares / 500); rms > 0.06 {
		t.Errorf("errs by %.3f, the labels' deviation is about 0.28", rms)
	}
}

func TestNetworkDoesNotDependOnThreads(t *testing.T) {
	p := params()
	p.Epochs = 2
	var first *Network
	for _, threads := range []int{1, 2, 5} {
		p.Threads = threads
		n := trained(t, 1111, p)
		if first == nil {
			first = n
		} else if !reflect.DeepEqual(n, first) {
			t.Errorf("the network of %d threads differs from that of one", threads)
		}
	}
}

func TestGradientIsThatOfTheError(t *testing.T) {
	rows, label, weight := made(50, 3)
	p := params()
	tr := newTrainer(rows, testInputs, label, weight, &p)
	batch := make([]int, 50)
	for i := range batch {
		batch[i] = i
	}
	loss := func() float64 {
		var sum float64
		for _, r := range batch {
			n := tr.network
			e := (n.Predict(rows[r*testInputs:(r+1)*testInputs])-n.Mean)/n.Scale - float64(tr.label[r])
			sum += float64(tr.weight[r]) * e * e / 2 / float64(len(batch))
		}
		return sum
	}
	tr.shards[0].differentiate(tr, batch, 1/float32(len(batch)))
	gradient := tr.shards[0].gradient.all
	random := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		i := random.IntN(len(gradient))
		const step = 1e-2
		was := tr.now.all[i]
		tr.now.all[i] = was + step
		above := loss()
		tr.now.all[i] = was - step
		below := loss()
		tr.now.all[i] = was
		if want := (above - below) / (2 * step); math.Abs(float64(gradient[i])-want) > 1e-3+0.05*math.Abs(want) {
			t.Errorf("gradient of weight %d is %g, by differences %g", i, gradient[i], want)
		}
	}
}

func TestPathIsThatOfMixedRows(t *testing.T) {
	p := params()
	p.Epochs = 2
	n := trained(t, 500, p)
	rows, _, _ := made(2, 4)
	from, to := rows[:testInputs], rows[testInputs:]
	groups := [][]int{{4, 2}, {0, 1}, {3}}
	values := make([]float64, len(groups)+1)
	n.Path(values, from, to, groups)
	mixed := append([]float32(nil), from...)
	for g := -1; g < len(groups); g++ {
		if g >= 0 {
			for _, i := range groups[g] {
				mixed[i] = to[i]
			}
		}
		if want := n.Predict(mixed); math.Abs(values[g+1]-want) > 1e-5 {
			t.Errorf("after %d groups the value is %.7f, of the row itself %.7f", g+1, values[g+1], want)
		}
	}
	if values[0] != n.Predict(from) || values[len(groups)] != n.Predict(to) {
		t.Error("the ends of the path are not the values of the rows to the bit")
	}
	if allocations := testing.AllocsPerRun(10, func() { n.Predict(to); n.Path(values, from, to, groups) }); allocations != 0 {
		t.Errorf("%g allocations", allocations)
	}
}

func TestTrainRefuses(t *testing.T) {
	rows, label, weight := made(20, 1)
	for want, change := range map[string]func(p *Params){
		"waves is 33":    func(p *Params) { p.Waves = 33 },
		"frequency is 0": func(p *Params) { p.Frequency = 0 },
		"multiples":      func(p *Params) { p.First = 7 },
		"epochs is 0":    func(p *Params) { p.Epochs = 0 },
		"rate is 1":      func(p *Params) { p.Rate = 1 },
	} {
		p := params()
		change(&p)
		if _, err := Train(context.Background(), rows, testInputs, label, weight, p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	if _, err := Train(context.Background(), rows, testInputs, label[1:], weight, params()); err == nil || !strings.Contains(err.Error(), "do not fit") {
		t.Errorf("error %v", err)
	}
	stopped, stop := context.WithCancel(context.Background())
	stop()
	if _, err := Train(stopped, rows, testInputs, label, weight, params()); err == nil {
		t.Error("training goes on when it is told to stop")
	}
}

func TestCheckRefuses(t *testing.T) {
	p := params()
	p.Epochs = 1
	for want, spoil := range map[string]func(n *Network){
		"0 inputs":        func(n *Network) { n.Inputs = 0 },
		"must be even":    func(n *Network) { n.Waves = n.Waves[1:] },
		"multiples":       func(n *Network) { n.First.Bias = n.First.Bias[1:] },
		"do not fit":      func(n *Network) { n.Skip = n.Skip[1:] },
		"a weight of NaN": func(n *Network) { n.Last.Bias[0] = float32(math.NaN()) },
	} {
		n := trained(t, 100, p)
		if err := n.Check(); err != nil {
			t.Fatal(err)
		}
		spoil(n)
		if err := n.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

// TestVectorsGiveTheSameBits of networks of all widths.
func TestVectorsGiveTheSameBits(t *testing.T) {
	if !vectors() {
		t.Skip("this build or machine has no vectors")
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	numbers := func(n int) []float32 {
		all := make([]float32, n)
		for i := range all {
			if random.IntN(8) > 0 {
				all[i] = float32(random.NormFloat64())
			}
		}
		return all
	}
	for range 300 {
		n := &Network{Inputs: 2 + random.IntN(maxInputs-1), Waves: numbers(2 * random.IntN(maxWaves)), Scale: 1}
		hidden, second := 4*(1+random.IntN(maxHidden/4)), 4*(1+random.IntN(maxHidden/4))
		n.First = Layer{Weights: numbers(hidden * n.width()), Bias: numbers(hidden)}
		n.Second = Layer{Weights: numbers(second * hidden), Bias: numbers(second)}
		n.Last = Layer{Weights: numbers(second), Bias: numbers(1)}
		n.Skip = numbers(n.width())
		if err := n.Check(); err != nil {
			t.Fatal(err)
		}
		row := numbers(n.Inputs)
		want := n.Predict(row)
		n.Prepare()
		if got := n.Predict(row); math.Float64bits(got) != math.Float64bits(want) {
			t.Fatalf("%d inputs, %d and %d units: %g with vectors, %g without", n.Inputs, hidden, second, got, want)
		}
	}
}

// TestWavesAreSinesAndCosines holds waves by vectors to math.Sincos, at
// angles of all sizes and about the edges of octants, and those that are too
// large for them as well.
func TestWavesAreSinesAndCosines(t *testing.T) {
	if !vectors() {
		t.Skip("this build or machine has no vectors")
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	angle := func() float32 {
		size := float32(math.Ldexp(random.Float64(), random.IntN(40)-20)) // to about 2^20
		switch random.IntN(5) {
		case 0:
			size = math.Nextafter32(float32(random.IntN(64))*math.Pi/4, float32(random.IntN(100)))
		case 1:
			size = [...]float32{0, 1e-30, math.SmallestNonzeroFloat32, 1 << 27, 1 << 28, 1 << 29, 1 << 40, math.MaxFloat32}[random.IntN(8)]
		}
		if random.IntN(2) == 0 {
			return -size
		}
		return size
	}
	for range 100_000 {
		n := &Network{Inputs: 2, Waves: make([]float32, 2*2*wavesAtOnce)}
		for i := range n.Waves {
			n.Waves[i] = angle()
		}
		row := []float32{[]float32{1, -1, 0, angle()}[random.IntN(4)], []float32{0, 1, angle()}[random.IntN(3)]}
		want, got := make([]float32, n.width()), make([]float32, n.width())
		n.expand(want, row)
		n.layOutWaves()
		n.expand(got, row)
		for i := range want {
			if math.Float32bits(got[i]) != math.Float32bits(want[i]) && (got[i] == got[i] || want[i] == want[i]) {
				t.Fatalf("waves %v of %v: number %d is %g, want %g", n.Waves, row, i, got[i], want[i])
			}
		}
	}
}

func BenchmarkPredict(b *testing.B) {
	p := DefaultParams()
	p.Epochs = 1
	random := rand.New(rand.NewPCG(1, 1))
	const inputs, n = 18, 300
	rows := make([]float32, n*inputs)
	for i := range rows {
		rows[i] = float32(random.NormFloat64())
	}
	label, weight := make([]float64, n), make([]float64, n)
	for i := range label {
		label[i], weight[i] = random.NormFloat64(), 1
	}
	network, err := Train(context.Background(), rows, inputs, label, weight, p)
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{"portable", "prepared"} {
		b.Run(name, func(b *testing.B) {
			if name == "prepared" {
				network.Prepare()
			}
			b.ReportAllocs()
			for b.Loop() {
				network.Predict(rows[:inputs])
			}
		})
	}
}

func BenchmarkTrain(b *testing.B) {
	const inputs, n = 18, 10_000
	random := rand.New(rand.NewPCG(1, 1))
	rows, label, weight := make([]float32, n*inputs), make([]float64, n), make([]float64, n)
	for i := range rows {
		rows[i] = float32(random.NormFloat64())
	}
	for i := range label {
		label[i], weight[i] = random.NormFloat64(), 1
	}
	p := DefaultParams()
	p.Epochs = 1
	for b.Loop() {
		if _, err := Train(context.Background(), rows, inputs, label, weight, p); err != nil {
			b.Fatal(err)
		}
	}
}
