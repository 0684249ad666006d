package gbdt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"
)

// golden is a forest that XGBoost learned; testdata/xgboost_golden.py made it.
type golden struct {
	Name   string
	Base   float64
	Params struct {
		MaxLeaves      int      `json:"max_leaves"`
		MaxDepth       int      `json:"max_depth"`
		MinChildWeight *float64 `json:"min_child_weight"`
		RegLambda      *float64 `json:"reg_lambda"`
		Gamma          float64  `json:"gamma"`
		Monotone       string   `json:"monotone_constraints"`
	}
	X                         [][]*float32
	Label, Weight, Prediction []float64
}

func TestForestsAreThoseOfXGBoost(t *testing.T) {
	text, err := os.ReadFile("testdata/xgboost_golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []golden
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) != 6 {
		t.Fatalf("%d cases, want 6", len(cases))
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			p := DefaultParams()
			p.Rounds, p.LearningRate = 10, 0.3
			p.MaxLeaves, p.MaxDepth, p.MinSplitGain = c.Params.MaxLeaves, c.Params.MaxDepth, c.Params.Gamma
			if v := c.Params.MinChildWeight; v != nil {
				p.MinChildWeight = *v
			}
			if v := c.Params.RegLambda; v != nil {
				p.L2 = *v
			}
			if c.Params.Monotone != "" {
				if err := json.Unmarshal([]byte(strings.NewReplacer("(", "[", ")", "]").Replace(c.Params.Monotone)), &p.Monotone); err != nil {
					t.Fatal(err)
				}
			}
			x := NewMatrix(len(c.X), len(c.X[0]))
			for i, row := range c.X {
				for j, v := range row {
					x.Row(i)[j] = float32(math.NaN())
					if v != nil {
						x.Row(i)[j] = *v
					}
				}
			}
			result := train(t, Dataset{x, c.Label, c.Weight}, p)
			if math.Abs(result.Forest.Base-c.Base) > 1e-5 {
				t.Errorf("base %g, XGBoost was given %g", result.Forest.Base, c.Base)
			}
			for i, want := range c.Prediction {
				if got := result.Forest.Predict(x.Row(i)); math.Abs(got-want) > 5e-5 {
					t.Fatalf("row %d: predicted %g, XGBoost %g", i, got, want)
				}
			}
		})
	}
}

// Worked by hand: labels 1, 1, 4, 6 have the mean 3 and the residuals -2, -2,
// 1, 3. Without penalty the best split has the first two on the left, with
// the mean residuals -2 and 2.
func TestTreeByHand(t *testing.T) {
	p := DefaultParams()
	p.Rounds, p.LearningRate, p.L2, p.MaxLeaves = 1, 0.5, 0, 2
	x := Matrix{Data: []float32{1, 2, 3, 4}, Rows: 4, Cols: 1}
	result := train(t, Dataset{X: x, Label: []float64{1, 1, 4, 6}}, p)
	want := &Forest{
		Base: 3, Columns: 1,
		Roots:     []int32{0},
		Nodes:     []Node{{Threshold: 2.5, Feature: 0, Left: ^0, Right: ^1}},
		Leaves:    []float32{-1, 1},
		LeafCover: []float32{2, 2},
	}
	if !reflect.DeepEqual(result.Forest, want) {
		t.Errorf("forest %+v, want %+v", result.Forest, want)
	}
	if gain := result.Gain[0]; math.Abs(gain-16) > 1e-6 { // 16/2 + 16/2 - 0
		t.Errorf("gain %g, want 16", gain)
	}
}

func TestUnknownGoesWhereItBelongs(t *testing.T) {
	nan := float32(math.NaN())
	x := Matrix{Data: []float32{1, 1, 5, 5, nan, nan}, Rows: 6, Cols: 1}
	p := DefaultParams()
	p.Rounds, p.LearningRate, p.L2 = 1, 1, 0
	for _, c := range []struct {
		name  string
		label []float64
		want  float64
	}{
		{"with the small", []float64{1, 1, 9, 9, 1, 1}, 1},
		{"with the great", []float64{1, 1, 9, 9, 9, 9}, 9},
		{"on its own", []float64{1, 1, 9, 9, 5, 5}, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := train(t, Dataset{X: x, Label: c.label}, p).Forest
			if got := f.Predict([]float32{nan}); math.Abs(got-c.want) > 1e-6 {
				t.Errorf("unknown predicted %g, want %g", got, c.want)
			}
		})
	}
}

