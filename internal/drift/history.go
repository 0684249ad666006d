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
	free      []snapshot // that were dropped
}

type snapshot struct {
	at     time.Time
	totals []uint64 // since the version began
	seen   *sketch  // houses since the snapshot before
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

// add keeps a snapshot, of n totals, as fill sets it, and drops those that are
// too old or too close to another.
func (h *history) add(now time.Time, n int, fill func(totals []uint64, seen *sketch)) {
	var newest snapshot
	if last := len(h.free) - 1; last >= 0 {
		newest, h.free = h.free[last], h.free[:last]
	} else {
		newest = snapshot{totals: make([]uint64, n), seen: new(sketch)}
	}
	newest.at = now
	fill(newest.totals, newest.seen)
	all := append(h.snapshots, newest)
	kept := all[:0]
	for i, s := range all {
		age := now.Sub(s.at)
		if i+1 < len(all) && (age > longest || len(kept) > 0 && s.at.Sub(kept[len(kept)-1].at) < spacing(age)) {
			all[i+1].seen.add(s.seen)
			h.free = append(h.free, s)
			continue
		}
		kept = append(kept, s)
	}
	h.snapshots = kept
}

// different returns how many different houses came after each snapshot, about,
// where latest are those that came after the last one.
func (h *history) different(latest sketch) []float64 {
	counts := make([]float64, len(h.snapshots))
	for i := len(h.snapshots) - 1; i >= 0; i-- {
		counts[i] = latest.count()
		latest.add(h.snapshots[i].seen)
	}
	return counts
}

// before returns the newest snapshot that is old enough for a window which
// ends now, and after which enough has come; where there is none, the oldest.
func (h *history) before(now time.Time, enough func(i int) bool) int {
	if !enough(0) {
		return 0
	}
	for i := len(h.snapshots) - 1; i > 0; i-- {
		if now.Sub(h.snapshots[i].at) >= shortest && enough(i) {
			return i
		}
	}
	return 0
}
