package bundle

import (
	"fmt"

	"housing/internal/house"
	"housing/internal/model"
)

// distributions is how many distributions the reference statistics consist
// of: those of the fields in order, and that of prices.
const distributions = house.NumFields + 1

// addReference adds the parts of the reference statistics, of which a bundle
// has all or none.
func addReference(tensors map[string]tensor, r *model.Reference) {
	if r == nil {
		return
	}
	var bins []int32
	var edges, ranges []float64
	var counts, unknown []uint32
	for _, d := range r.All() {
		bins = append(bins, int32(len(d.Counts)))
		edges, counts = append(edges, d.Edges...), append(counts, d.Counts...)
		unknown, ranges = append(unknown, d.Unknown), append(ranges, d.Min, d.Max)
	}
	tensors["reference.bins"] = tensorOf(bins, len(bins)) // of each distribution
	tensors["reference.edges"] = tensorOf(edges, len(edges))
	tensors["reference.counts"] = tensorOf(counts, len(counts))
	tensors["reference.unknown"] = tensorOf(unknown, len(unknown))
	tensors["reference.range"] = tensorOf(ranges, len(unknown), 2)
}

// readReference returns the reference statistics, nil where the bundle has
// none.
func readReference(p *parts) (*model.Reference, error) {
	if _, there := p.tensors["reference.bins"]; !there {
		return nil, nil
	}
	bins, n := valuesOf[int32](p, "reference.bins")
	edges, _ := valuesOf[float64](p, "reference.edges")
	counts, _ := valuesOf[uint32](p, "reference.counts")
	unknown, nUnknown := valuesOf[uint32](p, "reference.unknown")
	ranges, nRanges := valuesOf[float64](p, "reference.range", 2)
	switch {
	case p.err != nil:
		return nil, p.err
	case n != distributions || nUnknown != n || nRanges != n:
		return nil, fmt.Errorf("reference statistics are of %d, %d and %d values of a house, not of %d", n, nUnknown, nRanges, distributions)
	}
	r := new(model.Reference)
	for i, d := range r.All() {
		b := int(bins[i])
		if b < 1 || b > len(counts) || b-1 > len(edges) {
			return nil, fmt.Errorf("reference statistics: distribution %d has %d bins, of which there are %d", i, b, len(counts))
		}
		d.Edges, edges = edges[:b-1:b-1], edges[b-1:]
		d.Counts, counts = counts[:b:b], counts[b:]
		d.Unknown, d.Min, d.Max = unknown[i], ranges[2*i], ranges[2*i+1]
	}
	if len(edges) > 0 || len(counts) > 0 {
		return nil, fmt.Errorf("reference statistics have %d edges and %d bins of no distribution", len(edges), len(counts))
	}
	return r, r.Check()
}
