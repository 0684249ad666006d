package gbdt

import (
	"math"
	"slices"
	"unsafe"
)

// A quantiser turns a row into codes: small whole numbers that compare with
// a tree's thresholds as the row's values do. A column's code is how many of
// its thresholds in the forest are at most the value, so that x < threshold k
// (counted from 0, ascending) just where the code is at most k.
//
// A column stands in the codes up to twice: once for the nodes where unknown
// goes left, with code 0 for unknown, and once for those where it goes right,
// with the highest. So a node need not ask whether its value is known.
type quantiser struct {
	quads  []quad
	keys   []int32     // thresholds as ordered keys, ascending, by quad, padded with noKey
	places int         // of codes; code number places is written and never read
	counts []int       // by place: thresholds of its column
	ranks  [][]float32 // by column of the rows: its distinct thresholds, ascending
	left   []int32     // by column of the rows: its place where unknown goes left, or -1
	right  []int32     // likewise where unknown goes right
}

// quad is four columns with as many thresholds each, after padding: four
// searches run at once to hide each other's wait for memory.
type quad struct {
	source      [4]int32 // column of the rows
	left, right [4]int32 // places
	first       int      // where the keys of the four begin, which alternate
	half        int      // half of the number of a column's padded keys and one
}

const (
	noKey      = math.MaxInt32     // over any value's
	unknownKey = math.MaxInt32 - 1 // over any threshold's, and +Inf's
)

// newQuantiser makes the quantiser of a forest that passes Check.
func newQuantiser(f *Forest) *quantiser {
	q := &quantiser{ranks: make([][]float32, f.Columns), left: make([]int32, f.Columns), right: make([]int32, f.Columns)}
	goesLeft, goesRight := make([]bool, f.Columns), make([]bool, f.Columns)
	for i := range f.Nodes {
		n := &f.Nodes[i]
		c := n.Column()
		q.ranks[c] = append(q.ranks[c], n.Threshold)
		if n.UnknownLeft() {
			goesLeft[c] = true
		} else {
			goesRight[c] = true
		}
	}
	var used []int
	for c, ranks := range q.ranks {
		if len(ranks) == 0 {
			continue
		}
		slices.Sort(ranks)
		q.ranks[c] = slices.Compact(ranks) // 0 and -0 are one
		used = append(used, c)
		for _, side := range [2]struct {
			goes  bool
			place *int32
		}{{goesLeft[c], &q.left[c]}, {goesRight[c], &q.right[c]}} {
			*side.place = -1
			if side.goes {
				*side.place = int32(q.places)
				q.places++
				q.counts = append(q.counts, len(q.ranks[c]))
			}
		}
	}
	slices.SortStableFunc(used, func(a, b int) int { return len(q.ranks[a]) - len(q.ranks[b]) })
	for quads := range slices.Chunk(used, 4) {
		q.add(quads)
	}
	return q
}

// add appends a quad of up to four columns.
func (q *quantiser) add(columns []int) {
	most := len(q.ranks[columns[len(columns)-1]])
	size := 1
	for size <= most {
		size *= 2
	}
	none := q.place(-1)
	d := quad{half: size / 2, first: len(q.keys), left: [4]int32{none, none, none, none}, right: [4]int32{none, none, none, none}}
	keys := slices.Repeat([]int32{noKey}, 4*(size-1))
	for k, c := range columns {
		d.source[k] = int32(c)
		d.left[k], d.right[k] = q.place(q.left[c]), q.place(q.right[c])
		for i, t := range q.ranks[c] {
			key, _ := orderedKey(t)
			keys[4*i+k] = int32(key)
		}
	}
	q.keys = append(q.keys, keys...)
	q.quads = append(q.quads, d)
}

// place returns the place that is written for one that may be none, -1.
func (q *quantiser) place(of int32) int32 {
	if of < 0 {
		return int32(q.places)
	}
	return of
}

// rank returns the place and the code of a node: a row goes right where its
// code at the place is over the node's.
func (q *quantiser) rank(n *Node) (place, code int) {
	c := n.Column()
	code, _ = slices.BinarySearch(q.ranks[c], n.Threshold)
	if n.UnknownLeft() {
		return int(q.left[c]), code
	}
	return int(q.right[c]), code
}

// mostCodes is the largest number of thresholds of a column.
func (q *quantiser) mostCodes() int {
	most := 0
	for _, n := range q.counts {
		most = max(most, n)
	}
	return most
}

// orderedKey returns a number that orders floats as < does, 0 and -0 alike,
// and the unknown last; and all ones where x is unknown, else 0.
func orderedKey(x float32) (key int64, unknown uint32) {
	b := int32(math.Float32bits(x + 0)) // -0 + 0 is 0
	k := b ^ int32(uint32(b>>31)>>1)
	u := (0x7f800000 - b&0x7fffffff) >> 31
	return int64(k&^u | unknownKey&u), uint32(u)
}

// encode writes the codes of a row, times codeScale, to dst: that of place p
// to dst[p].
func (q *quantiser) encode(dst *[walkPlaces]uint32, row []float32) {
	keys := unsafe.Pointer(unsafe.SliceData(q.keys))
	for i := range q.quads {
		d := &q.quads[i]
		k0, u0 := orderedKey(row[d.source[0]])
		k1, u1 := orderedKey(row[d.source[1]])
		k2, u2 := orderedKey(row[d.source[2]])
		k3, u3 := orderedKey(row[d.source[3]])
		c0, c1, c2, c3 := searchKeys(unsafe.Add(keys, 4*uintptr(d.first)), d.half, k0, k1, k2, k3)
		dst[uint8(d.right[0])] = c0 * codeScale
		dst[uint8(d.right[1])] = c1 * codeScale
		dst[uint8(d.right[2])] = c2 * codeScale
		dst[uint8(d.right[3])] = c3 * codeScale
		dst[uint8(d.left[0])] = c0 &^ u0 * codeScale
		dst[uint8(d.left[1])] = c1 &^ u1 * codeScale
		dst[uint8(d.left[2])] = c2 &^ u2 * codeScale
		dst[uint8(d.left[3])] = c3 &^ u3 * codeScale
	}
}

// searchKeys returns how many keys of each of four columns are at most the
// column's k; the columns' keys alternate, 2*half-1 of each.
//
//go:noinline
func searchKeys(keys unsafe.Pointer, half int, k0, k1, k2, k3 int64) (c0, c1, c2, c3 uint32) {
	var p0, p1, p2, p3 int
	for ; half > 0; half >>= 1 {
		// Where the key in the middle is at most the value's, half of the
		// keys are passed over.
		middle := unsafe.Add(keys, 16*(half-1))
		p0 += half &^ int((k0-int64(*(*int32)(unsafe.Add(middle, 16*p0))))>>63)
		p1 += half &^ int((k1-int64(*(*int32)(unsafe.Add(middle, 16*p1+4))))>>63)
		p2 += half &^ int((k2-int64(*(*int32)(unsafe.Add(middle, 16*p2+8))))>>63)
		p3 += half &^ int((k3-int64(*(*int32)(unsafe.Add(middle, 16*p3+12))))>>63)
	}
	return uint32(p0), uint32(p1), uint32(p2), uint32(p3)
}