// TestForestDoesNotDependOnThreads needs no tolerance: gradients are summed
// in whole numbers.
func TestForestDoesNotDependOnThreads(t *testing.T) {
	d := noise(t, 5000, 20)
	for _, objective := range []Objective{Squared{}, Absolute{}, Huber{0.5}} {
		p := DefaultParams()
		p.Rounds, p.Subsample, p.ColsampleByTree, p.Seed = 20, 0.7, 0.6, 11
		var first *Forest
		for _, threads := range []int{1, 2, 7} {
			p.Threads = threads
			result, err := Train(context.Background(), d, nil, objective, p, nil)
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = result.Forest
			} else if !reflect.DeepEqual(result.Forest, first) {
				t.Errorf("%#v: the forest of %d threads differs from that of one", objective, threads)
			}
		}
	}
}

func TestMonotoneColumnsNeverTurn(t *testing.T) {
	d := noise(t, 2000, 6)
	for _, objective := range []Objective{Squared{}, Absolute{}} {
		p := DefaultParams()
		p.Rounds, p.MaxLeaves, p.Subsample = 60, 24, 0.8
		p.Monotone = []int8{1, -1, 0, 0, 1, 0}
		result, err := Train(context.Background(), d, nil, objective, p, nil)
		if err != nil {
			t.Fatal(err)
		}
		random := testRandom(t)
		for range 300 {
			row := make([]float32, 6)
			for c := range row {
				row[c] = float32(random.NormFloat64())
			}
			for c, direction := range p.Monotone {
				if direction == 0 {
					continue
				}
				old := row[c]
				last := math.Inf(-int(direction))
				for v := float32(-3); v <= 3; v += 0.05 {
					row[c] = v
					got := result.Forest.Predict(row)
					if (got-last)*float64(direction) < 0 {
						t.Fatalf("%#v: column %d turns from %g to %g at %g", objective, c, last, got, v)
					}
					last = got
				}
				row[c] = old
			}
		}
	}
}

func TestEarlyStoppingEndsWithTheBestRound(t *testing.T) {
	all := noise(t, 1500, 5)
	rows := make([]int, 1500)
	for i := range rows {
		rows[i] = i
	}
	learn := Dataset{X: all.X.Select(rows[:1000]), Label: all.Label[:1000]}
	validation := Dataset{X: all.X.Select(rows[1000:]), Label: all.Label[1000:]}
	p := DefaultParams()
	p.Rounds, p.LearningRate, p.MaxLeaves, p.EarlyStoppingRounds = 1000, 0.3, 63, 15
	var seen []float64
	result, err := Train(context.Background(), learn, &validation, Squared{}, p, func(r Round) { seen = append(seen, r.Validation) })
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(seen, result.Validation) {
		t.Error("progress was told other losses than the result has")
	}
	best := 0
	for i, loss := range seen {
		if loss < seen[best] {
			best = i
		}
	}
	if result.Forest.Trees() != best+1 || len(seen) != best+1+15 {
		t.Errorf("%d trees after %d rounds, the best round is %d", result.Forest.Trees(), len(seen), best+1)
	}
	var loss float64
	for i := range validation.Label {
		loss += Squared{}.Loss(result.Forest.Predict(validation.X.Row(i)), validation.Label[i]) / 500
	}
	if math.Abs(loss-seen[best]) > 1e-5 {
		t.Errorf("the forest's loss is %g, the best round's %g", loss, seen[best])
	}
	if err := result.Forest.Check(); err != nil {
		t.Error(err)
	}
}

func TestQuantilesAreMet(t *testing.T) {
	d := noise(t, 4000, 4)
	for _, alpha := range []float64{0.1, 0.5, 0.9} {
		p := DefaultParams()
		p.Rounds = 150
		result, err := Train(context.Background(), d, nil, Quantile{alpha}, p, nil)
		if err != nil {
			t.Fatal(err)
		}
		below := 0.0
		for i := range d.Label {
			if d.Label[i] < result.Forest.Predict(d.X.Row(i)) {
				below++
			}
		}
		if got := below / float64(len(d.Label)); math.Abs(got-alpha) > 0.03 {
			t.Errorf("%.1f-quantile has %.3f of the labels below it", alpha, got)
		}
	}
}

