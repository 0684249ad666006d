package gbdt

import "math"

// search is a quantiser for vectors: a value is compared with 16 thresholds
// at once, and those that are at most the value are counted. Columns of more
// than 16 have every sixteenth first, which tells the 16 to look at.
type search struct {
	columns []searchColumn
	keys    []float32 // thresholds by column, in sixteens, padded with NaN
}

const searchWidth = 16

type searchColumn struct {
	source      int32 // column of the rows
	keys        int32 // where its keys begin; of large columns the sixteenths
	count       int32 // thresholds: the code of unknown that goes right
	left, right int32 // places of the codes
	large       bool
}

// newSearch makes the search for the codes of a quantiser, in which no column
// has more than maxCodes thresholds.
func newSearch(q *quantiser) search {
	var s search
	for c, ranks := range q.ranks {
		if len(ranks) == 0 {
			continue
		}
		column := searchColumn{source: int32(c), keys: int32(len(s.keys)), count: int32(len(ranks)),
			left: q.place(q.left[c]), right: q.place(q.right[c]), large: len(ranks) > searchWidth}
		if column.large {
			for i := searchWidth - 1; i < searchWidth*searchWidth; i += searchWidth {
				s.append(ranks[min(i, len(ranks)):min(i+1, len(ranks))], 1)
			}
		}
		s.append(ranks, searchWidth)
		s.columns = append(s.columns, column)
	}
	return s
}

// append adds thresholds, filled up to a multiple of a width, at least one.
func (s *search) append(thresholds []float32, width int) {
	s.keys = append(s.keys, thresholds...)
	for n := len(thresholds); n == 0 || n%width != 0; n++ {
		s.keys = append(s.keys, float32(math.NaN()))
	}
}
