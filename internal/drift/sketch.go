package drift

import (
	"math"
	"math/bits"
	"sync/atomic"

	"housing/internal/house"
)

// sketchWords is how many words of 64 bits a sketch has: enough for 100,000
// different houses to be counted to within a hundredth, and a few thousand
// much better.
const sketchWords = 512

// sketch says how many different houses there were: each sets one bit, and so
// does the same one again (linear counting; Whang, Vander-Zanden, Taylor 1990).
// Sketches of two times together are that of both.
type sketch [sketchWords]uint64

// add adds the houses of another sketch.
func (s *sketch) add(other *sketch) {
	for i, word := range other {
		s[i] |= word
	}
}

// count returns about how many different houses there were; infinity where
// they are too many to say.
func (s *sketch) count() float64 {
	const all = 64 * sketchWords
	set := 0
	for _, word := range s {
		set += bits.OnesCount64(word)
	}
	return -all * math.Log(1-float64(set)/all)
}

// sharedSketch is a sketch that several calls add to at once.
type sharedSketch [sketchWords]atomic.Uint64

// see adds a house.
func (s *sharedSketch) see(h *house.House) {
	hash := hashOf(h)
	word, bit := &s[hash>>6%sketchWords], uint64(1)<<(hash&63)
	if word.Load()&bit == 0 {
		word.Or(bit)
	}
}

// hashOf returns a hash of the fields of a house.
func hashOf(h *house.House) uint64 {
	const odd = 0x9e3779b97f4a7c15 // 2^64 over the golden ratio
	hash := uint64(odd)
	for _, v := range h.Values {
		word := math.Float64bits(v)
		if v != v {
			word = math.MaxUint64 // every unknown is the same
		}
		hash = (hash ^ word) * odd
		hash ^= hash >> 32
	}
	return hash
}
