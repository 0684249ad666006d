package gbdt

import (
	"math"
	"unsafe"
)

// A walker is the engine for any processor: it makes eight walks at once,
// from node to node without a branch, over codes in place of values.
//
// Branches that are not taken as foreseen are what costs in a plain walk, and
// waiting for memory when only one walk is under way. The end of a tree is no
// branch either: trees are linked to chains, where each leaf is at the same
// time the first node of the next tree, so that a walk goes on, whatever the
// depth of its leaves, until its chain ends. One row walks eight chains at
// once, eight rows walk one chain.
type walker struct {
	chains []chain // in the order of the trees; a multiple of walks
	nodes  []walkNode
	values []float32 // by node: the leaf's, else nothing
}

// chain is trees that stand one after the other in the forest.
type chain struct {
	first uint32 // node
	trees int
}

// walks is how many are made at once.
const walks = 8

// chainTrees is how many trees a chain may have: few enough that its nodes
// stay in a near cache, and one less than there is place for, which is what
// endNode writes to.
const chainTrees = 1<<6 - 1

// endNode is where all chains end; it leads to itself.
const endNode = 0

// nothing changes no sum it is added to, not even -0.
var nothing = float32(math.Copysign(0, -1))

// walkNode leads to the node child where the row's code is at most the
// node's, else to the one after it. From the low bits on it has the place of
// the row's code (8), the tree's number in its chain (8), the node's code (16)
// and child (32).
type walkNode uint64

func newWalkNode(place, tree, code int, child uint32) walkNode {
	return walkNode(child)<<32 | walkNode(code)<<16 | walkNode(tree)<<8 | walkNode(place)
}

const (
	walkPlaces = 1 << 8    // at most; more are left to the plain walk
	walkCodes  = 1<<15 - 1 // over every code
	codeScale  = 1 << 16   // of the codes that are compared
)

// newWalker compiles a forest for its quantiser.
func newWalker(f *Forest, q *quantiser) *walker {
	w := &walker{
		nodes:  []walkNode{newWalkNode(0, chainTrees, walkCodes, endNode)},
		values: []float32{nothing},
	}
	chains := walks * max(1, (len(f.Roots)+walks*chainTrees-1)/(walks*chainTrees))
	for i := range chains {
		lo, hi := i*len(f.Roots)/chains, (i+1)*len(f.Roots)/chains
		next := w.nodes[endNode]
		for tree := hi - 1; tree >= lo; tree-- {
			next = w.append(f, q, f.Roots[tree], tree-lo, next)
		}
		w.chains = append(w.chains, chain{first: w.room(1), trees: hi - lo})
		w.nodes[w.chains[i].first] = next
	}
	return w
}

// append adds all of a tree but its first node, which it returns, level by
// level; next is the first node of the tree after it in the chain.
func (w *walker) append(f *Forest, q *quantiser, root int32, tree int, next walkNode) walkNode {
	if root < 0 { // only a leaf: a node that always leads to it
		leaf := w.room(1)
		w.nodes[leaf], w.values[leaf] = next, f.Leaves[^root]
		return newWalkNode(0, tree, walkCodes, leaf)
	}
	inner := func(i int32, child uint32) walkNode {
		place, code := q.rank(&f.Nodes[i])
		return newWalkNode(place, tree, code, child)
	}
	type pair struct { // of children that stand side by side
		of int32 // node of the forest
		at uint32
	}
	level := []pair{{root, w.room(2)}}
	first := inner(root, level[0].at)
	for ; len(level) > 0; level = level[1:] {
		n := &f.Nodes[level[0].of]
		for k, i := range [2]int32{n.Left, n.Right} {
			at := level[0].at + uint32(k)
			if i < 0 {
				w.nodes[at], w.values[at] = next, f.Leaves[^i]
			} else {
				children := pair{i, w.room(2)}
				w.nodes[at] = inner(i, children.at)
				level = append(level, children)
			}
		}
	}
	return first
}

// room adds n nodes and returns the first.
func (w *walker) room(n int) uint32 {
	first := uint32(len(w.nodes))
	for range n {
		w.nodes, w.values = append(w.nodes, 0), append(w.values, nothing)
	}
	return first
}

