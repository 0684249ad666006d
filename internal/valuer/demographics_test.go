package valuer_test

import (
	"context"
	"sync"
	"testing"

	"housing/internal/demographics"
	"housing/internal/house"
	"housing/internal/valuer"
)

// TestDemographicsAreSwappedUnderLoad changes the table while houses are
// valued: each answer is by one of the tables, none by a mixture.
func TestDemographicsAreSwappedUnderLoad(t *testing.T) {
	v, _ := running(t, nil)
	zipcodes := []house.Zipcode{98115}
	var tables [2]*demographics.Table
	for i := range tables {
		var area demographics.Area
		for c := range area {
			area[c] = float32(10 + 80*i)
		}
		var err error
		if tables[i], err = demographics.NewTable(zipcodes, []demographics.Area{area}); err != nil {
			t.Fatal(err)
		}
	}
	houses := []house.House{house.Example(), house.Example()}
	var want [2]float64
	for i := range tables {
		if err := v.UseDemographics(tables[i], "test"); err != nil {
			t.Fatal(err)
		}
		answer, err := v.Value(context.Background(), nil, houses, valuer.Choice{})
		if err != nil {
			t.Fatal(err)
		}
		want[i] = answer.Prices[0]
	}
	if want[0] == want[1] {
		t.Fatal("both tables give the same price: the test tests nothing")
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 300 {
				answer, err := v.Value(context.Background(), nil, houses, valuer.Choice{})
				if err != nil || answer.Prices[0] != answer.Prices[1] || answer.Prices[0] != want[0] && answer.Prices[0] != want[1] {
					t.Errorf("answered %v, %v; the tables give %v", answer.Prices, err, want)
					return
				}
			}
		})
	}
	for i := range 300 {
		if err := v.UseDemographics(tables[i%2], "test"); err != nil {
			t.Error(err)
		}
	}
	group.Wait()
}
