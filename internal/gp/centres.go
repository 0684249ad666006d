package gp

import (
	"math"
	"math/rand/v2"
)

// centresOf finds up to count centres of rows by k-means (Lloyd 1982), each
// of which is the mean of the rows nearest to it.
func centresOf(rows Rows, count int, seed uint64, threads int) Rows {
	n := rows.Len()
	random := rand.New(rand.NewPCG(seed, 0x63656e74))
	start := random.Perm(n)[:min(count, n)]
	centres := rows.pick(start)
	nearest := make([]int, n)
	const rounds = 8
	for range rounds {
		const block = 256
		parallel((n+block-1)/block, threads, func(b int) {
			for i := b * block; i < min(n, (b+1)*block); i++ {
				nearest[i] = nearestOf(centres, rows.Row(i))
			}
		})
		centres = meansOf(rows, nearest, centres.Len())
	}
	return centres
}

func nearestOf(centres Rows, row []float64) int {
	best, away := 0, math.Inf(1)
	for c := range centres.Len() {
		var square float64
		for i, v := range centres.Row(c) {
			d := v - row[i]
			square += d * d
			if square >= away {
				break
			}
		}
		if square < away {
			best, away = c, square
		}
	}
	return best
}

// meansOf returns the mean of the rows of each centre; a centre without rows
// is dropped.
func meansOf(rows Rows, nearest []int, count int) Rows {
	sums, counts := Rows{make([]float64, count*rows.Columns), rows.Columns}, make([]float64, count)
	for i, c := range nearest {
		counts[c]++
		for j, v := range rows.Row(i) {
			sums.Row(c)[j] += v
		}
	}
	means := Rows{Columns: rows.Columns}
	for c, n := range counts {
		if n == 0 {
			continue
		}
		for _, v := range sums.Row(c) {
			means.Data = append(means.Data, v/n)
		}
	}
	return means
}
