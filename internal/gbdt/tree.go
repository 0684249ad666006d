package gbdt

// branch is an inner node while its tree grows: a split in codes.
type branch struct {
	column      int
	code        uint8
	unknown     uint8 // code of unknown
	unknownLeft bool
	left, right int32 // as in Node, within the tree
	gain        float64
}

// tree is a tree in codes with its leaf values, already shrunk.
type tree struct {
	branches []branch
	values   []float32 // by leaf
	covers   []int64
	bounds   []bounds
	rows     [][]int32 // of the sample
}

// leaf is a leaf that may still be split.
type leaf struct {
	rows   []int32
	sum    cell
	depth  int
	bounds bounds
	hist   histogram
	best   split
	parent int32 // branch that leads here, -1 at the root
	isLeft bool
}

// grower grows one tree after another on the same data; its buffers are
// reused.
type grower struct {
	data        *binned
	params      *Params
	crew        *crew
	derivatives []derivative // by row
	criterion   criterion

	layout   layout
	gathered gathered
	parted   []int32 // rows that go left, then those that go right
	spare    []histogram
	bests    []split
}

// grow grows a tree on the sample, whose order it changes. Leaves are split
// best gain first (Ke et al. 2017, leaf-wise).
func (g *grower) grow(sample []int32, columns []int) *tree {
	if g.parted == nil {
		g.parted = make([]int32, 2*g.data.rows)
	}
	g.layout.lay(g.data, columns, g.crew)
	g.bests = make([]split, 2*len(columns))
	root := &leaf{rows: sample, parent: -1, bounds: unbounded()}
	for _, r := range sample {
		root.sum.g += int64(g.derivatives[r].g)
		root.sum.h += int64(g.derivatives[r].h)
	}
	root.hist = g.histogram()
	g.weigh(root, nil)

	t := &tree{}
	leaves := []*leaf{root}
	for len(leaves) < g.params.MaxLeaves {
		at := 0
		for i, l := range leaves {
			if l.best.gain > leaves[at].best.gain {
				at = i
			}
		}
		l := leaves[at]
		if l.best.gain == 0 {
			break
		}
		left, right := g.split(t, l)
		leaves[at] = left
		leaves = append(leaves, right)
	}
	for i, l := range leaves {
		if l.parent >= 0 {
			t.link(l.parent, l.isLeft, ^int32(i))
		}
		value := g.criterion.value(l.sum, l.bounds)
		t.values = append(t.values, float32(g.params.LearningRate*value))
		t.covers = append(t.covers, l.sum.h)
		t.bounds = append(t.bounds, l.bounds)
		t.rows = append(t.rows, l.rows)
		if l.hist != nil {
			g.spare = append(g.spare, l.hist)
		}
	}
	return t
}

// split makes a branch of l and returns its two leaves, ready to be split.
func (g *grower) split(t *tree, l *leaf) (left, right *leaf) {
	s := &l.best
	at := int32(len(t.branches))
	unknown := uint8(g.data.values[s.column])
	t.branches = append(t.branches, branch{column: s.column, code: s.code, unknown: unknown, unknownLeft: s.unknownLeft, gain: s.gain})
	if l.parent >= 0 {
		t.link(l.parent, l.isLeft, at)
	}
	n := g.part(l.rows, s, unknown)
	leftBounds, rightBounds := g.criterion.children(s, l.bounds)
	left = &leaf{rows: l.rows[:n], sum: s.left, depth: l.depth + 1, bounds: leftBounds, parent: at, isLeft: true}
	right = &leaf{rows: l.rows[n:], sum: cell{l.sum.g - s.left.g, l.sum.h - s.left.h}, depth: l.depth + 1, bounds: rightBounds, parent: at}

	if len(t.branches)+1 == g.params.MaxLeaves || g.params.MaxDepth > 0 && left.depth >= g.params.MaxDepth {
		g.spare = append(g.spare, l.hist) // neither will be split
		return left, right
	}
	small, large := left, right
	if len(left.rows) > len(right.rows) {
		small, large = right, left
	}
	small.hist, large.hist = g.histogram(), l.hist
	g.weigh(small, large)
	for _, child := range [2]*leaf{small, large} {
		if child.best.gain == 0 {
			g.spare = append(g.spare, child.hist)
			child.hist = nil
		}
	}
	return left, right
}

