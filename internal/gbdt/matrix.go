package gbdt

import (
	"fmt"
	"math"
)

// Matrix is a dense table of numbers: Rows × Cols, row-major, NaN for
// unknown.
type Matrix struct {
	Data       []float32
	Rows, Cols int
}

// NewMatrix returns a matrix of zeros.
func NewMatrix(rows, cols int) Matrix {
	return Matrix{Data: make([]float32, rows*cols), Rows: rows, Cols: cols}
}

// Row returns row i; it shares the matrix's memory.
func (m Matrix) Row(i int) []float32 {
	return m.Data[i*m.Cols : (i+1)*m.Cols : (i+1)*m.Cols]
}

// Select returns a new matrix of the given rows, in that order.
func (m Matrix) Select(rows []int) Matrix {
	s := NewMatrix(len(rows), m.Cols)
	for i, r := range rows {
		copy(s.Row(i), m.Row(r))
	}
	return s
}

// check returns an error unless the sizes agree and every value is finite or
// NaN.
func (m Matrix) check() error {
	if m.Rows < 1 || m.Cols < 1 {
		return fmt.Errorf("matrix is %d × %d, needs at least one row and one column", m.Rows, m.Cols)
	}
	if len(m.Data) != m.Rows*m.Cols {
		return fmt.Errorf("matrix of %d × %d holds %d numbers", m.Rows, m.Cols, len(m.Data))
	}
	for i, v := range m.Data {
		if math.IsInf(float64(v), 0) {
			return fmt.Errorf("row %d, column %d is infinite", i/m.Cols, i%m.Cols)
		}
	}
	return nil
}
