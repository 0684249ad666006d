package gbdt

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// Explainer says how much each column moved a forest's prediction: the exact
// Shapley values of path-dependent TreeSHAP (Lundberg, Erion & Lee 2018,
// "Consistent individualized feature attribution for tree ensembles"), where
// a column that is not known leads both ways in the proportion in which
// training rows went. It is safe for concurrent use.
//
// It does not sum over subsets or paths. The expectation of a tree, with each
// column known with a probability of its own, is a polynomial in these
// probabilities, and a column's Shapley value is the integral over t of the
// derivative by its probability where all are t (Owen 1972, "Multilinear
// extensions of games"). In t that derivative has a degree below the number d
// of different columns on a way through the tree, so that Gauss-Legendre
// quadrature with d/2 points is exact; and at each point the derivatives by
// all columns come from one pass up the tree and one down. That takes
// O(nodes · d), as Linear TreeSHAP (Yu et al. 2022), in place of
// O(leaves · d²), and all it adds up is well-conditioned.
//
// The forest is laid out for it when the first explanation is asked for: that
// takes some 70 bytes a node, which a service that only predicts has no use
// for.
type Explainer struct {
	forest  *Forest
	lock    sync.Mutex // held while it is laid out
	laidOut atomic.Pointer[explained]
	pool    sync.Pool // of *passes
}

// explained is a forest as it is laid out to be explained.
type explained struct {
	base    float64
	columns int
	trees   []explainedTree
	nodes   []explainedNode // tree after tree, parents before children
	leaves  []float64       // by tree
	// The first maxBlocks steps are of cold splits, which the row does not come
	// to for an earlier one on the same column: knowing that changes nothing.
	steps  []step
	rules  [maxBlocks + 1]*rule // by number of blocks
	places int                  // of the largest tree
}

// explainedTree is where the parts of a tree are.
type explainedTree struct {
	node, nodes  int // first, and how many
	leaf, leaves int // likewise
	rule         *rule
}

// explainedNode is a Node with what follows from its place in the tree. Place
// 0 of a tree is none; then come its nodes, parents before children, and then
// its leaves.
type explainedNode struct {
	threshold   float32
	leftShare   float32  // of the cover
	children    [2]int32 // places, left and right
	above       int32    // place of the nearest node above on the same column, or 0
	step        int32    // of the first block of points
	column      int32
	aboveSide   uint8 // to which the way from above leads: 0 is left
	unknownLeft uint8
}

// lanes is how many points of a rule are worked on at once.
const lanes = 4

// maxBlocks bounds how many times lanes points a tree may need.
const maxBlocks = 16

// maxDistinct is how many different columns may be on a way through a tree.
const maxDistinct = 2 * lanes * maxBlocks

// step is what a split means at some points t, where earlier splits on its
// column left the share z of the cover on this way: knowing the column with
// probability t, this way is taken with d = t + (1-t)z.
type step struct {
	against [lanes]float64 // (1-t)z/d: how much of its share keeps the side that the row does not take
	slope   [lanes]float64 // z/d²
}

// rule is a quadrature rule over [0, 1].
type rule struct {
	points, weights [][lanes]float64 // by block
	first           int32            // step of splits whose column was not split on before
}

// NewExplainer returns the explainer of a forest that has passed Check and does
// not change any more. It is an error if two ways lead to one node, or if over
// 128 different columns stand on one way.
func NewExplainer(f *Forest) (*Explainer, error) {
	c := wayChecker{forest: f, seen: make([]bool, len(f.Nodes)), onWay: make([]int, f.Columns)}
	for t, root := range f.Roots {
		if err := c.check(root); err != nil {
			return nil, fmt.Errorf("explain tree %d: %w", t, err)
		}
	}
	return &Explainer{forest: f}, nil
}

// layout returns the forest as it is laid out. Where that panics, as the file
// that the forest lies in was cut, the next call tries again.
func (e *Explainer) layout() *explained {
	if l := e.laidOut.Load(); l != nil {
		return l
	}
	e.lock.Lock()
	defer e.lock.Unlock()
	if l := e.laidOut.Load(); l != nil {
		return l
	}
	l := layOut(e.forest)
	e.laidOut.Store(l)
	return l
}

// Base returns the expectation of the forest's prediction over the rows that
// it was trained on.
func (e *Explainer) Base() float64 { return e.layout().base }

