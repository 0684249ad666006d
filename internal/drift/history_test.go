package drift

import (
	"math"
	"testing"
	"time"
)

// TestHistoryIsBounded keeps two days of snapshots, each of which holds its
// time, and asks for windows.
func TestHistoryIsBounded(t *testing.T) {
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	var h history
	var now time.Time
	for i := range int(48 * time.Hour / tickEvery) {
		now = start.Add(time.Duration(i) * tickEvery)
		h.add(now, 1, func(totals []uint64, seen *sketch) {
			totals[0] = uint64(i)
			clear(seen[:])
			seen[i/64%sketchWords] = 1 << (i % 64) // another house each time
		})
		if n := len(h.snapshots) + len(h.free); n > 150 {
			t.Fatalf("%d snapshots after %s", n, now.Sub(start))
		}
	}
	for i := range h.snapshots {
		s := &h.snapshots[i]
		if !start.Add(time.Duration(s.totals[0]) * tickEvery).Equal(s.at) {
			t.Errorf("the snapshot of %s holds what was at %d", s.at, s.totals[0])
		}
		if i > 0 && s.at.Sub(h.snapshots[i-1].at) > 31*time.Minute {
			t.Errorf("there is nothing from %s to %s", h.snapshots[i-1].at, s.at)
		}
	}
	newest := h.snapshots[len(h.snapshots)-1].totals[0]
	for i, got := range h.different(sketch{}) {
		if want := float64(newest - h.snapshots[i].totals[0]); math.Abs(got-want) > 0.11*want { // of 32,768 bits without a collision
			t.Errorf("%g different houses came after snapshot %d, want %g", got, i, want)
		}
	}
	for ticks, want := range map[uint64][2]time.Duration{ // that are enough, and how far back the window reaches
		1: {5 * time.Minute, 5 * time.Minute}, 20: {5 * time.Minute, 5 * time.Minute}, 80: {20 * time.Minute, 21 * time.Minute},
		480: {2 * time.Hour, 151 * time.Minute}, 1 << 40: {23*time.Hour + 29*time.Minute, 24 * time.Hour},
	} {
		i := h.before(now, func(i int) bool { return newest-h.snapshots[i].totals[0] >= ticks })
		if back := now.Sub(h.snapshots[i].at); back < want[0] || back > want[1] {
			t.Errorf("a window of %d ticks reaches back %s, want %s to %s", ticks, back, want[0], want[1])
		}
	}
}
