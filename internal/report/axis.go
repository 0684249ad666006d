package report

import "math"

// tick is a labelled place on an axis.
type tick struct {
	At    string // coordinate in the drawing
	Label string
}

// maxTicks is how many labels fit below a chart on a telephone.
const maxTicks = 7

// linearTicks returns round values within low and high: multiples of 1, 2 or
// 5 times a power of ten, about as many as wanted and never more.
func linearTicks(low, high float64, wanted int) []float64 {
	if !(high > low) {
		return []float64{low}
	}
	rough := (high - low) / float64(wanted)
	power := math.Pow(10, math.Floor(math.Log10(rough)))
	step := 10 * power
	for _, m := range []float64{1, 2, 5} {
		if m*power >= rough {
			step = m * power
			break
		}
	}
	var ticks []float64
	for k := math.Ceil(low/step - 1e-9); k*step <= high*(1+1e-9); k++ {
		ticks = append(ticks, k*step)
	}
	return ticks
}

// mantissas are the values of a decade that are labelled, dense to sparse.
var mantissas = [][]float64{
	{1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9},
	{1, 1.5, 2, 3, 5, 7},
	{1, 2, 5},
	{1, 3},
	{1},
}

// logTicks returns round values within low and high, both positive, for an
// axis of logarithms: the most that still fit.
func logTicks(low, high float64) []float64 {
	var ticks []float64
	for _, decade := range mantissas {
		ticks = ticks[:0]
		for e := math.Floor(math.Log10(low)); e <= math.Log10(high); e++ {
			for _, m := range decade {
				if v := m * math.Pow(10, e); v >= low && v <= high {
					ticks = append(ticks, v)
				}
			}
		}
		if len(ticks) <= maxTicks {
			break
		}
	}
	if len(ticks) > maxTicks {
		every := (len(ticks) + maxTicks - 1) / maxTicks
		kept := ticks[:0]
		for i := 0; i < len(ticks); i += every {
			kept = append(kept, ticks[i])
		}
		ticks = kept
	}
	if len(ticks) < 3 {
		return linearTicks(low, high, 4)
	}
	return ticks
}
