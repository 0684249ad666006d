package demographics

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"housing/internal/house"
)

// MaxAreas is how many areas a table may have; the USA have some 42,000
// zipcodes.
const MaxAreas = 100_000

// Table holds areas by zipcode and the medians of its columns. It never
// changes and has at least one area.
type Table struct {
	zipcodes []house.Zipcode // ascending
	areas    []Area          // by index of zipcodes
	medians  Area
	digest   [sha256.Size]byte
}

// NewTable makes a table of zipcodes and their areas, in any order. It copies
// both. It is an error if they do not pair, if there are none or more than
// [MaxAreas], if a zipcode stands twice, or if a figure is not within 0 and
// the Max of its column.
func NewTable(zipcodes []house.Zipcode, areas []Area) (*Table, error) {
	switch {
	case len(zipcodes) != len(areas):
		return nil, fmt.Errorf("demographics: %d zipcodes for %d areas", len(zipcodes), len(areas))
	case len(zipcodes) == 0:
		return nil, fmt.Errorf("demographics: no areas")
	case len(zipcodes) > MaxAreas:
		return nil, fmt.Errorf("demographics: %d areas, must be at most %d", len(zipcodes), MaxAreas)
	}
	order := make([]int, len(zipcodes))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(zipcodes[a], zipcodes[b]) })
	t := &Table{zipcodes: make([]house.Zipcode, len(order)), areas: make([]Area, len(order))}
	greatest := house.Zipcode(house.ZipcodeField.Spec().Max)
	for to, from := range order {
		z := zipcodes[from]
		switch {
		case z > greatest:
			return nil, fmt.Errorf("demographics: zipcode %d must be at most %d", z, greatest)
		case to > 0 && z == t.zipcodes[to-1]:
			return nil, fmt.Errorf("demographics: zipcode %v stands twice", z)
		}
		t.zipcodes[to] = z
		for c, v := range areas[from] {
			if fault := columns[c].check(float64(v)); fault != "" {
				return nil, fmt.Errorf("demographics: zipcode %v: column %s: %s, is %v", z, columns[c].Name, fault, v)
			}
			if v != 0 { // -0 becomes 0, so that equal tables have equal digests
				t.areas[to][c] = v
			}
		}
	}
	t.medians = medians(t.areas)
	t.digest = sha256.Sum256(t.canonical())
	return t, nil
}

// check returns why v cannot be a figure of the column, or "".
func (c *Column) check(v float64) string {
	switch {
	case math.IsNaN(v):
		return "must be a number"
	case v < 0:
		return "must be at least 0"
	case v > c.Max:
		return fmt.Sprintf("must be at most %.0f", c.Max)
	}
	return ""
}

// medians returns the median of every column; of an even number of areas it
// is the mean of the middle two.
func medians(areas []Area) Area {
	var m Area
	values := make([]float64, len(areas))
	for c := range m {
		for i := range areas {
			values[i] = float64(areas[i][c])
		}
		slices.Sort(values)
		high := len(values) / 2
		low := (len(values) - 1) / 2
		m[c] = float32((values[low] + values[high]) / 2)
	}
	return m
}

// canonical returns the bytes that name the table: the names of the columns,
// a line each; then by ascending zipcode the zipcode as uint32 and the figures
// as float32, little-endian.
func (t *Table) canonical() []byte {
	var b []byte
	for _, c := range columns {
		b = append(b, c.Name...)
		b = append(b, '\n')
	}
	for i, z := range t.zipcodes {
		b = binary.LittleEndian.AppendUint32(b, uint32(z))
		for _, v := range t.areas[i] {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
	}
	return b
}

// Lookup returns the figures of a zipcode; if the table does not know it,
// known is false and the figures are the medians. The caller must not change
// the area, which is never nil.
func (t *Table) Lookup(z house.Zipcode) (area *Area, known bool) {
	if i, found := slices.BinarySearch(t.zipcodes, z); found {
		return &t.areas[i], true
	}
	return &t.medians, false
}

// Len returns how many areas the table has.
func (t *Table) Len() int { return len(t.zipcodes) }

// Zipcodes returns a copy of the zipcodes, ascending.
func (t *Table) Zipcodes() []house.Zipcode { return slices.Clone(t.zipcodes) }

// Areas returns a copy of the areas, in the order of Zipcodes.
func (t *Table) Areas() []Area { return slices.Clone(t.areas) }

// Medians returns the median of every column.
func (t *Table) Medians() Area { return t.medians }

// Digest returns the SHA-256 of what the table says, whatever the order and
// the spelling it was read in.
func (t *Table) Digest() [sha256.Size]byte { return t.digest }
