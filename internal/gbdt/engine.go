package gbdt

import (
	"fmt"
	"slices"
	"unsafe"
)

// Engine predicts with a forest as fast as the machine can: compiled once
// from a forest that passes Check, it gives for every row the same bits as
// [Forest.Predict]. It never changes, so any number of goroutines may predict
// with it.
type Engine struct {
	forest    *Forest
	kernel    kernel
	quantiser *quantiser // of the walker
	walker    *walker    // of the kernels that walk: portable, and avx2 for few rows
	inOrder   *inOrder   // of the kernels with vectors
}

// kernel is a way to predict.
type kernel string

const (
	plain    kernel = "plain" // Forest.Predict itself
	portable kernel = "portable"
	avx2     kernel = "avx2"
	avx512   kernel = "avx512"
)

// NewEngine compiles a forest, which must pass Check and must not change any
// more.
func NewEngine(f *Forest) *Engine {
	all := kernels()
	return newEngine(f, all[len(all)-1])
}

func newEngine(f *Forest, k kernel) *Engine {
	e := &Engine{forest: f, kernel: plain}
	if k == plain || !compilable(f) {
		return e
	}
	q := newQuantiser(f)
	if q.places < walkPlaces && q.mostCodes() < walkCodes {
		e.kernel = portable
		if k != portable && fitsInOrder(f, q) {
			e.kernel, e.inOrder = k, newInOrder(f, q)
		}
		if e.kernel != avx512 {
			e.quantiser, e.walker = q, newWalker(f, q)
		}
	}
	return e
}

// Name says how the engine works: "avx512" or "avx2" with vectors of the
// processor, "portable" without, or "plain" for a forest so unusual that its
// nodes are walked as they stand.
func (e *Engine) Name() string { return string(e.kernel) }

// maxDepth is the depth of a tree to which engines go; a tree that is deeper
// is a list.
const maxDepth = 128

// compilable reports whether the forest is of trees, none too deep: nodes
// that are led to from several places, which Check allows, would have to be
// copied without end.
func compilable(f *Forest) bool {
	depth := make([]uint8, len(f.Nodes)) // 0 is not led to
	lead := func(to int32, at uint8) bool {
		if to < 0 {
			return true
		}
		if depth[to] > 0 || at > maxDepth {
			return false
		}
		depth[to] = at
		return true
	}
	for _, root := range f.Roots {
		if !lead(root, 1) {
			return false
		}
	}
	for i := range f.Nodes { // children come after their parents
		n := &f.Nodes[i]
		if at := depth[i]; at > 0 && !(lead(n.Left, at+1) && lead(n.Right, at+1)) {
			return false
		}
	}
	return true
}

// Predict returns the forest's value for a row of Columns numbers.
func (e *Engine) Predict(row []float32) float64 {
	row = row[:e.forest.Columns]
	switch e.kernel {
	case plain:
		return e.forest.Predict(row)
	case avx512:
		var codes [maxPlaces + 1]uint8
		e.inOrder.search.encode512(codes[:], 1, row)
		return e.forest.Base + float64(e.inOrder.sumRow512(&codes))
	}
	return e.predictByWalk(row)
}

// predictByWalk is Predict of the kernels that walk for a row. It is on its
// own as it takes 3 KB of stack, which would have to grow for the others.
//
//go:noinline
func (e *Engine) predictByWalk(row []float32) float64 {
	var t rowWalks
	e.quantiser.encode(&t.codes, row)
	return e.forest.Base + float64(e.walker.sum(&t))
}

// PredictRows sets dst[i] to the forest's value for row i of x, which has as
// many rows as dst is long and as many columns as the forest looks at. It
// allocates nothing.
func (e *Engine) PredictRows(dst []float64, x Matrix) {
	e.predict(dst[:x.Rows], x.Data)
}

