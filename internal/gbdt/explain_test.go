package gbdt

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"testing"
)

// shapley computes the Shapley values of path-dependent TreeSHAP by their
// definition, over all subsets of columns.
func shapley(f *Forest, row []float32) []float64 {
	c := compiler{forest: f}
	c.addCovers()
	values := make([]float64, 1<<f.Columns)
	for known := range values {
		var expect func(i int32) float64
		expect = func(i int32) float64 {
			if i < 0 {
				return float64(f.Leaves[^i])
			}
			n := &f.Nodes[i]
			if known>>n.Column()&1 == 1 {
				x := row[n.Column()]
				if x < n.Threshold || x != x && n.UnknownLeft() {
					return expect(n.Left)
				}
				return expect(n.Right)
			}
			share := float64(c.leftShare(n))
			return share*expect(n.Left) + (1-share)*expect(n.Right)
		}
		for _, r := range f.Roots {
			values[known] += expect(r)
		}
	}
	factorial := func(n int) float64 { return math.Gamma(float64(n) + 1) }
	phi := make([]float64, f.Columns)
	for column := range phi {
		for known, v := range values {
			if known>>column&1 == 1 {
				continue
			}
			size := 0
			for k := known; k > 0; k &= k - 1 {
				size++
			}
			weight := factorial(size) * factorial(f.Columns-size-1) / factorial(f.Columns)
			phi[column] += weight * (values[known|1<<column] - v)
		}
	}
	return phi
}

// randomForest grows trees at random, whose ways often come back to a column.
func randomForest(random *rand.Rand, trees, leaves, columns int) *Forest {
	f := &Forest{Base: random.NormFloat64(), Columns: columns}
	for range trees {
		var grow func(leaves int) (int32, float32)
		grow = func(leaves int) (int32, float32) {
			if leaves == 1 {
				cover := float32(1 + random.IntN(20))
				f.Leaves = append(f.Leaves, float32(random.NormFloat64()))
				f.LeafCover = append(f.LeafCover, cover)
				return ^int32(len(f.Leaves) - 1), cover
			}
			at := len(f.Nodes)
			n := Node{Threshold: float32(random.NormFloat64()), Feature: uint32(random.IntN(columns))}
			if random.IntN(2) == 0 {
				n.Feature |= unknownLeftBit
			}
			f.Nodes = append(f.Nodes, n)
			toLeft := 1 + random.IntN(leaves-1)
			left, a := grow(toLeft)
			right, b := grow(leaves - toLeft)
			f.Nodes[at].Left, f.Nodes[at].Right = left, right
			return int32(at), a + b
		}
		root, _ := grow(leaves)
		f.Roots = append(f.Roots, root)
	}
	return f
}

func randomRow(random *rand.Rand, columns int) []float32 {
	row := make([]float32, columns)
	for i := range row {
		row[i] = float32(random.NormFloat64())
		if random.IntN(6) == 0 {
			row[i] = float32(math.NaN())
		}
	}
	return row
}

func TestExplainIsTheShapleyValue(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	for range 60 {
		columns := 1 + random.IntN(12)
		f := randomForest(random, 1+random.IntN(4), 1+random.IntN(60), columns)
		if err := f.Check(); err != nil {
			t.Fatal(err)
		}
		e, err := NewExplainer(f)
		if err != nil {
			t.Fatal(err)
		}
		row := randomRow(random, columns)
		got := make([]float64, columns)
		e.Explain(got, row)
		sum := e.Base()
		for c, want := range shapley(f, row) {
			if math.Abs(got[c]-want) > 1e-10 {
				t.Errorf("%d columns: column %d has %.12f, want %.12f", columns, c, got[c], want)
			}
			sum += got[c]
		}
		if want := f.Predict(row); math.Abs(sum-want) > 1e-5 {
			t.Errorf("base and values sum to %g, the prediction is %g", sum, want)
		}
	}
}

