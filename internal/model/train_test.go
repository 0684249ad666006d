package model

import (
	"context"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"housing/internal/demographics"
	"housing/internal/features"
	"housing/internal/gbdt"
	"housing/internal/house"
	"housing/internal/model/modeltest"
)

// quickOptions train a small model fast.
func quickOptions() Options {
	o := DefaultOptions()
	o.Boosting.Rounds = 60
	o.Boosting.LearningRate = 0.2
	o.Threads = 2
	o.Smooth.Share = 0
	return o
}

// quickSmoothOptions train a small model with a smooth part.
func quickSmoothOptions() Options {
	o := quickOptions()
	o.Smooth = DefaultOptions().Smooth
	o.Smooth.Mixed, o.Smooth.TuningRows, o.Smooth.TuningSteps, o.Smooth.Network.Epochs = 1, 200, 3, 3
	return o
}

// TestNoPriceEntersARow is what would catch a feature that knows the price:
// rows are made again after every price was changed, and after the order of
// the prices was turned about, and must not have moved by a bit.
func TestNoPriceEntersARow(t *testing.T) {
	sales, table := modeltest.Sales(400), modeltest.Table(t)
	o := quickOptions()
	rows := func(sales []house.Sale) []uint32 {
		houses := housesOf(sales)
		encoder, err := features.Fit(houses, o.Boosting.Seed)
		if err != nil {
			t.Fatal(err)
		}
		ones := slices.Repeat([]float64{1}, len(sales))
		values := withPartial(encoder, table, houses, ones, ones, o).X.Data
		smooth := Smooth{Scale: newScale(houses, encoder, table)}
		single, _ := smooth.rows(newMixer(houses, rand.New(rand.NewPCG(1, 1))).extend(1), encoder, table)
		values = append(values, single...)
		bits := make([]uint32, len(values))
		for i, v := range values {
			bits[i] = math.Float32bits(v)
		}
		return bits
	}
	before := rows(sales)
	dearer, turned := slices.Clone(sales), slices.Clone(sales)
	for i := range sales {
		dearer[i].Price = 7*sales[i].Price + 1000*float64(i)
		turned[i].Price = sales[len(sales)-1-i].Price
	}
	for name, changed := range map[string][]house.Sale{"dearer": dearer, "turned about": turned} {
		if after := rows(changed); !slices.Equal(before, after) {
			t.Errorf("rows change when prices are %s", name)
		}
	}
}

// TestFoldsKeepHousesWhole holds that a house that was sold twice never
// stands on both sides of a split.
func TestFoldsKeepHousesWhole(t *testing.T) {
	sales := modeltest.Sales(1000)
	fold := foldsByHouse(sales, 5, rand.New(rand.NewPCG(1, 1)))
	byID := map[string]int{}
	counts := make([]int, 5)
	for i, f := range fold {
		if before, seen := byID[sales[i].ID]; seen && before != f {
			t.Fatalf("house %s is in folds %d and %d", sales[i].ID, before, f)
		}
		byID[sales[i].ID] = f
		counts[f]++
	}
	if len(byID) == len(sales) {
		t.Fatal("no house was sold twice: the test tests nothing")
	}
	if slices.Min(counts) < 150 || slices.Max(counts) > 250 {
		t.Errorf("folds of %v sales", counts)
	}
}

func TestNewestSplitIsByTime(t *testing.T) {
	sales := modeltest.Sales(500)
	old, new := splitNewest(sales)
	if len(old) != 400 || len(new) != 100 {
		t.Fatalf("%d old and %d new sales of 500", len(old), len(new))
	}
	for _, o := range old {
		for _, n := range new {
			if sales[o].House.Date > sales[n].House.Date {
				t.Fatalf("sale %d of %s is old, %d of %s new", o, sales[o].House.Date, n, sales[n].House.Date)
			}
		}
	}
}

func TestModelDoesNotDependOnThreads(t *testing.T) {
	sales, table := modeltest.Sales(600), modeltest.Table(t)
	o := quickSmoothOptions()
	var first *Trained
	for _, threads := range []int{1, 2, 5} {
		o.Threads = threads
		trained, err := Train(context.Background(), sales, table, o, nil)
		if err != nil {
			t.Fatal(err)
		}
		trained.Model.engine = nil // follows from the forest, and may hold NaN, which equals nothing
		if first == nil {
			first = trained
		} else if !reflect.DeepEqual(trained, first) {
			t.Errorf("the model of %d threads differs from that of one", threads)
		}
	}
}

func TestMoreHouseIsNeverCheaper(t *testing.T) {
	sales, table := modeltest.Sales(1500), modeltest.Table(t)
	trained, err := Train(context.Background(), sales, table, quickOptions(), nil)
	if err != nil {
		t.Fatal(err)
	}
	checkMonotone(t, trained.Model, table, housesOf(sales[:150]))
}

