package model

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"housing/internal/demographics"
	"housing/internal/features"
	"housing/internal/gbdt"
	"housing/internal/house"
)

// MinSales is the least number of sales that a model is trained from.
const MinSales = 100

// Streams of random numbers that are drawn from one seed.
const (
	partialStream = iota + 1
	foldStream
	validationStream
	hiddenStream
	shuffleStream
	curveStream
)

// Trained is a model and how it came about.
type Trained struct {
	Model *Model
	// Rounds is how many trees were learned.
	Rounds int
	// Importance is each column's share of the forest's gain, by column; the
	// sum is 1.
	Importance []float64
}

// Train learns a model from sales, each of which must have a date, and the
// figures of their areas. Nothing but the sales given decides on it: with
// early stopping, houses are kept back to find the number of rounds, and then
// all sales are learned from for so long. progress, if not nil, is called
// after each round.
func Train(ctx context.Context, sales []house.Sale, table *demographics.Table, o Options, progress func(gbdt.Round)) (*Trained, error) {
	if err := learnable(sales); err != nil {
		return nil, err
	}
	trained, err := train(ctx, sales, nil, table, o, progress)
	if err != nil {
		return nil, err
	}
	trained.Model.Reference = NewReference(trained.Model, housesOf(sales), table)
	return trained, nil
}

// train is Train without a look at how many sales there are, and without the
// reference statistics. The loss on the
// watched sales, if any, is told to progress and decides on nothing.
func train(ctx context.Context, sales, watched []house.Sale, table *demographics.Table, o Options, progress func(gbdt.Round)) (*Trained, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	if o.Boosting.EarlyStoppingRounds > 0 {
		rounds, err := roundsByValidation(ctx, sales, table, o, progress)
		if err != nil {
			return nil, err
		}
		o.Boosting.Rounds, o.Boosting.EarlyStoppingRounds = rounds, 0
	}
	encoder, result, err := learn(ctx, sales, watched, table, o, progress)
	if err != nil {
		return nil, err
	}
	m, err := New(encoder, result.Forest)
	if err != nil {
		return nil, err
	}
	return &Trained{Model: m, Rounds: result.Forest.Trees(), Importance: shares(result.Gain)}, nil
}

// learn fits the encoder and the forest.
func learn(ctx context.Context, sales, watched []house.Sale, table *demographics.Table, o Options, progress func(gbdt.Round)) (*features.Encoder, *gbdt.Result, error) {
	encoder, err := features.Fit(housesOf(sales), o.Boosting.Seed)
	if err != nil {
		return nil, nil, err
	}
	var validation *gbdt.Dataset
	if len(watched) > 0 {
		whole := o
		whole.PartialWeight = 0 // what is asked for most is a whole record
		d := dataset(encoder, table, watched, whole)
		validation = &d
	}
	result, err := gbdt.Train(ctx, dataset(encoder, table, sales, o), validation, gbdt.Squared{}, o.params(), progress)
	return encoder, result, err
}

// shares scales values so that they sum to 1, unless all are 0.
func shares(values []float64) []float64 {
	var total float64
	for _, v := range values {
		total += v
	}
	scaled := make([]float64, len(values))
	for i, v := range values {
		if total > 0 {
			scaled[i] = v / total
		}
	}
	return scaled
}

// learnable returns an error where sales are too few or too alike to learn
// from.
func learnable(sales []house.Sale) error {
	if len(sales) < MinSales {
		return fmt.Errorf("too few sales to learn from: %d, needs %d", len(sales), MinSales)
	}
	for i := range sales {
		if sales[i].Price != sales[0].Price {
			return nil
		}
	}
	return fmt.Errorf("all %d sales have the price %.2f: there is nothing to learn", len(sales), sales[0].Price)
}

// dataset makes a row, label and weight of each sale, and of each sale's
// partial copy.
func dataset(encoder *features.Encoder, table *demographics.Table, sales []house.Sale, o Options) gbdt.Dataset {
	copies := 1
	if o.PartialWeight > 0 {
		copies = 2
	}
	n := len(sales)
	random := rand.New(rand.NewPCG(o.Boosting.Seed, partialStream))
	d := gbdt.Dataset{
		X:      gbdt.NewMatrix(copies*n, features.NumColumns()),
		Label:  make([]float64, copies*n),
		Weight: make([]float64, copies*n),
	}
	base := priceWeights(sales)
	for i := range copies * n {
		sale, weight := &sales[i%n], base[i%n]
		h := sale.House
		if i >= n {
			h, weight = partial(h, random), weight*o.PartialWeight
		}
		area, _ := table.Lookup(h.Zipcode())
		encoder.Row(d.X.Row(i), &h, area)
		d.Label[i] = math.Log(sale.Price)
		d.Weight[i] = weight
	}
	return d
}

// priceWeights returns weights by the square root of the price, of about 1
// on average and within a factor of 3 of it: between an error in percent,
// which an unweighted log price counts, and one in dollars.
func priceWeights(sales []house.Sale) []float64 {
	weights := make([]float64, len(sales))
	var mean float64
	for i := range sales {
		weights[i] = math.Sqrt(sales[i].Price)
		mean += weights[i] / float64(len(sales))
	}
	for i, w := range weights {
		weights[i] = min(3, max(1./3, w/mean))
	}
	return weights
}

// roundsByValidation returns the number of rounds with the least loss on
// houses that are kept back.
func roundsByValidation(ctx context.Context, sales []house.Sale, table *demographics.Table, o Options, progress func(gbdt.Round)) (int, error) {
	parts := int(math.Round(1 / o.ValidationShare))
	fold := foldsByHouse(sales, parts, rand.New(rand.NewPCG(o.Boosting.Seed, validationStream)))
	train, held := partSales(sales, fold, 0)
	if len(train) == 0 || len(held) == 0 {
		return 0, errors.New("too few houses to keep some back for early stopping")
	}
	_, result, err := learn(ctx, train, held, table, o, progress)
	if err != nil {
		return 0, err
	}
	return result.Forest.Trees(), nil
}

// foldsByHouse deals the houses of sales into folds at random and returns
// each sale's fold. Sales of one house share a fold, and so do houses under
// several ids that are alike in every field: the units of a building, or one
// house that was given another number.
func foldsByHouse(sales []house.Sale, folds int, random *rand.Rand) []int {
	alike := map[house.House]string{}
	group := map[string]string{} // by id: that of the first house that it goes with
	var ids []string
	find := func(id string) string {
		for group[id] != id {
			id = group[id]
		}
		return id
	}
	for i := range sales {
		id := sales[i].ID
		if _, seen := group[id]; !seen {
			group[id] = id
			ids = append(ids, id)
		}
		h := comparableHouse(sales[i].House)
		h.Date = house.NoDate
		first, seen := alike[h]
		if !seen {
			alike[h] = id
			continue
		}
		a, b := find(first), find(id)
		group[max(a, b)] = min(a, b)
	}
	slices.Sort(ids)
	random.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	byID := map[string]int{}
	for i, id := range ids {
		byID[id] = i % folds
	}
	fold := make([]int, len(sales))
	for i := range sales {
		fold[i] = byID[find(sales[i].ID)]
	}
	return fold
}

// partSales parts sales into those outside and inside of a fold.
func partSales(sales []house.Sale, fold []int, number int) (outside, inside []house.Sale) {
	for i := range sales {
		if fold[i] == number {
			inside = append(inside, sales[i])
		} else {
			outside = append(outside, sales[i])
		}
	}
	return outside, inside
}
