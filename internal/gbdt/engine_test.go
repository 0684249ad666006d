package gbdt

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// drawForest draws a forest of any shape: trees of one leaf, chains, perfect
// trees and anything between; few thresholds or many; either direction of
// unknown.
func drawForest(t *rapid.T) *Forest {
	f := &Forest{Columns: rapid.SampledFrom([]int{1, 2, 7, 46, 130, 300}).Draw(t, "columns"), Base: rapid.SampledFrom([]float64{12.5, math.Copysign(0, -1)}).Draw(t, "base")}
	trees := rapid.SampledFrom([]int{0, 1, 2, 7, 8, 9, 63, 64, 65, 130, 504, 505}).Draw(t, "trees")
	most := rapid.SampledFrom([]int{1, 2, 3, 31, 32, 33, 63, 64, 65, 255, 256, 257, 600}).Draw(t, "leaves")
	shape := rapid.SampledFrom([]string{"any", "balanced", "left", "right"}).Draw(t, "shape")
	unknown := rapid.SampledFrom([]uint32{0, unknownLeftBit, 2}).Draw(t, "unknown")
	distinct := rapid.SampledFrom([]int{1, 20, 254, 255, 256, 257, 5000}).Draw(t, "thresholds")
	random := &splitmix{rapid.Uint64().Draw(t, "seed")}
	thresholds := make([]float32, distinct)
	for i := range thresholds {
		thresholds[i] = oddFloat(random)
	}
	for range trees {
		leaves := 1 + random.below(most)
		if random.below(3) == 0 {
			leaves = most
		}
		f.Roots = append(f.Roots, drawTree(f, random, leaves, shape, unknown, thresholds))
	}
	f.LeafCover = make([]float32, len(f.Leaves))
	return f
}

func drawTree(f *Forest, random *splitmix, leaves int, shape string, unknown uint32, thresholds []float32) int32 {
	if leaves == 1 {
		leaf := float32(random.below(2_000_001)-1_000_000) / 777
		if random.below(8) == 0 {
			leaf = float32(math.Copysign(0, -1))
		}
		f.Leaves = append(f.Leaves, leaf)
		return ^int32(len(f.Leaves) - 1)
	}
	left := map[string]int{"any": 1 + random.below(leaves-1), "balanced": leaves / 2, "left": leaves - 1, "right": 1}[shape]
	feature := uint32(random.below(f.Columns))
	if unknown == unknownLeftBit || unknown == 2 && random.below(2) == 0 {
		feature |= unknownLeftBit
	}
	at := len(f.Nodes)
	f.Nodes = append(f.Nodes, Node{Threshold: thresholds[random.below(len(thresholds))], Feature: feature})
	l := drawTree(f, random, left, shape, unknown, thresholds)
	r := drawTree(f, random, leaves-left, shape, unknown, thresholds)
	f.Nodes[at].Left, f.Nodes[at].Right = l, r
	return int32(at)
}

// splitmix is a small random number generator (Steele et al. 2014).
type splitmix struct{ state uint64 }

func (s *splitmix) next() uint64 {
	s.state += 0x9e3779b97f4a7c15
	z := s.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (s *splitmix) below(n int) int { return int(s.next() % uint64(n)) }

// oddFloat returns a number that is no unknown: half of the time one that
// trips comparisons.
func oddFloat(random *splitmix) float32 {
	odd := []float32{0, float32(math.Copysign(0, -1)), 1, -1, math.SmallestNonzeroFloat32, -math.SmallestNonzeroFloat32,
		math.MaxFloat32, -math.MaxFloat32, float32(math.Inf(1)), float32(math.Inf(-1)), 1e-40, -1e-40}
	if random.below(2) == 0 {
		return odd[random.below(len(odd))]
	}
	if random.below(2) == 0 {
		return float32(random.below(2001)-1000) / 8
	}
	for {
		if v := math.Float32frombits(uint32(random.next())); v == v {
			return v
		}
	}
}

// drawRows draws rows for the forest: odd numbers, unknowns of either sign,
// and values that equal thresholds or stand next to one.
func drawRows(f *Forest, random *splitmix, rows int) Matrix {
	x := NewMatrix(rows, f.Columns)
	for i := range x.Data {
		v := oddFloat(random)
		switch random.below(4) {
		case 0:
			v = math.Float32frombits([]uint32{0x7fc00000, 0xffc00000, 0x7f800001, 0xffffffff}[random.below(4)])
		case 1:
			if len(f.Nodes) > 0 {
				v = f.Nodes[random.below(len(f.Nodes))].Threshold
				v = []float32{v, math.Nextafter32(v, float32(math.Inf(1))), math.Nextafter32(v, float32(math.Inf(-1)))}[random.below(3)]
			}
		}
		x.Data[i] = v
	}
	return x
}

// TestEnginesGiveTheBitsOfThePlainWalk holds every engine that this machine
// can run to Forest.Predict, for forests of every shape and rows of all that
// floats can be.
func TestEnginesGiveTheBitsOfThePlainWalk(t *testing.T) {
	for _, k := range kernels() {
		t.Run(string(k), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				f := drawForest(t)
				if err := f.Check(); err != nil {
					t.Fatal(err)
				}
				rows := rapid.SampledFrom([]int{1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 200}).Draw(t, "rows")
				x := drawRows(f, &splitmix{rapid.Uint64().Draw(t, "rows seed")}, rows)
				e := newEngine(f, k)
				got := make([]float64, rows)
				e.PredictRows(got, x)
				for r := range rows {
					want := f.Predict(x.Row(r))
					if math.Float64bits(got[r]) != math.Float64bits(want) {
						t.Fatalf("row %d of %d: %v, the plain walk says %v", r, rows, got[r], want)
					}
					if one := e.Predict(x.Row(r)); math.Float64bits(one) != math.Float64bits(want) {
						t.Fatalf("row %d alone: %v, the plain walk says %v", r, one, want)
					}
				}
			})
		})
	}
}