// TestExplainIsWhatXGBoostSays compares with XGBoost's pred_contribs on a
// forest that XGBoost trained; testdata/xgboost_shap.py makes the file.
func TestExplainIsWhatXGBoostSays(t *testing.T) {
	text, err := os.ReadFile("testdata/xgboost_shap.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Base  float64
		Trees []struct {
			Left, Right, Column []int32
			Threshold           []float32
			UnknownLeft         []int `json:"unknown_left"`
			Cover               []float32
		}
		Rows          [][]*float32
		Contributions [][]float64
		Predictions   []float64
	}
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	f := &Forest{Base: golden.Base, Columns: len(golden.Rows[0])}
	for _, tree := range golden.Trees {
		var add func(i int32) int32
		add = func(i int32) int32 {
			if tree.Left[i] < 0 {
				f.Leaves, f.LeafCover = append(f.Leaves, tree.Threshold[i]), append(f.LeafCover, tree.Cover[i])
				return ^int32(len(f.Leaves) - 1)
			}
			at := len(f.Nodes)
			n := Node{Threshold: tree.Threshold[i], Feature: uint32(tree.Column[i])}
			if tree.UnknownLeft[i] == 1 {
				n.Feature |= unknownLeftBit
			}
			f.Nodes = append(f.Nodes, n)
			f.Nodes[at].Left = add(tree.Left[i])
			f.Nodes[at].Right = add(tree.Right[i])
			return int32(at)
		}
		f.Roots = append(f.Roots, add(0))
	}
	if err := f.Check(); err != nil {
		t.Fatal(err)
	}
	e, err := NewExplainer(f)
	if err != nil {
		t.Fatal(err)
	}
	const tolerance = 1e-5
	for i, values := range golden.Rows {
		row := make([]float32, len(values))
		for c, v := range values {
			row[c] = float32(math.NaN())
			if v != nil {
				row[c] = *v
			}
		}
		if got, want := f.Predict(row), golden.Predictions[i]; math.Abs(got-want) > tolerance {
			t.Fatalf("row %d is predicted as %g, by XGBoost as %g: the forests differ", i, got, want)
		}
		got := make([]float64, len(row)+1)
		e.Explain(got[:len(row)], row)
		got[len(row)] = e.Base()
		for c, want := range golden.Contributions[i] {
			if math.Abs(got[c]-want) > tolerance {
				t.Errorf("row %d, column %d: %g, XGBoost has %g", i, c, got[c], want)
			}
		}
	}
}

func TestExplainManyColumnsOnOneWay(t *testing.T) {
	chain := func(n int) *Forest {
		f := &Forest{Columns: n}
		for c := range n {
			f.Leaves, f.LeafCover = append(f.Leaves, float32(c)), append(f.LeafCover, 1)
			f.Nodes = append(f.Nodes, Node{Feature: uint32(c), Left: ^int32(c), Right: int32(c + 1)})
		}
		f.Leaves, f.LeafCover = append(f.Leaves, -1), append(f.LeafCover, 1)
		f.Nodes[n-1].Right = ^int32(n)
		f.Roots = []int32{0}
		return f
	}
	f := chain(maxDistinct)
	e, err := NewExplainer(f)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(9, 9))
	row, values := randomRow(random, maxDistinct), make([]float64, maxDistinct)
	e.Explain(values, row)
	sum := e.Base()
	for _, v := range values {
		sum += v
	}
	if want := f.Predict(row); math.Abs(sum-want) > 1e-9 {
		t.Errorf("base and values sum to %.12g, the prediction is %g", sum, want)
	}
	if _, err := NewExplainer(chain(maxDistinct + 1)); err == nil {
		t.Error("took more columns on a way than it has points for")
	}
}

func TestExplainRefusesWhatIsNoTree(t *testing.T) {
	f := &Forest{Columns: 1, Roots: []int32{0}, Nodes: []Node{{Left: 1, Right: 1}, {Left: ^0, Right: ^0}},
		Leaves: []float32{1}, LeafCover: []float32{1}}
	if err := f.Check(); err != nil {
		t.Fatal(err)
	}
	if _, err := NewExplainer(f); err == nil {
		t.Error("took a node to which two ways lead")
	}
}

// TestExplainTriesAgain has a forest that changes after it was checked, as one in
// a file that is written over, and is whole again later.
func TestExplainTriesAgain(t *testing.T) {
	f := randomForest(rand.New(rand.NewPCG(3, 3)), 5, 8, 4)
	e, err := NewExplainer(f)
	if err != nil {
		t.Fatal(err)
	}
	whole := f.Nodes
	f.Nodes = make([]Node, len(whole))
	func() {
		defer func() {
			if recover() == nil {
				t.Error("explained nodes that lead to themselves")
			}
		}()
		e.Base()
	}()
	f.Nodes = whole
	values := make([]float64, 4)
	e.Explain(values, randomRow(rand.New(rand.NewPCG(4, 4)), 4))
}

// BenchmarkExplain has prediction by the same forest as its peer.
func BenchmarkExplain(b *testing.B) {
	random := rand.New(rand.NewPCG(7, 7))
	f := randomForest(random, 2000, 31, 16)
	e, err := NewExplainer(f)
	if err != nil {
		b.Fatal(err)
	}
	row, dst := randomRow(random, 16), make([]float64, 16)
	b.Run("explain", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e.Explain(dst, row)
		}
	})
	b.Run("predict", func(b *testing.B) {
		for b.Loop() {
			f.Predict(row)
		}
	})
}
