package gbdt

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// wayChecker tells whether a forest can be explained.
type wayChecker struct {
	forest   *Forest
	seen     []bool // by node of the forest
	onWay    []int  // by column: splits on it on the way
	distinct int    // columns on the way
}

// check looks at what is below a node.
func (c *wayChecker) check(i int32) error {
	if i < 0 {
		return nil
	}
	if c.seen[i] {
		return errors.New("two ways lead to one node")
	}
	c.seen[i] = true
	n := &c.forest.Nodes[i]
	splits := &c.onWay[n.Column()]
	if *splits == 0 {
		if c.distinct++; c.distinct > maxDistinct {
			return fmt.Errorf("over %d different columns on one way", maxDistinct)
		}
	}
	*splits++
	if err := c.check(n.Left); err != nil {
		return err
	}
	if err := c.check(n.Right); err != nil {
		return err
	}
	if *splits--; *splits == 0 {
		c.distinct--
	}
	return nil
}

// layOut lays out a forest that has passed wayChecker.
func layOut(f *Forest) *explained {
	e := &explained{
		base: f.Base, columns: f.Columns,
		trees: make([]explainedTree, 0, len(f.Roots)), nodes: make([]explainedNode, 0, len(f.Nodes)), leaves: make([]float64, 0, len(f.Leaves)),
	}
	for range maxBlocks {
		e.steps = append(e.steps, step{against: [lanes]float64{1, 1, 1, 1}})
	}
	c := compiler{explained: e, forest: f, ways: make([]way, f.Columns)}
	c.addCovers()
	for i := range c.ways {
		c.ways[i] = way{share: 1}
	}
	for _, root := range f.Roots {
		c.tree(root)
	}
	e.steps = slices.Clone(e.steps) // to its length
	return e
}

// compiler lays a forest out to be explained.
type compiler struct {
	*explained
	forest   *Forest
	covers   []float64 // by node of the forest: of the leaves below it
	ways     []way     // by column
	distinct int       // columns on the way
	most     int       // of distinct, in the tree
	first    int       // node of the tree
	shares   []float64 // by node of the tree: of the cover, that splits above on the same column left
}

// way is what splits on a column have left of it on the way to a node.
type way struct {
	above int32 // place of the last one, 0 for none
	side  uint8
	share float64 // of the cover
}

func (c *compiler) tree(root int32) {
	c.first, c.most, c.shares = len(c.nodes), 0, c.shares[:0]
	t := explainedTree{node: len(c.nodes), leaf: len(c.leaves)}
	_, expected := c.lay(root)
	c.base += expected
	t.nodes, t.leaves = len(c.nodes)-t.node, len(c.leaves)-t.leaf
	if t.nodes > 0 {
		blocks := (c.most + 2*lanes - 1) / (2 * lanes)
		t.rule = c.rule(blocks)
		for i := range c.nodes[t.node:] {
			n := &c.nodes[t.node+i]
			for side, child := range n.children {
				if child < 0 { // leaf
					n.children[side] = 1 + int32(t.nodes) + ^child
				}
			}
			n.step = t.rule.first
			if n.above > 0 {
				n.step = int32(len(c.steps))
				for _, points := range t.rule.points {
					c.steps = append(c.steps, newStep(points, c.shares[i]))
				}
			}
		}
	}
	c.trees = append(c.trees, t)
	c.places = max(c.places, 1+t.nodes+t.leaves)
}