func TestTrainStopsWhenItIsTold(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	_, err := Train(ctx, noise(t, 200, 3), nil, Squared{}, DefaultParams(), func(r Round) {
		if r.Number == 3 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

func TestTrainRefuses(t *testing.T) {
	good := noise(t, 50, 2)
	infinite := good.X.Select([]int{0, 1, 2})
	infinite.Row(1)[1] = float32(math.Inf(1))
	for _, c := range []struct {
		want   string
		change func(d *Dataset, p *Params)
	}{
		{"rounds is 0", func(_ *Dataset, p *Params) { p.Rounds = 0 }},
		{"learning_rate is NaN", func(_ *Dataset, p *Params) { p.LearningRate = math.NaN() }},
		{"learning_rate is 1.5", func(_ *Dataset, p *Params) { p.LearningRate = 1.5 }},
		{"max_leaves is 1", func(_ *Dataset, p *Params) { p.MaxLeaves = 1 }},
		{"max_depth is -1", func(_ *Dataset, p *Params) { p.MaxDepth = -1 }},
		{"min_child_weight is -1", func(_ *Dataset, p *Params) { p.MinChildWeight = -1 }},
		{"l2 is +Inf", func(_ *Dataset, p *Params) { p.L2 = math.Inf(1) }},
		{"min_split_gain is NaN", func(_ *Dataset, p *Params) { p.MinSplitGain = math.NaN() }},
		{"subsample is 0", func(_ *Dataset, p *Params) { p.Subsample = 0 }},
		{"colsample_by_tree is 2", func(_ *Dataset, p *Params) { p.ColsampleByTree = 2 }},
		{"max_bins is 256", func(_ *Dataset, p *Params) { p.MaxBins = 256 }},
		{"early_stopping_rounds is -3", func(_ *Dataset, p *Params) { p.EarlyStoppingRounds = -3 }},
		{"early stopping needs a validation set", func(_ *Dataset, p *Params) { p.EarlyStoppingRounds = 3 }},
		{"monotone has 1 entries for 2 columns", func(_ *Dataset, p *Params) { p.Monotone = []int8{1} }},
		{"monotone of column 1 is 2", func(_ *Dataset, p *Params) { p.Monotone = []int8{0, 2} }},
		{"threads is 0", func(_ *Dataset, p *Params) { p.Threads = 0 }},
		{"at least one row", func(d *Dataset, _ *Params) { d.X = Matrix{Cols: 2} }},
		{"holds 99 numbers", func(d *Dataset, _ *Params) { d.X.Data = d.X.Data[:99] }},
		{"row 1, column 1 is infinite", func(d *Dataset, _ *Params) { d.X = infinite }},
		{"50 rows have 49 labels", func(d *Dataset, _ *Params) { d.Label = d.Label[:49] }},
		{"label of row 0 is NaN", func(d *Dataset, _ *Params) { d.Label = append([]float64{math.NaN()}, d.Label[1:]...) }},
		{"weight of row 0 is 0", func(d *Dataset, _ *Params) { d.Weight = make([]float64, 50) }},
	} {
		d, p := good, DefaultParams()
		c.change(&d, &p)
		_, err := Train(context.Background(), d, nil, Squared{}, p, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
}

func TestColumnsWithoutInformation(t *testing.T) {
	x := NewMatrix(40, 3)
	label := make([]float64, 40)
	for i := range label {
		x.Row(i)[0] = 7
		x.Row(i)[1] = float32(math.NaN())
		x.Row(i)[2] = float32(i % 2)
		label[i] = float64(i % 2)
	}
	f := train(t, Dataset{X: x, Label: label}, DefaultParams()).Forest
	if got := f.Predict(x.Row(1)); math.Abs(got-1) > 0.01 {
		t.Errorf("predicted %g, want about 1", got)
	}
	x.Cols, x.Data = 2, x.Data[:80] // nothing left to part the rows by
	for i := range 40 {
		x.Row(i)[0], x.Row(i)[1] = 7, float32(math.NaN())
	}
	f = train(t, Dataset{X: x, Label: label}, DefaultParams()).Forest
	if got := f.Predict(x.Row(1)); math.Abs(got-0.5) > 1e-6 {
		t.Errorf("predicted %g without information, want the mean", got)
	}
}

func train(t testing.TB, d Dataset, p Params) *Result {
	t.Helper()
	result, err := Train(context.Background(), d, nil, Squared{}, p, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := result.Forest.Check(); err != nil {
		t.Fatal(err)
	}
	return result
}

// testRandom returns random numbers whose seed a failing test prints.
func testRandom(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// noise makes a dataset with something to learn, noise and unknown values.
func noise(t testing.TB, rows, columns int) Dataset {
	random := testRandom(t)
	d := Dataset{X: NewMatrix(rows, columns), Label: make([]float64, rows)}
	for i := range rows {
		row := d.X.Row(i)
		for c := range row {
			row[c] = float32(random.NormFloat64())
		}
		d.Label[i] = float64(row[0]) + math.Sin(3*float64(row[1])) + float64(row[0]*row[1]) + random.NormFloat64()/2
		for c := range row {
			if random.IntN(20) == 0 {
				row[c] = float32(math.NaN())
			}
		}
	}
	return d
}

func BenchmarkTrain(b *testing.B) {
	d := noise(b, 20_000, 50)
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) {
			p := DefaultParams()
			p.Rounds, p.Threads = 20, threads
			for b.Loop() {
				train(b, d, p)
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N*p.Rounds), "ms/tree")
		})
	}
}
