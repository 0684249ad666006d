package bundle

import (
	"math"
	"math/rand/v2"

	"housing/internal/house"
)

// goldenHouses is how many golden houses Golden makes.
const goldenHouses = 32

// Golden makes up houses to stand as golden ones: each field is drawn on its
// own from the houses given, so that the values are likely and no house is a
// real one. In every other house some optional fields are unknown.
func Golden(houses []house.House, seed uint64) []house.House {
	random := rand.New(rand.NewPCG(seed, 0x676f6c64))
	golden := make([]house.House, goldenHouses)
	for i := range golden {
		h := house.Unknown()
		for f := range house.Field(house.NumFields) {
			h.Values[f] = houses[random.IntN(len(houses))].Values[f]
			if i%2 == 1 && !house.RequiredFields.Has(f) && random.IntN(3) == 0 {
				h.Values[f] = math.NaN()
			}
		}
		if i%4 != 0 {
			h.Date = houses[random.IntN(len(houses))].Date
		}
		golden[i] = h
	}
	return golden
}
