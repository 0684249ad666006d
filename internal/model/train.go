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
	marketStream
	mixStream
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
	m, result, err := learn(ctx, sales, watched, table, o, progress)
	if err != nil {
		return nil, err
	}
	return &Trained{Model: m, Rounds: result.Forest.Trees(), Importance: shares(result.Gain)}, nil
}

// learn fits every part of a model.
func learn(ctx context.Context, sales, watched []house.Sale, table *demographics.Table, o Options, progress func(gbdt.Round)) (*Model, *gbdt.Result, error) {
	houses := housesOf(sales)
	encoder, err := features.Fit(houses, o.Boosting.Seed)
	if err != nil {
		return nil, nil, err
	}
	for i := range houses {
		houses[i].Date = house.NoDate // the market alone knows time
	}
	market, err := learnMarket(ctx, sales, houses, encoder, table, o)
	if err != nil {
		return nil, nil, err
	}
	label := market.timeless(sales)
	weight := equal(len(sales))

	var validation *gbdt.Dataset
	if len(watched) > 0 {
		// What is asked for most is a whole record.
		d := gbdt.Dataset{X: matrixOf(encoder, table, undated(watched)), Label: market.timeless(watched)}
		validation = &d
	}
	data := withPartial(encoder, table, houses, label, weight, o)
	result, err := gbdt.Train(ctx, data, validation, o.objective(), o.params(o.Boosting), progress)
	if err != nil {
		return nil, nil, err
	}
	var smooth *Smooth
	if o.Smooth.Share > 0 {
		if smooth, err = newSmooth(ctx, houses, label, encoder, table, o); err != nil {
			return nil, nil, err
		}
	}
	stretch(result.Forest, smooth, priceCentre(label), 1+o.Stretch)
	m, err := New(encoder, result.Forest, market, smooth)
	return m, result, err
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

// withPartial makes a row, label and weight of each house, and of each
// house's partial copy.
func withPartial(encoder *features.Encoder, table *demographics.Table, houses []house.House, label, weight []float64, o Options) gbdt.Dataset {
	houses, label, weight = slices.Clone(houses), slices.Clone(label), slices.Clone(weight)
	if o.PartialWeight > 0 {
		random := rand.New(rand.NewPCG(o.Boosting.Seed, partialStream))
		for i := range len(houses) {
			houses = append(houses, partial(houses[i], random))
			label = append(label, label[i])
			weight = append(weight, weight[i]*o.PartialWeight)
		}
	}
	return gbdt.Dataset{X: matrixOf(encoder, table, houses), Label: label, Weight: weight}
}

// matrixOf makes a row of each house.
func matrixOf(encoder *features.Encoder, table *demographics.Table, houses []house.House) gbdt.Matrix {
	x := gbdt.NewMatrix(len(houses), features.NumColumns())
	for i := range houses {
		area, _ := table.Lookup(houses[i].Zipcode())
		encoder.Row(x.Row(i), &houses[i], area)
	}
	return x
}

// undated returns the houses of sales without their dates.
func undated(sales []house.Sale) []house.House {
	houses := housesOf(sales)
	for i := range houses {
		houses[i].Date = house.NoDate
	}
	return houses
}

func logPrices(sales []house.Sale) []float64 {
	values := make([]float64, len(sales))
	for i := range sales {
		values[i] = math.Log(sales[i].Price)
	}
	return values
}

// equal returns n weights of 1.
func equal(n int) []float64 { return slices.Repeat([]float64{1}, n) }

// priceCentre is the mean of log prices by price: spread about it, the houses
// together stay about as dear as they were.
func priceCentre(logPrices []float64) float64 {
	var sum, total float64
	for _, v := range logPrices {
		price := math.Exp(v)
		sum += float64(price * v)
		total += price
	}
	return sum / total
}

// stretch spreads the values of both parts about a centre by a factor.
func stretch(forest *gbdt.Forest, smooth *Smooth, centre, factor float64) {
	forest.Base = centre + factor*(forest.Base-centre)
	for i, v := range forest.Leaves {
		forest.Leaves[i] = float32(factor * float64(v))
	}
	if smooth != nil {
		smooth.Network.Mean = centre + factor*(smooth.Network.Mean-centre)
		smooth.Network.Scale *= factor
	}
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
	o.Smooth.Share = 0 // which the number of trees does not depend on
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