// PredictParallel is PredictRows by up to threads goroutines, where the rows
// are so many that it pays.
func (e *Engine) PredictParallel(dst []float64, x Matrix, threads int) {
	const share = 1024 // rows that are worth a goroutine
	parallel((x.Rows+share-1)/share, threads, func(i int) {
		lo, hi := i*share, min((i+1)*share, x.Rows)
		e.predict(dst[lo:hi], x.Data[lo*x.Cols:hi*x.Cols])
	})
}

// predict predicts rows that stand one after the other in data.
func (e *Engine) predict(dst []float64, data []float32) {
	if e.kernel == plain {
		for i := range dst {
			dst[i] = e.forest.Predict(data[i*e.forest.Columns:])
		}
		return
	}
	done := 0
	if len(dst) >= e.fewRows() { // for fewer the block would not even be made
		if e.kernel == portable {
			done = e.predictByWalks(dst, data)
		} else {
			done = e.predictBlocks(dst, data)
		}
	}
	for r := done; r < len(dst); r++ {
		dst[r] = e.Predict(data[r*e.forest.Columns : (r+1)*e.forest.Columns])
	}
}

// predictByWalks is predict of the portable kernel, but for a rest of a few
// rows. It returns how many it has predicted.
func (e *Engine) predictByWalks(dst []float64, data []float32) (done int) {
	// So few groups of rows at once that their codes stay in the nearest cache.
	var codes [2][walks][walkPlaces]uint32
	columns := e.forest.Columns
	for len(dst) >= walks {
		groups := min(len(codes), len(dst)/walks)
		var sums [len(codes)][walks]float32
		for r := range groups * walks {
			e.quantiser.encode(&codes[r/walks][r%walks], data[r*columns:(r+1)*columns])
		}
		e.walker.sumRows(codes[:groups], sums[:groups])
		for r := range groups * walks {
			dst[r] = e.forest.Base + float64(sums[r/walks][r%walks])
		}
		dst, data, done = dst[groups*walks:], data[groups*walks*columns:], done+groups*walks
	}
	return done
}

// fewRows is from how many rows on a block is faster than one after the
// other.
func (e *Engine) fewRows() int {
	switch e.kernel {
	case avx512:
		return 40
	case avx2:
		return 32
	default:
		return walks
	}
}

// predictBlocks is predict of the kernels with vectors, but for a rest of a few
// rows. It returns how many it has predicted.
func (e *Engine) predictBlocks(dst []float64, data []float32) (done int) {
	var block codeBlock
	columns := e.forest.Columns
	for len(dst) >= e.fewRows() {
		n := min(len(dst), blockRows)
		var sums [blockRows]float32
		for r := range n {
			codes := unsafe.Slice(&block[0][r], len(block)*blockRows-r)
			if row := data[r*columns : (r+1)*columns]; e.kernel == avx512 {
				e.inOrder.search.encode512(codes, blockRows, row)
			} else {
				e.inOrder.search.encode256(codes, blockRows, row)
			}
		}
		if e.kernel == avx512 {
			e.inOrder.addRows512(&block, n, &sums)
		} else {
			e.inOrder.addRows256(&block, &sums)
		}
		for r := range n {
			dst[r] = e.forest.Base + float64(sums[r])
		}
		dst, data, done = dst[n:], data[n*columns:], done+n
	}
	return done
}

// EngineNames returns the names of the engines that this machine can run, the
// fastest last.
func EngineNames() []string {
	var names []string
	for _, k := range kernels() {
		names = append(names, string(k))
	}
	return names
}

// NewEngineNamed is NewEngine for one of [EngineNames], to compare them, or
// for "plain". A forest that does not fit the engine is predicted as NewEngine
// would.
func NewEngineNamed(f *Forest, name string) (*Engine, error) {
	if k := kernel(name); k == plain || slices.Contains(kernels(), k) {
		return newEngine(f, k), nil
	}
	return nil, fmt.Errorf("no engine %q on this machine, there are %v", name, EngineNames())
}
