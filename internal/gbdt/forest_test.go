package gbdt

import (
	"math"
	"strings"
	"testing"
	"unsafe"
)

func TestCheckFindsWhatWouldBreakPrediction(t *testing.T) {
	for _, c := range []struct {
		want  string
		spoil func(f *Forest)
	}{
		{"0 columns", func(f *Forest) { f.Columns = 0 }},
		{"base is NaN", func(f *Forest) { f.Base = math.NaN() }},
		{"covers", func(f *Forest) { f.LeafCover = f.LeafCover[1:] }},
		{"leaf 1 is +Inf", func(f *Forest) { f.Leaves[1] = float32(math.Inf(1)) }},
		{"tree 0 starts outside", func(f *Forest) { f.Roots[0] = 99 }},
		{"tree 0 starts outside", func(f *Forest) { f.Roots[0] = ^99 }},
		{"node 0 compares column 7", func(f *Forest) { f.Nodes[0].Feature = 7 }},
		{"node 0 compares column 0 with NaN", func(f *Forest) { f.Nodes[0].Threshold = float32(math.NaN()) }},
		{"node 1 leads outside", func(f *Forest) { f.Nodes[1].Left = 0 }}, // a cycle
		{"node 1 leads outside", func(f *Forest) { f.Nodes[1].Right = 1 }},
		{"node 1 leads outside", func(f *Forest) { f.Nodes[1].Right = 2 }},
		{"node 0 leads outside", func(f *Forest) { f.Nodes[0].Left = ^3 }},
		{"node 0 leads outside", func(f *Forest) { f.Nodes[0].Left = math.MinInt32 }},
	} {
		f := smallForest()
		c.spoil(f)
		if err := f.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
}

// FuzzCheckedForestPredicts holds that a forest of any bytes that passes
// Check predicts, for any row, and comes to an end.
func FuzzCheckedForestPredicts(f *testing.F) {
	good := smallForest()
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(&good.Nodes[0])), len(good.Nodes)*int(unsafe.Sizeof(Node{})))
	f.Add(append([]byte(nil), bytes...), int32(0), float32(1), float32(2))
	f.Add([]byte{}, int32(^0), float32(0), float32(math.NaN()))
	f.Fuzz(func(t *testing.T, nodes []byte, root int32, a, b float32) {
		forest := &Forest{Columns: 2, Roots: []int32{root}, Leaves: []float32{1, 2, 3}, LeafCover: make([]float32, 3)}
		for len(nodes) >= 16 {
			word := func(i int) uint32 {
				return uint32(nodes[4*i]) | uint32(nodes[4*i+1])<<8 | uint32(nodes[4*i+2])<<16 | uint32(nodes[4*i+3])<<24
			}
			forest.Nodes = append(forest.Nodes, Node{math.Float32frombits(word(0)), word(1), int32(word(2)), int32(word(3))})
			nodes = nodes[16:]
		}
		if forest.Check() != nil {
			return
		}
		if v := forest.Predict([]float32{a, b}); v < 1 || v > 3 {
			t.Errorf("predicted %g, which is no leaf", v)
		}
	})
}

func TestPredictAllocatesNothing(t *testing.T) {
	d := noise(t, 300, 4)
	f := train(t, d, DefaultParams()).Forest
	row := d.X.Row(0)
	if n := testing.AllocsPerRun(100, func() { f.Predict(row) }); n != 0 {
		t.Errorf("%g allocations", n)
	}
}

// smallForest is one tree of two nodes and three leaves over two columns.
func smallForest() *Forest {
	return &Forest{
		Columns:   2,
		Roots:     []int32{0},
		Nodes:     []Node{{0.5, 0, ^0, 1}, {1.5, 1 | unknownLeftBit, ^1, ^2}},
		Leaves:    []float32{1, 2, 3},
		LeafCover: []float32{1, 1, 1},
	}
}

func BenchmarkPredict(b *testing.B) {
	d := noise(b, 10_000, 50)
	p := DefaultParams()
	p.Threads = 2
	f := train(b, d, p).Forest
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		f.Predict(d.X.Row(i))
		i = (i + 1) % d.X.Rows
	}
}
