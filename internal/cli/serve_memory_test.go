package cli

import "testing"

func TestGarbageIsAShareAndAtLeastAMebibyteAndAQuarter(t *testing.T) {
	for inUse, want := range map[uint64]int{
		5 << 18:   100,
		2 << 20:   62,
		20 << 20:  30,
		800 << 20: 30,
	} {
		if got := garbageFor(inUse); got != want {
			t.Errorf("%d bytes in use: %d percent of garbage, want %d", inUse, got, want)
		}
	}
}
