package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Names of the metrics of what houses sold for.
const (
	outcomeError       = "outcome_absolute_percentage_error"
	outcomeMdAPE       = "outcome_mdape_percent"
	outcomePPE10       = "outcome_ppe10_percent"
	outcomeMedianRatio = "outcome_median_ratio"
	outcomePRD         = "outcome_prd"
	outcomePRB         = "outcome_prb"
	outcomeSales       = "outcome_window_sales"
	modelAccuracy      = "model_accuracy"
)

var byOutcomeVersion = []string{"version"}

// outcomeTable describes the metrics of what houses sold for. The rolling
// figures are the same on every replica, as all read one journal.
var outcomeTable = []Spec{
	{Name: outcomeError, Type: Histogram, Labels: byOutcomeVersion, Buckets: percent, Help: "How far predictions were from what houses sold for, in percent of the sale price, as outcomes come in; version other is of those beyond the first 10."},
	{Name: outcomeMdAPE, Type: Gauge, Labels: byOutcomeVersion, Help: "Median absolute error in percent of the sale price, of a version's newest outcomes: 1,000 at most, of 90 days; the five versions with the newest."},
	{Name: outcomePPE10, Type: Gauge, Labels: byOutcomeVersion, Help: "Percent of the predictions within 10 % of the sale price, of the same outcomes."},
	{Name: outcomeMedianRatio, Type: Gauge, Labels: byOutcomeVersion, Help: "Median of prediction over sale price, of the same outcomes."},
	{Name: outcomePRD, Type: Gauge, Labels: byOutcomeVersion, Help: "Price-related differential of the same outcomes; over 1 is dear houses valued low."},
	{Name: outcomePRB, Type: Gauge, Labels: byOutcomeVersion, Help: "Price-related bias of the same outcomes: change of the ratio when the value doubles."},
	{Name: outcomeSales, Type: Gauge, Labels: byOutcomeVersion, Help: "How many outcomes these are; with fewer than 30 there are no figures."},
	{Name: modelAccuracy, Type: Gauge, Labels: []string{"figure", "version"}, Help: "What was measured at training of a version that runs, on sales that it had not seen; figure is mdape or ppe10, in percent."},
}

// outcomes holds the rolling figures of all versions.
type outcomes struct {
	mdape, ppe10, medianRatio, prd, prb, sales *prometheus.GaugeVec
	shown                                      map[string]bool // versions
}

// OutcomeFigures are the rolling figures of a version.
type OutcomeFigures struct {
	Version                             string
	Sales                               int
	Measured                            bool // whether there are the figures below
	MdAPE, PPE10, MedianRatio, PRD, PRB float64
}

// SetOutcomes makes the rolling figures show these versions alone. It is for
// one caller at a time, who bounds the versions.
func (m *Metrics) SetOutcomes(figures []OutcomeFigures) {
	o := &m.outcomes
	before := o.shown
	o.shown = map[string]bool{}
	for _, f := range figures {
		o.sales.WithLabelValues(f.Version).Set(float64(f.Sales))
		delete(before, f.Version)
		o.shown[f.Version] = true
		for vec, value := range map[*prometheus.GaugeVec]float64{o.mdape: f.MdAPE, o.ppe10: f.PPE10, o.medianRatio: f.MedianRatio, o.prd: f.PRD, o.prb: f.PRB} {
			if f.Measured {
				vec.WithLabelValues(f.Version).Set(value)
			} else {
				vec.DeleteLabelValues(f.Version)
			}
		}
	}
	for version := range before {
		for _, vec := range []*prometheus.GaugeVec{o.mdape, o.ppe10, o.medianRatio, o.prd, o.prb, o.sales} {
			vec.DeleteLabelValues(version)
		}
	}
}

// OutcomeError returns the histogram of the errors of a version, in percent.
// The caller bounds the versions.
func (m *Metrics) OutcomeError(version string) prometheus.Observer {
	return m.outcomeError.WithLabelValues(version)
}

// ModelAccuracy is what was measured of a version at training, in percent.
type ModelAccuracy struct{ MdAPE, PPE10 float64 }

// SetAccuracy makes model_accuracy show these versions alone.
func (m *Metrics) SetAccuracy(versions map[string]ModelAccuracy) {
	m.modelAccuracy.Reset()
	for version, a := range versions {
		m.modelAccuracy.WithLabelValues("mdape", version).Set(a.MdAPE)
		m.modelAccuracy.WithLabelValues("ppe10", version).Set(a.PPE10)
	}
}
