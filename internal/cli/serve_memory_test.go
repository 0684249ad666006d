package cli

import "testing"

func TestGarbageIsAShareAndAtLeastOneAndAHalfMebibytes(t *testing.T) {
	for inUse, want := range map[uint64]int{
		3 << 19:   100,
		4 << 20:   37,
		20 << 20:  30,
		800 << 20: 30,
	} {
		if got := garbageFor(inUse); got != want {
			t.Errorf("%d bytes in use: %d percent of garbage, want %d", inUse, got, want)
		}
	}
}
