//go:build !race

package model

import "testing"

// With the race detector a sync.Pool drops what it is given at random.
func TestPricesAllocateNothing(t *testing.T) {
	m, houses, table := smoothModel(t)
	dst := make([]float64, len(houses))
	if n := testing.AllocsPerRun(10, func() { m.Prices(dst, houses, table) }); n != 0 {
		t.Errorf("%g allocations", n)
	}
}
