package house

import (
	"math"
	"strings"
)

// Field numbers a field of a house; it indexes [House.Values] and [Fields].
type Field uint8

// The fields, in the order of the documents and of the API.
const (
	Bedrooms Field = iota
	Bathrooms
	SqftLiving
	SqftLot
	Floors
	SqftAbove
	SqftBasement
	ZipcodeField
	Waterfront
	View
	Condition
	Grade
	YrBuilt
	YrRenovated
	Lat
	Long
	SqftLiving15
	SqftLot15

	// NumFields is how many fields a house has.
	NumFields = int(SqftLot15) + 1
)

// Kind says how a field's values are written.
type Kind uint8

// The kinds of fields.
const (
	// Number is any finite number in range.
	Number Kind = iota
	// Whole is a whole number; 3 and 3.0 are the same.
	Whole
	// Year is a whole number from Min to next year.
	Year
	// YearOrZero is a Year, or 0 for "never".
	YearOrZero
	// ZIP is a US zipcode: a string of five digits, or a whole number.
	ZIP
)

// Spec describes one field.
type Spec struct {
	Field    Field
	Name     string  // as in JSON and CSV
	Title    string  // for people
	Unit     string  // "" where there is none
	Help     string  // one sentence
	Kind     Kind    // how values are written
	Required bool    // must be given; an optional field may be unknown
	Min, Max float64 // inclusive; Max of years is +Inf here and next year when checked
	Example  float64 // a typical value
}

// fields is the table of a house's fields, indexed by [Field].
var fields = [NumFields]Spec{
	{Bedrooms, "bedrooms", "Bedrooms", "", "Number of bedrooms.", Whole, true, 0, 50, 3},
	{Bathrooms, "bathrooms", "Bathrooms", "", "Number of bathrooms, in quarters: 0.25 is a toilet alone.", Number, true, 0, 20, 2.5},
	{SqftLiving, "sqft_living", "Living space", "sq ft", "Interior living space.", Number, true, 100, 50_000, 2220},
	{SqftLot, "sqft_lot", "Lot", "sq ft", "Area of the land.", Number, true, 100, 10_000_000, 6380},
	{Floors, "floors", "Floors", "", "Number of floors; halves are allowed.", Number, true, 1, 10, 1.5},
	{SqftAbove, "sqft_above", "Above ground", "sq ft", "Living space above ground.", Number, true, 0, 50_000, 1660},
	{SqftBasement, "sqft_basement", "Basement", "sq ft", "Living space below ground.", Number, true, 0, 50_000, 560},
	{ZipcodeField, "zipcode", "Zipcode", "", "US zipcode; census figures are joined by it.", ZIP, true, 0, 99_999, 98115},
	{Waterfront, "waterfront", "Waterfront", "", "1 if the house stands on a waterfront, else 0.", Whole, false, 0, 1, 0},
	{View, "view", "View", "", "Quality of the view, 0 (none) to 4.", Whole, false, 0, 4, 0},
	{Condition, "condition", "Condition", "", "Condition of the building, 1 (poor) to 5 (very good).", Whole, false, 1, 5, 4},
	{Grade, "grade", "Grade", "", "King County grade of construction and design, 1 to 13.", Whole, false, 1, 13, 8},
	{YrBuilt, "yr_built", "Year built", "year", "Year in which the house was built.", Year, false, 1800, math.Inf(1), 1931},
	{YrRenovated, "yr_renovated", "Year renovated", "year", "Year of the last renovation, 0 for never.", YearOrZero, false, 1800, math.Inf(1), 0},
	{Lat, "lat", "Latitude", "degrees", "Latitude, WGS 84.", Number, false, -90, 90, 47.6974},
	{Long, "long", "Longitude", "degrees", "Longitude, WGS 84.", Number, false, -180, 180, -122.313},
	{SqftLiving15, "sqft_living15", "Neighbours' living space", "sq ft", "Mean living space of the 15 nearest houses.", Number, false, 100, 50_000, 950},
	{SqftLot15, "sqft_lot15", "Neighbours' lots", "sq ft", "Mean lot of the 15 nearest houses.", Number, false, 100, 10_000_000, 6380},
}

// Fields returns the table of a house's fields in order; the caller may keep
// and change the copy.
func Fields() []Spec {
	table := fields
	return table[:]
}

// Spec returns the description of the field. It panics if f is not a field.
func (f Field) Spec() *Spec { return &fields[f] }

// String returns the field's name as it stands in JSON and CSV.
func (f Field) String() string {
	if int(f) >= NumFields {
		return "unknown field"
	}
	return fields[f].Name
}

// Lookup returns the field with the given name.
func Lookup(name string) (Field, bool) {
	for i := range fields {
		if fields[i].Name == name {
			return Field(i), true
		}
	}
	return 0, false
}

// Set is a set of fields.
type Set uint32

// NewSet returns the set of the given fields.
func NewSet(members ...Field) Set {
	var s Set
	for _, f := range members {
		s |= 1 << f
	}
	return s
}

// Has says whether f is in the set.
func (s Set) Has(f Field) bool { return s&(1<<f) != 0 }

// String returns the names of the fields of the set, parted by commas.
func (s Set) String() string { return strings.Join(s.names(), ", ") }

func (s Set) names() []string {
	var names []string
	for f := range Field(NumFields) {
		if s.Has(f) {
			names = append(names, f.String())
		}
	}
	return names
}

// Sets of fields that requests are read by.
var (
	// AllFields holds every field.
	AllFields = Set(1<<NumFields - 1)
	// RequiredFields holds the eight that every full record must have.
	RequiredFields = NewSet(Bedrooms, Bathrooms, SqftLiving, SqftLot, Floors, SqftAbove, SqftBasement, ZipcodeField)
	// MinimalFields holds the four of a minimal record.
	MinimalFields = NewSet(Bedrooms, Bathrooms, SqftLiving, ZipcodeField)
)
