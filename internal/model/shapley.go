package model

import (
	"slices"

	"housing/internal/features"
)

// shapleyPairs is how many pairs of orders effects are averaged over. Of each
// order its reverse is taken too, so that what inputs do alone and in pairs is
// parted exactly as Shapley values are; what they do in threes is parted
// nearly, and the sum is exact always.
const shapleyPairs = 8

// effects adds to dst, by reason, how much the smooth part moves the log price
// of a house, by its share, and returns the base from which it does: a house
// that is at the mean in every input. It does nothing and is false where an
// input is unknown.
func (s *Smooth) effects(dst []float64, of known) (base float64, whole bool) {
	var typical, row [numInputs]float32
	if !s.Scale.row(row[:], of) {
		return 0, false
	}
	var values [numInputs + 1]float64
	var groups [numInputs][]int
	count := len(players)
	for pair := range shapleyPairs {
		// Each order steps through the players by an odd number, which meets
		// all of them, as their number is a power of two.
		at := func(i int) *player { return &players[(5*pair+(2*pair+1)*i)%count] }
		for _, reverse := range [2]bool{false, true} {
			turn := func(i int) int {
				if reverse {
					return count - 1 - i
				}
				return i
			}
			for i := range count {
				groups[i] = at(turn(i)).inputs
			}
			s.Network.Path(values[:count+1], typical[:], row[:], groups[:count])
			for i := range count {
				dst[at(turn(i)).reason] += s.Share * (values[i+1] - values[i]) / (2 * shapleyPairs)
			}
		}
	}
	return s.Share * values[0], true
}

// player is a reason and the inputs that it moves together.
type player struct {
	reason int // in features.Reasons
	inputs []int
}

// players are all reasons that move an input.
var players = func() []player {
	var all []player
	for r, name := range features.Reasons() {
		p := player{reason: r}
		for i := range inputs {
			if inputs[i].reason == name {
				p.inputs = append(p.inputs, i)
			}
		}
		if len(p.inputs) > 0 {
			all = append(all, p)
		}
	}
	return all
}()

// dateReason is where features.ValuationDate stands in features.Reasons.
var dateReason = slices.Index(features.Reasons(), features.ValuationDate)
