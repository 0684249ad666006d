package model

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"housing/internal/house"
)

// Segment is how close prices came on some of the sales: those of a tier of the
// sale price, or of a zipcode.
type Segment struct {
	By          string  `json:"by"`   // ByPrice or ByZipcode
	Name        string  `json:"name"` // the zipcode, or from which price to which
	Sales       int     `json:"sales"`
	MdAPE       float64 `json:"mdape"`        // percent
	PPE10       float64 `json:"ppe10"`        // percent
	MedianRatio float64 `json:"median_ratio"` // predicted over sold
	COD         float64 `json:"cod"`          // percent
}

// What segments are made by.
const (
	ByPrice   = "price"
	ByZipcode = "zipcode"
)

const (
	// segmentTiers is how many tiers of equal size the sale prices make.
	segmentTiers = 5
	// minSegmentSales is how many sales a segment needs: figures of fewer say
	// little, and are nearly those of single houses.
	minSegmentSales = 20
	// maxSegmentZipcodes bounds how many zipcodes a bundle carries figures of:
	// those with the most sales.
	maxSegmentZipcodes = 200
)

// SegmentsOf measures the prices predicted of sales by tier of the sale price,
// cheapest first, and by zipcode in order. Segments with few sales are left out.
//
// A sale that went cheap by chance stands in a low tier and one that went
// dear in a high one, so even a perfect model has ratios above 1 in the lowest
// tier and below 1 in the highest.
func SegmentsOf(sales []house.Sale, predicted []float64) ([]Segment, error) {
	order := make([]int, len(sales))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(sales[a].Price, sales[b].Price) })
	var segments []Segment
	add := func(by, name string, members []int) error {
		if len(members) < minSegmentSales {
			return nil
		}
		g, err := segmentOf(sales, predicted, members)
		if err != nil {
			return fmt.Errorf("sales by %s, %s: %w", by, name, err)
		}
		g.By, g.Name = by, name
		segments = append(segments, g)
		return nil
	}
	for t := range segmentTiers {
		members := order[t*len(order)/segmentTiers : (t+1)*len(order)/segmentTiers]
		if len(members) == 0 {
			continue
		}
		name := fmt.Sprintf("$%.0fK to $%.0fK", sales[members[0]].Price/1000, sales[members[len(members)-1]].Price/1000)
		if err := add(ByPrice, name, members); err != nil {
			return nil, err
		}
	}
	members := map[house.Zipcode][]int{}
	for i := range sales {
		z := sales[i].House.Zipcode()
		members[z] = append(members[z], i)
	}
	var zipcodes []house.Zipcode
	for z := range members {
		zipcodes = append(zipcodes, z)
	}
	slices.SortFunc(zipcodes, func(a, b house.Zipcode) int {
		return cmp.Or(cmp.Compare(len(members[b]), len(members[a])), cmp.Compare(a, b))
	})
	zipcodes = zipcodes[:min(len(zipcodes), maxSegmentZipcodes)]
	slices.Sort(zipcodes)
	for _, z := range zipcodes {
		if err := add(ByZipcode, z.String(), members[z]); err != nil {
			return nil, err
		}
	}
	return segments, nil
}

// segmentOf measures some of the sales. Its figures are rounded, beyond which
// they say nothing.
func segmentOf(sales []house.Sale, predicted []float64, members []int) (Segment, error) {
	prices, theirs := make([]float64, len(members)), make([]float64, len(members))
	for k, i := range members {
		prices[k], theirs[k] = sales[i].Price, predicted[i]
	}
	m, err := Measure(prices, theirs)
	if err != nil {
		return Segment{}, err
	}
	return Segment{
		Sales: m.Sales, MdAPE: hundredths(m.MdAPE), PPE10: hundredths(m.PPE10), MedianRatio: math.Round(1000*m.MedianRatio) / 1000, COD: hundredths(m.COD),
	}, nil
}
