package gp

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
)

// Process is the mean of a Gaussian process given what it was fitted to. It
// never changes once made.
type Process struct {
	kernel  Kernel
	centres []Rows    // by term, scaled
	factors []float64 // of the centres of each term in turn, then of the columns
	mean    float64   // of the labels
}

// Fit learns from all rows. weight divides the noise of each label.
func Fit(ctx context.Context, kernel Kernel, rows Rows, y, weight []float64, seed uint64, threads int) (*Process, error) {
	if err := errors.Join(rows.check(y, weight), kernel.check(rows.Columns)); err != nil {
		return nil, fmt.Errorf("fit: %w", err)
	}
	p := &Process{kernel: kernel.clone()}
	for t := range p.kernel.Terms {
		term := &p.kernel.Terms[t]
		p.centres = append(p.centres, centresOf(term.scaled(rows), term.Centres, seed+uint64(t), threads))
	}
	labels := slices.Clone(y)
	p.mean = centre(labels, weight)
	if err := p.solve(ctx, rows, labels, weight, threads); err != nil {
		return nil, fmt.Errorf("fit: %w", err)
	}
	return p, nil
}

// FitStudent is Fit for labels some of which are far off for reasons of their
// own: their errors are taken to have the t distribution with so many degrees
// of freedom, not the normal one. It is found by weighing each label anew by
// how far off it is, for so many rounds (Lange, Little & Taylor 1989, EM).
func FitStudent(ctx context.Context, kernel Kernel, rows Rows, y, weight []float64, freedom float64, rounds int, seed uint64, threads int) (*Process, error) {
	if !(freedom > 0) {
		return nil, fmt.Errorf("fit: %g degrees of freedom, must be over 0", freedom)
	}
	p, err := Fit(ctx, kernel, rows, y, weight, seed, threads)
	if err != nil {
		return nil, err
	}
	for range rounds {
		again := studentWeights(y, p.Predict(rows, threads), weight, freedom)
		labels := slices.Clone(y)
		p.mean = centre(labels, again)
		if err := p.solve(ctx, rows, labels, again, threads); err != nil {
			return nil, fmt.Errorf("fit: %w", err)
		}
	}
	return p, nil
}

// studentWeights returns the weights by which labels count given how far off
// they are; on average the labels count as much as before. The scale of the
// errors is 1.4826 times their median, as for the normal distribution.
func studentWeights(y, predicted, weight []float64, freedom float64) []float64 {
	away := make([]float64, len(y))
	for i := range away {
		away[i] = math.Abs(y[i] - predicted[i])
	}
	scale := 1.4826 * slices.Sorted(slices.Values(away))[len(away)/2]
	if scale == 0 {
		return weight
	}
	factors := make([]float64, len(y))
	var mean float64
	for i := range factors {
		r := away[i] / scale
		factors[i] = (freedom + 1) / (freedom + r*r)
		mean += factors[i] / float64(len(y))
	}
	for i := range factors {
		factors[i] *= weight[i] / mean
	}
	return factors
}

// width is how many numbers a row becomes: its correlation with each centre
// of each term, and its columns.
func (p *Process) width() int {
	n := 0
	for _, c := range p.centres {
		n += c.Len()
	}
	return n
}

// basis fills dst with what a row becomes.
func (p *Process) basis(dst, row []float64) {
	var room [64]float64
	at := 0
	for t := range p.kernel.Terms {
		term := &p.kernel.Terms[t]
		scaled := room[:0]
		if len(term.Columns) > len(room) {
			scaled = make([]float64, 0, len(term.Columns))
		}
		scaled = scaled[:len(term.Columns)]
		term.scale(scaled, row)
		for c := range p.centres[t].Len() {
			dst[at], _ = matern(scaled, p.centres[t].Row(c))
			at++
		}
	}
	copy(dst[at:], row)
}

