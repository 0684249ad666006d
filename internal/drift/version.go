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
	shards []shard // a power of two of them

	history  history
	exported []uint64 // totals that the metrics have been told of; nil while it is not shown
}

// shard is a set of counters, which some of the calls share.
type shard struct {
	cells []atomic.Uint64 // of layout
	seen  *sharedSketch   // houses since the last snapshot
}

func newVersion(name string, r *model.Reference) *Version {
	v := &Version{layout: layoutOf(r), name: name}
	n := 1
	for n < min(runtime.GOMAXPROCS(0), maxShards) {
		n *= 2
	}
	for range n {
		v.shards = append(v.shards, shard{make([]atomic.Uint64, v.cells), new(sharedSketch)})
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
	s := &v.shards[rand.Uint32()&uint32(len(v.shards)-1)]
	cells := s.cells
	cells[0].Add(uint64(len(houses)))
	for i := range houses {
		s.seen.see(&houses[i])
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
	for _, s := range v.shards {
		for i := range s.cells {
			dst[i] += s.cells[i].Load()
		}
	}
}

// seen returns the houses since the last snapshot.
func (v *Version) seen() (s sketch) {
	for _, shard := range v.shards {
		for i := range shard.seen {
			s[i] |= shard.seen[i].Load()
		}
	}
	return s
}

// snapshot sets totals and seen to what is now, and begins to see anew.
func (v *Version) snapshot(totals []uint64, seen *sketch) {
	v.total(totals)
	clear(seen[:])
	for _, shard := range v.shards {
		for i := range shard.seen {
			seen[i] |= shard.seen[i].Swap(0)
		}
	}
}
