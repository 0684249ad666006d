package gbdt

import (
	"fmt"
	"math"
)

// Params says how a forest is learned. Start from [DefaultParams].
type Params struct {
	Rounds              int     `json:"rounds"`                // trees at most
	LearningRate        float64 `json:"learning_rate"`         // share of each Newton step that is taken
	MaxLeaves           int     `json:"max_leaves"`            // leaves of a tree at most
	MaxDepth            int     `json:"max_depth"`             // splits on a way at most; 0 is no limit
	MinChildWeight      float64 `json:"min_child_weight"`      // least sum of second derivatives in a leaf
	L2                  float64 `json:"l2"`                    // λ, penalty on squared leaf values
	MinSplitGain        float64 `json:"min_split_gain"`        // γ, least gain of a split
	Subsample           float64 `json:"subsample"`             // share of rows that each tree sees
	ColsampleByTree     float64 `json:"colsample_by_tree"`     // share of columns that each tree sees
	MaxBins             int     `json:"max_bins"`              // bins of a column at most
	EarlyStoppingRounds int     `json:"early_stopping_rounds"` // stop when the validation loss has not fallen for so long; 0 is never
	Seed                uint64  `json:"seed"`                  // of row and column sampling

	// Monotone has +1 for each column in which the prediction must not fall,
	// -1 where it must not rise, 0 where it is free; nil is all free.
	Monotone []int8 `json:"-"`
	// Threads is how many goroutines learn at once; the forest does not
	// depend on it.
	Threads int `json:"-"`
}

// DefaultParams are sound for some ten thousand rows.
func DefaultParams() Params {
	return Params{
		Rounds:          500,
		LearningRate:    0.05,
		MaxLeaves:       31,
		MinChildWeight:  1,
		L2:              1,
		Subsample:       1,
		ColsampleByTree: 1,
		MaxBins:         MaxBins,
		Threads:         1,
	}
}

// Check returns an error that names the first parameter that cannot be used
// with a matrix of cols columns.
func (p *Params) Check(cols int) error {
	share := func(v float64) bool { return v > 0 && v <= 1 }
	finite := func(v float64) bool { return v >= 0 && !math.IsInf(v, 0) }
	switch {
	case p.Rounds < 1 || p.Rounds > 100_000:
		return fmt.Errorf("rounds is %d, must be 1 to 100000", p.Rounds)
	case !share(p.LearningRate):
		return fmt.Errorf("learning_rate is %g, must be over 0 and at most 1", p.LearningRate)
	case p.MaxLeaves < 2 || p.MaxLeaves > 65_536:
		return fmt.Errorf("max_leaves is %d, must be 2 to 65536", p.MaxLeaves)
	case p.MaxDepth < 0:
		return fmt.Errorf("max_depth is %d, must be 0 (no limit) or more", p.MaxDepth)
	case !finite(p.MinChildWeight):
		return fmt.Errorf("min_child_weight is %g, must be 0 or more", p.MinChildWeight)
	case !finite(p.L2):
		return fmt.Errorf("l2 is %g, must be 0 or more", p.L2)
	case !finite(p.MinSplitGain):
		return fmt.Errorf("min_split_gain is %g, must be 0 or more", p.MinSplitGain)
	case !share(p.Subsample):
		return fmt.Errorf("subsample is %g, must be over 0 and at most 1", p.Subsample)
	case !share(p.ColsampleByTree):
		return fmt.Errorf("colsample_by_tree is %g, must be over 0 and at most 1", p.ColsampleByTree)
	case p.MaxBins < 2 || p.MaxBins > MaxBins:
		return fmt.Errorf("max_bins is %d, must be 2 to %d", p.MaxBins, MaxBins)
	case p.EarlyStoppingRounds < 0:
		return fmt.Errorf("early_stopping_rounds is %d, must be 0 (off) or more", p.EarlyStoppingRounds)
	case p.Monotone != nil && len(p.Monotone) != cols:
		return fmt.Errorf("monotone has %d entries for %d columns", len(p.Monotone), cols)
	case p.Threads < 1:
		return fmt.Errorf("threads is %d, must be 1 or more", p.Threads)
	}
	for f, d := range p.Monotone {
		if d < -1 || d > 1 {
			return fmt.Errorf("monotone of column %d is %d, must be -1, 0 or 1", f, d)
		}
	}
	return nil
}
