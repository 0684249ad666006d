package bundle

import "housing/internal/gbdt"

// nodeWidth is how many 32-bit numbers a gbdt.Node consists of.
const nodeWidth = 4

// addForest adds the parts of a forest, under a name.
func addForest(tensors map[string]tensor, name string, f *gbdt.Forest) {
	tensors[name+".base"] = tensorOf([]float64{f.Base}, 1)
	tensors[name+".roots"] = tensorOf(f.Roots, len(f.Roots))
	tensors[name+".nodes"] = tensorOf(numbers[uint32](f.Nodes), len(f.Nodes), nodeWidth)
	tensors[name+".leaves"] = tensorOf(f.Leaves, len(f.Leaves))
	tensors[name+".leaf_cover"] = tensorOf(f.LeafCover, len(f.LeafCover))
}

// readForest returns the forest of a name, over rows of so many columns. It
// has not been checked yet.
func readForest(p *parts, name string, columns int) *gbdt.Forest {
	f := &gbdt.Forest{Columns: columns, Base: oneOf[float64](p, name+".base")}
	f.Roots, _ = valuesOf[int32](p, name+".roots")
	nodes, _ := valuesOf[uint32](p, name+".nodes", nodeWidth)
	f.Nodes = structs[gbdt.Node](nodes)
	f.Leaves, _ = valuesOf[float32](p, name+".leaves")
	f.LeafCover, _ = valuesOf[float32](p, name+".leaf_cover")
	return f
}
