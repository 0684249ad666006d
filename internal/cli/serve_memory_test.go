package cli

import "testing"

func TestGarbageIsAShareAndAtLeastTwoMegabytes(t *testing.T) {
	for inUse, want := range map[uint64]int{
		2 << 20:   100,
		5 << 20:   40,
		20 << 20:  30,
		800 << 20: 30,
	} {
		if got := garbageFor(inUse); got != want {
			t.Errorf("%d bytes in use: %d percent of garbage, want %d", inUse, got, want)
		}
	}
}