// checkMonotone raises living space, grade and condition of each house, with
// all fields known and with only some.
func checkMonotone(t *testing.T, m *Model, table *demographics.Table, houses []house.House) {
	t.Helper()
	sweep := map[house.Field][]float64{house.Grade: nil, house.Condition: {1, 2, 3, 4, 5}}
	for g := 1.0; g <= 13; g++ {
		sweep[house.Grade] = append(sweep[house.Grade], g)
	}
	for v := 300.0; v < 12000; v *= 1.07 {
		sweep[house.SqftLiving] = append(sweep[house.SqftLiving], v)
	}
	random := rand.New(rand.NewPCG(9, 9))
	for i := range houses {
		for _, h := range []house.House{houses[i], partial(houses[i], random)} {
			for f, values := range sweep {
				varied := make([]house.House, len(values))
				for k, v := range values {
					varied[k] = h
					varied[k].Values[f] = v
				}
				prices := m.Prices(nil, varied, table)
				for k := range prices[1:] {
					if prices[k+1] < prices[k] {
						t.Fatalf("house %d falls from %.2f to %.2f when %s rises from %g to %g", i, prices[k], prices[k+1], f, values[k], values[k+1])
					}
				}
			}
		}
	}
}

func TestEarlyStoppingKeepsHousesBack(t *testing.T) {
	sales, table := modeltest.Sales(800), modeltest.Table(t)
	o := quickOptions()
	o.Boosting.Rounds, o.Boosting.LearningRate, o.Boosting.EarlyStoppingRounds = 2000, 0.3, 10
	rounds := 0
	trained, err := Train(context.Background(), sales, table, o, func(gbdt.Round) { rounds++ })
	if err != nil {
		t.Fatal(err)
	}
	if trained.Rounds >= 2000 || trained.Rounds != trained.Model.Forest.Trees() || rounds != 2*trained.Rounds+10 {
		t.Errorf("%d trees after %d rounds in all", trained.Rounds, rounds)
	}
}

func TestTrainRefuses(t *testing.T) {
	sales, table := modeltest.Sales(200), modeltest.Table(t)
	flat := slices.Clone(sales)
	for i := range flat {
		flat[i].Price = 500_000
	}
	bad := quickOptions()
	bad.PartialWeight = 2
	for _, c := range []struct {
		sales []house.Sale
		o     Options
		want  string
	}{
		{nil, quickOptions(), "too few sales to learn from: 0, needs 100"},
		{sales[:1], quickOptions(), "too few sales to learn from: 1, needs 100"},
		{flat, quickOptions(), "all 200 sales have the price 500000.00"},
		{sales, bad, "partial weight is 2"},
	} {
		_, err := Train(context.Background(), c.sales, table, c.o, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
}

func TestCrossValidationOfMadeSales(t *testing.T) {
	sales, table := modeltest.Sales(1000), modeltest.Table(t)
	v, err := CrossValidate(context.Background(), sales, table, quickOptions(), 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	accuracy := v.Accuracy
	if again, err := Measure(pricesOf(sales), v.Prices); err != nil || again != accuracy[0].Metrics {
		t.Errorf("the prices returned measure %+v (%v), not %+v", again, err, accuracy[0].Metrics)
	}
	if len(accuracy) != 6 {
		t.Fatalf("%d measures, want all and newest sales with 3 sets of fields", len(accuracy))
	}
	if a := accuracy[0]; a.Sales != 1000 || a.R2 < 0.9 || a.Part != AllSales || a.Fields != allFields {
		t.Errorf("measured %+v", a)
	}
	if a := accuracy[1]; a.Sales != 200 || a.Part != NewestSales {
		t.Errorf("measured %+v", a)
	}
	if whole, minimal := accuracy[0].MAPE, accuracy[4].MAPE; minimal <= whole {
		t.Errorf("prices from 4 fields are as good (%.2f) as from 18 (%.2f)", minimal, whole)
	}
}

func TestFeaturesOfAModel(t *testing.T) {
	sales, table := modeltest.Sales(150), modeltest.Table(t)
	o := quickOptions()
	o.Boosting.Rounds = 3
	trained, err := Train(context.Background(), sales, table, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	names := trained.Model.FeatureNames()
	if len(names) != features.NumColumns() || names[0] != "bedrooms" {
		t.Errorf("features %v", names)
	}
	var total float64
	for _, share := range trained.Importance {
		total += share
	}
	if len(trained.Importance) != len(names) || math.Abs(total-1) > 1e-9 {
		t.Errorf("importance of %d features sums to %g", len(trained.Importance), total)
	}
}
