package gbdt

// Engine predicts with a forest as fast as the machine can: compiled once
// from a forest that passes Check, it gives for every row the same bits as
// [Forest.Predict]. It never changes, so any number of goroutines may predict
// with it.
type Engine struct {
	forest    *Forest
	kernel    kernel
	quantiser *quantiser // of all but the plain one
	walker    *walker
}

// kernel is a way to predict that this machine has.
type kernel struct{ name string }

var (
	plain    = kernel{"plain"} // Forest.Predict itself
	portable = kernel{"portable"}
)

// kernels returns those of this machine, the fastest last.
func kernels() []kernel { return []kernel{portable} }

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
	e.quantiser = newQuantiser(f)
	if e.quantiser.places < walkPlaces && e.quantiser.mostCodes() < walkCodes {
		e.kernel, e.walker = portable, newWalker(f, e.quantiser)
	}
	return e
}

// Name says how the engine works: "portable", or "plain" for a forest so
// unusual that its nodes are walked as they stand.
func (e *Engine) Name() string { return e.kernel.name }

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

// rowsAtOnce is how many rows' codes are made before trees are walked: few
// enough that they and the trees under way stay in the nearest cache.
const rowsAtOnce = 16

// Predict returns the forest's value for a row of Columns numbers.
func (e *Engine) Predict(row []float32) float64 {
	if e.kernel == plain {
		return e.forest.Predict(row)
	}
	var codes [1][walkPlaces]uint32
	var sum [1]float32
	encode(e.quantiser, codes[0][:], 1, codeScale, row[:e.forest.Columns])
	e.walker.add(codes[:], sum[:])
	return e.forest.Base + float64(sum[0])
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
	var codes [rowsAtOnce][walkPlaces]uint32
	for len(dst) > 0 {
		n := min(len(dst), rowsAtOnce)
		var sums [rowsAtOnce]float32
		for r := range n {
			encode(e.quantiser, codes[r][:], 1, codeScale, data[r*e.forest.Columns:(r+1)*e.forest.Columns])
		}
		e.walker.add(codes[:n], sums[:n])
		for r := range n {
			dst[r] = e.forest.Base + float64(sums[r])
		}
		dst, data = dst[n:], data[n*e.forest.Columns:]
	}
}
