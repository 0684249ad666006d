package web

import (
	"net/url"
	"strconv"

	"housing/internal/house"
)

// Example is a house to start from.
type Example struct {
	Title  string
	Values url.Values
}

// examples are made up: a house of typical values, and two far from it.
var examples = []Example{
	{"Family house, north Seattle", valuesOf(house.Example())},
	{"Large new house, Bellevue", url.Values{
		"bedrooms": {"5"}, "bathrooms": {"4.5"}, "sqft_living": {"4650"}, "sqft_lot": {"10400"}, "floors": {"2"}, "sqft_above": {"4650"}, "sqft_basement": {"0"},
		"zipcode": {"98004"}, "waterfront": {"0"}, "view": {"2"}, "condition": {"3"}, "grade": {"11"}, "yr_built": {"2012"}, "yr_renovated": {"0"},
		"lat": {"47.6280"}, "long": {"-122.2080"}, "sqft_living15": {"2900"}, "sqft_lot15": {"10100"},
	}},
	{"Small house, little known", url.Values{
		"bedrooms": {"2"}, "bathrooms": {"1"}, "sqft_living": {"860"}, "sqft_lot": {"7200"}, "floors": {"1"}, "sqft_above": {"860"}, "sqft_basement": {"0"}, "zipcode": {"98002"},
	}},
}

// ExampleValues returns the values of the example that a query asks for, or
// the query itself.
func ExampleValues(query url.Values) url.Values {
	if n, err := strconv.Atoi(query.Get(exampleInput)); err == nil && n >= 1 && n <= len(examples) {
		return examples[n-1].Values
	}
	return query
}

func valuesOf(h house.House) url.Values {
	values := url.Values{}
	for _, s := range house.Fields() {
		values.Set(s.Name, plain(h.Values[s.Field]))
	}
	return values
}
