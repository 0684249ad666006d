package features

import (
	"slices"

	"housing/internal/demographics"
	"housing/internal/house"
)

// Reasons that are not the name of a field.
const (
	Location      = "location"      // coordinates and zipcode
	Neighbourhood = "neighbourhood" // census figures
	ValuationDate = "date"          // as of when the house is valued
)

// composites are the columns made of more than one thing that a person knows,
// or named otherwise than it, with these things.
var composites = map[string][]string{
	"day":                   {ValuationDate},
	"month":                 {ValuationDate},
	"age":                   {"yr_built"},
	"years_since_work":      {"yr_built", "yr_renovated"},
	"renovated":             {"yr_renovated"},
	"living_per_lot":        {"sqft_living", "sqft_lot"},
	"living_per_bedroom":    {"sqft_living", "bedrooms"},
	"bathrooms_per_bedroom": {"bathrooms", "bedrooms"},
	"share_above_ground":    {"sqft_above", "sqft_basement"},
	"living_vs_neighbours":  {"sqft_living", "sqft_living15"},
	"lot_vs_neighbours":     {"sqft_lot", "sqft_lot15"},
	"grade_times_living":    {"grade", "sqft_living"},
	"luxury":                {"grade", "view", "waterfront", "condition"},
	"grade_vs_zip":          {"grade", Location},
	"living_vs_zip":         {"sqft_living", Location},
	"grade_vs_near":         {"grade", Location},
}

// reasons are the names that effects on a price go by, and by column the
// reasons that it stands for, as indices.
var reasons, reasonsOfColumns = reasonTables()

func reasonTables() (names []string, of [][]int) {
	for _, s := range house.Fields() {
		switch s.Field {
		case house.ZipcodeField, house.Lat, house.Long:
		default:
			names = append(names, s.Name)
		}
	}
	names = append(names, Location, Neighbourhood, ValuationDate)
	for _, c := range columns {
		var indices []int
		for _, name := range ReasonsOf(c.Name) {
			indices = append(indices, slices.Index(names, name))
		}
		of = append(of, indices)
	}
	return names, of
}

// ReasonsOf returns what a column stands for. Columns that nothing else says
// anything of are computed from coordinates or the zipcode.
func ReasonsOf(column string) []string {
	if named, ok := composites[column]; ok {
		return named
	}
	if f, ok := house.Lookup(column); ok && f != house.ZipcodeField && f != house.Lat && f != house.Long {
		return []string{column}
	}
	if slices.ContainsFunc(demographics.Columns(), func(c demographics.Column) bool { return c.Name == column }) {
		return []string{Neighbourhood}
	}
	return []string{Location}
}

// Reasons returns the names of what can move a price, as a person knows it:
// the fields of a house, but for the coordinates and the zipcode, which are
// [Location], and then [Neighbourhood] and [ValuationDate].
func Reasons() []string { return slices.Clone(reasons) }

// NumReasons is how many there are.
func NumReasons() int { return len(reasons) }

// MaxReasons bounds NumReasons, for arrays.
const MaxReasons = 24

// Fold adds the effects of the columns of a row to those of the reasons, of
// which there are NumReasons. The effect of a column that is made of several
// things is shared equally among them.
func Fold(dst, columns []float64) {
	for c, effect := range columns {
		of := reasonsOfColumns[c]
		for _, r := range of {
			dst[r] += effect / float64(len(of))
		}
	}
}
