package model

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"sync"

	"housing/internal/demographics"
	"housing/internal/features"
	"housing/internal/gbdt"
	"housing/internal/house"
)

// Comparable is an earlier sale that is like a house which is valued.
type Comparable struct {
	House      house.House // House.Date is the day of the sale
	Price      float64     // that it sold for, US dollars
	DistanceKM float64     // from the house; NaN where either place is unknown
	AgeDays    int         // from the sale to the day of the valuation
	// Similarity is the share of the model's trees in which both houses come
	// to the same leaf, from 0 to 1.
	Similarity float64
	// AdjustedPrice is what Price would be today for the house that is
	// valued: Price times what the model thinks of it now over what models
	// that had not seen the sale thought of the other house then.
	AdjustedPrice float64
}

// Comparables are sales to be found again by how alike they are. They never
// change once made.
type Comparables struct {
	Sales []ComparableSale
	Trees int // of which leaves are kept, spread evenly over the forest
	// Leaves are the low bytes of the leaves that the sales' houses come to, in
	// order of Sales and then of trees.
	Leaves []uint8

	places []place // of Sales, to be looked through fast
}

// place is where and when a sale was.
type place struct {
	lat, long float32
	date      house.Date
	zipcode   house.Zipcode
}

// ComparableSale is a sale without the number of its parcel.
type ComparableSale struct {
	House    house.House
	Price    float64
	Expected float64 // log of the price that a model gave which had not seen it
}

const (
	// comparablesShown is how many a valuation has at most.
	comparablesShown = 5
	// comparableTrees is of how many trees leaves are kept at most; a multiple
	// of 8, which are compared at once.
	comparableTrees = 256
	// candidates is how many sales, the nearest, are compared tree by tree.
	candidates = 500
)

// NewComparables keeps the sales that m was trained from, with the prices of the
// models of a validation that had not seen them.
func NewComparables(m *Model, sales []house.Sale, v *Validation, table *demographics.Table) *Comparables {
	c := &Comparables{Trees: min(comparableTrees, m.Forest.Trees())}
	row := make([]float32, features.NumColumns())
	for i := range sales {
		h := &sales[i].House
		area, _ := table.Lookup(h.Zipcode())
		m.Row(row, h, area)
		c.Leaves = c.appendLeaves(c.Leaves, m.Forest, row)
		c.Sales = append(c.Sales, ComparableSale{*h, sales[i].Price, math.Log(v.Prices[i])})
	}
	return c
}

// appendLeaves appends what Leaves holds of a house.
func (c *Comparables) appendLeaves(dst []uint8, f *gbdt.Forest, row []float32) []uint8 {
	for k := range c.Trees {
		dst = append(dst, uint8(f.Leaf(k*f.Trees()/c.Trees, row)))
	}
	return dst
}

// check returns an error unless c can be searched for a model.
func (c *Comparables) check(m *Model) error {
	switch {
	case len(c.Sales) == 0 || len(c.Sales) > house.MaxSales:
		return fmt.Errorf("comparables: %d sales", len(c.Sales))
	case c.Trees < 1 || c.Trees > min(comparableTrees, m.Forest.Trees()) || len(c.Leaves) != c.Trees*len(c.Sales):
		return errors.New("comparables: their leaves do not fit them")
	}
	for i := range c.Sales {
		s := &c.Sales[i]
		if !(s.Price > 0 && s.Price <= house.MaxPrice) || math.IsNaN(s.Expected) || math.Abs(s.Expected) > 100 || s.House.Date == house.NoDate {
			return fmt.Errorf("comparables: sale %d has no price or no day", i)
		}
	}
	return nil
}

// indexed returns c with its places.
func (c *Comparables) indexed() *Comparables {
	with := *c
	with.places = make([]place, len(c.Sales))
	for i := range c.Sales {
		h := &c.Sales[i].House
		with.places[i] = place{float32(h.Values[house.Lat]), float32(h.Values[house.Long]), h.Date, h.Zipcode()}
	}
	return &with
}

// match is a sale and in how many trees it comes to the same leaf.
type match struct{ sale, same int }

