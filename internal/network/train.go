package network

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
)

// Params says how a network is learned. Start from [DefaultParams].
type Params struct {
	Waves     int     `json:"waves"`
	Frequency float64 `json:"frequency"` // standard deviation of the waves' frequencies, in radians
	First     int     `json:"first"`     // units of the first layer
	Second    int     `json:"second"`
	Epochs    int     `json:"epochs"` // times that each row is seen
	Rate      float64 `json:"rate"`   // of the first steps
	Seed      uint64  `json:"seed"`
	Threads   int     `json:"-"` // that learn at once; the network does not depend on it
}

// DefaultParams are sound for some ten thousand rows.
func DefaultParams() Params {
	return Params{Waves: 16, Frequency: 1.2, First: 64, Second: 64, Epochs: 30, Rate: 0.004, Threads: 1}
}

// Check returns an error that names the first parameter that cannot be used.
func (p *Params) Check() error {
	units := func(n int) bool { return n >= 4 && n <= maxHidden && n%4 == 0 }
	switch {
	case p.Waves < 0 || p.Waves > maxWaves:
		return fmt.Errorf("waves is %d, must be 0 to %d", p.Waves, maxWaves)
	case !(p.Frequency > 0) || p.Frequency > 100:
		return fmt.Errorf("frequency is %g, must be over 0 and at most 100", p.Frequency)
	case !units(p.First) || !units(p.Second):
		return fmt.Errorf("first and second are %d and %d, must be multiples of four up to %d", p.First, p.Second, maxHidden)
	case p.Epochs < 1 || p.Epochs > 10_000:
		return fmt.Errorf("epochs is %d, must be 1 to 10000", p.Epochs)
	case !(p.Rate > 0 && p.Rate < 1):
		return fmt.Errorf("rate is %g, must be over 0 and under 1", p.Rate)
	}
	return nil
}

// A batch is what a step looks at: some shards, each of which is summed by
// one goroutine.
const (
	shardRows = 64
	shards    = 4
	batchRows = shards * shardRows
)

// Train learns a network from rows (row-major, inputs numbers each), their
// labels and weights.
func Train(ctx context.Context, rows []float32, inputs int, label, weight []float64, p Params) (*Network, error) {
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	if inputs < 2 || inputs > maxInputs || len(label) == 0 || len(rows) != len(label)*inputs || len(weight) != len(label) {
		return nil, fmt.Errorf("train: %d numbers in %d columns, %d labels and %d weights do not fit each other", len(rows), inputs, len(label), len(weight))
	}
	t := newTrainer(rows, inputs, label, weight, &p)
	n := len(label)
	steps := max(1, n/batchRows) * p.Epochs
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	at := n // so that the first step shuffles
	for step := range steps {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("train: %w", err)
		}
		if at+min(n, batchRows) > n {
			t.random.Shuffle(n, func(i, j int) { order[i], order[j] = order[j], order[i] })
			at = 0
		}
		batch := order[at:min(n, at+batchRows)]
		at += len(batch)
		rate := p.Rate * (1 + math.Cos(math.Pi*float64(step)/float64(steps))) / 2
		t.step(batch, float32(rate))
	}
	if err := t.network.Check(); err != nil {
		return nil, fmt.Errorf("train: %w", errors.Join(errors.New("learning did not converge"), err))
	}
	return t.network, nil
}

// parameters are all that is learned, one after another, and views of them.
type parameters struct {
	all                          []float32
	w1, b1, w2, b2, w3, b3, skip []float32
}

func newParameters(width, first, second int) *parameters {
	p := &parameters{}
	sizes := []int{first * width, first, second * first, second, second, 1, width}
	total := 0
	for _, s := range sizes {
		total += s
	}
	p.all = make([]float32, total)
	at := 0
	for i, view := range []*[]float32{&p.w1, &p.b1, &p.w2, &p.b2, &p.w3, &p.b3, &p.skip} {
		*view = p.all[at : at+sizes[i] : at+sizes[i]]
		at += sizes[i]
	}
	return p
}

