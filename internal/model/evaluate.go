package model

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"housing/internal/demographics"
	"housing/internal/features"
	"housing/internal/gbdt"
	"housing/internal/house"
)

// Accuracy is what was measured in one way.
type Accuracy struct {
	Protocol string `json:"protocol"` // how sales were split into learned and valued
	Part     string `json:"part"`     // which of the valued sales are counted
	Fields   string `json:"fields"`   // what was known of the houses
	Metrics
}

// What of the valued sales is counted, and what is known of their houses.
const (
	AllSales    = "all sales"
	NewestSales = "newest 20 %"

	allFields      = "all 18"
	requiredFields = "the 8 required"
	minimalFields  = "the 4 minimal"
)

// Expected returns what may be expected of a model on sales to come: the
// least favourable accuracy, by MdAPE, that was measured on houses with all
// fields known; false where none was.
func Expected(measured []Accuracy) (worst Accuracy, ok bool) {
	for _, a := range measured {
		if a.Fields == allFields && (!ok || a.MdAPE > worst.MdAPE) {
			worst, ok = a, true
		}
	}
	return worst, ok
}

// newestShare is the share of sales that "newest" means.
const newestShare = 0.2

// Validation is what models said of sales that they had not learned from.
type Validation struct {
	Accuracy []Accuracy
	// Prices are those of the sales with all fields known, in dollars.
	Prices []float64
	// Shuffled is what each thing that is known of a house is worth.
	Shuffled []Shuffled

	known []knownFields
	fold  []int // of each sale: of the model that valued it
	folds int
}

// knownFields are the sales' houses with some fields known, and their prices.
type knownFields struct {
	name   string
	houses []house.House
	prices []float64
}

