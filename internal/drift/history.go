package drift

import "time"

// Times of a history.
const (
	tickEvery = 15 * time.Second
	// shortest is how far back a window reaches at least, where there is as
	// much; longest, at most.
	shortest = 5 * time.Minute
	longest  = 24 * time.Hour
)

// history is what the totals of a version were, at times of the last day: the
// older, the wider apart, so that there are about 130.
type history struct {
	snapshots []snapshot // the oldest first
	free      [][]uint64 // of snapshots that were dropped
}

type snapshot struct {
	at     time.Time
	totals []uint64
}

// spacing is how far apart snapshots of this age are kept.
func spacing(age time.Duration) time.Duration {
	switch {
	case age <= shortest+2*tickEvery:
		return 0
	case age <= time.Hour:
		return time.Minute
	}
	return 30 * time.Minute
}

// add keeps what fill sets a slice of n totals to, and drops what is too old
// or too close to another.
func (h *history) add(now time.Time, n int, fill func([]uint64)) {
	var totals []uint64
	if last := len(h.free) - 1; last >= 0 {
		totals, h.free = h.free[last], h.free[:last]
	} else {
		totals = make([]uint64, n)
	}
	fill(totals)
	kept := h.snapshots[:0]
	for _, s := range h.snapshots {
		age := now.Sub(s.at)
		if age > longest || len(kept) > 0 && s.at.Sub(kept[len(kept)-1].at) < spacing(age) {
			h.free = append(h.free, s.totals)
			continue
		}
		kept = append(kept, s)
	}
	h.snapshots = append(kept, snapshot{now, totals})
}

// before returns the newest snapshot that is old enough for a window which
// ends now, and after which enough has been counted; where there is none, the
// oldest.
func (h *history) before(now time.Time, enough func(since []uint64) bool) *snapshot {
	oldest := &h.snapshots[0]
	if !enough(oldest.totals) {
		return oldest
	}
	for i := len(h.snapshots) - 1; i > 0; i-- {
		if s := &h.snapshots[i]; now.Sub(s.at) >= shortest && enough(s.totals) {
			return s
		}
	}
	return oldest
}
