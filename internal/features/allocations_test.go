//go:build !race

package features

import (
	"testing"

	"housing/internal/demographics"
	"housing/internal/house"
)

// With the race detector a sync.Pool drops what it is given at random.
func TestRowAllocatesNothing(t *testing.T) {
	e := fitted(t)
	h := house.Example()
	row := make([]float32, NumColumns())
	var area demographics.Area
	if n := testing.AllocsPerRun(100, func() { e.Row(row, &h, &area) }); n != 0 {
		t.Errorf("%g allocations", n)
	}
}
