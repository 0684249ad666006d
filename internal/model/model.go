package model

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"housing/internal/demographics"
	"housing/internal/features"
	"housing/internal/gbdt"
	"housing/internal/house"
)

// Type is what the API calls a model of this package.
const Type = "GradientBoostedTrees"

// Model values houses. It never changes once made.
//
// The logarithm of a price is the market's level on the day plus the weighted
// mean of the forest and the smooth part, which know no time: their rows are
// made as of the newest sale. A house of which the smooth part does not know
// enough is valued by the forest alone.
type Model struct {
	Encoder *features.Encoder
	Forest  *gbdt.Forest // of log prices in dollars, less the market
	Market  *Market      // nil where the forest itself looks at the day
	Smooth  *Smooth      // nil where there is none
	// Reference says what the houses were like that it was trained on; nil
	// where that is not known, as of models from before it was kept.
	Reference *Reference
	// Interval says how sure prices are; nil where that is not known.
	Interval *Interval
	// Comparables are sales to show beside a price; nil where there are none.
	Comparables *Comparables

	engine    *gbdt.Engine    // of Forest
	explainer *gbdt.Explainer // of Forest
}

// New returns a model of its parts, of which market and smooth may be nil, or
// an error where they cannot be predicted with or do not fit each other.
func New(encoder *features.Encoder, forest *gbdt.Forest, market *Market, smooth *Smooth) (*Model, error) {
	if err := encoder.Check(); err != nil {
		return nil, err
	}
	if err := forest.Check(); err != nil {
		return nil, err
	}
	if market != nil {
		if err := market.check(); err != nil {
			return nil, err
		}
	}
	if smooth != nil {
		if err := smooth.check(); err != nil {
			return nil, err
		}
		smooth.Network.Prepare()
	}
	if forest.Columns != features.NumColumns() {
		return nil, fmt.Errorf("forest looks at %d columns, rows have %d", forest.Columns, features.NumColumns())
	}
	if forest.Trees() == 0 {
		return nil, errors.New("forest has no trees")
	}
	explainer, err := gbdt.NewExplainer(forest)
	if err != nil {
		return nil, err
	}
	return &Model{
		Encoder: encoder, Forest: forest, Market: market, Smooth: smooth,
		engine: gbdt.NewEngine(forest), explainer: explainer,
	}, nil
}

// WithComparables returns m with sales to show, or an error where they do not
// fit it.
func (m *Model) WithComparables(c *Comparables) (*Model, error) {
	if err := c.check(m); err != nil {
		return nil, err
	}
	with := *m
	with.Comparables = c.indexed()
	return &with, nil
}

// FeatureNames returns the names of the columns that the model looks at.
func (m *Model) FeatureNames() []string {
	columns := features.Columns()
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	return names
}

// Engine says how the forest is predicted with: see [gbdt.Engine.Name].
func (m *Model) Engine() string { return m.engine.Name() }

// Prices appends the price of each house in dollars, not rounded, to dst[:0]
// and returns it. It allocates nothing where dst has room.
func (m *Model) Prices(dst []float64, houses []house.House, table *demographics.Table) []float64 {
	dst = dst[:0]
	if len(houses) == 1 {
		var row [features.MaxColumns]float32
		return m.appendPrices(dst, row[:], houses, table)
	}
	return m.pricesOfMany(dst, houses, table)
}

// rowsAtOnce is how many rows are made before their prices are computed: as
// many as the forest's engine takes at once.
const rowsAtOnce = 128

// pricesOfMany is Prices with room for more rows than one on its stack.
func (m *Model) pricesOfMany(dst []float64, houses []house.House, table *demographics.Table) []float64 {
	var rows [rowsAtOnce * features.MaxColumns]float32
	for block := range slices.Chunk(houses, rowsAtOnce) {
		dst = m.appendPrices(dst, rows[:], block, table)
	}
	return dst
}

// appendPrices appends the price of each house to dst; rows has room for a
// row of each.
func (m *Model) appendPrices(dst []float64, rows []float32, houses []house.House, table *demographics.Table) []float64 {
	x := gbdt.Matrix{Data: rows[:len(houses)*features.NumColumns()], Rows: len(houses), Cols: features.NumColumns()}
	for i := range houses {
		area, _ := table.Lookup(houses[i].Zipcode())
		m.Row(x.Row(i), &houses[i], area)
	}
	at := len(dst)
	dst = slices.Grow(dst, len(houses))[:at+len(houses)]
	prices := dst[at:]
	m.engine.PredictRows(prices, x)
	for i := range prices {
		area, _ := table.Lookup(houses[i].Zipcode())
		prices[i] = math.Exp(m.blend(prices[i], &houses[i], area, x.Row(i)))
	}
	return dst
}

// blend returns the log price of a house that the forest values at forest by
// its row.
// Every price comes from here.
func (m *Model) blend(forest float64, h *house.House, area *demographics.Area, row []float32) float64 {
	if share, smooth := m.smooth(h, area, row); share > 0 {
		forest = float64((1-share)*forest) + float64(share*smooth)
	}
	return forest + m.Market.At(h.Date)
}

// logPrice is the log of a house's price, given its row.
func (m *Model) logPrice(h *house.House, area *demographics.Area, row []float32) float64 {
	var one [1]float64
	m.engine.PredictRows(one[:], gbdt.Matrix{Data: row, Rows: 1, Cols: len(row)})
	return m.blend(one[0], h, area, row)
}

// Row fills dst, of features.NumColumns numbers, with what the forest looks
// at.
func (m *Model) Row(dst []float32, h *house.House, area *demographics.Area) {
	day := h.Date
	if m.Market != nil {
		day = house.NoDate
	}
	m.Encoder.RowAsOf(dst, h, area, day)
}

// smooth returns the smooth part's value of a house and its share in it, 0
// where there is no such part or an input is unknown.
func (m *Model) smooth(h *house.House, area *demographics.Area, row []float32) (share, value float64) {
	if m.Smooth == nil {
		return 0, 0
	}
	value, whole := m.Smooth.value(knownOf(h, area, features.AroundInRow(row)))
	if !whole {
		return 0, 0
	}
	return m.Smooth.Share, value
}
