package gbdt

import (
	"fmt"
	"math"
	"slices"
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
// a bin for each. Cuts lie midway between neighbouring values. They do not
// depend on the number of threads.
func NewBins(x Matrix, maxBins, threads int) (*Bins, error) {
	if maxBins < 2 || maxBins > MaxBins {
		return nil, fmt.Errorf("bins: at most %d bins asked for, must be 2 to %d", maxBins, MaxBins)
	}
	if err := x.check(); err != nil {
		return nil, fmt.Errorf("bins: %w", err)
	}
	b := &Bins{cuts: make([][]float32, x.Cols)}
	// Some columns at once, as their values of a row stand side by side.
	const width = 8
	parallel((x.Cols+width-1)/width, threads, func(i int) {
		columns := make([][]float32, min(width, x.Cols-i*width))
		for k := range columns {
			columns[k] = make([]float32, 0, x.Rows)
		}
		for r := range x.Rows {
			for k, v := range x.Data[r*x.Cols+i*width:][:len(columns)] {
				if v == v {
					columns[k] = append(columns[k], v)
				}
			}
		}
		spare := make([]float32, x.Rows)
		for k, values := range columns {
			b.cuts[i*width+k] = cut(sortFloats(values, spare), maxBins)
		}
	})
	return b, nil
}

// sortFloats sorts known values, in time that grows with their number alone:
// by a third of their bits after the other, the lowest first. The result
// stands in values or in spare, which is as long.
func sortFloats(values, spare []float32) []float32 {
	if len(values) < 1<<10 {
		slices.Sort(values)
		return values
	}
	const digits = 1 << 11
	var counts [3][digits]int
	for _, v := range values {
		key := sortKey(v)
		counts[0][key%digits]++
		counts[1][key>>11%digits]++
		counts[2][key>>22]++
	}
	from, to := values, spare[:len(values)]
	for pass := range counts {
		at := 0
		for digit, n := range counts[pass] {
			counts[pass][digit] = at
			at += n
		}
		for _, v := range from {
			next := &counts[pass][sortKey(v)>>(11*pass)%digits]
			to[*next] = v
			*next++
		}
		from, to = to, from
	}
	return from
}

// sortKey returns a number that orders known floats as < does.
func sortKey(v float32) uint32 {
	b := math.Float32bits(v)
	return b ^ (uint32(int32(b)>>31) | 1<<31)
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
	padded := make([][MaxBins + 1]float32, x.Cols)
	for f, cuts := range b.cuts {
		e.codes[f] = make([]uint8, x.Rows)
		e.values[f] = len(cuts) + 1
		for i := copy(padded[f][:], cuts); i < len(padded[f]); i++ {
			padded[f][i] = float32(math.NaN())
		}
	}
	const share = 1 << 10 // rows, few enough that they stay in a near cache
	unknown := make([][]bool, (x.Rows+share-1)/share)
	parallel(len(unknown), threads, func(i int) {
		unknown[i] = make([]bool, x.Cols)
		lo, hi := i*share, min((i+1)*share, x.Rows)
		for f := range x.Cols {
			codes := e.codes[f][lo:hi]
			cuts := &padded[f]
			for r := range codes {
				v := x.Data[(lo+r)*x.Cols+f]
				codes[r] = cutsAtMost(cuts, v)
				if v != v {
					codes[r] = uint8(e.values[f])
					unknown[i][f] = true
				}
			}
		}
	})
	for _, share := range unknown {
		for f, u := range share {
			e.unknown[f] = e.unknown[f] || u
		}
	}
	return e, nil
}

// cutsAtMost returns how many cuts are at most v, by a search that has no
// branch to mispredict. After the cuts come NaN, which are at most nothing.
func cutsAtMost(cuts *[MaxBins + 1]float32, v float32) uint8 {
	n := 0
	for half := (MaxBins + 1) / 2; half > 0; half /= 2 {
		passed := 0
		if cuts[(n+half-1)&MaxBins] <= v {
			passed = 1
		}
		n += half * passed
	}
	return uint8(n)
}

// threshold returns t such that x < t just for the values of feature f with
// codes up to code.
func (b *Bins) threshold(f int, code uint8) float32 {
	if int(code) >= len(b.cuts[f]) {
		return float32(math.Inf(1))
	}
	return b.cuts[f][code]
}
