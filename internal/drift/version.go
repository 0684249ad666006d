package drift

import (
	"math/rand/v2"
	"runtime"
	"sync/atomic"

	"housing/internal/house"
	"housing/internal/model"
)

// maxShards bounds how many sets of counters a version has.
const maxShards = 8

// Version counts what one version is asked. It is safe for concurrent use; a
// nil *Version counts nothing.
type Version struct {
	*layout
	name   string
	shards [][]atomic.Uint64 // counters by cell; a power of two of them

	history  history
	exported []uint64 // totals that the metrics have been told of; nil while it is not shown
}

func newVersion(name string, r *model.Reference) *Version {
	v := &Version{layout: layoutOf(r), name: name}
	n := 1
	for n < min(runtime.GOMAXPROCS(0), maxShards) {
		n *= 2
	}
	for range n {
		v.shards = append(v.shards, make([]atomic.Uint64, v.cells))
	}
	return v
}

// Observe counts houses, the prices that they were given, and how many of
// their zipcodes no demographics are known of. It takes no lock and allocates
// nothing.
func (v *Version) Observe(houses []house.House, prices []float64, unknownZipcodes int) {
	if v == nil {
		return
	}
	// At random, so that calls on several processors seldom meet.
	cells := v.shards[rand.Uint32()&uint32(len(v.shards)-1)]
	cells[0].Add(uint64(len(houses)))
	for i := range houses {
		for f := range houses[i].Values {
			v.features[f].count(cells, houses[i].Values[f], f != int(house.ZipcodeField))
		}
	}
	if unknownZipcodes > 0 {
		cells[v.features[house.ZipcodeField].outsideCell()].Add(uint64(unknownZipcodes))
	}
	price := &v.features[house.NumFields]
	for _, p := range prices {
		price.count(cells, p, true)
	}
}

// count counts one value. A zipcode is not outside of a range.
func (f *feature) count(cells []atomic.Uint64, value float64, ranged bool) {
	if value != value {
		cells[f.unknownCell()].Add(1)
		return
	}
	cells[f.first+f.bin(value)].Add(1)
	if ranged && (value < f.Min || value > f.Max) {
		cells[f.outsideCell()].Add(1)
	}
}

// total sets dst, of one number a cell, to what was counted since the version
// began.
func (v *Version) total(dst []uint64) {
	clear(dst)
	for _, cells := range v.shards {
		for i := range cells {
			dst[i] += cells[i].Load()
		}
	}
}
