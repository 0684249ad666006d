package drift

import (
	"slices"

	"housing/internal/house"
	"housing/internal/model"
)

// priceName is the feature that stands for the prices; no field has this name.
const priceName = "price"

// groupShare is the share of the training's values that a group of bins holds,
// about.
const groupShare = 1. / 8

// layout says which cell of a version's counters counts what. Cell 0 counts
// houses; each feature has a cell for each of its bins, and then one for
// unknown values and one for those outside the range.
type layout struct {
	features []feature
	cells    int
}

// feature is a field or the price, with its distribution in the training.
type feature struct {
	name string
	*model.Distribution
	trained []float64 // counts by bin
	first   int       // cell of the first bin
	groups  []int     // first bin of each group
	grouped []float64 // trained, by group
}

func (f *feature) bins() int        { return len(f.Counts) }
func (f *feature) unknownCell() int { return f.first + f.bins() }
func (f *feature) outsideCell() int { return f.first + f.bins() + 1 }

// canBeUnknown says whether a house may come without the feature.
func (f *feature) canBeUnknown() bool {
	field, isField := house.Lookup(f.name)
	return isField && !house.MinimalFields.Has(field)
}

func layoutOf(r *model.Reference) *layout {
	l := &layout{cells: 1}
	for i, d := range r.All() {
		f := feature{name: priceName, Distribution: d, first: l.cells, groups: model.Group(d.Counts, groupShare)}
		if i < house.NumFields {
			f.name = house.Field(i).String()
		}
		for _, c := range d.Counts {
			f.trained = append(f.trained, float64(c))
		}
		f.grouped = f.inGroups(nil, f.trained)
		l.cells = f.outsideCell() + 1
		l.features = append(l.features, f)
	}
	return l
}

// inGroups appends the sum of counts, by bin, of each group to dst[:0].
func (f *feature) inGroups(dst, counts []float64) []float64 {
	dst = slices.Grow(dst[:0], len(f.groups))
	for g := range f.groups {
		var sum float64
		for _, c := range counts[f.groups[g]:f.end(g)] {
			sum += c
		}
		dst = append(dst, sum)
	}
	return dst
}

// end returns the first bin behind group g.
func (f *feature) end(g int) int {
	if g+1 < len(f.groups) {
		return f.groups[g+1]
	}
	return f.bins()
}

// bin returns the bin of a known value.
func (f *feature) bin(v float64) int {
	low, high := 0, len(f.Edges)
	for low < high {
		middle := int(uint(low+high) / 2)
		if f.Edges[middle] <= v {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}
