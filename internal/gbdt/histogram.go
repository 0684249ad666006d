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
// columns side by side in one word, and the words of a row side by side, so
// that a row is in one or two lines of the cache and the cells of four columns
// stay in the nearest one.
type layout struct {
	columns []int    // of the data
	cells   []int    // of each: its bins and unknown
	words   []uint32 // by row, then four columns
}

// lay lays out columns of the data, in the memory of the layout before.
func (l *layout) lay(d *binned, columns []int, crew *crew) {
	if slices.Equal(l.columns, columns) && l.words != nil {
		return
	}
	l.columns = columns
	l.cells = l.cells[:0]
	for _, f := range columns {
		l.cells = append(l.cells, d.values[f]+1)
	}
	blocks := l.blocks()
	l.words = slices.Grow(l.words[:0], blocks*d.rows)[:blocks*d.rows]
	crew.share((d.rows+layShare-1)/layShare, func(i int) {
		lo, hi := i*layShare, min((i+1)*layShare, d.rows)
		words := l.words[lo*blocks : hi*blocks]
		clear(words)
		for k, f := range columns {
			shift := k % 4 * 8
			for r, c := range d.codes[f][lo:hi] {
				words[r*blocks+k/4] |= uint32(c) << shift
			}
		}
	})
}

// layShare is how many rows are laid out at a time: so few that their words
// stay in a near cache.
const layShare = 1 << 10

// blocks is how many times four columns there are; the last may be fewer.
func (l *layout) blocks() int { return (len(l.columns) + 3) / 4 }

// block returns the bounds of the b-th four columns.
func (l *layout) block(b int) (from, to int) { return 4 * b, min(4*b+4, len(l.columns)) }

// size is how many cells a histogram has.
func (l *layout) size() int { return l.blocks() * 4 * columnCells }

// column returns the cells of the k-th column.
func (l *layout) column(h histogram, k int) []cell {
	return h[k*columnCells : k*columnCells+l.cells[k]]
}

// gathered is what the histogram of a leaf is made of, in the order of its
// rows. Those of a small leaf lie far apart in the data: each is fetched once,
// for all columns.
type gathered struct {
	derivatives []derivative
	words       []uint32 // by four columns, then row
}

func (g *gathered) gather(l *layout, derivatives []derivative, rows []int32, crew *crew) {
	blocks := l.blocks()
	g.derivatives = slices.Grow(g.derivatives[:0], len(rows))[:len(rows)]
	g.words = slices.Grow(g.words[:0], blocks*len(rows))[:blocks*len(rows)]
	crew.share((len(rows)+layShare-1)/layShare, func(share int) {
		for i := share * layShare; i < min((share+1)*layShare, len(rows)); i++ {
			r := int(rows[i])
			g.derivatives[i] = derivatives[r]
			at := i
			for _, word := range l.words[r*blocks : (r+1)*blocks] {
				g.words[at] = word
				at += len(rows)
			}
		}
	})
}

// fill sums what was gathered into four columns of h, the b-th.
func (h histogram) fill(l *layout, b int, g *gathered) {
	from, to := l.block(b)
	for k := from; k < to; k++ {
		clear(l.column(h, k))
	}
	n := len(g.derivatives)
	accumulate((*[4 * columnCells]cell)(h[from*columnCells:]), g.words[b*n:(b+1)*n], g.derivatives)
}

func accumulate(cells *[4 * columnCells]cell, words []uint32, derivatives []derivative) {
	derivatives = derivatives[:len(words)]
	for i, codes := range words {
		g, h := int64(derivatives[i].g), int64(derivatives[i].h)
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

// subtract makes four columns of h, the b-th, which are those of a parent, the
// columns of one child by taking away the other's.
func (h histogram) subtract(l *layout, b int, other histogram) {
	for k, to := l.block(b); k < to; k++ {
		of, taken := l.column(h, k), l.column(other, k)
		taken = taken[:len(of)]
		for i := range of {
			of[i].g -= taken[i].g
			of[i].h -= taken[i].h
		}
	}
}
