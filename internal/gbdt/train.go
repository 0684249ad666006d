package gbdt

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Dataset is what a forest is learned from or checked on.
type Dataset struct {
	X      Matrix
	Label  []float64 // by row
	Weight []float64 // by row, over 0; nil is 1 for all
}

func (d *Dataset) check() error {
	if err := d.X.check(); err != nil {
		return err
	}
	if len(d.Label) != d.X.Rows || d.Weight != nil && len(d.Weight) != d.X.Rows {
		return fmt.Errorf("%d rows have %d labels and %d weights", d.X.Rows, len(d.Label), len(d.Weight))
	}
	for i, v := range d.Label {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("label of row %d is %g", i, v)
		}
	}
	for i, w := range d.Weight {
		if !(w > 0) || math.IsInf(w, 0) {
			return fmt.Errorf("weight of row %d is %g, must be over 0", i, w)
		}
	}
	return nil
}

// Round tells how learning goes.
type Round struct {
	Number     int     // 1 is the first
	Validation float64 // mean loss on the validation set, NaN without one
}

// Result is a learned forest and how it came about.
type Result struct {
	Forest *Forest
	// Validation is the mean loss on the validation set by round, of all
	// rounds that were tried; nil without one.
	Validation []float64
	// Gain sums by column the gain of the splits that look at it.
	Gain []float64
}

// Train learns a forest. With a validation set (nil for none) and
// Params.EarlyStoppingRounds, the forest ends with the round of the least
// validation loss; rows of one thing that is seen twice must then stand in
// one of the two sets only, which the caller sees to. progress, if not nil,
// is called after each round. Train returns ctx's error when that is done.
func Train(ctx context.Context, train Dataset, validation *Dataset, objective Objective, p Params, progress func(Round)) (*Result, error) {
	if err := p.Check(train.X.Cols); err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	if err := train.check(); err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	if p.EarlyStoppingRounds > 0 && validation == nil {
		return nil, errors.New("train: early stopping needs a validation set")
	}
	bins, err := NewBins(train.X, p.MaxBins, p.Threads)
	if err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	t := &trainer{params: &p, objective: objective, bins: bins, crew: newCrew(p.Threads)}
	defer t.crew.stop()
	if err := t.load(train, validation); err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	for round := range p.Rounds {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("train: %w", err)
		}
		t.round(uint64(round))
		loss := math.NaN()
		if validation != nil {
			loss = t.result.Validation[round]
		}
		if progress != nil {
			progress(Round{round + 1, loss})
		}
		if p.EarlyStoppingRounds > 0 && round-t.best >= p.EarlyStoppingRounds {
			break
		}
	}
	return t.finish(), nil
}

// trainer holds the state between rounds.
type trainer struct {
	params    *Params
	objective Objective
	bins      *Bins
	crew      *crew
	train     Dataset
	data      *binned
	margin    []float64 // prediction by row so far
	gradient  []float64 // by row, in the round
	hessian   []float64
	grower    *grower

	validation       *Dataset
	validationData   *binned
	validationMargin []float64
	best             int // round with the least validation loss

	result Result
	grown  []extent // by round
}

// extent is the forest's size after a round, and what the round gained by
// column.
type extent struct {
	nodes, leaves int
	gain          []float64
}

func (t *trainer) load(train Dataset, validation *Dataset) error {
	var err error
	if t.data, err = t.bins.encode(train.X, t.params.Threads); err != nil {
		return err
	}
	t.train = train
	base := t.objective.Constant(train.Label, train.Weight)
	t.result.Forest = &Forest{Base: base, Columns: train.X.Cols}
	t.result.Gain = make([]float64, train.X.Cols)
	t.margin = slices.Repeat([]float64{base}, train.X.Rows)
	t.grower = &grower{data: t.data, params: t.params, crew: t.crew, derivatives: make([]derivative, train.X.Rows)}
	if validation == nil {
		return nil
	}
	if err := validation.check(); err != nil {
		return fmt.Errorf("validation: %w", err)
	}
	if t.validationData, err = t.bins.encode(validation.X, t.params.Threads); err != nil {
		return fmt.Errorf("validation: %w", err)
	}
	t.validation = validation
	t.validationMargin = slices.Repeat([]float64{base}, validation.X.Rows)
	return nil
}

// round learns one tree.
func (t *trainer) round(number uint64) {
	g := t.grower
	g.criterion = t.differentiate()
	random := rand.New(rand.NewPCG(t.params.Seed, number))
	columns := sampleColumns(random, t.data, t.params.ColsampleByTree)
	sample, rest := sampleRows(random, t.data.rows, t.params.Subsample)
	grown := g.grow(sample, columns)
	t.refine(grown)
	t.crew.share(len(grown.rows), func(i int) {
		for _, r := range grown.rows[i] {
			t.margin[r] += float64(grown.values[i])
		}
	})
	t.crew.share((len(rest)+rowShare-1)/rowShare, func(i int) {
		for _, r := range rest[i*rowShare : min((i+1)*rowShare, len(rest))] {
			t.margin[r] += float64(grown.values[grown.leafOf(t.data, r)])
		}
	})
	grown.appendTo(t.result.Forest, t.bins, g.criterion.hScale)
	gain := make([]float64, t.train.X.Cols)
	for i := range grown.branches {
		gain[grown.branches[i].column] += grown.branches[i].gain
	}
	f := t.result.Forest
	t.grown = append(t.grown, extent{len(f.Nodes), len(f.Leaves), gain})
	t.validate(grown)
}

