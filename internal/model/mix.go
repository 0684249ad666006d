package model

import (
	"math/rand/v2"
	"slices"

	"housing/internal/house"
)

// mixGroups are fields that go together when houses are mixed.
var mixGroups = [...]house.Set{
	house.NewSet(house.ZipcodeField, house.Lat, house.Long),
	house.NewSet(house.SqftLiving, house.SqftAbove, house.SqftBasement, house.Bedrooms, house.Bathrooms, house.Floors),
	house.NewSet(house.Grade, house.Condition),
	house.NewSet(house.View, house.Waterfront),
	house.NewSet(house.YrBuilt, house.YrRenovated),
	house.NewSet(house.SqftLot),
	house.NewSet(house.SqftLiving15, house.SqftLot15),
}

// How houses are mixed.
const (
	mixShare     = 0.3   // of groups that are taken from the other house
	mixNeighbour = 0.6   // of other houses that are of the same zipcode
	mixShift     = 0.003 // degrees; standard deviation of the step aside
)

// mixer makes up houses that are like those given and are none of them, for
// a network to be taught on ("munging", Bucila, Caruana & Niculescu-Mizil,
// Model compression, KDD 2006).
type mixer struct {
	houses []house.House
	byZip  map[house.Zipcode][]int
	random *rand.Rand
}

func newMixer(houses []house.House, random *rand.Rand) *mixer {
	m := &mixer{houses, map[house.Zipcode][]int{}, random}
	for i := range houses {
		z := houses[i].Zipcode()
		m.byZip[z] = append(m.byZip[z], i)
	}
	return m
}

// extend returns the houses and, for each of them, a number of others like it.
func (m *mixer) extend(number int) []house.House {
	all := slices.Clone(m.houses)
	for range number {
		for i := range m.houses {
			all = append(all, m.like(i))
		}
	}
	return all
}

// like returns a house that has some groups of its fields from house i, the
// others from another one, and that lies a little aside, by some hundred
// metres.
func (m *mixer) like(i int) house.House {
	h := m.houses[i]
	near := m.byZip[h.Zipcode()]
	other := &m.houses[near[m.random.IntN(len(near))]]
	if m.random.Float64() >= mixNeighbour {
		other = &m.houses[m.random.IntN(len(m.houses))]
	}
	for _, group := range mixGroups {
		if m.random.Float64() >= mixShare {
			continue
		}
		for f := range house.Field(house.NumFields) {
			if group.Has(f) {
				h.Values[f] = other.Values[f]
			}
		}
	}
	h.Values[house.Lat] += mixShift * m.random.NormFloat64()
	h.Values[house.Long] += 1.5 * mixShift * m.random.NormFloat64()
	return h
}
