package gbdt

import (
	"fmt"
	"math"
	"slices"
	"sort"
)

// MaxBins is the largest number of bins of a feature; unknown values have
// one more of their own, so that every code fits a byte.
const MaxBins = 255

// Bins cuts each feature's range into bins: value x of feature f has the
// code of the number of cuts that are at most x.
type Bins struct {
	cuts [][]float32 // by feature, ascending; len(cuts)+1 bins
}

// NewBins cuts each column of x into at most maxBins bins (2 to MaxBins) of
// about as many known values each; a column with fewer distinct values gets
// a bin for each. Cuts lie midway between neighbouring values.
func NewBins(x Matrix, maxBins int) (*Bins, error) {
	if maxBins < 2 || maxBins > MaxBins {
		return nil, fmt.Errorf("bins: at most %d bins asked for, must be 2 to %d", maxBins, MaxBins)
	}
	if err := x.check(); err != nil {
		return nil, fmt.Errorf("bins: %w", err)
	}
	b := &Bins{cuts: make([][]float32, x.Cols)}
	values := make([]float32, 0, x.Rows)
	for f := range x.Cols {
		values = values[:0]
		for i := f; i < len(x.Data); i += x.Cols {
			if v := x.Data[i]; v == v {
				values = append(values, v)
			}
		}
		slices.Sort(values)
		b.cuts[f] = cut(values, maxBins)
	}
	return b, nil
}

// cut returns the cuts of sorted values. It walks the distinct values and
// closes a bin when it holds its share of what is left.
func cut(sorted []float32, maxBins int) []float32 {
	distinct := 0
	for i, v := range sorted {
		if i == 0 || v != sorted[i-1] {
			distinct++
		}
	}
	var cuts []float32
	share := 1
	left := len(sorted) // values not yet in a closed bin
	inBin := 0
	for i := 0; i+1 < len(sorted); i++ {
		inBin++
		if sorted[i] == sorted[i+1] {
			continue
		}
		if distinct > maxBins {
			binsLeft := maxBins - len(cuts)
			if binsLeft == 1 {
				break
			}
			share = (left + binsLeft - 1) / binsLeft
		}
		if inBin >= share {
			cuts = append(cuts, midway(sorted[i], sorted[i+1]))
			left -= inBin
			inBin = 0
		}
	}
	return cuts
}

// midway returns a cut c with a < c <= b, as near the middle as float32 has.
func midway(a, b float32) float32 {
	c := float32(float64(a)/2 + float64(b)/2)
	if c <= a {
		return b
	}
	return c
}

// binned is a matrix in codes, column by column.
type binned struct {
	rows    int
	codes   [][]uint8 // by feature, then row
	values  []int     // by feature: number of bins of known values; the code of unknown
	unknown []bool    // by feature: whether any row is unknown
}

// encode returns x in codes; x must have as many columns as were cut.
func (b *Bins) encode(x Matrix, threads int) (*binned, error) {
	if x.Cols != len(b.cuts) {
		return nil, fmt.Errorf("bins: matrix has %d columns, bins were made of %d", x.Cols, len(b.cuts))
	}
	if err := x.check(); err != nil {
		return nil, fmt.Errorf("bins: %w", err)
	}
	e := &binned{
		rows:    x.Rows,
		codes:   make([][]uint8, x.Cols),
		values:  make([]int, x.Cols),
		unknown: make([]bool, x.Cols),
	}
	parallel(x.Cols, threads, func(f int) {
		cuts := b.cuts[f]
		codes := make([]uint8, x.Rows)
		for r := range codes {
			v := x.Data[r*x.Cols+f]
			if v != v {
				codes[r] = uint8(len(cuts) + 1)
				e.unknown[f] = true
				continue
			}
			codes[r] = uint8(sort.Search(len(cuts), func(i int) bool { return v < cuts[i] }))
		}
		e.codes[f] = codes
		e.values[f] = len(cuts) + 1
	})
	return e, nil
}

// threshold returns t such that x < t just for the values of feature f with
// codes up to code.
func (b *Bins) threshold(f int, code uint8) float32 {
	if int(code) >= len(b.cuts[f]) {
		return float32(math.Inf(1))
	}
	return b.cuts[f][code]
}