// find returns the sales before a day that are most like a house, the most
// alike first: of those nearest to it, or in its zipcode where its place is
// not known, those that come to the same leaves in the most trees.
func (c *Comparables) find(m *Model, h *house.House, row []float32, logPrice float64, day house.Date) []Comparable {
	var memory [comparableTrees]uint8
	leaves := c.appendLeaves(memory[:0], m.Forest, row)
	better := func(a, b match) bool {
		return cmp.Or(cmp.Compare(b.same, a.same), cmp.Compare(c.places[b.sale].date, c.places[a.sale].date), cmp.Compare(a.sale, b.sale)) < 0
	}
	best := make([]match, 0, comparablesShown+1)
	for _, i := range c.near(h, day) {
		one := match{i, sameBytes(leaves, c.Leaves[i*c.Trees:][:c.Trees])}
		at := len(best)
		for at > 0 && better(one, best[at-1]) {
			at--
		}
		if at < comparablesShown {
			best = slices.Insert(best, at, one)[:min(len(best)+1, comparablesShown)]
		}
	}
	found := make([]Comparable, len(best))
	for k := range found {
		s := &c.Sales[best[k].sale]
		found[k] = Comparable{
			House: s.House, Price: s.Price,
			DistanceKM:    kilometres(h, &s.House),
			AgeDays:       int(day - s.House.Date),
			Similarity:    float64(best[k].same) / float64(c.Trees),
			AdjustedPrice: cents(s.Price * math.Exp(logPrice-s.Expected)),
		}
	}
	return found
}

// Rings are of squared distances whose float32 agree in all but the last
// ringBits bits, so that they are in the order of the distances.
const (
	ringBits = 20
	rings    = 1 << (32 - ringBits)
)

// ringMemory holds the ring of each sale, of the model that was asked last.
var ringMemory sync.Pool

// near returns the indices of at least as many sales before a day as are
// candidates, where there are so many: all within a ring about the house.
func (c *Comparables) near(h *house.House, day house.Date) []int {
	lat, long := float32(h.Values[house.Lat]), float32(h.Values[house.Long])
	scale := float32(math.Cos(h.Values[house.Lat] * math.Pi / 180))
	zipcode := h.Zipcode()
	ring := func(p *place) uint16 { // of the squared distance in degrees of latitude
		dy, dx := p.lat-lat, (p.long-long)*scale
		away := dy*dy + dx*dx
		if away != away { // a place is not known
			away = 1
			if p.zipcode == zipcode {
				away = 0
			}
		}
		return uint16(math.Float32bits(away) >> ringBits)
	}
	scratch, _ := ringMemory.Get().(*[]uint16)
	if scratch == nil || len(*scratch) < len(c.places) {
		scratch = new(make([]uint16, len(c.places)))
	}
	defer ringMemory.Put(scratch)
	of := (*scratch)[:len(c.places)]
	var counts [rings]int32
	before := 0
	for i := range c.places {
		of[i] = math.MaxUint16 // no ring
		if p := &c.places[i]; p.date < day {
			of[i] = ring(p)
			counts[of[i]]++
			before++
		}
	}
	last, within := uint16(0), int(counts[0])
	for within < min(candidates, before) {
		last++
		within += int(counts[last])
	}
	near := make([]int, 0, within)
	for i, ring := range of {
		if ring <= last {
			near = append(near, i)
		}
	}
	return near
}

// sameBytes counts the places at which a and b, of one length, agree.
func sameBytes(a, b []uint8) (same int) {
	const low, high = 0x0101010101010101, 0x8080808080808080
	for len(a) >= 8 && len(b) >= 8 {
		x := binary.LittleEndian.Uint64(a) ^ binary.LittleEndian.Uint64(b)
		// The high bit of each byte that is 0, and of no other.
		zero := ^(((x &^ high) + (high - low)) | x) & high
		same += bits.OnesCount64(zero)
		a, b = a[8:], b[8:]
	}
	for i := range a {
		if a[i] == b[i] {
			same++
		}
	}
	return same
}

// kilometres returns how far two houses lie from each other along the earth,
// by the haversine formula; NaN where a place is unknown.
func kilometres(a, b *house.House) float64 {
	const earth, radians = 6371.0088, math.Pi / 180
	lat1, lat2 := a.Values[house.Lat]*radians, b.Values[house.Lat]*radians
	sinLat := math.Sin((lat2 - lat1) / 2)
	sinLong := math.Sin((b.Values[house.Long] - a.Values[house.Long]) * radians / 2)
	return 2 * earth * math.Asin(math.Sqrt(sinLat*sinLat+math.Cos(lat1)*math.Cos(lat2)*sinLong*sinLong))
}
