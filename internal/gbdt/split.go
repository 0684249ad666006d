package gbdt

import "math"

// split is a way to part a leaf's rows: codes up to code go left.
type split struct {
	gain        float64 // fall of the loss, less the parent's; 0 is no split
	column      int     // of the data
	code        uint8
	unknownLeft bool
	left        cell // sums of the rows that go left
	leftValue   float64
	rightValue  float64
}

// bounds keep a leaf's value between those that monotone splits above it
// allow.
type bounds struct{ low, high float64 }

func unbounded() bounds { return bounds{math.Inf(-1), math.Inf(1)} }

// criterion weighs splits: the second-order gain of Chen & Guestrin 2016,
// equation 7, without the half.
type criterion struct {
	gScale, hScale float64 // from fixed point to real
	l2             float64
	minGain        float64
	minHessian     int64 // least sum in a child
	monotone       []int8
}

// leastGain keeps rounding noise from passing for a gain.
const leastGain = 1e-6

// justBelow is more than rounding makes of a gain.
const justBelow = 1 - 1e-9

// value returns the leaf value with the least loss within the bounds.
func (c *criterion) value(sum cell, b bounds) float64 {
	w := -float64(sum.g) * c.gScale / (float64(sum.h)*c.hScale + c.l2)
	if w < b.low {
		return b.low
	}
	if w > b.high {
		return b.high
	}
	return w
}

// score returns how much a leaf of value w takes off the loss, doubled.
func (c *criterion) score(sum cell, w float64) float64 {
	g, h := float64(sum.g)*c.gScale, float64(sum.h)*c.hScale
	return -(2*g + (h+c.l2)*w) * w
}

// best returns the best split of a leaf by one column, whose cells are given
// with those of unknown rows last.
func (c *criterion) best(cells []cell, column int, sum cell, b bounds) split {
	known := cells[:len(cells)-1]
	unknown := cells[len(known)]
	found := split{gain: max(c.minGain, leastGain) + c.score(sum, c.value(sum, b)), column: -1}
	least := found.gain
	c.scan(known, column, cell{}, sum, b, &found)
	if unknown.h != 0 {
		c.scan(known, column, unknown, sum, b, &found)
	} else {
		// None to learn from: unknown rows go with the greater part.
		found.unknownLeft = found.left.h > sum.h-found.left.h
	}
	if found.column < 0 {
		return split{}
	}
	found.gain -= least - max(c.minGain, leastGain)
	found.leftValue = c.value(found.left, b)
	found.rightValue = c.value(cell{sum.g - found.left.g, sum.h - found.left.h}, b)
	return found
}

// scan looks for a split with more gain than found's, not less the parent's.
// left holds what goes left in any case: nothing, or the unknown rows.
func (c *criterion) scan(known []cell, column int, left, sum cell, b bounds, found *split) {
	direction := 0.0
	if c.monotone != nil {
		direction = float64(c.monotone[column])
	}
	unknownLeft := left.h != 0
	bar := found.gain * justBelow
	for code := range known {
		in := &known[code]
		if in.h == 0 {
			continue // the same rows left as by the code before
		}
		left.g += in.g
		left.h += in.h
		right := cell{sum.g - left.g, sum.h - left.h}
		if left.h < c.minHessian {
			continue
		}
		if right.h < c.minHessian {
			break // and less with each code from here
		}
		// Without bounds the gain is lg²/lh + rg²/rh, and with them less: most
		// codes are ruled out without a division.
		lg, lh := float64(left.g)*c.gScale, float64(left.h)*c.hScale+c.l2
		rg, rh := float64(right.g)*c.gScale, float64(right.h)*c.hScale+c.l2
		if lg*lg*rh+rg*rg*lh < bar*(lh*rh) {
			continue
		}
		lw, rw := c.value(left, b), c.value(right, b)
		if gain := c.score(left, lw) + c.score(right, rw); gain > found.gain && direction*(rw-lw) >= 0 {
			*found = split{gain: gain, column: column, code: uint8(code), unknownLeft: unknownLeft, left: left}
			bar = gain * justBelow
		}
	}
}

// children returns the bounds of the two leaves that s makes of one with
// bounds b.
func (c *criterion) children(s *split, b bounds) (left, right bounds) {
	left, right = b, b
	if c.monotone == nil {
		return left, right
	}
	middle := (s.leftValue + s.rightValue) / 2
	switch c.monotone[s.column] {
	case 1:
		left.high, right.low = min(b.high, middle), max(b.low, middle)
	case -1:
		left.low, right.high = max(b.low, middle), min(b.high, middle)
	}
	return left, right
}
