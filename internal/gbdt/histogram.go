package gbdt

import (
	"math"
	"slices"
)

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

// histogram sums derivatives by bin for each of the tree's columns: the cells
// of the k-th begin at k*columnCells, those of its unknown rows come after
// its bins, and what is left is not used.
type histogram []cell

const columnCells = MaxBins + 1

// layout is the tree's columns as histograms read them: the codes of four
// columns side by side for each row, so that a row's are had by one load and
// the cells of four columns stay in the nearest cache.
type layout struct {
	columns []int // of the data
	cells   []int // of each: its bins and unknown
	rows    int
	fours   []uint32 // by four columns, then row
}

// lay lays out columns of the data, in the memory of the layout before.
func (l *layout) lay(d *binned, columns []int, threads int) {
	if slices.Equal(l.columns, columns) && l.fours != nil {
		return
	}
	l.columns, l.rows = columns, d.rows
	l.cells = l.cells[:0]
	for _, f := range columns {
		l.cells = append(l.cells, d.values[f]+1)
	}
	blocks := l.blocks()
	l.fours = slices.Grow(l.fours[:0], blocks*d.rows)[:blocks*d.rows]
	none := []uint8(nil)
	if len(columns)%4 != 0 {
		none = make([]uint8, d.rows)
	}
	parallel(blocks, threads, func(b int) {
		var codes [4][]uint8
		for k := range codes {
			codes[k] = none
			if i := 4*b + k; i < len(columns) {
				codes[k] = d.codes[columns[i]]
			}
		}
		c0, c1, c2, c3 := codes[0][:d.rows], codes[1][:d.rows], codes[2][:d.rows], codes[3][:d.rows]
		four := l.fours[b*d.rows : (b+1)*d.rows]
		for r := range four {
			four[r] = uint32(c0[r]) | uint32(c1[r])<<8 | uint32(c2[r])<<16 | uint32(c3[r])<<24
		}
	})
}

// blocks is how many times four columns there are, the last may be fewer.
func (l *layout) blocks() int { return (len(l.columns) + 3) / 4 }

// size is how many cells a histogram has.
func (l *layout) size() int { return l.blocks() * 4 * columnCells }

// column returns the cells of the k-th column.
func (l *layout) column(h histogram, k int) []cell {
	return h[k*columnCells : k*columnCells+l.cells[k]]
}

// fill sums the derivatives of rows into h; gathered holds those of rows, in
// the same order.
func (h histogram) fill(l *layout, rows []int32, gathered []derivative, threads int) {
	if len(rows)*len(l.columns) < parallelWork {
		threads = 1
	}
	parallel(l.blocks(), threads, func(b int) {
		cells := (*[4 * columnCells]cell)(h[b*4*columnCells:])
		for k := 4 * b; k < min(4*b+4, len(l.columns)); k++ {
			clear(l.column(h, k))
		}
		accumulate(cells, l.fours[b*l.rows:(b+1)*l.rows], rows, gathered)
	})
}

// parallelWork is how many additions are worth a second thread.
const parallelWork = 1 << 15

func accumulate(cells *[4 * columnCells]cell, fours []uint32, rows []int32, gathered []derivative) {
	gathered = gathered[:len(rows)]
	for i, r := range rows {
		codes := fours[r]
		g, h := int64(gathered[i].g), int64(gathered[i].h)
		a := &cells[uint8(codes)]
		a.g += g
		a.h += h
		b := &cells[columnCells+int(uint8(codes>>8))]
		b.g += g
		b.h += h
		c := &cells[2*columnCells+int(uint8(codes>>16))]
		c.g += g
		c.h += h
		d := &cells[3*columnCells+int(codes>>24)]
		d.g += g
		d.h += h
	}
}

// subtract makes h, the histogram of a parent, that of one child by taking
// away the other's.
func (h histogram) subtract(l *layout, other histogram, threads int) {
	if l.size() < parallelWork {
		threads = 1
	}
	parallel(l.blocks(), threads, func(b int) {
		for k := 4 * b; k < min(4*b+4, len(l.columns)); k++ {
			of, taken := l.column(h, k), l.column(other, k)
			for i := range of {
				of[i].g -= taken[i].g
				of[i].h -= taken[i].h
			}
		}
	})
}
