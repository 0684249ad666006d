package model

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"housing/internal/demographics"
	"housing/internal/features"
	"housing/internal/gbdt"
	"housing/internal/house"
)

// Coverage says how often sale prices lay within the intervals of a model,
// which had seen neither these sales nor the errors of any model on them.
type Coverage struct {
	Fields  string  `json:"fields"` // what was known of the houses
	Sales   int     `json:"sales"`
	Level   float64 `json:"level"`   // how often they were to lie within
	Covered float64 `json:"covered"` // how often they did, in percent
	Width   float64 `json:"width"`   // mean width in percent of the price
	// ByPrice is how often they did in each quarter of the sales by sale
	// price, cheapest first, in percent.
	ByPrice []float64 `json:"by_price"`
}

// spreadFloor is added to errors before their log is taken, so that a price
// that was right by chance counts for little.
const spreadFloor = 0.02

// scoreSteps is into how many steps of probability scores are put.
const scoreSteps = 1000

// someHidden says of a sale's partial copy what is known of it.
const someHidden = "some of the 18"

// spreadParams are those of Interval.Spread: a small forest, for how large an
// error is says little of how large it was to be expected.
func spreadParams(o Options) gbdt.Params {
	p := gbdt.DefaultParams()
	p.Rounds, p.LearningRate, p.MaxLeaves = 150, 0.05, 16
	p.MinChildWeight, p.Subsample, p.ColsampleByTree = 60, 0.6, 0.3
	p.Seed, p.Threads = o.Boosting.Seed, o.Threads
	return p
}

// Calibrated is a model with an interval, and how that did on sales that
// neither had seen.
type Calibrated struct {
	Model    *Model
	Coverage []Coverage
	// Bounds are those of the sales with all fields known, at DefaultLevel.
	Bounds []Bounds
}

// Bounds are those of an interval, in dollars.
type Bounds struct{ Low, High float64 }

// Calibrate gives m an interval from the errors of a validation on the sales
// that m was trained from. The spread is
// learned fold by fold from the errors in the other folds, so that scores are
// of sales whose errors were not learned from; coverage in a fold is measured
// with the scores of the others.
func Calibrate(ctx context.Context, m *Model, sales []house.Sale, v *Validation, table *demographics.Table, o Options) (*Calibrated, error) {
	parts := make([]*outOfFold, len(v.known))
	for k := range v.known {
		parts[k] = newOutOfFold(m, sales, &v.known[k], table)
	}
	spread := make([][]float64, len(parts))
	for k := range parts {
		spread[k] = make([]float64, len(sales))
	}
	for number := range v.folds {
		forest, err := learnSpread(ctx, parts, func(i int) bool { return v.fold[i] != number }, o)
		if err != nil {
			return nil, fmt.Errorf("interval: %w", err)
		}
		for k, part := range parts {
			for i := range sales {
				if v.fold[i] == number {
					spread[k][i] = spreadOf(forest.Predict(part.rows.Row(i)))
				}
			}
		}
	}
	forest, err := learnSpread(ctx, parts, func(int) bool { return true }, o)
	if err != nil {
		return nil, fmt.Errorf("interval: %w", err)
	}
	everything := func(int) bool { return true }
	interval, err := NewInterval(forest, parts[wholeRecords].scores(spread[wholeRecords], everything), parts[partialRecords].scores(spread[partialRecords], everything))
	if err != nil {
		return nil, err
	}
	with := *m
	with.Interval = interval
	out := &Calibrated{Model: &with}
	for k := range parts {
		class := partialRecords
		if k == wholeRecords {
			class = wholeRecords
		}
		byFold := make([]*Interval, v.folds)
		for number := range byFold {
			scores := parts[class].scores(spread[class], func(i int) bool { return v.fold[i] != number })
			byFold[number] = &Interval{Scores: [2][]float64{scores, scores}}
		}
		bounds := make([]Bounds, len(sales))
		for i := range bounds {
			low, high := byFold[v.fold[i]].bounds(wholeRecords, spread[k][i], DefaultLevel)
			price := v.known[k].prices[i]
			bounds[i] = Bounds{price * math.Exp(low), price * math.Exp(high)}
		}
		out.Coverage = append(out.Coverage, MeasureCoverage(v.known[k].name, pricesOf(sales), v.known[k].prices, bounds))
		if k == wholeRecords {
			out.Bounds = bounds
		}
	}
	return out, nil
}

