package model

import (
	"fmt"
	"math"

	"housing/internal/demographics"
	"housing/internal/features"
	"housing/internal/house"
)

// input is one number that the smooth part looks at. Sizes are taken as
// logarithms, so that distances between houses are in proportions.
type input struct {
	name   string
	reason string // what its effect on a price is told as, one of features.Reasons
	value  func(of known) float64
}

// known is what is known of a house: its fields, the figures of its area and
// what the houses around it are like.
type known struct {
	house *house.House
	area  *demographics.Area
	near  features.VicinityMeans
}

func knownOf(h *house.House, area *demographics.Area, around features.VicinityMeans) known {
	return known{h, area, around}
}

func (k known) get(f house.Field) float64 { return k.house.Values[f] }

// inputs are the numbers that the smooth part looks at; the first
// placeInputs say where a house is.
var inputs = [numInputs]input{
	{"lat", features.Location, fieldInput(house.Lat)},
	{"long", features.Location, fieldInput(house.Long)},
	{"log sqft_living", house.SqftLiving.String(), logInput(house.SqftLiving)},
	{"log sqft_lot", house.SqftLot.String(), logInput(house.SqftLot)},
	{"root bedrooms", house.Bedrooms.String(), func(of known) float64 { return math.Sqrt(of.get(house.Bedrooms)) }},
	{"bathrooms", house.Bathrooms.String(), fieldInput(house.Bathrooms)},
	{"floors", house.Floors.String(), fieldInput(house.Floors)},
	{"waterfront", house.Waterfront.String(), fieldInput(house.Waterfront)},
	{"view", house.View.String(), fieldInput(house.View)},
	{"condition", house.Condition.String(), fieldInput(house.Condition)},
	{"grade", house.Grade.String(), fieldInput(house.Grade)},
	{"basement share", house.SqftBasement.String(), func(of known) float64 { return of.get(house.SqftBasement) / of.get(house.SqftLiving) }},
	{"yr_built", house.YrBuilt.String(), fieldInput(house.YrBuilt)},
	{"last work", house.YrRenovated.String(), func(of known) float64 { return max(of.get(house.YrBuilt), of.get(house.YrRenovated)) }},
	{"log sqft_living15", house.SqftLiving15.String(), logInput(house.SqftLiving15)},
	{"log sqft_lot15", house.SqftLot15.String(), logInput(house.SqftLot15)},
	{"log income", features.Neighbourhood, func(of known) float64 { return math.Log(max(1, float64(of.area[incomeColumn]))) }},
	{"degrees", features.Neighbourhood, func(of known) float64 { return float64(of.area[bachelorColumn] + of.area[professionalColumn]) }},
	{"near_grade", features.Location, nearInput(features.VicinityGrade)},
	{"near_log_living", features.Location, nearInput(features.VicinityLiving)},
	{"near_log_lot", features.Location, nearInput(features.VicinityLot)},
	{"near_yr_built", features.Location, nearInput(features.VicinityBuilt)},
}

// placeInputs is how many of the inputs say where a house is.
const placeInputs = 2

// numInputs is how many inputs there are.
const numInputs = 22

// Columns of a demographics.Area.
const (
	incomeColumn       = 5  // medn_hshld_incm_amt
	bachelorColumn     = 24 // per_bchlr
	professionalColumn = 25 // per_prfsnl
)

func fieldInput(f house.Field) func(known) float64 {
	return func(of known) float64 { return of.get(f) }
}

func logInput(f house.Field) func(known) float64 {
	return func(of known) float64 { return math.Log(of.get(f)) }
}

func nearInput(mean int) func(known) float64 {
	return func(of known) float64 { return float64(of.near[mean]) }
}

// Scale turns houses into rows for the smooth part: each input less its mean,
// over its standard deviation, both over the houses it was learned from.
type Scale struct{ Mean, Deviation []float64 }

// farOut is how many standard deviations an input is away at most.
const farOut = 6

func newScale(houses []house.House, encoder *features.Encoder, table *demographics.Table) Scale {
	all := make([]known, len(houses))
	for i := range houses {
		area, _ := table.Lookup(houses[i].Zipcode())
		all[i] = knownOf(&houses[i], area, encoder.Around(houses[i].Values[house.Lat], houses[i].Values[house.Long]))
	}
	s := Scale{make([]float64, len(inputs)), make([]float64, len(inputs))}
	for c, in := range inputs {
		var sum, squares, n float64
		for i := range all {
			if v := in.value(all[i]); isFinite(v) {
				sum += v
				n++
			}
		}
		s.Mean[c] = sum / max(n, 1)
		for i := range all {
			if v := in.value(all[i]); isFinite(v) {
				squares += (v - s.Mean[c]) * (v - s.Mean[c])
			}
		}
		s.Deviation[c] = 1
		if deviation := math.Sqrt(squares / max(n, 1)); deviation > 1e-9*math.Abs(s.Mean[c]) {
			s.Deviation[c] = deviation
		}
	}
	return s
}

// row fills dst with the inputs of a house. Where one of them is unknown, it
// stands at its mean and whole is false.
func (s *Scale) row(dst []float32, of known) (whole bool) {
	whole = true
	for c := range inputs {
		v := (inputs[c].value(of) - s.Mean[c]) / s.Deviation[c]
		if !isFinite(v) {
			whole, v = false, 0
		}
		dst[c] = float32(max(-farOut, min(farOut, v)))
	}
	return whole
}

func (s *Scale) check() error {
	if len(s.Mean) != len(inputs) || len(s.Deviation) != len(inputs) {
		return fmt.Errorf("scale of %d and %d inputs, this program has %d", len(s.Mean), len(s.Deviation), len(inputs))
	}
	for c := range inputs {
		if !isFinite(s.Mean[c]) || !isFinite(s.Deviation[c]) || s.Deviation[c] <= 0 {
			return fmt.Errorf("scale of input %s is %g about %g", inputs[c].name, s.Deviation[c], s.Mean[c])
		}
	}
	return nil
}

func isFinite(v float64) bool { return v-v == 0 }
