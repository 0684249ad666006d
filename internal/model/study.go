package model

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"housing/internal/demographics"
	"housing/internal/features"
	"housing/internal/gbdt"
	"housing/internal/house"
)

// Shuffled says how much worse prices of unseen sales became when one thing
// that is known of the houses was swapped among them (permutation importance,
// Breiman 2001, "Random forests"): by features.Reasons.
type Shuffled struct {
	Feature string  `json:"feature"`
	MAPE    float64 `json:"mape"` // by how many percentage points the mean error rose
	RMSE    float64 `json:"rmse"` // by how many dollars
}

// shuffled values houses of a fold with one reason after another swapped among
// them, and tells put the price of each.
func shuffled(m *Model, houses []house.House, table *demographics.Table, random *rand.Rand, put func(reason, i int, price float64)) error {
	donor := random.Perm(len(houses))
	swapped := slices.Clone(houses)
	for r, reason := range features.Reasons() {
		asked := table
		if reason == features.Neighbourhood {
			var err error
			if asked, err = shuffledTable(table, random); err != nil {
				return err
			}
		}
		for i := range houses {
			h, from := houses[i], &houses[donor[i]]
			switch reason {
			case features.Neighbourhood:
			case features.Location:
				for _, f := range [...]house.Field{house.ZipcodeField, house.Lat, house.Long} {
					h.Values[f] = from.Values[f]
				}
			case features.ValuationDate:
				h.Date = from.Date
			default:
				f, _ := house.Lookup(reason)
				h.Values[f] = from.Values[f]
			}
			swapped[i] = h
		}
		for i, price := range m.Prices(nil, swapped, asked) {
			put(r, i, price)
		}
	}
	return nil
}

// shuffledTable returns the table with the figures of its zipcodes swapped.
func shuffledTable(table *demographics.Table, random *rand.Rand) (*demographics.Table, error) {
	areas := slices.Clone(table.Areas())
	random.Shuffle(len(areas), func(i, j int) { areas[i], areas[j] = areas[j], areas[i] })
	return demographics.NewTable(table.Zipcodes(), areas)
}

// WithoutCensus returns the table with the same figures everywhere, from which
// no model can learn a thing: those of the first zipcode.
func WithoutCensus(table *demographics.Table) (*demographics.Table, error) {
	areas := slices.Clone(table.Areas())
	for i := range areas {
		areas[i] = areas[0]
	}
	return demographics.NewTable(table.Zipcodes(), areas)
}

// Learning is how good a model is that was trained on some of the sales.
type Learning struct {
	Sales   int `json:"sales"` // that it was trained on
	Metrics     // on the same sales each time, which none had seen
}

// Of the learning curve: the share of houses that is kept back to measure, and
// the shares of the others that are trained on, in tenths.
const curveFolds = 5

var curveTenths = [...]int{1, 2, 4, 7, 10}

// Curves is how many models LearningCurve trains, counted as models of all
// sales.
const Curves = 3

// LearningCurve trains on more and more of the sales and measures each model
// on the same fifth of the houses, which is kept back.
func LearningCurve(ctx context.Context, sales []house.Sale, table *demographics.Table, o Options, progress func(gbdt.Round)) ([]Learning, error) {
	random := rand.New(rand.NewPCG(o.Boosting.Seed, curveStream))
	rest, held := partSales(sales, foldsByHouse(sales, curveFolds, random), 0)
	tenth := foldsByHouse(rest, 10, random)
	var curve []Learning
	for _, tenths := range curveTenths {
		var some []house.Sale
		for i := range rest {
			if tenth[i] < tenths {
				some = append(some, rest[i])
			}
		}
		if len(some) < MinSales {
			continue
		}
		trained, err := train(ctx, some, nil, table, o, progress)
		if err != nil {
			return nil, fmt.Errorf("learning curve: %w", err)
		}
		m, err := Measure(pricesOf(held), trained.Model.Prices(nil, housesOf(held), table))
		if err != nil {
			return nil, fmt.Errorf("learning curve: %w", err)
		}
		curve = append(curve, Learning{len(some), m})
	}
	return curve, nil
}
