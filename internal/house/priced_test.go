package house

import (
	"errors"
	"math"
	"strings"
	"testing"
)

const pricedHeader = "bedrooms,bathrooms,sqft_living,sqft_lot,floors,sqft_above,sqft_basement,zipcode"

func TestReadPriced(t *testing.T) {
	row := "3,2,1800,5000,1,1800,0,98115"
	houses, prices, err := ReadPriced(strings.NewReader("price,"+pricedHeader+"\n500000,"+row+"\n,"+row+"\n"), "f.csv", 2026, 10)
	if err != nil || len(houses) != 2 || prices[0] != 500_000 || !math.IsNaN(prices[1]) {
		t.Errorf("%v, %v, %v", houses, prices, err)
	}
	houses, prices, err = ReadPriced(strings.NewReader(pricedHeader+"\n"+row+"\n"), "f.csv", 2026, 10)
	if err != nil || len(houses) != 1 || !math.IsNaN(prices[0]) {
		t.Errorf("without prices: %v, %v, %v", houses, prices, err)
	}
	for text, want := range map[string]string{
		"price," + pricedHeader + "\n":                                "no houses",
		"price," + pricedHeader + "\n-1," + row + "\n0," + row + "\n": "f.csv:2",
		"price," + pricedHeader + "\nx,3,2,1,5000,1,1800,0,98115\n":   "sqft_living",
		pricedHeader + "\n" + strings.Repeat(row+"\n", 11):            "at most 10 houses",
		"price\n1\n": "bedrooms",
		"":           "empty",
	} {
		_, _, err := ReadPriced(strings.NewReader(text), "f.csv", 2026, 10)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: %v, want an error with %q", text, err, want)
		}
	}
	var invalid *InvalidError
	if _, _, err := ReadPriced(strings.NewReader("price,"+pricedHeader+"\nx,"+row+"\n"), "f.csv", 2026, 10); !errors.As(err, &invalid) || invalid.Total != 1 {
		t.Errorf("got %v", err)
	}
}
