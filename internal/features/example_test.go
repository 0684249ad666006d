package features_test

import (
	"fmt"

	"housing/internal/demographics"
	"housing/internal/features"
	"housing/internal/house"
	"housing/internal/model/modeltest"
)

func Example() {
	encoder, err := features.Fit(modeltest.Houses(100), 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	h := house.Example()
	row := make([]float32, features.NumColumns())
	encoder.Row(row, &h, &demographics.Area{})
	for i, c := range features.Columns() {
		if c.Name == "living_per_bedroom" {
			fmt.Println(c.Name, row[i], c.Unit)
		}
	}
	// Output: living_per_bedroom 555 sq ft
}
