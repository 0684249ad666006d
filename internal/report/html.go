package report

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"housing/internal/bundle"
	"housing/internal/model"
)

//go:embed style.css
var style string

// maxFeatures is how many features are shown by importance.
const maxFeatures = 25

// page is what page.templ shows; all numbers are text by now.
type page struct {
	Title      string
	Lede       string
	Basis      string
	Facts      []fact
	Notes      []string
	Closeness  []figure
	Fairness   []standard
	Head       []string
	Accuracy   []protocolRows
	Scatter    *scatter
	Histogram  *histogram
	Groupings  []grouping
	Study      *study
	Importance []importance
	Other      string // share of the features that are not shown, or ""
	Trained    []bundle.Source
	Measured   []bundle.Source
	Parameters []fact
	Dropped    string
	Reasons    []reason
}

// fact is a name and its value.
type fact struct {
	Name, Value string
	Code        bool
}

// importance is a feature's share of the gain.
type importance struct{ Name, Share, Length string }

// describesModel says whether anything is known of the model.
func (p *page) describesModel() bool {
	return len(p.Importance) > 0 || len(p.Facts) > 0 || len(p.Trained) > 0 || len(p.Measured) > 0 || len(p.Parameters) > 0 || p.Dropped != ""
}

// HTML returns the page: one file that loads nothing, well-formed as XML.
func (r *Report) HTML() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	p := &page{
		Title: r.Title, Notes: r.Notes,
		Facts: facts(r), Scatter: newScatter(r),
		Trained: r.Manifest.Sources, Measured: r.Sources, Parameters: parameters(r), Reasons: reasons(r.Faults),
	}
	if len(r.Accuracy) > 0 {
		first := &r.Accuracy[0]
		p.Lede, p.Basis = lede(first), basis(first)
		p.Closeness, p.Fairness = closeness(&first.Metrics), fairness(&first.Metrics)
		p.Head, p.Accuracy = accuracyHead, accuracyTable(r.Accuracy)
	}
	overall, err := r.overall()
	if err != nil {
		return nil, err
	}
	p.Histogram = newHistogram(r, overall)
	if p.Groupings, err = newGroupings(r, overall); err != nil {
		return nil, err
	}
	if p.Study, err = r.study(); err != nil {
		return nil, err
	}
	p.Importance, p.Other = importances(&r.Manifest)
	if r.Dropped > 0 {
		p.Dropped = plural(r.Dropped, "row was", "rows were") + " not used."
	}
	var b bytes.Buffer
	if err := reportPage(p).Render(context.Background(), &b); err != nil {
		return nil, fmt.Errorf("report on %s: %w", r.Title, err)
	}
	return b.Bytes(), nil
}

// overall measures all sales of the report, or returns nil where they are
// too few.
func (r *Report) overall() (*model.Metrics, error) {
	if len(r.Sales) < 2 {
		return nil, nil
	}
	prices := make([]float64, len(r.Sales))
	for i := range r.Sales {
		prices[i] = r.Sales[i].Price
	}
	m, err := model.Measure(prices, r.Predicted)
	if err != nil {
		return nil, fmt.Errorf("report on %s: %w", r.Title, err)
	}
	return &m, nil
}

// facts say which model it is; those that are not known are left out.
func facts(r *Report) []fact {
	m := &r.Manifest
	all := []fact{{Name: "Version", Value: m.Version}, {Name: "Type", Value: m.ModelType}, {Name: "Program", Value: m.Program}}
	if !m.Created.IsZero() {
		all = append(all, fact{Name: "Made", Value: m.Created.UTC().Format("2006-01-02 15:04 MST")})
	}
	if m.Sales > 0 {
		all = append(all, fact{Name: "Trained from", Value: plural(m.Sales, "sale", "sales")})
	}
	if t, err := time.Parse(time.DateOnly, m.NewestSale); err == nil {
		all = append(all, fact{Name: "Newest sale", Value: t.Format("2 January 2006")})
	}
	if len(m.Features) > 0 {
		all = append(all, fact{Name: "Features", Value: count(len(m.Features))})
	}
	if m.Trees > 0 {
		all = append(all, fact{Name: "Trees", Value: count(m.Trees)})
	}
	all = append(all, fact{Name: "SHA-256", Value: r.Digest, Code: true})
	return slices.DeleteFunc(all, func(f fact) bool { return f.Value == "" })
}

// parameters lists the options of training by their names in the manifest,
// none where the model was not trained here.
func parameters(r *Report) []fact {
	if reflect.ValueOf(r.Manifest.Options).IsZero() {
		return nil
	}
	return parametersOf(reflect.ValueOf(r.Manifest.Options))
}

func parametersOf(options reflect.Value) []fact {
	var all []fact
	for i := range options.NumField() {
		name, _, _ := strings.Cut(options.Type().Field(i).Tag.Get("json"), ",")
		switch v := options.Field(i); {
		case name == "-" || name == "":
		case v.Kind() == reflect.Struct:
			all = append(all, parametersOf(v)...)
		default:
			all = append(all, fact{Name: name, Value: fmt.Sprint(v.Interface())})
		}
	}
	return all
}

// importances returns the features with the greatest shares of the gain, and
// what is left for the others.
func importances(m *bundle.Manifest) (shown []importance, other string) {
	type feature struct {
		name  string
		share float64
	}
	var all []feature
	for i, share := range m.Importance {
		if share > 0 { // also drops NaN, of a forest that gained nothing
			all = append(all, feature{m.Features[i], share})
		}
	}
	slices.SortStableFunc(all, func(a, b feature) int { return cmp.Compare(b.share, a.share) })
	var rest float64
	for i, f := range all {
		if i >= maxFeatures {
			rest += f.share
			continue
		}
		shown = append(shown, importance{f.name, percent(100 * f.share), coordinate(100 * f.share / all[0].share)})
	}
	if more := len(all) - maxFeatures; more > 0 {
		other = fmt.Sprintf("Not shown: %s with %s together.", plural(more, "feature", "features"), percent(100*rest))
	}
	return shown, other
}
