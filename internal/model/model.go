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
type Model struct {
	Encoder *features.Encoder
	Forest  *gbdt.Forest // of log prices in dollars
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

// New returns a model of its parts, or an error where they cannot be
// predicted with or do not fit each other.
func New(encoder *features.Encoder, forest *gbdt.Forest) (*Model, error) {
	if err := encoder.Check(); err != nil {
		return nil, err
	}
	if err := forest.Check(); err != nil {
		return nil, err
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
	return &Model{Encoder: encoder, Forest: forest, engine: gbdt.NewEngine(forest), explainer: explainer}, nil
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
		m.Encoder.Row(x.Row(i), &houses[i], area)
	}
	at := len(dst)
	dst = slices.Grow(dst, len(houses))[:at+len(houses)]
	m.logPrices(dst[at:], x)
	for i := at; i < len(dst); i++ {
		dst[i] = math.Exp(dst[i])
	}
	return dst
}

// logPrices sets dst[i] to the log of the price in dollars that row i is
// worth. Every price comes from here.
func (m *Model) logPrices(dst []float64, rows gbdt.Matrix) { m.engine.PredictRows(dst, rows) }

// logPrice is logPrices of one row.
func (m *Model) logPrice(row []float32) float64 {
	var one [1]float64
	m.logPrices(one[:], gbdt.Matrix{Data: row, Rows: 1, Cols: len(row)})
	return one[0]
}