// lay lays out what is below a node, and returns its place, ^k for leaf k of
// the tree, and its expectation.
func (c *compiler) lay(i int32) (place int32, expected float64) {
	if i < 0 {
		v := float64(c.forest.Leaves[^i])
		c.leaves = append(c.leaves, v)
		return ^int32(len(c.leaves) - 1 - c.leafStart()), v
	}
	n := &c.forest.Nodes[i]
	if n.Left >= 0 && n.Left <= i || n.Right >= 0 && n.Right <= i {
		panic("the forest has changed since it was checked") // and would lead around without end
	}
	column := n.Column()
	before := c.ways[column]
	place = int32(1 + len(c.nodes) - c.first)
	leftShare := float64(c.leftShare(n))
	c.nodes = append(c.nodes, explainedNode{
		threshold: n.Threshold, column: int32(column), unknownLeft: bit(n.UnknownLeft()),
		above: before.above, aboveSide: before.side, leftShare: float32(leftShare),
	})
	c.shares = append(c.shares, before.share)
	if before.above == 0 {
		c.distinct++
		c.most = max(c.most, c.distinct)
	}
	c.ways[column] = way{place, 0, before.share * leftShare}
	left, a := c.lay(n.Left)
	c.ways[column] = way{place, 1, before.share * (1 - leftShare)}
	right, b := c.lay(n.Right)
	c.ways[column] = before
	if before.above == 0 {
		c.distinct--
	}
	c.nodes[c.first+int(place)-1].children = [2]int32{left, right}
	return place, b + leftShare*(a-b)
}

// leafStart returns the first leaf of the tree that is being laid out.
func (c *compiler) leafStart() int {
	if len(c.trees) == 0 {
		return 0
	}
	last := &c.trees[len(c.trees)-1]
	return last.leaf + last.leaves
}

// leftShare returns the share of a node's cover that goes left.
func (c *compiler) leftShare(n *Node) float32 {
	left, right := c.cover(n.Left), c.cover(n.Right)
	if !(left >= 0 && right >= 0 && left+right > 0) {
		return 0.5 // no training row came by
	}
	return float32(left / (left + right))
}

func (c *compiler) cover(i int32) float64 {
	if i < 0 {
		return float64(c.forest.LeafCover[^i])
	}
	return c.covers[i]
}

// addCovers finds the covers of all nodes, those below before those above.
func (c *compiler) addCovers() {
	c.covers = make([]float64, len(c.forest.Nodes))
	for i := len(c.covers) - 1; i >= 0; i-- {
		n := &c.forest.Nodes[i]
		c.covers[i] = c.cover(n.Left) + c.cover(n.Right)
	}
}

// rule returns the rule of a number of blocks.
func (c *compiler) rule(blocks int) *rule {
	if r := c.rules[blocks]; r != nil {
		return r
	}
	points, weights := gaussLegendre(lanes * blocks)
	r := &rule{first: int32(len(c.steps))}
	for b := range blocks {
		r.points = append(r.points, [lanes]float64(points[b*lanes:]))
		r.weights = append(r.weights, [lanes]float64(weights[b*lanes:]))
		c.steps = append(c.steps, newStep(r.points[b], 1))
	}
	c.rules[blocks] = r
	return r
}

func newStep(points [lanes]float64, share float64) step {
	var s step
	for k, t := range points {
		d := t + (1-t)*share
		s.against[k] = (1 - t) * share / d
		s.slope[k] = share / (d * d)
	}
	return s
}

// gaussLegendre returns the points and weights over [0, 1] of the rule of n
// points, which integrates polynomials of degree up to 2n-1 exactly: the
// roots of the Legendre polynomial, by Newton's method (Press et al.,
// Numerical Recipes, 4.6).
func gaussLegendre(n int) (points, weights []float64) {
	points, weights = make([]float64, n), make([]float64, n)
	for i := range n {
		x := math.Cos(math.Pi * (float64(i) + 0.75) / (float64(n) + 0.5))
		var slope float64
		for range 100 {
			p, before := 1.0, 0.0
			for k := range n {
				p, before = (float64(2*k+1)*x*p-float64(k)*before)/float64(k+1), p
			}
			slope = float64(n) * (x*p - before) / (x*x - 1)
			dx := p / slope
			x -= dx
			if math.Abs(dx) < 1e-15 {
				break
			}
		}
		points[i] = (1 + x) / 2
		weights[i] = 1 / ((1 - x*x) * slope * slope)
	}
	return points, weights
}
