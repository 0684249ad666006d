package features

import (
	"fmt"
	"math"
	"sync"

	"housing/internal/demographics"
	"housing/internal/house"
)

// Column describes one number of a row.
type Column struct {
	Name string
	Unit string // "" where there is none
	// Monotone is +1 where a greater value must never lower the price, else 0.
	Monotone int8
}

// Centres is how many centres of the housing stock [Fit] learns.
const Centres = 8

// input is all that a column may look at.
type input struct {
	house   *house.House
	area    *demographics.Area
	encoder *Encoder
	zip     *ZipMeans
	around  surroundings
	day     house.Date
	year    float64 // of the day, with its fraction
	month   float64 // of the day
}

// inputs are used again by the next row, so that it allocates nothing.
var inputs = sync.Pool{New: func() any { return new(input) }}

func (in *input) get(f house.Field) float64 { return in.house.Values[f] }

// column is a Column and the way to its value.
type column struct {
	Column
	value func(in *input) float64
}

// columns is the table of all columns, in the order of a row.
//
// Ratios are formed so that a house with more living space, a better grade
// or a better condition, all else equal, is greater in each column that
// moves with these and must not lower the price: the share above ground, for
// one, is taken of above + basement and not of the living space.
var columns = table()

func table() []column {
	var t []column
	add := func(name, unit string, monotone int8, value func(in *input) float64) {
		t = append(t, column{Column{name, unit, monotone}, value})
	}

	for _, s := range house.Fields() {
		f := s.Field
		var monotone int8
		switch f {
		case house.SqftLiving, house.Grade, house.Condition:
			monotone = 1
		}
		add(s.Name, s.Unit, monotone, func(in *input) float64 { return in.get(f) })
	}
	for i, c := range demographics.Columns() {
		add(c.Name, c.Unit, 0, func(in *input) float64 { return float64(in.area[i]) })
	}

	add("day", "days since 2000-01-01", 0, func(in *input) float64 { return float64(in.day - dayZero) })
	add("month", "", 0, func(in *input) float64 { return in.month })

	add("age", "years", 0, func(in *input) float64 { return in.year - in.get(house.YrBuilt) })
	add("years_since_work", "years", 0, func(in *input) float64 {
		return in.year - max(in.get(house.YrBuilt), in.get(house.YrRenovated))
	})
	add("renovated", "", 0, func(in *input) float64 { return math.Min(in.get(house.YrRenovated), 1) })

	add("living_per_lot", "", 1, func(in *input) float64 { return in.get(house.SqftLiving) / in.get(house.SqftLot) })
	add("living_per_bedroom", "sq ft", 1, func(in *input) float64 { return in.get(house.SqftLiving) / (in.get(house.Bedrooms) + 1) })
	add("bathrooms_per_bedroom", "", 0, func(in *input) float64 { return in.get(house.Bathrooms) / (in.get(house.Bedrooms) + 1) })
	add("share_above_ground", "", 0, func(in *input) float64 {
		return ratio(in.get(house.SqftAbove), in.get(house.SqftAbove)+in.get(house.SqftBasement))
	})
	add("living_vs_neighbours", "", 1, func(in *input) float64 { return in.get(house.SqftLiving) / in.get(house.SqftLiving15) })
	add("lot_vs_neighbours", "", 0, func(in *input) float64 { return in.get(house.SqftLot) / in.get(house.SqftLot15) })
	add("grade_times_living", "", 1, func(in *input) float64 { return in.get(house.Grade) * in.get(house.SqftLiving) })
	add("luxury", "", 1, func(in *input) float64 {
		return in.get(house.Grade) + in.get(house.View) + float64(3*in.get(house.Waterfront)) + in.get(house.Condition)/2
	})

	for _, degrees := range []float64{30, 45, 60} {
		sin, cos := math.Sincos(degrees * math.Pi / 180)
		// Rounded, so that rows are the same bits wherever they are made.
		sin, cos = math.Round(sin*1e6)/1e6, math.Round(cos*1e6)/1e6
		add(fmt.Sprintf("north_turned_%g", degrees), "degrees", 0, func(in *input) float64 {
			return float64(in.get(house.Lat)*cos) + float64(in.get(house.Long)*(longitudeScale*sin))
		})
		add(fmt.Sprintf("east_turned_%g", degrees), "degrees", 0, func(in *input) float64 {
			return float64(in.get(house.Long)*(longitudeScale*cos)) - float64(in.get(house.Lat)*sin)
		})
	}
	for i := range Centres {
		add(fmt.Sprintf("distance_to_centre_%d", i+1), "degrees", 0, func(in *input) float64 {
			if i >= len(in.encoder.Centres) {
				return math.NaN()
			}
			c := in.encoder.Centres[i]
			return distance(in.get(house.Lat), in.get(house.Long), c.Lat, c.Long)
		})
	}

	for i, f := range zipFields {
		add("zip_mean_"+f.String(), f.Spec().Unit, 0, func(in *input) float64 { return in.zip[i] })
	}
	add("grade_vs_zip", "", 1, func(in *input) float64 { return in.get(house.Grade) - in.zip[zipGrade] })
	add("living_vs_zip", "", 1, func(in *input) float64 { return in.get(house.SqftLiving) / in.zip[zipLiving] })

	for _, near := range []struct {
		name, unit string
		mean       int
	}{
		{"near_grade", "", VicinityGrade}, {"near_log_living", "log sq ft", VicinityLiving},
		{"near_log_lot", "log sq ft", VicinityLot}, {"near_yr_built", "year", VicinityBuilt},
	} {
		add(near.name, near.unit, 0, func(in *input) float64 { return float64(in.around.means[near.mean]) })
	}
	add("near_distance", "degrees", 0, func(in *input) float64 { return float64(in.around.away) })
	add("grade_vs_near", "", 1, func(in *input) float64 { return in.get(house.Grade) - float64(in.around.means[VicinityGrade]) })
	return t
}

// Columns returns the columns of a row, in order.
func Columns() []Column {
	c := make([]Column, len(columns))
	for i := range columns {
		c[i] = columns[i].Column
	}
	return c
}

// NumColumns is how many numbers a row has.
func NumColumns() int { return len(columns) }

// MaxColumns bounds NumColumns, for rows that stand on the stack.
const MaxColumns = 96

// longitudeScale shortens a degree of longitude to one of latitude near 47.6
// degrees north; a constant, so that columns mean the same in every model.
const longitudeScale = 0.674

// distance is the length between two places in degrees of latitude, on a
// plane: exact to a per mille over a county.
func distance(lat1, long1, lat2, long2 float64) float64 {
	dy, dx := lat1-lat2, (long1-long2)*longitudeScale
	return math.Sqrt(float64(dx*dx) + float64(dy*dy))
}

// ratio is a/b, unknown where b is zero.
func ratio(a, b float64) float64 {
	if b == 0 {
		return math.NaN()
	}
	return a / b
}