// advance returns the node after node i for a row of codes, and node i. A
// forest that passes Check leads to no node outside and looks at no place
// outside, which is why nothing is checked here.
func advance(nodes *walkNode, codes *[walkPlaces]uint32, i uint64) (uint64, walkNode) {
	n := *(*walkNode)(unsafe.Add(unsafe.Pointer(nodes), uintptr(i)*unsafe.Sizeof(walkNode(0))))
	return uint64(n>>32) + uint64((uint32(n)-codes[uint8(n)])>>31), n
}

// rowWalks is what the walks of one row work with: its codes, times
// codeScale, and for each chain the leaves that its trees end in.
type rowWalks struct {
	codes  [walkPlaces]uint32
	leaves [walks][chainTrees + 1]uint32
}

// advance is the step of chain k: each is written down, and the last that a
// tree writes is its leaf.
func (t *rowWalks) advance(nodes *walkNode, k int, i uint64) uint64 {
	to, n := advance(nodes, &t.codes, i)
	t.leaves[k][uint32(n)>>8%(chainTrees+1)] = uint32(to)
	return to
}

// walk finds the leaves of eight chains. It is a function of its own so that
// all it works with stays in registers, and so is addRows.
//
//go:noinline
func (t *rowWalks) walk(nodes *walkNode, chains *[walks]chain) {
	a, b, c, d := uint64(chains[0].first), uint64(chains[1].first), uint64(chains[2].first), uint64(chains[3].first)
	e, f, g, h := uint64(chains[4].first), uint64(chains[5].first), uint64(chains[6].first), uint64(chains[7].first)
	for a|b|c|d|e|f|g|h != endNode {
		for range 8 {
			a = t.advance(nodes, 0, a)
			b = t.advance(nodes, 1, b)
			c = t.advance(nodes, 2, c)
			d = t.advance(nodes, 3, d)
			e = t.advance(nodes, 4, e)
			f = t.advance(nodes, 5, f)
			g = t.advance(nodes, 6, g)
			h = t.advance(nodes, 7, h)
		}
	}
}

// sum returns the sum of the trees' leaves, tree after tree.
func (w *walker) sum(t *rowWalks) (sum float32) {
	for at := 0; at < len(w.chains); at += walks {
		chains := (*[walks]chain)(w.chains[at:])
		t.walk(&w.nodes[0], chains)
		for k := range chains {
			for _, leaf := range t.leaves[k][:chains[k].trees] {
				sum += w.values[leaf]
			}
		}
	}
	return sum
}

// addRows adds to sums[r] the leaves of a chain's trees for the row whose
// codes, times codeScale, are codes[r], tree after tree.
//
//go:noinline
func addRows(nodes *walkNode, values *float32, first uint64, codes *[walks][walkPlaces]uint32, sums *[walks]float32) {
	a, b, c, d, e, f, g, h := first, first, first, first, first, first, first, first
	s0, s1, s2, s3, s4, s5, s6, s7 := sums[0], sums[1], sums[2], sums[3], sums[4], sums[5], sums[6], sums[7]
	for a|b|c|d|e|f|g|h != endNode {
		for range 8 {
			a, _ = advance(nodes, &codes[0], a)
			b, _ = advance(nodes, &codes[1], b)
			c, _ = advance(nodes, &codes[2], c)
			d, _ = advance(nodes, &codes[3], d)
			e, _ = advance(nodes, &codes[4], e)
			f, _ = advance(nodes, &codes[5], f)
			g, _ = advance(nodes, &codes[6], g)
			h, _ = advance(nodes, &codes[7], h)
			s0 += valueOf(values, a)
			s1 += valueOf(values, b)
			s2 += valueOf(values, c)
			s3 += valueOf(values, d)
			s4 += valueOf(values, e)
			s5 += valueOf(values, f)
			s6 += valueOf(values, g)
			s7 += valueOf(values, h)
		}
	}
	*sums = [walks]float32{s0, s1, s2, s3, s4, s5, s6, s7}
}

func valueOf(values *float32, i uint64) float32 {
	return *(*float32)(unsafe.Add(unsafe.Pointer(values), uintptr(i)*unsafe.Sizeof(float32(0))))
}

// sumRows adds to each row's sum its leaves.
func (w *walker) sumRows(codes [][walks][walkPlaces]uint32, sums [][walks]float32) {
	for i := range w.chains {
		for k := range sums {
			addRows(&w.nodes[0], &w.values[0], uint64(w.chains[i].first), &codes[k], &sums[k])
		}
	}
}
