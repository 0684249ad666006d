package gbdt

import (
	"math"
	"slices"
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
	keys   []int32     // thresholds as ordered keys, ascending by column, padded with noKey
	places int         // of codes; code number places is written and never read
	counts []int       // by place: thresholds of its column
	ranks  [][]float32 // by column of the rows: its distinct thresholds, ascending
	left   []int32     // by column of the rows: its place where unknown goes left, or places
	right  []int32     // likewise where unknown goes right
}

// quad is four columns with as many thresholds each, after padding: four
// searches run at once to hide each other's wait for memory.
type quad struct {
	source      [4]int32 // column of the rows
	first       [4]int32 // where its keys begin
	count       [4]int32 // how many are thresholds
	left, right [4]int32 // places
	half        int32    // half of the number of padded keys and one
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
	none := int32(q.places)
	d := quad{half: int32(size / 2), left: [4]int32{none, none, none, none}, right: [4]int32{none, none, none, none}}
	for k := range d.source {
		d.first[k] = int32(len(q.keys))
		var ranks []float32
		if k < len(columns) {
			c := columns[k]
			ranks = q.ranks[c]
			d.source[k] = int32(c)
			d.count[k] = int32(len(ranks))
			if q.left[c] >= 0 {
				d.left[k] = q.left[c]
			}
			if q.right[c] >= 0 {
				d.right[k] = q.right[c]
			}
		}
		for _, t := range ranks {
			key, _ := orderedKey(t)
			q.keys = append(q.keys, key)
		}
		for range size - 1 - len(ranks) {
			q.keys = append(q.keys, noKey)
		}
	}
	q.quads = append(q.quads, d)
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
func orderedKey(x float32) (key, unknown int32) {
	b := int32(math.Float32bits(x + 0)) // -0 + 0 is 0
	key = b ^ int32(uint32(b>>31)>>1)
	unknown = (0x7f800000 - b&0x7fffffff) >> 31
	return key&^unknown | unknownKey&unknown, unknown
}

// encode writes the codes of a row, times scale, to dst: that of place p to
// dst[p*stride]. dst has room for one place more than the quantiser has.
func encode[T uint8 | uint32](q *quantiser, dst []T, stride int, scale T, row []float32) {
	keys := q.keys
	for i := range q.quads {
		d := &q.quads[i]
		k0, u0 := orderedKey(row[d.source[0]])
		k1, u1 := orderedKey(row[d.source[1]])
		k2, u2 := orderedKey(row[d.source[2]])
		k3, u3 := orderedKey(row[d.source[3]])
		p0, p1, p2, p3 := int(d.first[0]), int(d.first[1]), int(d.first[2]), int(d.first[3])
		for half := int(d.half); half > 0; half >>= 1 {
			// Where the key in the middle is at most the value's, half of
			// the keys are passed over.
			p0 += half & int((int64(keys[p0+half-1])-int64(k0)-1)>>63)
			p1 += half & int((int64(keys[p1+half-1])-int64(k1)-1)>>63)
			p2 += half & int((int64(keys[p2+half-1])-int64(k2)-1)>>63)
			p3 += half & int((int64(keys[p3+half-1])-int64(k3)-1)>>63)
		}
		c0, c1, c2, c3 := int32(p0)-d.first[0], int32(p1)-d.first[1], int32(p2)-d.first[2], int32(p3)-d.first[3]
		dst[int(d.right[0])*stride] = T(c0) * scale
		dst[int(d.right[1])*stride] = T(c1) * scale
		dst[int(d.right[2])*stride] = T(c2) * scale
		dst[int(d.right[3])*stride] = T(c3) * scale
		dst[int(d.left[0])*stride] = T(c0&^u0) * scale
		dst[int(d.left[1])*stride] = T(c1&^u1) * scale
		dst[int(d.left[2])*stride] = T(c2&^u2) * scale
		dst[int(d.left[3])*stride] = T(c3&^u3) * scale
	}
}
