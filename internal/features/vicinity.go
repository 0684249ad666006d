package features

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"

	"housing/internal/house"
)

// Vicinity is what the houses around a place are like: means over at least
// minVicinityHouses of them, so that it tells of none.
type Vicinity struct {
	Lat, Long float32 // degrees, WGS 84: the mean of its houses
	Houses    float32 // how many there are
	Means     VicinityMeans
}

// VicinityNumbers is how many numbers a Vicinity is, each a float32.
const VicinityNumbers = 3 + len(VicinityMeans{})

// VicinityMeans are means over the houses of a vicinity: of the grade, of the
// logarithms of living space and lot in square feet, and of the year of
// building. Unknown is NaN.
type VicinityMeans [4]float32

// Where a mean stands in VicinityMeans.
const (
	VicinityGrade = iota
	VicinityLiving
	VicinityLot
	VicinityBuilt
)

// How the land is parted into vicinities. The figures behind it stand in
// docs/accuracy.md.
const (
	housesPerVicinity = 18   // on average
	minVicinityHouses = 5    // fewer are given to the vicinities around
	maxVicinities     = 2000 // however many houses there are
	vicinityRounds    = 8    // of k-means
	vicinitySample    = 50_000
	nearVicinities    = 3    // that a house's surroundings are made of
	vicinityBlur      = 1e-5 // square degrees of latitude: within 350 m all count alike
)

// surroundings are what a row says of the vicinities around a house: their
// means, and how far away the furthest of them is, in degrees of latitude.
type surroundings struct {
	means VicinityMeans
	away  float32
}

// unknownSurroundings are those of a house that nothing is known around.
var unknownSurroundings = surroundings{VicinityMeans{unknown, unknown, unknown, unknown}, unknown}

var unknown = float32(math.NaN())

// around returns the surroundings of a place: means of the nearest
// vicinities, by their houses and by the inverse square of the distance.
func (e *Encoder) around(lat, long float64) surroundings {
	if len(e.Vicinities) == 0 || lat != lat || long != long {
		return unknownSurroundings
	}
	var memory [nearVicinities]neighbour
	near := nearestVicinities(memory[:0], e.Vicinities, lat, long)
	var sums [len(VicinityMeans{})]float64
	var total, away float64
	for _, n := range near {
		v := &e.Vicinities[n.index]
		weight := float64(v.Houses) / (n.square + vicinityBlur)
		total += weight
		for i, mean := range v.Means {
			sums[i] += float64(weight * float64(mean))
		}
		away = math.Sqrt(n.square)
	}
	s := surroundings{away: float32(away)}
	for i, sum := range sums {
		s.means[i] = float32(sum / total)
	}
	return s
}

// Around returns the means of the houses around a place, unknown where that
// is.
func (e *Encoder) Around(lat, long float64) VicinityMeans { return e.around(lat, long).means }

// AroundInRow returns the same of a row of the house.
func AroundInRow(row []float32) VicinityMeans { return VicinityMeans(row[nearColumn:]) }

// nearColumn is the first of the columns that hold VicinityMeans.
var nearColumn = slices.IndexFunc(columns, func(c column) bool { return c.Name == "near_grade" })

// neighbour is a vicinity and the square of its distance in degrees of
// latitude.
type neighbour struct {
	index  int
	square float64
}

// nearestVicinities appends to dst, up to its capacity, the vicinities that
// are nearest to a place, the nearest first. They are ordered by latitude, so
// that it is enough to look north and south as far as the furthest found.
func nearestVicinities(dst []neighbour, all []Vicinity, lat, long float64) []neighbour {
	north := sort.Search(len(all), func(i int) bool { return float64(all[i].Lat) >= lat })
	south := north - 1
	for south >= 0 || north < len(all) {
		next := north
		if north == len(all) || south >= 0 && lat-float64(all[south].Lat) < float64(all[north].Lat)-lat {
			next = south
			south--
		} else {
			north++
		}
		dy, dx := float64(all[next].Lat)-lat, (float64(all[next].Long)-long)*longitudeScale
		full := len(dst) == cap(dst)
		if full && float64(dy*dy) > dst[len(dst)-1].square {
			break
		}
		found := neighbour{next, float64(dx*dx) + float64(dy*dy)}
		if full && found.square >= dst[len(dst)-1].square {
			continue
		}
		if !full {
			dst = append(dst, found)
		}
		at := len(dst) - 1
		for ; at > 0 && dst[at-1].square > found.square; at-- {
			dst[at] = dst[at-1]
		}
		dst[at] = found
	}
	return dst
}