// trainer holds the state between steps.
type trainer struct {
	params  *Params
	network *Network
	random  *rand.Rand
	width   int
	rows    []float32 // rows × width, with sines and cosines
	label   []float32 // standardised
	weight  []float32 // 1 on average

	now           *parameters // which the network shares
	first, second []float32   // moments of the gradient
	count         float64
	shards        [shards]*shard
}

func newTrainer(rows []float32, inputs int, label, weight []float64, p *Params) *trainer {
	t := &trainer{params: p, random: rand.New(rand.NewPCG(p.Seed, 0x6e6574)), width: inputs + 2*p.Waves}
	t.now = newParameters(t.width, p.First, p.Second)
	t.network = &Network{
		Inputs: inputs,
		Waves:  make([]float32, 2*p.Waves),
		First:  Layer{Weights: t.now.w1, Bias: t.now.b1},
		Second: Layer{Weights: t.now.w2, Bias: t.now.b2},
		Last:   Layer{Weights: t.now.w3, Bias: t.now.b3},
		Skip:   t.now.skip,
	}
	for i := range t.network.Waves {
		t.network.Waves[i] = float32(p.Frequency * t.random.NormFloat64())
	}
	t.draw(t.now.w1, t.width, 1)
	t.draw(t.now.w2, p.First, 1)
	t.draw(t.now.w3, p.Second, 0.1) // so that it starts from near the linear way

	n := len(label)
	t.rows = make([]float32, n*t.width)
	for i := range n {
		t.network.expand(t.rows[i*t.width:(i+1)*t.width], rows[i*inputs:(i+1)*inputs])
	}
	t.standardise(label, weight)
	t.first, t.second = make([]float32, len(t.now.all)), make([]float32, len(t.now.all))
	for i := range t.shards {
		t.shards[i] = newShard(t.width, p)
	}
	return t
}

// draw fills in first weights (He et al. 2015).
func (t *trainer) draw(weights []float32, inputs int, share float64) {
	for i := range weights {
		weights[i] = float32(share * math.Sqrt(2/float64(inputs)) * t.random.NormFloat64())
	}
}

func (t *trainer) standardise(label, weight []float64) {
	var sum, squares, total float64
	for i, v := range label {
		sum += weight[i] * v
		total += weight[i]
	}
	mean := sum / total
	for i, v := range label {
		squares += weight[i] * (v - mean) * (v - mean)
	}
	scale := math.Sqrt(squares / total)
	if scale == 0 {
		scale = 1
	}
	t.network.Mean, t.network.Scale = mean, scale
	t.label, t.weight = make([]float32, len(label)), make([]float32, len(label))
	for i, v := range label {
		t.label[i] = float32((v - mean) / scale)
		t.weight[i] = float32(weight[i] * float64(len(label)) / total)
	}
}

// step moves the parameters down the gradient of a batch (Kingma & Ba 2015).
func (t *trainer) step(batch []int, rate float32) {
	parallel(shards, t.params.Threads, func(i int) {
		low, high := min(len(batch), i*shardRows), min(len(batch), (i+1)*shardRows)
		t.shards[i].differentiate(t, batch[low:high], 1/float32(len(batch)))
	})
	const keepFirst, keepSecond, least = 0.9, 0.999, 1e-8
	t.count++
	scaleFirst := float32(1 / (1 - math.Pow(keepFirst, t.count)))
	scaleSecond := float32(1 / (1 - math.Pow(keepSecond, t.count)))
	for i := range t.now.all {
		var g float32
		for _, s := range t.shards {
			g += s.gradient.all[i]
		}
		t.first[i] = keepFirst*t.first[i] + (1-keepFirst)*g
		t.second[i] = keepSecond*t.second[i] + (1-keepSecond)*g*g
		t.now.all[i] -= rate * t.first[i] * scaleFirst / (float32(math.Sqrt(float64(t.second[i]*scaleSecond))) + least)
	}
}

