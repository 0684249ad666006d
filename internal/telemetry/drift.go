package telemetry

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// Names of the metrics of drift.
const (
	driftHouses     = "drift_houses_total"
	driftPopulation = "drift_population_p_value"
	featurePSI      = "feature_drift_psi"
	featureValues   = "feature_values_total"
	featureTrained  = "feature_reference_values"
	featureUnknown  = "feature_unknown_total"
	featureOutside  = "feature_outside_range_total"
)

var (
	byFeature = []string{"feature", "model_version"}
	byBin     = []string{"bin", "feature", "model_version"}
)

// driftTable describes the metrics of drift. What can be added up over
// replicas are counters; a ratio is made of them by Prometheus.
var driftTable = []Spec{
	{Name: driftHouses, Type: Counter, Labels: []string{"model_version"}, Help: "Houses that a version valued as primary or candidate and that were compared with those it was trained on."},
	{Name: driftPopulation, Type: Gauge, Labels: []string{"model_version"}, Help: "Probability of houses at least as different from those of the training if no feature's PSI were over 0.1; of this replica's newest houses."},
	{Name: featurePSI, Type: Gauge, Labels: byFeature, Help: "Population stability index of a feature (a field, or price) against the training, in about 100 bins and without what chance adds; of this replica's houses of five minutes, or of the newest 2,000 different ones."},
	{Name: featureValues, Type: Counter, Labels: byBin, Help: "Known values of a feature that were seen, in at most 17 bins, mostly 8."},
	{Name: featureTrained, Type: Gauge, Labels: byBin, Help: "Values of the feature in the same bins among the sales that the version was trained on."},
	{Name: featureUnknown, Type: Counter, Labels: byFeature, Help: "Houses of which a feature was unknown; not shown of the four that are always known."},
	{Name: featureOutside, Type: Counter, Labels: byFeature, Help: "Values outside the range of the training; of zipcode, those without demographics."},
}

// drift holds the metrics of drift of all versions.
type drift struct {
	houses                        *prometheus.CounterVec
	population, psi, trained      *prometheus.GaugeVec
	values, unknown, outsideRange *prometheus.CounterVec
}

// Drift holds the metrics of the drift of one version.
type Drift struct {
	drift   *drift
	version string
}

// Drift returns the metrics of the drift of a version. The caller bounds the
// versions.
func (m *Metrics) Drift(version string) Drift { return Drift{&m.drift, version} }

// Houses returns the count of the houses that were compared.
func (d Drift) Houses() prometheus.Counter { return d.drift.houses.WithLabelValues(d.version) }

// Values returns the count of a feature's values in a bin, and sets how many
// the training had there.
func (d Drift) Values(feature string, bin int, trained uint64) prometheus.Counter {
	label := strconv.Itoa(bin)
	d.drift.trained.WithLabelValues(label, feature, d.version).Set(float64(trained))
	return d.drift.values.WithLabelValues(label, feature, d.version)
}

// Unknown returns the count of houses of which a feature was unknown.
func (d Drift) Unknown(feature string) prometheus.Counter {
	return d.drift.unknown.WithLabelValues(feature, d.version)
}

// OutsideRange returns the count of a feature's values outside the range of
// the training.
func (d Drift) OutsideRange(feature string) prometheus.Counter {
	return d.drift.outsideRange.WithLabelValues(feature, d.version)
}

// SetPSI sets a feature's PSI; NaN, where too little was seen, shows none.
func (d Drift) SetPSI(feature string, psi float64) {
	if psi != psi {
		d.drift.psi.DeleteLabelValues(feature, d.version)
		return
	}
	d.drift.psi.WithLabelValues(feature, d.version).Set(psi)
}

// SetPopulation sets the probability of the population's test; NaN shows
// none.
func (d Drift) SetPopulation(p float64) {
	if p != p {
		d.drift.population.DeleteLabelValues(d.version)
		return
	}
	d.drift.population.WithLabelValues(d.version).Set(p)
}

// Forget shows no more of the version.
func (d Drift) Forget() {
	label := prometheus.Labels{"model_version": d.version}
	for _, c := range []*prometheus.CounterVec{d.drift.houses, d.drift.values, d.drift.unknown, d.drift.outsideRange} {
		c.DeletePartialMatch(label)
	}
	for _, g := range []*prometheus.GaugeVec{d.drift.population, d.drift.psi, d.drift.trained} {
		g.DeletePartialMatch(label)
	}
}