// outOfFold are the errors of a validation with some fields known.
type outOfFold struct {
	rows  gbdt.Matrix // with the log price behind each
	error []float64   // log sale price less log price
}

func newOutOfFold(m *Model, sales []house.Sale, known *knownFields, table *demographics.Table) *outOfFold {
	n := len(sales)
	e := &outOfFold{rows: gbdt.NewMatrix(n, spreadColumns()), error: make([]float64, n)}
	for i := range sales {
		h := &known.houses[i]
		area, _ := table.Lookup(h.Zipcode())
		row := e.rows.Row(i)
		m.Row(row[:features.NumColumns()], h, area)
		logPrice := math.Log(known.prices[i])
		row[features.NumColumns()] = float32(logPrice)
		e.error[i] = math.Log(sales[i].Price) - logPrice
	}
	return e
}

// learnSpread learns the spread of the errors of the sales that are wanted,
// with all fields known and, for half as much, with some hidden.
func learnSpread(ctx context.Context, parts []*outOfFold, wanted func(int) bool, o Options) (*gbdt.Forest, error) {
	d := gbdt.Dataset{X: gbdt.Matrix{Cols: spreadColumns()}}
	for class, weight := range [2]float64{wholeRecords: 1, partialRecords: 0.5} {
		part := parts[class]
		for i, e := range part.error {
			if !wanted(i) {
				continue
			}
			d.X.Data = append(d.X.Data, part.rows.Row(i)...)
			d.X.Rows++
			d.Label = append(d.Label, math.Log(math.Abs(e)+spreadFloor))
			d.Weight = append(d.Weight, weight)
		}
	}
	result, err := gbdt.Train(ctx, d, nil, gbdt.Squared{}, spreadParams(o), nil)
	if err != nil {
		return nil, err
	}
	return result.Forest, nil
}

// scores returns the quantiles of the scores of the sales that are wanted, as
// Interval.Scores has them. That of probability p is the order statistic
// p(n+1), rounded away from the middle, which makes the coverage of a new sale
// at least what is asked for (Vovk, Gammerman & Shafer 2005).
func (e *outOfFold) scores(spread []float64, wanted func(int) bool) []float64 {
	var all []float64
	for i := range e.error {
		if wanted(i) {
			all = append(all, e.error[i]/spread[i])
		}
	}
	slices.Sort(all)
	quantiles := make([]float64, scoreSteps+1)
	for k := range quantiles {
		rank := float64(k) / scoreSteps * float64(len(all)+1)
		if rank = math.Ceil(rank); 2*k < scoreSteps {
			rank = math.Floor(float64(k) / scoreSteps * float64(len(all)+1))
		}
		quantiles[k] = all[max(0, min(len(all)-1, int(rank)-1))]
	}
	return quantiles
}

// MeasureCoverage compares intervals of DefaultLevel about prices with what
// the houses sold for. Fields says what was known of them.
func MeasureCoverage(fields string, sold, prices []float64, bounds []Bounds) Coverage {
	n := len(sold)
	c := Coverage{Fields: fields, Sales: n, Level: DefaultLevel, ByPrice: make([]float64, 4)}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(sold[a], sold[b]) })
	for rank, i := range order {
		c.Width += 100 * (bounds[i].High - bounds[i].Low) / prices[i] / float64(n)
		if sold[i] < bounds[i].Low || sold[i] > bounds[i].High {
			continue
		}
		quarter := rank * 4 / n
		c.Covered += 100 / float64(n)
		c.ByPrice[quarter] += 100 / float64(((quarter+1)*n+3)/4-(quarter*n+3)/4)
	}
	// Published to hundredths, beyond which they say nothing.
	c.Covered, c.Width = hundredths(c.Covered), hundredths(c.Width)
	for q := range c.ByPrice {
		c.ByPrice[q] = hundredths(c.ByPrice[q])
	}
	return c
}

func hundredths(v float64) float64 { return math.Round(100*v) / 100 }
