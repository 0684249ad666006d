package gbdt

// Leaf returns the index in Leaves of the leaf of a tree that a row comes to.
func (f *Forest) Leaf(tree int, row []float32) int32 {
	i := f.Roots[tree]
	for i >= 0 {
		n := &f.Nodes[i]
		x := row[n.Feature&^unknownLeftBit]
		if x < n.Threshold || (x != x && n.UnknownLeft()) {
			i = n.Left
		} else {
			i = n.Right
		}
	}
	return ^i
}
