package report

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"housing/internal/bundle"
	"housing/internal/demographics"
	"housing/internal/house"
	"housing/internal/model"
)

// Report is what was measured of one model. What is empty is left out of the
// page, so a report may hold as little as a title.
type Report struct {
	Title    string          // such as "Model kc-1"
	Manifest bundle.Manifest // of the model that was trained or measured
	Digest   string          // SHA-256 of its bundle in hex, "" where it is not known
	Sources  []bundle.Source // files that it was measured on; none where it was measured in training

	// Accuracy is all that was measured. The first entry is the headline, and
	// stands for Sales and Predicted.
	Accuracy  []model.Accuracy
	Sales     []house.Sale // that were valued
	Predicted []float64    // their prices in dollars, in the order of Sales

	// What was looked into beside; each is left out where it is empty.
	Coverage      []model.Coverage
	Bounds        []model.Bounds      // of the intervals of Sales
	Demographics  *demographics.Table // of the neighbourhoods of Sales
	WithoutCensus []float64           // prices of Sales by models that knew no census figures
	Shuffled      []model.Shuffled
	Learning      []model.Learning

	Notes   []string      // what the reader must know to trust or doubt the figures
	Dropped int           // rows that were not used
	Faults  []house.Fault // why they were not, at least of the first
}

// Bounds of prices that can be drawn, in dollars.
const (
	minPrice = 1e-9
	maxPrice = 1e15
)

// document is metrics.json.
type document struct {
	Title      string           `json:"title"`
	Model      modelPart        `json:"model"`
	MeasuredOn []bundle.Source  `json:"measured_on"`
	Accuracy   []model.Accuracy `json:"accuracy"`
	Coverage   []model.Coverage `json:"coverage"`
	Segments   []model.Segment  `json:"segments"`

	Neighbourhoods []Neighbourhood  `json:"neighbourhoods"`
	Shuffled       []model.Shuffled `json:"permutation_importance"`
	Learning       []model.Learning `json:"learning_curve"`
	WithoutCensus  *model.Metrics   `json:"without_census,omitempty"` // absent where that was not tried

	Dropped droppedPart `json:"dropped"`
	Notes   []string    `json:"notes"`
}

type modelPart struct {
	Version     string          `json:"version"`
	SHA256      string          `json:"sha256,omitempty"`
	Type        string          `json:"type"`
	Created     time.Time       `json:"created,omitzero"`
	Program     string          `json:"program"`
	TrainedFrom []bundle.Source `json:"trained_from"`
	Sales       int             `json:"sales"`
	NewestSale  string          `json:"newest_sale"`
	Features    int             `json:"features"`
	Trees       int             `json:"trees"`
	Options     model.Options   `json:"options"`
}

type droppedPart struct {
	Rows    int      `json:"rows"`
	Reasons []reason `json:"reasons"`
}

// JSON returns metrics.json: indented, members always in the same order. It
// is an error if a figure is not finite.
func (r *Report) JSON() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	neighbourhoods, err := r.neighbourhoods()
	if err != nil {
		return nil, fmt.Errorf("metrics of %s: %w", r.Title, err)
	}
	segments, err := model.SegmentsOf(r.Sales, r.Predicted)
	if err != nil {
		return nil, fmt.Errorf("metrics of %s: %w", r.Title, err)
	}
	var without *model.Metrics
	if r.WithoutCensus != nil {
		everything := make([]int, len(r.Sales))
		for i := range everything {
			everything[i] = i
		}
		measured, err := r.measure(everything, r.WithoutCensus)
		if err != nil {
			return nil, fmt.Errorf("metrics of %s: %w", r.Title, err)
		}
		without = &measured
	}
	m := &r.Manifest
	text, err := json.MarshalIndent(document{
		Title: r.Title,
		Model: modelPart{
			Version: m.Version, SHA256: r.Digest, Type: m.ModelType, Created: m.Created, Program: m.Program,
			TrainedFrom: list(m.Sources), Sales: m.Sales, NewestSale: m.NewestSale,
			Features: len(m.Features), Trees: m.Trees, Options: m.Options,
		},
		MeasuredOn: list(r.Sources),
		Accuracy:   list(r.Accuracy),
		Coverage:   list(r.Coverage),
		Segments:   list(segments),

		Neighbourhoods: list(neighbourhoods),
		Shuffled:       list(r.Shuffled),
		Learning:       list(r.Learning),
		WithoutCensus:  without,

		Dropped: droppedPart{r.Dropped, list(reasons(r.Faults))},
		Notes:   list(r.Notes),
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("metrics of %s: %w", r.Title, err)
	}
	return append(text, '\n'), nil
}

// list makes an empty list be written as [] and not as null.
func list[T any](values []T) []T {
	if values == nil {
		return []T{}
	}
	return values
}

// check returns an error unless every sale has its price and all figures can
// be shown.
func (r *Report) check() error {
	if len(r.Sales) != len(r.Predicted) {
		return fmt.Errorf("report on %s: %d sales and %d predicted prices", r.Title, len(r.Sales), len(r.Predicted))
	}
	if r.Bounds != nil && len(r.Bounds) != len(r.Sales) || r.WithoutCensus != nil && len(r.WithoutCensus) != len(r.Sales) {
		return fmt.Errorf("report on %s: intervals or prices are of other sales", r.Title)
	}
	for i := range r.Sales {
		for _, price := range [2]float64{r.Sales[i].Price, r.Predicted[i]} {
			if !(price >= minPrice && price <= maxPrice) {
				return fmt.Errorf("report on %s: sale %d has the price %g, must be from %g to %g", r.Title, i+1, price, minPrice, maxPrice)
			}
		}
	}
	for _, a := range r.Accuracy {
		m := a.Metrics
		for _, v := range [...]float64{m.R2, m.RMSE, m.MAE, m.MAPE, m.MdAPE, m.PPE10, m.PPE20, m.MedianRatio, m.COD, m.PRD, m.PRB} {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return fmt.Errorf("report on %s: a figure of %q is %g", r.Title, a.Protocol, v)
			}
		}
	}
	if len(r.Manifest.Importance) != len(r.Manifest.Features) {
		return fmt.Errorf("report on %s: importance of %d features, there are %d", r.Title, len(r.Manifest.Importance), len(r.Manifest.Features))
	}
	return nil
}

// reason is why rows were dropped, without saying which.
type reason struct {
	Text   string `json:"reason"`
	Faults int    `json:"faults"`
}

// reasons counts faults that differ in row and value alone, most frequent
// first. Values are left out, for they are of houses.
func reasons(faults []house.Fault) []reason {
	var counted []reason
	for _, f := range faults {
		text := f.Message
		if _, column, ok := cutLast(f.Location, ": "); ok {
			text = column + ": " + text
		}
		i := slices.IndexFunc(counted, func(r reason) bool { return r.Text == text })
		if i < 0 {
			i = len(counted)
			counted = append(counted, reason{Text: text})
		}
		counted[i].Faults++
	}
	slices.SortStableFunc(counted, func(a, b reason) int { return b.Faults - a.Faults })
	return counted
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
