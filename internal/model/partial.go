package model

import (
	"math"
	"math/rand/v2"

	"housing/internal/house"
)

// partial returns a copy of h in which fields are unknown that a caller may
// leave out: a third of the time all but those of a minimal request, a third
// all optional ones, a third each optional one by the toss of a coin.
// Coordinates go together.
func partial(h house.House, random *rand.Rand) house.House {
	keep := house.RequiredFields
	switch random.IntN(3) {
	case 0:
		keep = house.MinimalFields
	case 1:
		for _, s := range house.Fields() {
			if random.IntN(2) == 0 {
				keep |= house.NewSet(s.Field)
			}
		}
		if !keep.Has(house.Lat) || !keep.Has(house.Long) {
			keep &^= house.NewSet(house.Lat, house.Long)
		}
	}
	return only(h, keep)
}

// only returns h with all but the fields in keep unknown.
func only(h house.House, keep house.Set) house.House {
	for f := range house.Field(house.NumFields) {
		if !keep.Has(f) {
			h.Values[f] = math.NaN()
		}
	}
	return h
}