// part orders rows so that those that go left come first, each side in its
// old order, and returns how many they are.
func (g *grower) part(rows []int32, s *split, unknown uint8) int {
	var goesLeft [MaxBins + 1]uint8
	for c := range int(s.code) + 1 {
		goesLeft[c] = 1
	}
	if s.unknownLeft {
		goesLeft[unknown] = 1
	}
	codes := g.data.codes[s.column]
	left, right := g.parted[:len(rows)], g.parted[g.data.rows:][:len(rows)]
	shares := (len(rows) + rowShare - 1) / rowShare
	lefts := make([]int, shares) // by share: how many go left
	g.crew.share(shares, func(i int) {
		lo, hi := i*rowShare, min((i+1)*rowShare, len(rows))
		lefts[i] = partShare(left[lo:hi], right[lo:hi], rows[lo:hi], codes, &goesLeft)
	})
	total := 0
	for i, n := range lefts {
		lefts[i] = total
		total += n
	}
	g.crew.share(shares, func(i int) {
		lo, hi := i*rowShare, min((i+1)*rowShare, len(rows))
		n := total - lefts[i]
		if i+1 < shares {
			n = lefts[i+1] - lefts[i]
		}
		copy(rows[lefts[i]:], left[lo:lo+n])
		copy(rows[total+lo-lefts[i]:], right[lo:hi-n])
	})
	return total
}

// rowShare is how many rows one goroutine sees to at a time.
const rowShare = 1 << 14

// partShare parts rows into those that go left, the number of which it
// returns, and the others. It has no branch to mispredict: each row is
// written to both, and one of the two moves on.
func partShare(left, right, rows []int32, codes []uint8, goesLeft *[MaxBins + 1]uint8) int {
	n := 0
	for i, r := range rows {
		left[n], right[i-n] = r, r
		n += int(goesLeft[codes[r]])
	}
	return n
}

// weigh makes a leaf's histogram from its rows, and of its sibling's, which
// still is that of both, that of the sibling; and looks for the best split of
// each. It does so four columns at a time, while their cells are in the nearest
// cache. At the root there is no sibling.
func (g *grower) weigh(l, sibling *leaf) {
	g.gathered.gather(&g.layout, g.derivatives, l.rows, g.crew)
	columns := len(g.layout.columns)
	bests, siblingBests := g.bests[:columns], g.bests[columns:]
	g.crew.share(g.layout.blocks(), func(b int) {
		l.hist.fill(&g.layout, b, &g.gathered)
		g.find(bests, b, l)
		if sibling != nil {
			sibling.hist.subtract(&g.layout, b, l.hist)
			g.find(siblingBests, b, sibling)
		}
	})
	l.best = most(bests)
	if sibling != nil {
		sibling.best = most(siblingBests)
	}
}

// find looks for the leaf's best split by each of four columns, the b-th.
func (g *grower) find(bests []split, b int, l *leaf) {
	for k, to := g.layout.block(b); k < to; k++ {
		bests[k] = split{}
		if l.sum.h >= 2*g.criterion.minHessian {
			bests[k] = g.criterion.best(g.layout.column(l.hist, k), g.layout.columns[k], l.sum, l.bounds)
		}
	}
}

// most returns the split with the greatest gain; of equal ones the first
// column's.
func most(bests []split) (best split) {
	for i := range bests {
		if bests[i].gain > best.gain {
			best = bests[i]
		}
	}
	return best
}

// histogram returns a spare histogram, or a new one.
func (g *grower) histogram() histogram {
	if n := len(g.spare); n > 0 {
		h := g.spare[n-1]
		g.spare = g.spare[:n-1]
		return h
	}
	return make(histogram, g.layout.size())
}

func (t *tree) link(parent int32, isLeft bool, child int32) {
	if isLeft {
		t.branches[parent].left = child
	} else {
		t.branches[parent].right = child
	}
}

// leafOf returns the leaf that row r of d falls into.
func (t *tree) leafOf(d *binned, r int32) int {
	if len(t.branches) == 0 {
		return 0
	}
	i := int32(0)
	for i >= 0 {
		b := &t.branches[i]
		c := d.codes[b.column][r]
		if c <= b.code || c == b.unknown && b.unknownLeft {
			i = b.left
		} else {
			i = b.right
		}
	}
	return int(^i)
}

// appendTo adds the tree to a forest, in thresholds instead of codes.
func (t *tree) appendTo(f *Forest, bins *Bins, hScale float64) {
	nodes, leaves := int32(len(f.Nodes)), int32(len(f.Leaves))
	moved := func(i int32) int32 {
		if i < 0 {
			return i - leaves
		}
		return i + nodes
	}
	root := int32(0)
	if len(t.branches) == 0 {
		root = ^int32(0)
	}
	f.Roots = append(f.Roots, moved(root))
	for _, b := range t.branches {
		feature := uint32(b.column)
		if b.unknownLeft {
			feature |= unknownLeftBit
		}
		f.Nodes = append(f.Nodes, Node{bins.threshold(b.column, b.code), feature, moved(b.left), moved(b.right)})
	}
	for i, v := range t.values {
		f.Leaves = append(f.Leaves, v)
		f.LeafCover = append(f.LeafCover, float32(float64(t.covers[i])*hScale))
	}
}
