package model

import (
	"errors"
	"fmt"
	"math"

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
	return &Model{Encoder: encoder, Forest: forest}, nil
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

// Prices appends the price of each house in dollars, not rounded, to dst[:0]
// and returns it. It allocates nothing where dst has room.
func (m *Model) Prices(dst []float64, houses []house.House, table *demographics.Table) []float64 {
	var row [features.MaxColumns]float32
	dst = dst[:0]
	for i := range houses {
		area, _ := table.Lookup(houses[i].Zipcode())
		r := row[:features.NumColumns()]
		m.Encoder.Row(r, &houses[i], area)
		dst = append(dst, math.Exp(m.logPrice(r)))
	}
	return dst
}

// logPrice returns the log of the price in dollars that a row is worth. Every
// price comes from here.
func (m *Model) logPrice(row []float32) float64 { return m.Forest.Predict(row) }