// Explain adds to dst, by column, how much each value of a row moves the
// prediction away from Base: the sum of all is what Predict returns less
// Base, but for rounding. Both are of Columns numbers. It allocates nothing
// but what the first call lays out.
func (e *Explainer) Explain(dst []float64, row []float32) {
	forest := e.layout()
	p, _ := e.pool.Get().(*passes)
	if p == nil {
		p = &passes{make([]placedSplit, forest.places), make([][lanes]float64, forest.places), make([][lanes]float64, forest.places)}
	}
	forest.explain(dst[:forest.columns], row[:forest.columns], p)
	e.pool.Put(p)
}

func (e *explained) explain(dst []float64, row []float32, p *passes) {
	for i := range e.trees {
		t := &e.trees[i]
		if t.nodes == 0 {
			continue
		}
		p.decide(e.nodes[t.node:][:t.nodes], row)
		for k, v := range e.leaves[t.leaf:][:t.leaves] {
			p.values[1+t.nodes+k] = [lanes]float64{v, v, v, v}
		}
		for block := range t.rule.weights {
			p.up(e.steps[block:], t.nodes)
			p.down(dst, e.steps[block:], t.nodes, &t.rule.weights[block])
		}
	}
}

// passes is the memory of the passes through a tree, by place.
type passes struct {
	splits []placedSplit
	values [][lanes]float64 // expectation below, at each point
	reach  [][lanes]float64 // weight with which it counts, at each point
}

// placedSplit is a split as a row goes through it.
type placedSplit struct {
	taken, other int32          // places of the side that the row takes, and of the other
	apart        [lanes]float64 // by how much the expectations of both differ
	share        float64        // of the cover, on the other side
	step         int32
	column       int32
	side         uint8 // that the row takes: 0 is left
	cold         uint8
}

// decide finds the way of a row at every split of a tree, without a branch
// that the processor would have to guess.
func (p *passes) decide(nodes []explainedNode, row []float32) {
	splits := p.splits[:len(nodes)+1]
	for i := range nodes {
		n, s := &nodes[i], &splits[i+1]
		x := row[n.column]
		side := 1 &^ (bit(x < n.threshold) | bit(x != x)&n.unknownLeft)
		above := &splits[n.above]
		cold := above.cold | (above.side ^ n.aboveSide)
		s.side, s.cold = side, cold
		s.column = n.column
		s.step = n.step &^ -int32(cold) // 0 where cold
		s.taken, s.other = n.children[side&1], n.children[1-side&1]
		left := float64(n.leftShare)
		s.share = [2]float64{1 - left, left}[side&1]
	}
}

func bit(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

// up computes the expectation below every split. The lanes are written out
// for speed.
func (p *passes) up(steps []step, nodes int) {
	splits, values := p.splits[:nodes+1], p.values
	for i := nodes; i > 0; i-- {
		s := &splits[i]
		against := &steps[s.step].against
		taken, other, out := &values[s.taken], &values[s.other], &values[i]
		d0, d1, d2, d3 := taken[0]-other[0], taken[1]-other[1], taken[2]-other[2], taken[3]-other[3]
		s.apart[0], s.apart[1], s.apart[2], s.apart[3] = d0, d1, d2, d3
		out[0] = taken[0] - against[0]*s.share*d0
		out[1] = taken[1] - against[1]*s.share*d1
		out[2] = taken[2] - against[2]*s.share*d2
		out[3] = taken[3] - against[3]*s.share*d3
	}
}

// down adds up what every split contributes to its column.
func (p *passes) down(dst []float64, steps []step, nodes int, weights *[lanes]float64) {
	splits, reaches := p.splits[:nodes+1], p.reach
	reaches[1] = *weights
	for i := 1; i < len(splits); i++ {
		s := &splits[i]
		step := &steps[s.step]
		against, slope, apart := &step.against, &step.slope, &s.apart
		reach, taken, other := &reaches[i], &reaches[s.taken], &reaches[s.other]
		r0, r1, r2, r3 := reach[0], reach[1], reach[2], reach[3]
		dst[s.column] += s.share * ((r0*slope[0]*apart[0] + r1*slope[1]*apart[1]) + (r2*slope[2]*apart[2] + r3*slope[3]*apart[3]))
		o0, o1, o2, o3 := r0*against[0]*s.share, r1*against[1]*s.share, r2*against[2]*s.share, r3*against[3]*s.share
		other[0], other[1], other[2], other[3] = o0, o1, o2, o3
		taken[0], taken[1], taken[2], taken[3] = r0-o0, r1-o1, r2-o2, r3-o3
	}
}
