package gbdt

import (
	"errors"
	"fmt"
	"math"
)

// Node is an inner node of a tree: a row goes left where its value of the
// column is less than Threshold, or is unknown and Feature says so.
type Node struct {
	Threshold float32
	// Feature is the column, and in its top bit whether unknown goes left.
	Feature uint32
	// Left and Right are the index of a later node of the same tree, or,
	// negative, ^i for leaf i.
	Left, Right int32
}

const unknownLeftBit = 1 << 31

// Column returns the column that the node looks at.
func (n *Node) Column() int { return int(n.Feature &^ unknownLeftBit) }

// UnknownLeft says whether a row in which the column is unknown goes left.
func (n *Node) UnknownLeft() bool { return n.Feature&unknownLeftBit != 0 }

// Forest is a sum of trees. It never changes once made, so any number of
// goroutines may predict with it.
type Forest struct {
	Base    float64 // prediction before any tree
	Columns int     // of the rows that it predicts from
	Roots   []int32 // by tree: its first node, or ^i where the tree is leaf i alone
	Nodes   []Node  // tree after tree
	Leaves  []float32
	// LeafCover is the weight of the training rows that came to each leaf, for
	// reasons by TreeSHAP.
	LeafCover []float32
}

// Trees returns how many trees the forest has.
func (f *Forest) Trees() int { return len(f.Roots) }

// Predict returns the forest's value for a row of Columns numbers. Leaves
// are summed in float32 in the order of the trees, the base is added last.
func (f *Forest) Predict(row []float32) float64 {
	row = row[:f.Columns]
	nodes, leaves := f.Nodes, f.Leaves
	var sum float32
	for _, i := range f.Roots {
		for i >= 0 {
			n := &nodes[i]
			x := row[n.Feature&^unknownLeftBit]
			if x < n.Threshold || (x != x && n.UnknownLeft()) {
				i = n.Left
			} else {
				i = n.Right
			}
		}
		sum += leaves[^i]
	}
	return f.Base + float64(sum)
}

// Check returns an error unless every way through the forest ends in a leaf
// and every number that is read is in range, so that Predict can neither
// panic nor run on. Forests from outside must pass it before they predict.
func (f *Forest) Check() error {
	switch {
	case f.Columns < 1 || f.Columns > 1<<20:
		return fmt.Errorf("forest of %d columns", f.Columns)
	case math.IsNaN(f.Base) || math.IsInf(f.Base, 0):
		return fmt.Errorf("forest's base is %g", f.Base)
	case len(f.Nodes) > math.MaxInt32 || len(f.Leaves) > math.MaxInt32:
		return errors.New("forest is too large")
	case len(f.LeafCover) != len(f.Leaves):
		return errors.New("forest's covers do not fit its leaves")
	}
	for i, v := range f.Leaves {
		if v != v || math.IsInf(float64(v), 0) {
			return fmt.Errorf("leaf %d is %g", i, v)
		}
	}
	for t, r := range f.Roots {
		if int(r) >= len(f.Nodes) || r < 0 && int(^r) >= len(f.Leaves) {
			return fmt.Errorf("tree %d starts outside the forest", t)
		}
	}
	for i := range f.Nodes {
		n := &f.Nodes[i]
		if n.Column() >= f.Columns || n.Threshold != n.Threshold {
			return fmt.Errorf("node %d compares column %d with %g", i, n.Column(), n.Threshold)
		}
		for _, child := range [2]int32{n.Left, n.Right} {
			if child >= 0 && (int(child) <= i || int(child) >= len(f.Nodes)) || child < 0 && int(^child) >= len(f.Leaves) {
				return fmt.Errorf("node %d leads outside the forest", i)
			}
		}
	}
	return nil
}
