package features

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"housing/internal/demographics"
	"housing/internal/house"
)

// Place is a point on the earth in degrees, WGS 84.
type Place struct{ Lat, Long float64 }

// zipFields are the fields whose means by zipcode stand in a row: they tell
// what the houses around are like, and where a house is that comes without
// coordinates.
var zipFields = [...]house.Field{house.Lat, house.Long, house.Grade, house.SqftLiving, house.YrBuilt, house.SqftLot}

const (
	zipLat    = 0
	zipLong   = 1
	zipGrade  = 2
	zipLiving = 3
)

// ZipMeans are the means of zipFields over the houses of a zipcode.
type ZipMeans [len(zipFields)]float64

// Encoder turns houses into rows. It never changes once made, by [Fit] or
// from a bundle; [Encoder.Check] must have passed then.
type Encoder struct {
	Newest   house.Date      // of the houses it was fitted on
	Centres  []Place         // of the housing stock, at most Centres
	Zipcodes []house.Zipcode // ascending
	Means    []ZipMeans      // by Zipcodes
	Overall  ZipMeans        // for zipcodes that were not seen
	// Vicinities are what the houses around are like, by latitude, at most
	// maxVicinities.
	Vicinities []Vicinity
}

// Check returns an error unless rows can be made with e.
func (e *Encoder) Check() error {
	switch {
	case e.Newest == house.NoDate:
		return errors.New("features: the newest day is missing")
	case len(e.Centres) > Centres:
		return fmt.Errorf("features: %d centres, at most %d", len(e.Centres), Centres)
	case len(e.Means) != len(e.Zipcodes):
		return fmt.Errorf("features: %d means for %d zipcodes", len(e.Means), len(e.Zipcodes))
	case !slices.IsSorted(e.Zipcodes):
		return errors.New("features: zipcodes are not in order")
	}
	return checkVicinities(e.Vicinities)
}

// minZipHouses is how many houses a zipcode needs for means of its own.
const minZipHouses = 5

var dayZero = house.DateOf(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))

// Fit learns from houses what rows need beyond house and area. Houses carry
// no prices, so nothing that is learned here can give one away.
func Fit(houses []house.House, seed uint64) (*Encoder, error) {
	if len(houses) == 0 {
		return nil, errors.New("fit features: no houses")
	}
	e := &Encoder{Newest: house.NoDate}
	groups := map[house.Zipcode][]*house.House{}
	all := make([]*house.House, len(houses))
	for i := range houses {
		h := &houses[i]
		e.Newest = max(e.Newest, h.Date)
		groups[h.Zipcode()] = append(groups[h.Zipcode()], h)
		all[i] = h
	}
	if e.Newest == house.NoDate {
		return nil, errors.New("fit features: no house has a date")
	}
	for z, members := range groups {
		if len(members) >= minZipHouses {
			e.Zipcodes = append(e.Zipcodes, z)
		}
	}
	slices.Sort(e.Zipcodes)
	for _, z := range e.Zipcodes {
		e.Means = append(e.Means, meansOf(groups[z]))
	}
	e.Overall = meansOf(all)
	e.Centres = centresOf(all, seed)
	e.Vicinities = vicinitiesOf(all, seed)
	return e, nil
}

// Row fills dst, of NumColumns numbers, for a house in its area, as of its
// date or, where it has none, of the newest house that e was fitted on.
// Unknown is NaN throughout. It allocates nothing.
func (e *Encoder) Row(dst []float32, h *house.House, area *demographics.Area) {
	e.RowAsOf(dst, h, area, h.Date)
}

// RowAsOf is Row as of another day than the house's, or, given house.NoDate,
// as of the newest house that e was fitted on.
func (e *Encoder) RowAsOf(dst []float32, h *house.House, area *demographics.Area, day house.Date) {
	in := inputs.Get().(*input)
	*in = input{house: h, area: area, encoder: e, zip: e.zip(h.Zipcode()), around: e.around(h.Values[house.Lat], h.Values[house.Long]), day: day}
	if in.day == house.NoDate {
		in.day = e.Newest
	}
	t := in.day.Time()
	in.year = float64(t.Year()) + float64(t.YearDay()-1)/365
	in.month = float64(t.Month())
	dst = dst[:len(columns)]
	for i := range columns {
		v := float32(columns[i].value(in))
		if math.IsInf(float64(v), 0) {
			v = float32(math.NaN())
		}
		dst[i] = v
	}
	*in = input{}
	inputs.Put(in)
}

func (e *Encoder) zip(z house.Zipcode) *ZipMeans {
	if i, ok := slices.BinarySearch(e.Zipcodes, z); ok {
		return &e.Means[i]
	}
	return &e.Overall
}

func meansOf(houses []*house.House) ZipMeans {
	var m ZipMeans
	for i, f := range zipFields {
		var sum, n float64
		for _, h := range houses {
			if v := h.Values[f]; v == v {
				sum += v
				n++
			}
		}
		m[i] = sum / n // NaN where it is unknown of all
	}
	return m
}

// centresOf finds up to Centres centres of the places of houses by k-means
// (Lloyd 1982, seeded as in Arthur & Vassilvitskii 2007).
func centresOf(houses []*house.House, seed uint64) []Place {
	var places []Place
	for _, h := range houses {
		p := Place{h.Values[house.Lat], h.Values[house.Long]}
		if p.Lat == p.Lat && p.Long == p.Long {
			places = append(places, p)
		}
	}
	if len(places) == 0 {
		return nil
	}
	centres := seedCentres(places, rand.New(rand.NewPCG(seed, 0x6b6d65616e73)))
	const rounds = 25
	for range rounds {
		sums := make([]Place, len(centres))
		counts := make([]float64, len(centres))
		for _, p := range places {
			c, _ := nearest(centres, p)
			sums[c].Lat += p.Lat
			sums[c].Long += p.Long
			counts[c]++
		}
		for c := range centres {
			if counts[c] > 0 {
				centres[c] = Place{sums[c].Lat / counts[c], sums[c].Long / counts[c]}
			}
		}
	}
	return centres
}

func seedCentres(places []Place, random *rand.Rand) []Place {
	centres := []Place{places[random.IntN(len(places))]}
	weights := make([]float64, len(places))
	for len(centres) < Centres {
		var total float64
		for i, p := range places {
			_, d := nearest(centres, p)
			weights[i] = d * d
			total += weights[i]
		}
		if total == 0 {
			break // fewer distinct places than centres
		}
		at := random.Float64() * total
		i := 0
		for ; i < len(places)-1 && at >= weights[i]; i++ {
			at -= weights[i]
		}
		centres = append(centres, places[i])
	}
	return centres
}

func nearest(centres []Place, p Place) (index int, away float64) {
	away = math.Inf(1)
	for i, c := range centres {
		if d := distance(p.Lat, p.Long, c.Lat, c.Long); d < away {
			index, away = i, d
		}
	}
	return index, away
}
