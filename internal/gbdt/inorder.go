package gbdt

// inOrder is a forest laid out for engines that compare 64 codes at once: of 64
// rows with a node of a tree, or of one row with a node of each of 64 trees.
//
// Such an engine does not walk. It looks at all nodes of a tree, from the one
// leftmost in the tree to the rightmost (in-order), and keeps the leftmost
// leaf that is still possible. Let the leaves be numbered from the left, so
// that node i stands between leaves i and i+1, and let first be the leftmost
// leaf below node i. Where a row would go right at node i, the leaves from
// first to i are none of its: if one of them was the leftmost possible, then
// leaf i+1 is now. Nodes that the row never comes by exclude leaves that it
// would not fall into anyhow. (QuickScorer, Lucchese et al., SIGIR 2015, with
// the number of the leftmost leaf in place of a bit for each.)
//
// The work is as much as there are nodes, however the tree is shaped, and has
// neither branches nor loads that wait for each other.
type inOrder struct {
	search search
	groups []treesInOrder
	places []uint8   // by tree, then node: what it compares
	codes  []uint8   // likewise: it goes right where the row's code is over this
	firsts []uint8   // likewise: leftmost leaf below
	across []uint8   // by group, then node: places, codes and firsts of groupTrees trees
	wide   bool      // whether more than 128 places are used
	leaves []float32 // by tree, as many for each as its group says
}

// treesInOrder is up to groupTrees trees that stand one after the other in the
// forest, each filled up to the size of the largest with nodes where no row
// goes right.
type treesInOrder struct {
	trees, nodes, leaves int
	node, stride         int // where the first tree's nodes begin, and how far it is to the next tree's
	across               int // where the nodes of all begin, in units of groupTrees
	leaf                 int // where the first tree's leaves begin
}

const (
	groupTrees  = 128 // trees of a group
	fillNodes   = 32  // nodes of a tree are filled up to a multiple of this
	chunkNodes  = 64  // and read so many at a time
	chunkLeaves = 32  // leaves likewise
	maxPlaces   = 255 // at most, so that the place that is not read fits a byte too
	maxCodes    = 255 // thresholds of a column at most
	maxLeaves   = 256 // leaves of a tree at most
)

// fitsInOrder reports whether the forest can be laid out in order.
func fitsInOrder(f *Forest, q *quantiser) bool {
	if q.places > maxPlaces || q.mostCodes() > maxCodes {
		return false
	}
	for _, root := range f.Roots {
		if countLeaves(f, root) > maxLeaves {
			return false
		}
	}
	return true
}

func countLeaves(f *Forest, i int32) int {
	if i < 0 {
		return 1
	}
	return countLeaves(f, f.Nodes[i].Left) + countLeaves(f, f.Nodes[i].Right)
}

// newInOrder lays out a forest that fits.
func newInOrder(f *Forest, q *quantiser) *inOrder {
	l := &inOrder{search: newSearch(q), wide: q.places > 128}
	for at := 0; at < len(f.Roots); at += groupTrees {
		l.append(f, q, f.Roots[at:min(at+groupTrees, len(f.Roots))])
	}
	// Every tree's leaves may be read as maxLeaves, and its nodes in chunks.
	l.leaves = append(l.leaves, make([]float32, maxLeaves)...)
	l.codes = append(l.codes, make([]uint8, chunkNodes-fillNodes)...)
	l.firsts = append(l.firsts, make([]uint8, chunkNodes-fillNodes)...)
	return l
}

// append adds a group of trees.
func (l *inOrder) append(f *Forest, q *quantiser, roots []int32) {
	g := treesInOrder{trees: len(roots), node: len(l.places), across: len(l.across) / groupTrees, leaf: len(l.leaves)}
	trees := make([]treeInOrder, len(roots))
	for t, root := range roots {
		trees[t].append(f, q, root)
		g.nodes = max(g.nodes, len(trees[t].places))
	}
	g.leaves = (g.nodes + chunkLeaves) / chunkLeaves * chunkLeaves // one more than nodes, rounded up
	g.stride = (g.nodes + fillNodes - 1) / fillNodes * fillNodes
	for t := range trees {
		tree := &trees[t]
		for len(tree.places) < g.stride {
			tree.places, tree.codes, tree.firsts = append(tree.places, 0), append(tree.codes, 255), append(tree.firsts, 255)
		}
		l.places = append(l.places, tree.places...)
		l.codes = append(l.codes, tree.codes...)
		l.firsts = append(l.firsts, tree.firsts...)
		l.leaves = append(l.leaves, tree.leaves...)
		l.leaves = append(l.leaves, make([]float32, g.leaves-len(tree.leaves))...)
	}
	for i := range g.nodes {
		var places, codes, firsts [groupTrees]uint8
		for t := range trees {
			places[t], codes[t], firsts[t] = trees[t].places[i], trees[t].codes[i], trees[t].firsts[i]
		}
		l.across = append(append(append(l.across, places[:]...), codes[:]...), firsts[:]...)
	}
	l.groups = append(l.groups, g)
}

// treeInOrder is a tree from left to right.
type treeInOrder struct {
	places, codes, firsts []uint8
	leaves                []float32
}

func (t *treeInOrder) append(f *Forest, q *quantiser, i int32) {
	if i < 0 {
		t.leaves = append(t.leaves, f.Leaves[^i])
		return
	}
	n := &f.Nodes[i]
	first := len(t.leaves)
	t.append(f, q, n.Left)
	place, code := q.rank(n)
	t.places, t.codes, t.firsts = append(t.places, uint8(place)), append(t.codes, uint8(code)), append(t.firsts, uint8(first))
	t.append(f, q, n.Right)
}

// blockRows is how many rows are predicted at once.
const blockRows = 128

// codeBlock is the codes of a block of rows: by place, then row.
type codeBlock [maxPlaces + 1][blockRows]uint8