// vicinitiesOf parts the places of houses into vicinities by k-means on a
// sample, and takes the means over all houses.
func vicinitiesOf(houses []*house.House, seed uint64) []Vicinity {
	located := make([]*house.House, 0, len(houses))
	for _, h := range houses {
		if h.Values[house.Lat] == h.Values[house.Lat] && h.Values[house.Long] == h.Values[house.Long] {
			located = append(located, h)
		}
	}
	random := rand.New(rand.NewPCG(seed, 0x766963696e697479))
	sample := slices.Clone(located)
	random.Shuffle(len(sample), func(i, j int) { sample[i], sample[j] = sample[j], sample[i] })
	sample = sample[:min(len(sample), vicinitySample)]

	var parts []Vicinity
	for _, h := range sample[:min(len(located)/housesPerVicinity, maxVicinities)] {
		parts = append(parts, Vicinity{Lat: float32(h.Values[house.Lat]), Long: float32(h.Values[house.Long])})
	}
	for range vicinityRounds {
		parts = parted(parts, sample)
	}
	parts = parted(parts, located)
	parts = slices.DeleteFunc(parts, func(v Vicinity) bool { return v.Houses < minVicinityHouses })
	return parted(parts, located)
}

// parted gives each house to the nearest of the parts and returns what they
// are then; those that get none are left out.
func parted(parts []Vicinity, houses []*house.House) []Vicinity {
	slices.SortStableFunc(parts, func(a, b Vicinity) int {
		return cmp.Or(cmp.Compare(a.Lat, b.Lat), cmp.Compare(a.Long, b.Long))
	})
	if len(parts) == 0 {
		return nil
	}
	type sums struct {
		lat, long, houses float64
		values, known     [len(VicinityMeans{})]float64
	}
	all := make([]sums, len(parts))
	var memory [1]neighbour
	for _, h := range houses {
		near := nearestVicinities(memory[:0], parts, h.Values[house.Lat], h.Values[house.Long])
		s := &all[near[0].index]
		s.lat += h.Values[house.Lat]
		s.long += h.Values[house.Long]
		s.houses++
		for i, v := range [...]float64{
			VicinityGrade: h.Values[house.Grade], VicinityLiving: math.Log(h.Values[house.SqftLiving]),
			VicinityLot: math.Log(h.Values[house.SqftLot]), VicinityBuilt: h.Values[house.YrBuilt],
		} {
			if v == v {
				s.values[i] += v
				s.known[i]++
			}
		}
	}
	var made []Vicinity
	for _, s := range all {
		if s.houses == 0 {
			continue
		}
		v := Vicinity{Lat: float32(s.lat / s.houses), Long: float32(s.long / s.houses), Houses: float32(s.houses)}
		for i := range v.Means {
			v.Means[i] = float32(s.values[i] / s.known[i]) // NaN where it is unknown of all
		}
		made = append(made, v)
	}
	slices.SortStableFunc(made, func(a, b Vicinity) int {
		return cmp.Or(cmp.Compare(a.Lat, b.Lat), cmp.Compare(a.Long, b.Long))
	})
	return made
}

// checkVicinities returns an error unless surroundings can be made of them.
func checkVicinities(vicinities []Vicinity) error {
	if len(vicinities) > maxVicinities {
		return fmt.Errorf("features: %d vicinities, at most %d", len(vicinities), maxVicinities)
	}
	for i, v := range vicinities {
		switch {
		case !(v.Lat >= -90 && v.Lat <= 90 && v.Long >= -180 && v.Long <= 180):
			return fmt.Errorf("features: vicinity %d is not on the earth", i)
		case !(v.Houses >= 1 && v.Houses <= math.MaxInt32):
			return fmt.Errorf("features: vicinity %d is of %g houses", i, v.Houses)
		case i > 0 && v.Lat < vicinities[i-1].Lat:
			return errors.New("features: vicinities are not in order")
		}
	}
	return nil
}
