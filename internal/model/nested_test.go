package model

import (
	"context"
	"math/rand/v2"
	"os"
	"testing"

	"housing/internal/demographics"
	"housing/internal/house"
)

// TestCoverageOfUnseenSales measures intervals as they are met in service: the
// sales of a fold, and then the newest, are valued by a model whose interval
// was calibrated, by a cross-validation of its own, on the other sales alone.
// `make coverage` runs it, as it trains some thirty models.
func TestCoverageOfUnseenSales(t *testing.T) {
	if os.Getenv("COVERAGE") != "long" {
		t.Skip("trains some thirty models; make coverage runs it")
	}
	sales, table := kingCounty(t)
	o := DefaultOptions()
	o.Threads = 2
	calibrated := func(learned []house.Sale) *Model {
		v, err := CrossValidate(context.Background(), learned, table, o, 5, nil)
		if err != nil {
			t.Fatal(err)
		}
		trained, err := Train(context.Background(), learned, table, o, nil)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Calibrate(context.Background(), trained.Model, learned, v, table, o)
		if err != nil {
			t.Fatal(err)
		}
		return c.Model
	}
	type known struct {
		name string
		set  house.Set
	}
	sets := []known{{allFields, house.AllFields}, {requiredFields, house.RequiredFields}, {minimalFields, house.MinimalFields}}

	old, newest := splitNewest(sales)
	m, held := calibrated(pick(sales, old)), pick(sales, newest)
	c := MeasureCoverage(allFields, pricesOf(held), m.Prices(nil, housesOf(held), table), m.Intervals(housesOf(held), table))
	t.Logf("newest sales: %+v", c)

	const folds = 5
	fold := foldsByHouse(sales, folds, rand.New(rand.NewPCG(20, 20)))
	sold, prices, bounds := make([][]float64, len(sets)), make([][]float64, len(sets)), make([][]Bounds, len(sets))
	for number := range folds {
		learned, held := partSales(sales, fold, number)
		m := calibrated(learned)
		for k, s := range sets {
			houses := onlyOf(held, s.set)
			sold[k], prices[k] = append(sold[k], pricesOf(held)...), append(prices[k], m.Prices(nil, houses, table)...)
			bounds[k] = append(bounds[k], m.Intervals(houses, table)...)
		}
	}
	for k, s := range sets {
		c := MeasureCoverage(s.name, sold[k], prices[k], bounds[k])
		t.Logf("%+v", c)
		if k > 0 {
			continue
		}
		if c.Covered < 88 || c.Covered > 92 {
			t.Errorf("%.2f %% of the sales are covered, promised are 88 to 92", c.Covered)
		}
		for _, quarter := range c.ByPrice {
			if quarter < 84 || quarter > 96 {
				t.Errorf("quarters are covered %v times in 100, promised are 84 to 96", c.ByPrice)
			}
		}
	}
}

// kingCounty returns the sales and figures beside the project.
func kingCounty(t *testing.T) ([]house.Sale, *demographics.Table) {
	t.Helper()
	const data = "../../../shared/data/"
	file, err := os.Open(data + "king_county_sales.csv")
	if err != nil {
		t.Skipf("the sales are not beside the project: %v", err)
	}
	defer file.Close()
	sales, err := house.ReadSales(file, "king_county_sales.csv", house.SalesOptions{})
	if err != nil {
		t.Fatal(err)
	}
	figures, err := os.Open(data + "zipcode_demographics.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer figures.Close()
	table, err := demographics.Read(figures, "zipcode_demographics.csv")
	if err != nil {
		t.Fatal(err)
	}
	return sales.Sales, table
}