// differentiate fills the rows' derivatives, in fixed point.
func (t *trainer) differentiate() criterion {
	n := len(t.margin)
	if t.gradient == nil {
		t.gradient, t.hessian = make([]float64, n), make([]float64, n)
	}
	gradient, hessian := t.gradient, t.hessian
	const block = 4096
	blocks := (n + block - 1) / block
	largest := make([][2]float64, blocks)
	t.crew.share(blocks, func(b int) {
		var maxG, maxH float64
		for i := b * block; i < min(n, (b+1)*block); i++ {
			g, h := t.objective.Derivatives(t.margin[i], t.train.Label[i])
			w := weightOf(t.train.Weight, i)
			gradient[i], hessian[i] = w*g, w*h
			maxG, maxH = max(maxG, math.Abs(w*g)), max(maxH, w*h)
		}
		largest[b] = [2]float64{maxG, maxH}
	})
	var maxG, maxH float64
	for _, l := range largest {
		maxG, maxH = max(maxG, l[0]), max(maxH, l[1])
	}
	gs, hs := fixedPoint(maxG), fixedPoint(maxH)
	t.crew.share(blocks, func(b int) {
		for i := b * block; i < min(n, (b+1)*block); i++ {
			t.grower.derivatives[i] = derivative{int32(math.RoundToEven(gradient[i] * gs)), int32(math.RoundToEven(hessian[i] * hs))}
		}
	})
	return criterion{
		gScale: 1 / gs, hScale: 1 / hs,
		l2:         t.params.L2,
		minGain:    t.params.MinSplitGain,
		minHessian: int64(max(1, min(math.Ceil(t.params.MinChildWeight*hs), math.MaxInt64/4))),
		monotone:   t.params.Monotone,
	}
}

// refine replaces the leaves' values where the objective has better ones.
func (t *trainer) refine(grown *tree) {
	refiner, ok := t.objective.(leafRefiner)
	if !ok {
		return
	}
	t.crew.share(len(grown.rows), func(i int) {
		rows := grown.rows[i]
		residual, weight := make([]float64, len(rows)), make([]float64, len(rows))
		for k, r := range rows {
			residual[k] = t.train.Label[r] - t.margin[r]
			weight[k] = weightOf(t.train.Weight, int(r))
		}
		b := grown.bounds[i]
		value := max(b.low, min(b.high, refiner.refine(residual, weight)))
		grown.values[i] = float32(t.params.LearningRate * value)
	})
}

// validate adds the tree to the validation rows and notes the loss.
func (t *trainer) validate(grown *tree) {
	if t.validation == nil {
		return
	}
	var loss, total float64
	for r := range t.validationMargin {
		t.validationMargin[r] += float64(grown.values[grown.leafOf(t.validationData, int32(r))])
		w := weightOf(t.validation.Weight, r)
		loss += w * t.objective.Loss(t.validationMargin[r], t.validation.Label[r])
		total += w
	}
	t.result.Validation = append(t.result.Validation, loss/total)
	if round := len(t.result.Validation) - 1; loss/total < t.result.Validation[t.best] {
		t.best = round
	}
}

// finish cuts the forest back to its best round.
func (t *trainer) finish() *Result {
	if t.params.EarlyStoppingRounds > 0 {
		t.grown = t.grown[:t.best+1]
	}
	f, last := t.result.Forest, t.grown[len(t.grown)-1]
	f.Roots = f.Roots[:len(t.grown)]
	f.Nodes = f.Nodes[:last.nodes]
	f.Leaves, f.LeafCover = f.Leaves[:last.leaves], f.LeafCover[:last.leaves]
	for _, round := range t.grown {
		for c, v := range round.gain {
			t.result.Gain[c] += v
		}
	}
	return &t.result
}

// sampleColumns returns a share of the columns that part the rows at all,
// in order.
func sampleColumns(random *rand.Rand, d *binned, share float64) []int {
	var columns []int
	for f, n := range d.values {
		if n > 1 || d.unknown[f] {
			columns = append(columns, f)
		}
	}
	if share < 1 && len(columns) > 0 {
		random.Shuffle(len(columns), func(i, j int) { columns[i], columns[j] = columns[j], columns[i] })
		columns = columns[:max(1, int(math.Round(share*float64(len(columns)))))]
		slices.Sort(columns)
	}
	return columns
}

// sampleRows draws each row with the given chance, and returns those drawn
// and the rest, in order.
func sampleRows(random *rand.Rand, rows int, share float64) (sample, rest []int32) {
	sample = make([]int32, 0, rows)
	if share == 1 {
		for r := range int32(rows) {
			sample = append(sample, r)
		}
		return sample, nil
	}
	limit := uint32(share * (1 << 32))
	rest = make([]int32, 0, int(1.1*(1-share)*float64(rows)))
	for r := range int32(rows) {
		if random.Uint32() < limit {
			sample = append(sample, r)
		} else {
			rest = append(rest, r)
		}
	}
	return sample, rest
}
