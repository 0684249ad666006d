package model

import (
	"context"
	"math"
	"math/bits"
	"reflect"
	"strings"
	"sync"
	"testing"

	"housing/internal/demographics"
	"housing/internal/features"
	"housing/internal/house"
	"housing/internal/model/modeltest"
)

// smoothModel returns a small model with a smooth part, and houses.
func smoothModel(t testing.TB) (*Model, []house.House, *demographics.Table) {
	t.Helper()
	table := modeltest.Table(t)
	trained, err := onceSmooth()
	if err != nil {
		t.Fatal(err)
	}
	return trained.Model, modeltest.Houses(300), table
}

var onceSmooth = sync.OnceValues(func() (*Trained, error) {
	table, err := modeltest.NewTable()
	if err != nil {
		return nil, err
	}
	return Train(context.Background(), modeltest.Sales(400), table, quickSmoothOptions(), nil)
})

// TestEffectsOfAllPartsAddUp holds that base and effects make up the price,
// for whole houses and for those of which less is known, on any day.
func TestEffectsOfAllPartsAddUp(t *testing.T) {
	m, houses, table := smoothModel(t)
	row := make([]float32, features.NumColumns())
	for i, h := range houses {
		switch i % 4 {
		case 1:
			h = only(h, house.RequiredFields)
		case 2:
			h.Date = house.NoDate
		case 3:
			h.Date += house.Date(50 * i)
		}
		area, _ := table.Lookup(h.Zipcode())
		m.Row(row, &h, area)
		effects := make([]float64, features.NumReasons())
		sum := m.effects(effects, &h, area, row)
		for _, v := range effects {
			sum += v
		}
		if price := m.Prices(nil, []house.House{h}, table)[0]; math.Abs(math.Exp(sum)-price) > 1e-5*price {
			t.Fatalf("house %d: effects make %.6f, the price is %.6f", i, math.Exp(sum), price)
		}
		if effects[dateReason] != m.Market.At(h.Date) {
			t.Fatalf("house %d: the day moves the price by %g, the market by %g", i, effects[dateReason], m.Market.At(h.Date))
		}
	}
}

// TestSmoothEffectsAreShapleyValues compares with the definition, over all
// sets of inputs.
func TestSmoothEffectsAreShapleyValues(t *testing.T) {
	n := len(players)
	if n != 16 {
		t.Fatalf("%d players: the orders meet all only where their number is a power of two", n)
	}
	m, houses, table := smoothModel(t)
	h := houses[7]
	area, _ := table.Lookup(h.Zipcode())
	var row [numInputs]float32
	if !m.Smooth.Scale.row(row[:], knownOf(&h, area, m.Encoder.Around(h.Values[house.Lat], h.Values[house.Long]))) {
		t.Fatal("an input is unknown")
	}
	values := make([]float64, 1<<n)
	for set := range values {
		var mixed [numInputs]float32
		for p := range players {
			if set>>p&1 == 1 {
				for _, i := range players[p].inputs {
					mixed[i] = row[i]
				}
			}
		}
		values[set] = m.Smooth.Network.Predict(mixed[:])
	}
	effects := make([]float64, features.NumReasons())
	base, known := m.Smooth.effects(effects, knownOf(&h, area, m.Encoder.Around(h.Values[house.Lat], h.Values[house.Long])))
	if !known || math.Abs(base-m.Smooth.Share*values[0]) > 1e-12 {
		t.Errorf("base is %g, %t; want %g", base, known, m.Smooth.Share*values[0])
	}
	factorial := func(k int) float64 { return math.Gamma(float64(k) + 1) }
	var largest float64
	for p := range players {
		var exact float64
		for set, v := range values {
			if set>>p&1 == 0 {
				k := bits.OnesCount(uint(set))
				exact += factorial(k) * factorial(n-k-1) / factorial(n) * (values[set|1<<p] - v)
			}
		}
		exact *= m.Smooth.Share
		largest = max(largest, math.Abs(exact))
		if got := effects[players[p].reason]; math.Abs(got-exact) > 0.01+0.1*math.Abs(exact) {
			t.Errorf("%s moves the log price by %.5f, by definition %.5f", features.Reasons()[players[p].reason], got, exact)
		}
	}
	if largest < 0.02 {
		t.Errorf("no effect is over %g: the test tests nothing", largest)
	}
}

// TestUnknownInputsLeaveTheForest holds that a house of which an input is
// unknown is valued by the forest alone.
func TestUnknownInputsLeaveTheForest(t *testing.T) {
	m, houses, table := smoothModel(t)
	alone := *m
	alone.Smooth = nil
	for f := range house.Field(house.NumFields) {
		h := houses[3]
		h.Values[f] = math.NaN()
		if f == house.ZipcodeField {
			continue
		}
		got, want := m.Prices(nil, []house.House{h}, table)[0], alone.Prices(nil, []house.House{h}, table)[0]
		if used := f != house.SqftAbove; used != (got == want) {
			t.Errorf("without %s: %.2f, by the forest alone %.2f", f, got, want)
		}
	}
}

// TestSmoothPartHoldsNoSale: nothing of the model but the network, whose size
// does not depend on the number of sales, knows them.
func TestSmoothPartHoldsNoSale(t *testing.T) {
	m, _, _ := smoothModel(t)
	n := m.Smooth.Network
	numbers := len(n.Waves) + len(n.Skip)
	for _, l := range []*[]float32{&n.First.Weights, &n.First.Bias, &n.Second.Weights, &n.Second.Bias, &n.Last.Weights, &n.Last.Bias} {
		numbers += len(*l)
	}
	if want := 32 + 54 + 54*64 + 64 + 64*64 + 64 + 64 + 1; numbers != want {
		t.Errorf("network of %d numbers, want %d for any number of sales", numbers, want)
	}
	if fields := reflect.TypeOf(*m.Smooth).NumField(); fields != 3 {
		t.Errorf("the smooth part has %d fields: see that none of them holds sales", fields)
	}
}

func TestOptionsOfTheSmoothPart(t *testing.T) {
	for want, spoil := range map[string]func(o *Options){
		"smooth share is 1":    func(o *Options) { o.Smooth.Share = 1 },
		"mixed is -1":          func(o *Options) { o.Smooth.Mixed = -1 },
		"tuning rows is 7":     func(o *Options) { o.Smooth.TuningRows = 7 },
		"tuning steps is 9999": func(o *Options) { o.Smooth.TuningSteps = 9999 },
		"epochs is 0":          func(o *Options) { o.Smooth.Network.Epochs = 0 },
		"stretch is 3":         func(o *Options) { o.Stretch = 3 },
	} {
		o := DefaultOptions()
		if err := o.Check(); err != nil {
			t.Fatal(err)
		}
		spoil(&o)
		if err := o.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func TestColumnsOfTheArea(t *testing.T) {
	for at, want := range map[int]string{incomeColumn: "medn_hshld_incm_amt", bachelorColumn: "per_bchlr", professionalColumn: "per_prfsnl"} {
		if got := demographics.Columns()[at].Name; got != want {
			t.Errorf("column %d is %s, want %s", at, got, want)
		}
	}
}
