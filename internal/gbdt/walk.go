package gbdt

import (
	"cmp"
	"slices"
	"unsafe"
)

// A walker is the engine for any processor: it walks eight trees at once,
// from node to node without a branch, over codes in place of values.
//
// Both children of a node stand side by side, so that a step is one addition
// of what the comparison gave; a leaf leads to itself, so that all eight
// walks take as many steps. Branches that are not taken as foreseen are what
// costs in a plain walk, and waiting for memory when only one tree is under
// way. Of some trees that follow one another those that are about as deep are
// walked together, and their leaves are then summed in the order of the trees.
type walker struct {
	windows []treeWindow
	nodes   []walkNode
	values  []float32 // by node: of leaves
	rest    []uint32  // first nodes of the last trees, too few for a window
	deep    int32     // of those
}

// treeWindow is trees that stand one after the other in the forest.
type treeWindow [windowGroups]treeGroup

// windowGroups is so many that a window's nodes stay in a near cache.
const windowGroups = 4

const windowTrees = 8 * windowGroups

// treeGroup is trees of a window that are about as deep.
type treeGroup struct {
	first [8]uint32 // node
	place [8]uint32 // in the window
	deep  int32     // steps to the deepest leaf of all
}

// walkNode leads to the node child where the row's code is at most the
// node's, else to the one after it. From the low bits on it has the place of
// the row's code (16), the node's code (16) and child (32).
type walkNode uint64

func newWalkNode(place, code, child uint32) walkNode {
	return walkNode(child)<<32 | walkNode(code)<<16 | walkNode(place)
}

const (
	walkPlaces = 1 << 8    // at most; more are left to the plain walk
	walkCodes  = 1<<15 - 1 // over every code of a node but a leaf's, which all are at most
	codeScale  = 1 << 16   // of the codes that are compared
)

// newWalker compiles a forest for its quantiser.
func newWalker(f *Forest, q *quantiser) *walker {
	w := &walker{}
	for at := 0; at < len(f.Roots); at += windowTrees {
		var trees [windowTrees]struct{ first, place, deep int32 }
		n := min(windowTrees, len(f.Roots)-at)
		for i := range trees[:n] {
			trees[i].place = int32(i)
			trees[i].first, trees[i].deep = w.append(f, q, f.Roots[at+i])
		}
		if n < windowTrees {
			for i := range trees[:n] {
				w.rest, w.deep = append(w.rest, uint32(trees[i].first)), max(w.deep, trees[i].deep)
			}
			break
		}
		slices.SortStableFunc(trees[:], func(a, b struct{ first, place, deep int32 }) int { return cmp.Compare(a.deep, b.deep) })
		var window treeWindow
		for i, tree := range trees {
			group := &window[i/8]
			group.first[i%8], group.place[i%8], group.deep = uint32(tree.first), uint32(tree.place), tree.deep
		}
		w.windows = append(w.windows, window)
	}
	return w
}

// append adds a tree, level by level, and returns its first node and depth.
func (w *walker) append(f *Forest, q *quantiser, root int32) (first, deep int32) {
	first = int32(len(w.nodes))
	w.nodes, w.values = append(w.nodes, 0), append(w.values, 0)
	level := []int32{root} // of the forest; they stand at the end of nodes
	for at := first; len(level) > 0; deep++ {
		var next []int32
		for _, i := range level {
			child := int32(len(w.nodes))
			if i < 0 {
				w.values[at] = f.Leaves[^i]
				w.nodes[at] = newWalkNode(0, walkCodes, uint32(at))
			} else {
				n := &f.Nodes[i]
				place, code := q.rank(n)
				w.nodes[at] = newWalkNode(uint32(place), uint32(code), uint32(child))
				w.nodes, w.values = append(w.nodes, 0, 0), append(w.values, 0, 0)
				next = append(next, n.Left, n.Right)
			}
			at++
		}
		level = next
	}
	return first, deep - 1
}

// advance returns the node after node i for a row of codes. A forest that
// passes Check leads to no node outside and looks at no place outside, which
// is why nothing is checked here.
func advance(nodes *walkNode, codes *[walkPlaces]uint32, i uint32) uint32 {
	n := *(*walkNode)(unsafe.Add(unsafe.Pointer(nodes), uintptr(i)*unsafe.Sizeof(walkNode(0))))
	return uint32(n>>32) + (uint32(n)-codes[uint8(n)])>>31
}

// walk returns the nodes that the eight trees of a group end in. It is a
// function of its own so that all it works with stays in registers.
//
//go:noinline
func walk(nodes *walkNode, codes *[walkPlaces]uint32, group *treeGroup) (a, b, c, d, e, f, g, h uint32) {
	a, b, c, d = group.first[0], group.first[1], group.first[2], group.first[3]
	e, f, g, h = group.first[4], group.first[5], group.first[6], group.first[7]
	for n := group.deep; n > 0; n-- {
		a = advance(nodes, codes, a)
		b = advance(nodes, codes, b)
		c = advance(nodes, codes, c)
		d = advance(nodes, codes, d)
		e = advance(nodes, codes, e)
		f = advance(nodes, codes, f)
		g = advance(nodes, codes, g)
		h = advance(nodes, codes, h)
	}
	return a, b, c, d, e, f, g, h
}

// add adds to sums[r] the trees' leaves for row r, tree after tree. The codes
// of row r, times codeScale, are codes[r].
func (w *walker) add(codes [][walkPlaces]uint32, sums []float32) {
	var leaves [rowsAtOnce][windowTrees]float32
	values := w.values
	for i := range w.windows {
		for k := range w.windows[i] {
			group := &w.windows[i][k]
			for r := range sums {
				a, b, c, d, e, f, g, h := walk(&w.nodes[0], &codes[r], group)
				of, at := &leaves[r], &group.place
				of[at[0]%windowTrees], of[at[1]%windowTrees], of[at[2]%windowTrees], of[at[3]%windowTrees] = values[a], values[b], values[c], values[d]
				of[at[4]%windowTrees], of[at[5]%windowTrees], of[at[6]%windowTrees], of[at[7]%windowTrees] = values[e], values[f], values[g], values[h]
			}
		}
		addWindow(sums, leaves[:len(sums)])
	}
	for _, first := range w.rest {
		for r := range sums {
			i := first
			for range w.deep {
				i = advance(&w.nodes[0], &codes[r], i)
			}
			sums[r] += values[i]
		}
	}
}

// addWindow adds to each row's sum its leaves, one after the other: of four
// rows at a time, as a sum waits for the one before.
func addWindow(sums []float32, leaves [][windowTrees]float32) {
	for ; len(sums) >= 4; sums, leaves = sums[4:], leaves[4:] {
		s0, s1, s2, s3 := sums[0], sums[1], sums[2], sums[3]
		l0, l1, l2, l3 := &leaves[0], &leaves[1], &leaves[2], &leaves[3]
		for i := range windowTrees {
			s0 += l0[i]
			s1 += l1[i]
			s2 += l2[i]
			s3 += l3[i]
		}
		sums[0], sums[1], sums[2], sums[3] = s0, s1, s2, s3
	}
	for r, sum := range sums {
		for _, v := range &leaves[r] {
			sum += v
		}
		sums[r] = sum
	}
}