// TestEngineCopiesNoNodesWithoutEnd has a forest that Check allows and whose
// trees, were they written out, would have 2^40 nodes.
func TestEngineCopiesNoNodesWithoutEnd(t *testing.T) {
	f := &Forest{Columns: 1, Roots: []int32{0}, Leaves: []float32{1, 2}, LeafCover: make([]float32, 2)}
	for i := range int32(40) {
		f.Nodes = append(f.Nodes, Node{Threshold: float32(i), Left: i + 1, Right: i + 1})
	}
	f.Nodes[39].Left, f.Nodes[39].Right = ^0, ^1
	if err := f.Check(); err != nil {
		t.Fatal(err)
	}
	e := NewEngine(f)
	if e.Name() != string(plain) {
		t.Errorf("engine is %s", e.Name())
	}
	if got, want := e.Predict([]float32{50}), f.Predict([]float32{50}); got != want {
		t.Errorf("predicted %g, want %g", got, want)
	}
}

func TestEngineSharesRowsAmongThreads(t *testing.T) {
	f := benchForest(50, 31, 46)
	x := drawRows(f, &splitmix{1}, 10_007)
	e := NewEngine(f)
	one, many := make([]float64, x.Rows), make([]float64, x.Rows)
	e.PredictRows(one, x)
	e.PredictParallel(many, x, 3)
	for r := range one {
		if one[r] != many[r] {
			t.Fatalf("row %d: %v by one thread, %v by three", r, one[r], many[r])
		}
	}
}

func TestEngineAllocatesNothing(t *testing.T) {
	f := benchForest(50, 63, 46)
	x := drawRows(f, &splitmix{1}, 100)
	dst := make([]float64, x.Rows)
	for _, k := range kernels() {
		e := newEngine(f, k)
		if n := testing.AllocsPerRun(100, func() { e.Predict(x.Row(0)) }); n != 0 {
			t.Errorf("%s: %g allocations for a row", string(k), n)
		}
		if n := testing.AllocsPerRun(100, func() { e.PredictRows(dst, x) }); n != 0 {
			t.Errorf("%s: %g allocations for 100 rows", string(k), n)
		}
	}
}

// benchForest is leaf-wise: half of the splits fall on the leaf that was
// made last, so that trees are about twice as deep as balanced ones.
func benchForest(trees, leaves, columns int) *Forest {
	f := &Forest{Columns: columns, Base: 13}
	random := &splitmix{42}
	for range trees {
		f.Roots = append(f.Roots, leafWise(f, random, leaves))
	}
	f.LeafCover = make([]float32, len(f.Leaves))
	return f
}

func leafWise(f *Forest, random *splitmix, leaves int) int32 {
	if leaves == 1 {
		f.Leaves = append(f.Leaves, float32(random.below(1000))/1e4)
		return ^int32(len(f.Leaves) - 1)
	}
	share := 0.15 + 0.7*float64(random.below(1000))/1000
	left := min(leaves-1, max(1, int(share*float64(leaves))))
	at := len(f.Nodes)
	f.Nodes = append(f.Nodes, Node{Threshold: float32(random.below(255)) / 255, Feature: uint32(random.below(f.Columns)) | uint32(random.below(2))<<31})
	l := leafWise(f, random, left)
	r := leafWise(f, random, leaves-left)
	f.Nodes[at].Left, f.Nodes[at].Right = l, r
	return int32(at)
}

// BenchmarkEngine has, for forests and numbers of rows, the time a row.
func BenchmarkEngine(b *testing.B) {
	for _, forest := range []struct{ trees, leaves int }{{100, 31}, {500, 63}, {2000, 31}, {500, 255}} {
		f := benchForest(forest.trees, forest.leaves, 46)
		random := &splitmix{7}
		x := NewMatrix(20_000, f.Columns)
		for i := range x.Data {
			x.Data[i] = float32(random.below(1_000_000)) / 1e6
		}
		dst := make([]float64, x.Rows)
		for _, k := range append(kernels(), plain) {
			e := newEngine(f, k)
			for _, rows := range []int{1, 100, 20_000} {
				b.Run(fmt.Sprintf("trees=%d/leaves=%d/rows=%d/engine=%s", forest.trees, forest.leaves, rows, string(k)), func(b *testing.B) {
					at := 0
					for b.Loop() {
						if at+rows > x.Rows {
							at = 0
						}
						if rows == 1 {
							e.Predict(x.Row(at))
						} else {
							e.PredictRows(dst[:rows], Matrix{Data: x.Data[at*x.Cols : (at+rows)*x.Cols], Rows: rows, Cols: x.Cols})
						}
						at += rows
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "ns/row")
				})
			}
		}
	}
}
