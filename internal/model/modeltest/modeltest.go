// Package modeltest makes up sales and figures to train models from in tests.
// What it makes follows a simple rule, is the same each time and resembles no
// real house.
package modeltest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"housing/internal/demographics"
	"housing/internal/house"
)

// ranges are where made-up houses differ from the table of fields.
var ranges = map[house.Field][2]float64{
	house.SqftLiving: {500, 5000}, house.SqftLot: {500, 5000}, house.SqftLiving15: {500, 5000}, house.SqftLot15: {500, 5000},
	house.SqftAbove: {500, 5000}, house.SqftBasement: {500, 5000},
	house.YrBuilt: {1900, 2014}, house.YrRenovated: {0, 0},
	house.ZipcodeField: {98000, 98009}, house.Lat: {47.2, 47.8}, house.Long: {-122.5, -121.8},
}

// Sales makes up n sales over ten zipcodes; every tenth is of the house
// before.
func Sales(n int) []house.Sale {
	random := rand.New(rand.NewPCG(4, 0))
	sales := make([]house.Sale, n)
	for i := range sales {
		h := house.Unknown()
		for _, s := range house.Fields() {
			low, high := s.Min, s.Max
			if r, ok := ranges[s.Field]; ok {
				low, high = r[0], r[1]
			}
			v := low + random.Float64()*(high-low)
			if s.Kind != house.Number {
				v = math.Round(v)
			}
			h.Values[s.Field] = v
		}
		h.Date = 16200 + house.Date(random.IntN(300))
		price := 100*h.Values[house.SqftLiving]*(1+h.Values[house.Grade]/10) + 1e5*random.Float64()
		sales[i] = house.Sale{ID: fmt.Sprint(i * 9 / 10), Price: price, House: h}
	}
	return sales
}

// Houses returns the houses of n made-up sales.
func Houses(n int) []house.House {
	sales := Sales(n)
	houses := make([]house.House, n)
	for i := range sales {
		houses[i] = sales[i].House
	}
	return houses
}

// Table has figures of half of the zipcodes of Sales, all of them zero.
func Table(t testing.TB) *demographics.Table {
	t.Helper()
	table, err := NewTable()
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// NewTable is Table outside of a test.
func NewTable() (*demographics.Table, error) {
	zipcodes := []house.Zipcode{98000, 98001, 98002, 98003, 98004}
	return demographics.NewTable(zipcodes, make([]demographics.Area, len(zipcodes)))
}