// shard sums the gradient over some rows.
type shard struct {
	gradient                *parameters
	in, first, second       blas32.General // rows × width, units
	slopeFirst, slopeSecond blas32.General
	slope                   []float32 // of the output
}

func newShard(width int, p *Params) *shard {
	table := func(columns int) blas32.General {
		return blas32.General{Rows: shardRows, Cols: columns, Stride: columns, Data: make([]float32, shardRows*columns)}
	}
	return &shard{
		gradient: newParameters(width, p.First, p.Second),
		in:       table(width), first: table(p.First), second: table(p.Second),
		slopeFirst: table(p.First), slopeSecond: table(p.Second),
		slope: make([]float32, shardRows),
	}
}

// differentiate sets the gradient to that of the weighted squared error of
// the rows, halved and times share.
func (s *shard) differentiate(t *trainer, rows []int, share float32) {
	clear(s.gradient.all)
	if len(rows) == 0 {
		return
	}
	for _, table := range []*blas32.General{&s.in, &s.first, &s.second, &s.slopeFirst, &s.slopeSecond} {
		table.Rows = len(rows)
	}
	for i, r := range rows {
		copy(s.in.Data[i*t.width:(i+1)*t.width], t.rows[r*t.width:(r+1)*t.width])
	}
	p, g := t.now, s.gradient
	w1 := blas32.General{Rows: len(p.b1), Cols: t.width, Stride: t.width, Data: p.w1}
	w2 := blas32.General{Rows: len(p.b2), Cols: len(p.b1), Stride: len(p.b1), Data: p.w2}
	forward(s.first, s.in, w1, p.b1)
	forward(s.second, s.first, w2, p.b2)
	for i, r := range rows {
		x, b := row(s.in, i), row(s.second, i)
		e := dot(p.w3, b) + dot(p.skip, x) + p.b3[0] - t.label[r]
		slope := share * t.weight[r] * e
		s.slope[i] = slope
		g.b3[0] += slope
		blas32.Axpy(slope, vector(b), vector(g.w3))
		blas32.Axpy(slope, vector(x), vector(g.skip))
		back := row(s.slopeSecond, i)
		for k, v := range b {
			back[k] = 0
			if v > 0 {
				back[k] = slope * p.w3[k]
			}
		}
	}
	s.backward(g.w2, g.b2, s.slopeSecond, s.first)
	blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, s.slopeSecond, w2, 0, s.slopeFirst)
	for i, v := range s.first.Data[:len(rows)*s.first.Cols] {
		if v <= 0 {
			s.slopeFirst.Data[i] = 0
		}
	}
	s.backward(g.w1, g.b1, s.slopeFirst, s.in)
}

// forward fills out with the rectified outputs of a layer.
func forward(out, in, weights blas32.General, bias []float32) {
	for i := range out.Rows {
		copy(row(out, i), bias)
	}
	blas32.Gemm(blas.NoTrans, blas.Trans, 1, in, weights, 1, out)
	values := out.Data[:out.Rows*out.Cols]
	for i, v := range values {
		values[i] = max(v, 0)
	}
}

// backward adds what the slopes of a layer's outputs mean for its weights.
func (s *shard) backward(weights, bias []float32, slopes, in blas32.General) {
	blas32.Gemm(blas.Trans, blas.NoTrans, 1, slopes, in, 1, blas32.General{Rows: slopes.Cols, Cols: in.Cols, Stride: in.Cols, Data: weights})
	for i := range slopes.Rows {
		blas32.Axpy(1, vector(row(slopes, i)), vector(bias))
	}
}

func row(m blas32.General, i int) []float32 { return m.Data[i*m.Stride : i*m.Stride+m.Cols] }

func vector(data []float32) blas32.Vector {
	return blas32.Vector{N: len(data), Data: data, Inc: 1}
}
