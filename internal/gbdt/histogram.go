package gbdt

import "math"

// derivative is a row's weighted gradient and hessian in fixed point: the
// real value times a power of two, below 2^30 in size, so that the sum of
// 2^31 rows fits 62 bits and is the same in any order.
type derivative struct{ g, h int32 }

// cell sums the derivatives of the rows in one bin.
type cell struct{ g, h int64 }

// fixedPoint returns the power of two that brings the largest of the values
// just below 2^30, or 1 where all are zero.
func fixedPoint(largest float64) float64 {
	if largest == 0 {
		return 1
	}
	_, exp := math.Frexp(largest)
	return math.Ldexp(1, 30-exp)
}

// histogram sums derivatives by bin for each of the tree's columns, one
// column after the other; column k's cells start at offsets[k], its unknown
// rows in the last one.
type histogram []cell

// layout says where each of a tree's columns stands in a histogram.
type layout struct {
	columns []int // of the data
	offsets []int // one more than columns
}

func newLayout(d *binned, columns []int) layout {
	l := layout{columns: columns, offsets: make([]int, len(columns)+1)}
	for k, f := range columns {
		l.offsets[k+1] = l.offsets[k] + d.values[f] + 1
	}
	return l
}

// fill sums the derivatives of rows into h; gathered holds those of rows, in
// the same order.
func (h histogram) fill(d *binned, l layout, rows []int32, gathered []derivative, threads int) {
	if len(rows)*len(l.columns) < parallelWork {
		threads = 1
	}
	parallel(len(l.columns), threads, func(k int) {
		cells := h[l.offsets[k]:l.offsets[k+1]]
		clear(cells)
		accumulate(cells, d.codes[l.columns[k]], rows, gathered)
	})
}

// parallelWork is how many additions are worth a second thread.
const parallelWork = 1 << 15

func accumulate(cells []cell, codes []uint8, rows []int32, gathered []derivative) {
	gathered = gathered[:len(rows)]
	for i, r := range rows {
		c := &cells[codes[r]]
		c.g += int64(gathered[i].g)
		c.h += int64(gathered[i].h)
	}
}

// subtract makes h, the histogram of a parent, that of one child by taking
// away the other's.
func (h histogram) subtract(other histogram) {
	other = other[:len(h)]
	for i := range h {
		h[i].g -= other[i].g
		h[i].h -= other[i].h
	}
}
