package report

import (
	"cmp"
	"fmt"
	"slices"

	"housing/internal/demographics"
	"housing/internal/model"
)

// Neighbourhood is the ratio study of the sales in a quarter of all, by what
// the census says of their zipcodes: whether a model values people's houses
// alike, whoever they are, as the Interagency Quality Control Standards for
// Automated Valuation Models (2024) ask.
type Neighbourhood struct {
	By      string  `json:"by"` // what the census figure is
	From    float64 `json:"from"`
	To      float64 `json:"to"`
	Covered float64 `json:"covered,omitempty"` // percent of the sales within their intervals; absent where there are none
	model.Metrics
	// WithoutCensus is the same by a model that knew no census figures; nil
	// where none was trained.
	WithoutCensus *model.Metrics `json:"without_census,omitempty"`
}

// quarters is into how many parts neighbourhoods are put.
const quarters = 4

// censusFigures are what neighbourhoods are parted by: a figure is the sum of
// columns of demographics.
var censusFigures = []struct {
	name    string
	columns []string
	percent bool
}{
	{"Median household income", []string{"medn_hshld_incm_amt"}, false},
	{"People with a bachelor's or higher degree", []string{"per_bchlr", "per_prfsnl"}, true},
}

// neighbourhoods measures the sales by quarter, cheapest or least first. Sales
// in zipcodes of one figure stay together, so that quarters differ in size.
func (r *Report) neighbourhoods() ([]Neighbourhood, error) {
	if r.Demographics == nil {
		return nil, nil
	}
	var all []Neighbourhood
	for _, figure := range censusFigures {
		values := make([]float64, len(r.Sales))
		var order []int
		for i := range r.Sales {
			area, known := r.Demographics.Lookup(r.Sales[i].House.Zipcode())
			if !known {
				continue
			}
			for c, column := range demographics.Columns() {
				if slices.Contains(figure.columns, column.Name) {
					values[i] += float64(area[c])
				}
			}
			order = append(order, i)
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(values[a], values[b]) })
		for start, q := 0, 1; q <= quarters; q++ {
			end := q * len(order) / quarters
			for end > start && end < len(order) && values[order[end]] == values[order[end-1]] {
				end++
			}
			if end-start < minGroup {
				continue
			}
			n, err := r.neighbourhood(order[start:end])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", figure.name, err)
			}
			n.By, n.From, n.To = figure.name, values[order[start]], values[order[end-1]]
			all = append(all, n)
			start = end
		}
	}
	return all, nil
}

func (r *Report) neighbourhood(members []int) (n Neighbourhood, err error) {
	if n.Metrics, err = r.measure(members, r.Predicted); err != nil {
		return n, err
	}
	if r.WithoutCensus != nil {
		without, err := r.measure(members, r.WithoutCensus)
		if err != nil {
			return n, err
		}
		n.WithoutCensus = &without
	}
	if r.Bounds != nil {
		n.Covered = r.covered(members)
	}
	return n, nil
}

// measure measures some of the sales.
func (r *Report) measure(members []int, predicted []float64) (model.Metrics, error) {
	var sold, prices []float64
	for _, i := range members {
		sold, prices = append(sold, r.Sales[i].Price), append(prices, predicted[i])
	}
	return model.Measure(sold, prices)
}

// covered returns how many of some sales lie within their intervals, in
// percent.
func (r *Report) covered(members []int) float64 {
	n := 0
	for _, i := range members {
		if r.Bounds[i].Low <= r.Sales[i].Price && r.Sales[i].Price <= r.Bounds[i].High {
			n++
		}
	}
	return round(100*float64(n)/float64(len(members)), 2)
}

// neighbourhoodRows are the rows of the table of neighbourhoods of one figure.
func neighbourhoodTable(all []Neighbourhood) (table []protocolRows) {
	for _, n := range all {
		if len(table) == 0 || table[len(table)-1].Protocol != n.By {
			table = append(table, protocolRows{Protocol: n.By})
		}
		t := &table[len(table)-1]
		span := dollars(n.From) + dash + dollars(n.To)
		for _, figure := range censusFigures {
			if figure.name == n.By && figure.percent {
				span = decimal(n.From, 0) + dash + percent(n.To)
			}
		}
		covered, ratio, prb := "", "", ""
		if n.Covered > 0 {
			covered = percent(n.Covered)
		}
		if w := n.WithoutCensus; w != nil {
			ratio, prb = decimal(w.MedianRatio, 3), decimal(w.PRB, 3)
		}
		t.Rows = append(t.Rows, []string{
			span, count(n.Sales), percent(n.MdAPE), decimal(n.MedianRatio, 3), decimal(n.COD, 1), decimal(n.PRD, 3), decimal(n.PRB, 3), covered, ratio, prb,
		})
	}
	return table
}

// neighbourhoodHead names the cells of neighbourhoodTable.
var neighbourhoodHead = []string{"Zipcodes of", "Sales", "MdAPE", "Median ratio", "COD", "PRD", "PRB", "Within interval", "Ratio without census", "PRB without census"}
