package gp

import (
	"errors"
	"fmt"
	"math"
)

// Rows are the inputs of a regression: a table of numbers, row-major.
type Rows struct {
	Data    []float64
	Columns int
}

// Len returns how many rows there are.
func (r Rows) Len() int { return len(r.Data) / r.Columns }

// Row returns row i; it shares the memory of r.
func (r Rows) Row(i int) []float64 { return r.Data[i*r.Columns : (i+1)*r.Columns] }

func (r Rows) pick(indices []int) Rows {
	picked := Rows{make([]float64, 0, len(indices)*r.Columns), r.Columns}
	for _, i := range indices {
		picked.Data = append(picked.Data, r.Row(i)...)
	}
	return picked
}

func (r Rows) check(y, weight []float64) error {
	switch n := len(y); {
	case r.Columns < 1 || n == 0 || len(r.Data) != n*r.Columns || len(weight) != n:
		return fmt.Errorf("%d numbers in %d columns, %d labels and %d weights do not fit each other", len(r.Data), r.Columns, n, len(weight))
	}
	for _, values := range [][]float64{r.Data, y, weight} {
		for _, v := range values {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return errors.New("a number is not finite")
			}
		}
	}
	for _, w := range weight {
		if w <= 0 {
			return errors.New("a weight is not over 0")
		}
	}
	return nil
}

// Term is one Matérn-3/2 kernel over some of the columns.
type Term struct {
	Columns  []int
	Scales   []float64 // length scale of each of Columns, in its own unit
	Variance float64
	Centres  int // inducing points at most
}

// Kernel is a sum of terms, of a linear kernel over all columns, and of the
// noise of a label of weight 1.
type Kernel struct {
	Terms  []Term
	Linear float64 // variance of each column's slope
	Noise  float64 // variance
}

func (k *Kernel) check(columns int) error {
	for i, t := range k.Terms {
		if len(t.Columns) == 0 || len(t.Scales) != len(t.Columns) || !(t.Variance > 0) || t.Centres < 1 {
			return fmt.Errorf("term %d of the kernel has %d columns, %d length scales, variance %g and %d centres", i, len(t.Columns), len(t.Scales), t.Variance, t.Centres)
		}
		for c, column := range t.Columns {
			if column < 0 || column >= columns || !(t.Scales[c] > 0) {
				return fmt.Errorf("term %d of the kernel has length scale %g in column %d of %d", i, t.Scales[c], column, columns)
			}
		}
	}
	if !(k.Linear > 0) || !(k.Noise > 0) {
		return fmt.Errorf("the kernel has linear variance %g and noise %g", k.Linear, k.Noise)
	}
	return nil
}

// clone returns a copy that shares nothing.
func (k *Kernel) clone() Kernel {
	c := *k
	c.Terms = make([]Term, len(k.Terms))
	for i, t := range k.Terms {
		t.Columns = append([]int(nil), t.Columns...)
		t.Scales = append([]float64(nil), t.Scales...)
		c.Terms[i] = t
	}
	return c
}

// scaled returns the columns of the term, each divided by its length scale.
func (t *Term) scaled(rows Rows) Rows {
	out := Rows{make([]float64, rows.Len()*len(t.Columns)), len(t.Columns)}
	for i := range rows.Len() {
		t.scale(out.Row(i), rows.Row(i))
	}
	return out
}

func (t *Term) scale(dst, row []float64) {
	for c, column := range t.Columns {
		dst[c] = row[column] / t.Scales[c]
	}
}

// matern is the Matérn-3/2 correlation of two scaled rows, and its
// exponential factor.
func matern(a, b []float64) (correlation, decay float64) {
	var square float64
	b = b[:len(a)]
	for i, v := range a {
		d := v - b[i]
		square += d * d
	}
	q := math.Sqrt(3 * square)
	decay = math.Exp(-q)
	return (1 + q) * decay, decay
}

func dot(a, b []float64) float64 {
	var sum float64
	b = b[:len(a)]
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}