// solve finds the factors: the ridge regression of the labels on the basis,
// whose penalty is the inverse of the prior covariance.
func (p *Process) solve(ctx context.Context, rows Rows, y, weight []float64, threads int) error {
	n, width := rows.Len(), p.width()+rows.Columns
	normal := mat.NewSymDense(width, nil)
	p.penalty(normal)
	right := make([]float64, width)

	// Rows are taken in blocks, which bounds the memory.
	const block = 2048
	basis := make([]float64, min(n, block)*width)
	for from := 0; from < n; from += block {
		if err := ctx.Err(); err != nil {
			return err
		}
		count := min(block, n-from)
		part := basis[:count*width]
		parallel(count, threads, func(i int) {
			row := part[i*width : (i+1)*width]
			p.basis(row, rows.Row(from+i))
			precision := weight[from+i] / p.kernel.Noise
			root := math.Sqrt(precision)
			for j := range row {
				row[j] *= root
			}
		})
		for i := range count {
			root := math.Sqrt(weight[from+i] / p.kernel.Noise)
			blas64.Axpy(root*y[from+i], vector(part[i*width:(i+1)*width]), vector(right))
		}
		addProducts(normal, blas64.General{Rows: count, Cols: width, Stride: width, Data: part}, threads)
	}
	const jitter = 1e-8
	for i := range width {
		normal.SetSym(i, i, normal.At(i, i)*(1+jitter))
	}
	var factor mat.Cholesky
	if !factor.Factorize(normal) {
		return errors.New("the normal equations are singular")
	}
	solution := mat.NewVecDense(width, nil)
	if err := factor.SolveVecTo(solution, mat.NewVecDense(width, right)); err != nil {
		var nearly mat.Condition
		if !errors.As(err, &nearly) {
			return err
		}
	}
	p.factors = solution.RawVector().Data
	return nil
}

// penalty fills in the inverse of the prior covariance of the factors.
func (p *Process) penalty(normal *mat.SymDense) {
	const jitter = 1e-6
	at := 0
	for t, centres := range p.centres {
		for i := range centres.Len() {
			for j := i; j < centres.Len(); j++ {
				correlation, _ := matern(centres.Row(i), centres.Row(j))
				if i == j {
					correlation += jitter
				}
				normal.SetSym(at+i, at+j, correlation/p.kernel.Terms[t].Variance)
			}
		}
		at += centres.Len()
	}
	for i := at; i < normal.SymmetricDim(); i++ {
		normal.SetSym(i, i, 1/p.kernel.Linear)
	}
}

// addProducts adds AᵀA to the upper triangle of sum, tile by tile.
func addProducts(sum *mat.SymDense, a blas64.General, threads int) {
	const tile = 192
	raw := sum.RawSymmetric()
	tiles := (a.Cols + tile - 1) / tile
	type place struct{ i, j int }
	var places []place
	for i := range tiles {
		for j := i; j < tiles; j++ {
			places = append(places, place{i * tile, j * tile})
		}
	}
	columns := func(from int) blas64.General {
		return blas64.General{Rows: a.Rows, Cols: min(tile, a.Cols-from), Stride: a.Stride, Data: a.Data[from:]}
	}
	parallel(len(places), threads, func(k int) {
		at := places[k]
		left, right := columns(at.i), columns(at.j)
		to := blas64.General{Rows: left.Cols, Cols: right.Cols, Stride: raw.Stride, Data: raw.Data[at.i*raw.Stride+at.j:]}
		blas64.Gemm(blas.Trans, blas.NoTrans, 1, left, right, 1, to)
	})
}

// Predict returns the mean of each row, by at most threads goroutines.
func (p *Process) Predict(rows Rows, threads int) []float64 {
	out := make([]float64, rows.Len())
	const block = 64
	parallel((len(out)+block-1)/block, threads, func(b int) {
		basis := make([]float64, len(p.factors))
		for i := b * block; i < min(len(out), (b+1)*block); i++ {
			p.basis(basis, rows.Row(i))
			out[i] = p.mean + dot(basis, p.factors)
		}
	})
	return out
}

func vector(data []float64) blas64.Vector {
	return blas64.Vector{N: len(data), Data: data, Inc: 1}
}

// parallel calls do(0) to do(n-1), at most threads of them at once, and
// returns when all have returned.
func parallel(n, threads int, do func(i int)) {
	if threads = min(threads, n); threads <= 1 {
		for i := range n {
			do(i)
		}
		return
	}
	var next atomic.Int64
	var workers sync.WaitGroup
	for range threads {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				do(int(i))
			}
		})
	}
	workers.Wait()
}
