package valuer

import (
	"slices"
	"time"

	"housing/internal/bundle"
	"housing/internal/demographics"
	"housing/internal/house"
	"housing/internal/model"
)

// Pricer prices houses: *[model.Model] does, and tests put a faulty one in
// its place. Prices appends the price of each house in dollars to dst[:0].
// It is called concurrently.
type Pricer interface {
	Prices(dst []float64, houses []house.House, table *demographics.Table) []float64
}

// Appraiser is a Pricer that says how sure its prices are, and why: those
// that do not can answer [Valuer.Value] alone.
type Appraiser interface {
	Value(dst []model.Valuation, houses []house.House, table *demographics.Table, level float64) []model.Valuation
}

// Model is a model that can run, with all that its answers depend on. It does
// not change once it runs.
type Model struct {
	Pricer       Pricer
	Demographics *demographics.Table
	// DemographicsSource says where the table is from: model, csv or
	// postgresql.
	DemographicsSource string
	Manifest           bundle.Manifest
	Digest             string // hexadecimal SHA-256 of the bundle
	// Reference says what the model was trained on; nil where that is not
	// known, so that what it is asked cannot be compared.
	Reference *model.Reference
	Type      string
	Engine    string    // how it predicts: see [gbdt.Engine.Name]
	Features  []string  // names of the columns, in order
	Since     time.Time // when it began to run; set by Add
	// Release gives back what the model holds, once the last call that uses
	// it has ended; nil is nothing.
	Release func() error
}

// FromBundle returns the model in a bundle, which is closed by Release.
func FromBundle(b *bundle.Bundle) Model {
	return Model{
		Pricer:             b.Model,
		Demographics:       b.Demographics,
		DemographicsSource: "model",
		Manifest:           b.Manifest,
		Digest:             b.Digest,
		Reference:          b.Model.Reference,
		Type:               model.Type,
		Engine:             b.Model.Engine(),
		Features:           b.Model.FeatureNames(),
		Release:            b.Close,
	}
}

// measured is how many valuations Measure takes the median of.
const measured = 25

// Measure returns how long valuing one house takes: the median of some, of
// which the first ones warm the model up.
func (m *Model) Measure(example house.House) time.Duration {
	houses := []house.House{example}
	var prices []float64
	took := make([]time.Duration, measured)
	for i := range took {
		start := time.Now()
		prices = m.Pricer.Prices(prices[:0], houses, m.Demographics)
		took[i] = time.Since(start)
	}
	slices.Sort(took)
	return took[measured/2]
}