// CrossValidate deals the houses into folds, values the sales of each fold
// with a model trained on the others, and measures all of them together,
// with the newest on their own, and with houses of which less is known.
// o.Threads folds are learned at once, so progress is called by several
// goroutines; it is told the loss on the fold.
func CrossValidate(ctx context.Context, sales []house.Sale, table *demographics.Table, o Options, folds int, progress func(gbdt.Round)) (*Validation, error) {
	if folds < 2 {
		return nil, fmt.Errorf("cross-validation: %d folds, needs 2", folds)
	}
	if err := learnable(sales); err != nil {
		return nil, err
	}
	v := &Validation{folds: folds, fold: foldsByHouse(sales, folds, rand.New(rand.NewPCG(o.Boosting.Seed, foldStream)))}
	random := rand.New(rand.NewPCG(o.Boosting.Seed, hiddenStream))
	hidden := make([]house.House, len(sales))
	for i := range sales {
		hidden[i] = partial(sales[i].House, random)
	}
	v.known = []knownFields{
		wholeRecords: {name: allFields, houses: housesOf(sales)}, partialRecords: {name: someHidden, houses: hidden},
		{name: requiredFields, houses: onlyOf(sales, house.RequiredFields)}, {name: minimalFields, houses: onlyOf(sales, house.MinimalFields)},
	}
	for k := range v.known {
		v.known[k].prices = make([]float64, len(sales))
	}

	swapped := make([][]float64, features.NumReasons())
	for r := range swapped {
		swapped[r] = make([]float64, len(sales))
	}

	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(1, o.Threads))
	single := o
	single.Threads = 1
	for number := range folds {
		group.Go(func() error {
			learned, valued := partSales(sales, v.fold, number)
			trained, err := train(ctx, learned, valued, table, single, progress)
			if err != nil {
				return fmt.Errorf("fold %d of %d: %w", number+1, folds, err)
			}
			var price [1]float64
			var inside []int
			for i := range sales {
				if v.fold[i] != number {
					continue
				}
				inside = append(inside, i)
				for _, known := range v.known {
					known.prices[i] = trained.Model.Prices(price[:], known.houses[i:i+1], table)[0]
				}
			}
			random := rand.New(rand.NewPCG(o.Boosting.Seed+uint64(number), shuffleStream))
			err = shuffled(trained.Model, housesOf(valued), table, random, func(r, k int, price float64) { swapped[r][inside[k]] = price })
			if err != nil {
				return fmt.Errorf("fold %d of %d: %w", number+1, folds, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("cross-validation: %w", err)
	}

	protocol := fmt.Sprintf("%d-fold cross-validation by house", folds)
	for k, known := range v.known {
		if k == partialRecords {
			continue // a made-up mixture, for the interval alone
		}
		measured, err := measureParts(protocol, known.name, sales, known.prices)
		if err != nil {
			return nil, fmt.Errorf("cross-validation: %w", err)
		}
		v.Accuracy = append(v.Accuracy, measured...)
	}
	v.Prices = v.known[wholeRecords].prices
	for r, feature := range features.Reasons() {
		worse, err := Measure(pricesOf(sales), swapped[r])
		if err != nil {
			return nil, fmt.Errorf("cross-validation with %s swapped: %w", feature, err)
		}
		v.Shuffled = append(v.Shuffled, Shuffled{feature, hundredths(worse.MAPE - v.Accuracy[0].MAPE), hundredths(worse.RMSE - v.Accuracy[0].RMSE)})
	}
	return v, nil
}

// NewestSplit trains on the oldest 80 % of sales and measures the prices of
// the newest 20 %, each as of the day of its sale.
func NewestSplit(ctx context.Context, sales []house.Sale, table *demographics.Table, o Options, progress func(gbdt.Round)) (Accuracy, error) {
	old, new := splitNewest(sales)
	test := pick(sales, new)
	trained, err := train(ctx, pick(sales, old), test, table, o, progress)
	if err != nil {
		return Accuracy{}, fmt.Errorf("newest sales: %w", err)
	}
	metrics, err := Measure(pricesOf(test), trained.Model.Prices(nil, housesOf(test), table))
	if err != nil {
		return Accuracy{}, fmt.Errorf("newest sales: %w", err)
	}
	return Accuracy{"trained on the oldest 80 %, valued the newest 20 %", NewestSales, allFields, metrics}, nil
}

// Evaluate measures m on sales, all and the newest, each valued as of the
// day of its sale. The caller sees to it that m was not trained on them.
func Evaluate(m *Model, sales []house.Sale, table *demographics.Table) ([]Accuracy, []float64, error) {
	predicted := m.Prices(nil, housesOf(sales), table)
	measured, err := measureParts("sales given to evaluate", "as given", sales, predicted)
	return measured, predicted, err
}

// measureParts measures all of the sales and, where they are two or more, the
// newest.
func measureParts(protocol, fields string, sales []house.Sale, predicted []float64) ([]Accuracy, error) {
	all, err := Measure(pricesOf(sales), predicted)
	if err != nil {
		return nil, err
	}
	out := []Accuracy{{protocol, AllSales, fields, all}}
	_, new := splitNewest(sales)
	if len(new) < 2 {
		return out, nil
	}
	var newPredicted []float64
	for _, i := range new {
		newPredicted = append(newPredicted, predicted[i])
	}
	newest, err := Measure(pricesOf(pick(sales, new)), newPredicted)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", NewestSales, err)
	}
	return append(out, Accuracy{protocol, NewestSales, fields, newest}), nil
}

// splitNewest returns the indices of the oldest 80 % of sales and of the
// newest 20 %, in order of date, then id.
func splitNewest(sales []house.Sale) (old, new []int) {
	order := make([]int, len(sales))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		if c := cmp.Compare(sales[a].House.Date, sales[b].House.Date); c != 0 {
			return c
		}
		return strings.Compare(sales[a].ID, sales[b].ID)
	})
	n := int(float64(len(sales)) * (1 - newestShare))
	return order[:n], order[n:]
}

func pick(sales []house.Sale, indices []int) []house.Sale {
	picked := make([]house.Sale, len(indices))
	for i, at := range indices {
		picked[i] = sales[at]
	}
	return picked
}

func pricesOf(sales []house.Sale) []float64 {
	prices := make([]float64, len(sales))
	for i := range sales {
		prices[i] = sales[i].Price
	}
	return prices
}

func housesOf(sales []house.Sale) []house.House {
	houses := make([]house.House, len(sales))
	for i := range sales {
		houses[i] = sales[i].House
	}
	return houses
}

// onlyOf returns the houses of sales with all but the fields in keep unknown.
func onlyOf(sales []house.Sale, keep house.Set) []house.House {
	houses := housesOf(sales)
	for i := range houses {
		houses[i] = only(houses[i], keep)
	}
	return houses
}
