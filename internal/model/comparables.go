package model

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"

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
	candidates = 1000
)

// NewComparables keeps the sales that m was trained from, with the prices of the
// models of a validation that had not seen them.
func NewComparables(m *Model, sales []house.Sale, v *Validation, table *demographics.Table) *Comparables {
	c := &Comparables{Trees: min(comparableTrees, m.Forest.Trees())}
	row := make([]float32, features.NumColumns())
	for i := range sales {
		h := &sales[i].House
		area, _ := table.Lookup(h.Zipcode())
		m.Encoder.Row(row, h, area)
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

// find returns the sales before a day that are most like a house, the most
// alike first: of those nearest to it, or in its zipcode where its place is
// not known, those that come to the same leaves in the most trees.
func (c *Comparables) find(m *Model, h *house.House, row []float32, logPrice float64, day house.Date) []Comparable {
	near := c.near(h, day)
	leaves := c.appendLeaves(make([]uint8, 0, comparableTrees), m.Forest, row)
	type match struct{ sale, same int }
	matches := make([]match, len(near))
	for k, i := range near {
		matches[k] = match{i, sameBytes(leaves, c.Leaves[i*c.Trees:][:c.Trees])}
	}
	slices.SortFunc(matches, func(a, b match) int {
		return cmp.Or(cmp.Compare(b.same, a.same), cmp.Compare(c.Sales[b.sale].House.Date, c.Sales[a.sale].House.Date), cmp.Compare(a.sale, b.sale))
	})
	found := make([]Comparable, min(comparablesShown, len(matches)))
	for k := range found {
		s := &c.Sales[matches[k].sale]
		found[k] = Comparable{
			House: s.House, Price: s.Price,
			DistanceKM:    kilometres(h, &s.House),
			AgeDays:       int(day - s.House.Date),
			Similarity:    float64(matches[k].same) / float64(c.Trees),
			AdjustedPrice: cents(s.Price * math.Exp(logPrice-s.Expected)),
		}
	}
	return found
}

// near returns the indices of at least as many sales before a day as are
// candidates, where there are so many: all within a circle about the house.
func (c *Comparables) near(h *house.House, day house.Date) []int {
	lat, long := h.Values[house.Lat], h.Values[house.Long]
	away := make([]float64, len(c.Sales)) // squared, in degrees of latitude
	scale := math.Cos(lat * math.Pi / 180)
	before := 0
	for i := range c.Sales {
		s := &c.Sales[i].House
		if away[i] = math.Inf(1); s.Date >= day {
			continue
		}
		before++
		dy, dx := s.Values[house.Lat]-lat, (s.Values[house.Long]-long)*scale
		away[i] = dy*dy + dx*dx
		if away[i] != away[i] { // a place is not known
			away[i] = 1
			if s.Zipcode() == h.Zipcode() {
				away[i] = 0
			}
		}
	}
	wanted := min(candidates, before)
	for radius := 0.01; ; radius *= 1.4 { // from a kilometre on
		within := 0
		for _, d := range away {
			if d <= radius*radius {
				within++
			}
		}
		if within < wanted {
			continue
		}
		near := make([]int, 0, within)
		for i, d := range away {
			if d <= radius*radius {
				near = append(near, i)
			}
		}
		return near
	}
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
