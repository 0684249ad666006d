package telemetry

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Type is the type of a metric, in Prometheus's words.
type Type string

// The types of metrics.
const (
	Counter   Type = "counter"
	Gauge     Type = "gauge"
	Histogram Type = "histogram"
)

// Spec describes one metric.
type Spec struct {
	Name    string
	Type    Type
	Labels  []string
	Help    string    // one sentence
	Buckets []float64 // classic buckets of a histogram, beside the native ones
	asked   bool      // a gauge whose value each scrape asks for
}

// Names of the metrics, as dashboards and alerts hold on to them.
const (
	predictionRequests = "prediction_requests_total"
	predictionDuration = "prediction_duration_seconds"
	predictionRecords  = "prediction_records_total"
	predictionPanics   = "prediction_panics_total"
	predictionErrors   = "prediction_errors_total"
	predictionRefused  = "prediction_refused_total"
	predictedPrice     = "predicted_price_dollars"
	modelLoadTime      = "model_load_time_seconds"
	modelLoadFailures  = "model_load_failures_total"
	modelSwaps         = "model_swaps_total"
	modelsSentBack     = "models_sent_back_total"
	modelInfo          = "model_info"
	rolloutShare       = "rollout_share"
	rolloutRollbacks   = "rollout_rollbacks_total"
	shadowRequests     = "shadow_requests_total"
	shadowDifference   = "shadow_difference_ratio"
	demographicsLookup = "demographics_lookups_total"
	httpRequests       = "http_requests_total"
	httpDuration       = "http_request_duration_seconds"
	httpInFlight       = "http_requests_in_flight"
	backupCompleted    = "backup_last_completed_timestamp_seconds"
	backupVerified     = "backup_last_verified_timestamp_seconds"
	connRefused        = "http_connections_refused_total"
	workers            = "prediction_workers"
	workersBusy        = "prediction_workers_busy"
	queueLength        = "prediction_queue_length"
	overloaded         = "overloaded_requests_total"
	dependencyUp       = "dependency_up"
	demographicsInfo   = "demographics_info"
	cacheRequests      = "cache_requests_total"
	rateLimited        = "rate_limited_requests_total"
	authFailures       = "auth_failures_total"
	fileReloads        = "file_reloads_total"
	journalRecorded    = "journal_recorded_total"
	journalWritten     = "journal_written_total"
	journalDropped     = "journal_dropped_total"
	journalWaiting     = "journal_waiting_records"
	certificateExpiry  = "tls_certificate_expiry_timestamp_seconds"
)

var (
	byVersion = []string{"model_version", "role"}
	// Half as much again each, so that a 95th percentile that grows by as much is
	// seen.
	fastSeconds = []float64{1e-5, 1.5e-5, 2.2e-5, 3.3e-5, 4.7e-5, 6.8e-5, 1e-4, 1.5e-4, 2.2e-4, 3.3e-4, 4.7e-4, 6.8e-4, 1e-3, 1.5e-3, 2.2e-3, 3.3e-3,
		4.7e-3, 6.8e-3, 1e-2, 1.5e-2, 2.2e-2, 3.3e-2, 4.7e-2, 6.8e-2, 1e-1, 1.5e-1, 2.2e-1, 3.3e-1, 4.7e-1, 6.8e-1, 1}
	requestSecond = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	// The prices grow by a sixth or so, evenly on a scale of logarithms, so that a
	// median and a distribution can be read from them.
	dollars = []float64{75e3, 90e3, 105e3, 120e3, 140e3, 165e3, 190e3, 220e3, 260e3, 300e3, 350e3, 410e3, 480e3, 560e3, 650e3, 760e3, 880e3,
		1.02e6, 1.2e6, 1.4e6, 1.65e6, 1.9e6, 2.2e6, 2.6e6, 3e6, 3.5e6, 4.1e6, 4.8e6, 5.6e6, 7.6e6, 10e6}
	ratios  = []float64{.5, .667, .8, .85, .9, .95, .98, .99, .995, 1, 1.005, 1.01, 1.02, 1.05, 1.1, 1.15, 1.25, 1.5, 2}
	percent = []float64{1, 2.5, 5, 7.5, 10, 15, 20, 30, 50, 75, 100, 200}
)

// table lists every metric of the service but those of Go and the process, and
// those of drift.
var table = []Spec{
	{Name: predictionRequests, Type: Counter, Labels: byVersion, Help: "Requests that were answered with prices."},
	{Name: predictionDuration, Type: Histogram, Labels: byVersion, Buckets: fastSeconds, Help: "Time to value the houses of one request that no cache had, waiting for a worker included."},
	{Name: predictionRecords, Type: Counter, Labels: byVersion, Help: "Houses that were valued."},
	{Name: predictionPanics, Type: Counter, Labels: byVersion, Help: "Panics inside a model that were turned into an error answer."},
	{Name: predictionErrors, Type: Counter, Labels: byVersion, Help: "Requests in which a model panicked or gave what is no price; another model may have answered them."},
	{Name: predictionRefused, Type: Counter, Labels: byVersion, Help: "Requests that were refused for what stood in them, by the version that would have answered."},
	{Name: predictedPrice, Type: Histogram, Labels: byVersion, Buckets: dollars, Help: "Predicted prices in US dollars."},
	{Name: workers, Type: Gauge, Help: "Requests that can be valued at once."},
	{Name: workersBusy, Type: Gauge, Help: "Workers that are valuing houses, aside too; one request of many houses may have several, and one of a few needs none."},
	{Name: queueLength, Type: Gauge, Help: "Requests that wait for a worker."},
	{Name: overloaded, Type: Counter, Labels: []string{"reason"}, Help: "Requests that were refused with 503 as there was no room; reason is queue (too many wait for a worker, or it would be for too long), in_flight (too many at once) or bodies (too many large ones were arriving)."},
	{Name: modelLoadTime, Type: Gauge, Help: "Time that loading and checking the newest of the running models took."},
	{Name: modelLoadFailures, Type: Counter, Labels: []string{"reason"}, Help: "Models that could not be loaded or were refused."},
	{Name: modelSwaps, Type: Counter, Help: "Times that another model became the primary."},
	{Name: modelsSentBack, Type: Counter, Labels: []string{"model_version"}, Help: "Models that failed so often that another answers in their place."},
	{Name: modelInfo, Type: Gauge, Labels: []string{"sha256", "version"}, Help: "1 for each model that is running."},
	{Name: rolloutShare, Type: Gauge, Labels: []string{"role", "version"}, Help: "Share of callers, of 1, that the traffic plan sends to a version."},
	{Name: rolloutRollbacks, Type: Counter, Help: "Candidates that were taken out of the traffic plan and did not become the primary."},
	{Name: shadowRequests, Type: Counter, Labels: []string{"result"}, Help: "Requests that were to be valued aside by a second model; result is valued, dropped or failed."},
	{Name: shadowDifference, Type: Histogram, Labels: []string{"model_version"}, Buckets: ratios, Help: "Price by the candidate over price by the primary for the same house; the version is the candidate's."},
	{Name: demographicsLookup, Type: Counter, Labels: []string{"result"}, Help: "Lookups of a zipcode's demographics; result is known or unknown."},
	{Name: demographicsInfo, Type: Gauge, Labels: []string{"sha256", "source"}, Help: "1 for the table of demographics that is used; source is model, csv or postgresql."},
	{Name: dependencyUp, Type: Gauge, Labels: []string{"dependency"}, Help: "1 while a system outside answers, 0 while it does not."},
	{Name: cacheRequests, Type: Counter, Labels: []string{"cache", "result"}, Help: "Entries that were looked for; cache is prices_memory, prices_redis or bundles_redis, result is hit, miss, refused (it had been tampered with) or error."},
	{Name: rateLimited, Type: Counter, Labels: []string{"limiter"}, Help: "Requests that were refused as their client sent too many; limiter is shared (Redis knew) or local."},
	{Name: authFailures, Type: Counter, Labels: []string{"reason"}, Help: "Requests that were refused for their token, or for having none."},
	{Name: fileReloads, Type: Counter, Labels: []string{"file", "result"}, Help: "Files of settings that were read again after they had changed; result is ok or failed."},
	{Name: certificateExpiry, Type: Gauge, Help: "When the TLS certificate that is served expires, as seconds since 1970; 0 without TLS."},
	{Name: journalRecorded, Type: Counter, Help: "Valued houses that were noted for the journal."},
	{Name: journalWritten, Type: Counter, Help: "Valued houses that were brought to PostgreSQL; after a restart those of the process before too."},
	{Name: journalDropped, Type: Counter, Labels: []string{"reason"}, Help: "Valued houses that were lost for the journal; reason is full (of what waits), expired (older than is kept), clock (of the future), torn (half-written when a machine stopped, an entry of which counts as one house as it is not known how many it held, or damaged since), refused (by PostgreSQL) or lost (in memory at the end)."},
	{Name: journalWaiting, Type: Gauge, asked: true, Help: "Valued houses that wait to be brought to PostgreSQL."},
	{Name: backupCompleted, Type: Gauge, Help: "When the newest backup in BACKUP_DIR was made, as seconds since 1970; 0 where there is none."},
	{Name: backupVerified, Type: Gauge, Help: "When the newest backup was made that was verified since, and is good, as seconds since 1970; 0 where there is none."},
	{Name: connRefused, Type: Counter, Help: "Connections that were closed at once, as too many were open."},
	{Name: httpRequests, Type: Counter, Labels: []string{"method", "route", "status"}, Help: "HTTP requests that were answered."},
	{Name: httpDuration, Type: Histogram, Labels: []string{"method", "route"}, Buckets: requestSecond, Help: "Time from the end of the request's header to the end of the answer."},
	{Name: httpInFlight, Type: Gauge, Help: "HTTP requests that are being answered."},
}

// Table returns the description of every metric, in the order of the
// documents.
func Table() []Spec { return slices.Concat(table, outcomeTable, driftTable) }

// Metrics holds the service's metrics. Make one with [NewMetrics].
type Metrics struct {
	ModelLoadTime       prometheus.Gauge
	ModelSwaps          prometheus.Counter
	RolloutRollbacks    prometheus.Counter
	HTTPInFlight        prometheus.Gauge
	CertificateExpiry   prometheus.Gauge
	ConnectionsRefused  prometheus.Counter
	Workers             prometheus.Gauge
	WorkersBusy         prometheus.Gauge
	QueueLength         prometheus.Gauge
	OverloadedQueue     prometheus.Counter
	OverloadedInFlight  prometheus.Counter
	OverloadedBodies    prometheus.Counter
	DemographicsKnown   prometheus.Counter
	DemographicsUnknown prometheus.Counter
	cacheRequests       *prometheus.CounterVec
	rateLimited         *prometheus.CounterVec
	modelLoadFailures   *prometheus.CounterVec
	modelsSentBack      *prometheus.CounterVec
	modelInfo           *prometheus.GaugeVec
	rolloutShare        *prometheus.GaugeVec
	shadowRequests      *prometheus.CounterVec
	shadowDifference    *prometheus.HistogramVec
	demographicsInfo    *prometheus.GaugeVec
	dependencyUp        *prometheus.GaugeVec
	predictionRequests  *prometheus.CounterVec
	predictionDuration  *prometheus.HistogramVec
	predictionRecords   *prometheus.CounterVec
	predictionPanics    *prometheus.CounterVec
	predictionErrors    *prometheus.CounterVec
	predictionRefused   *prometheus.CounterVec
	predictedPrice      *prometheus.HistogramVec
	httpRequests        *prometheus.CounterVec
	authFailures        *prometheus.CounterVec
	fileReloads         *prometheus.CounterVec
	backupCompleted     *prometheus.GaugeVec
	backupVerified      *prometheus.GaugeVec
	httpDuration        *prometheus.HistogramVec
	journalRecorded     prometheus.Counter
	journalWritten      prometheus.Counter
	journalDropped      *prometheus.CounterVec
	journalWaiting      *asked
	outcomeError        *prometheus.HistogramVec
	modelAccuracy       *prometheus.GaugeVec
	outcomes            outcomes
	drift               drift
	off                 bool // see Unmeasured
}

// NewMetrics makes the metrics of the table, and those of Go and the
// process, on reg. It panics if one of them is there already, as only a
// mistake in the program can bring that about.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	made := map[string]prometheus.Collector{}
	for _, s := range Table() {
		made[s.Name] = s.collector()
		reg.MustRegister(made[s.Name])
	}
	counter := func(name string) *prometheus.CounterVec { return made[name].(*prometheus.CounterVec) }
	gauge := func(name string) *prometheus.GaugeVec { return made[name].(*prometheus.GaugeVec) }
	histogram := func(name string) *prometheus.HistogramVec { return made[name].(*prometheus.HistogramVec) }
	lookups := counter(demographicsLookup)
	return &Metrics{
		ModelLoadTime:       gauge(modelLoadTime).WithLabelValues(),
		ModelSwaps:          counter(modelSwaps).WithLabelValues(),
		RolloutRollbacks:    counter(rolloutRollbacks).WithLabelValues(),
		HTTPInFlight:        gauge(httpInFlight).WithLabelValues(),
		ConnectionsRefused:  counter(connRefused).WithLabelValues(),
		CertificateExpiry:   gauge(certificateExpiry).WithLabelValues(),
		Workers:             gauge(workers).WithLabelValues(),
		WorkersBusy:         gauge(workersBusy).WithLabelValues(),
		QueueLength:         gauge(queueLength).WithLabelValues(),
		OverloadedQueue:     counter(overloaded).WithLabelValues("queue"),
		OverloadedInFlight:  counter(overloaded).WithLabelValues("in_flight"),
		OverloadedBodies:    counter(overloaded).WithLabelValues("bodies"),
		DemographicsKnown:   lookups.WithLabelValues("known"),
		DemographicsUnknown: lookups.WithLabelValues("unknown"),
		cacheRequests:       counter(cacheRequests),
		rateLimited:         counter(rateLimited),
		modelLoadFailures:   counter(modelLoadFailures),
		modelsSentBack:      counter(modelsSentBack),
		modelInfo:           gauge(modelInfo),
		rolloutShare:        gauge(rolloutShare),
		shadowRequests:      counter(shadowRequests),
		shadowDifference:    histogram(shadowDifference),
		demographicsInfo:    gauge(demographicsInfo),
		dependencyUp:        gauge(dependencyUp),
		predictionRequests:  counter(predictionRequests),
		predictionDuration:  histogram(predictionDuration),
		predictionRecords:   counter(predictionRecords),
		predictionPanics:    counter(predictionPanics),
		predictionErrors:    counter(predictionErrors),
		predictionRefused:   counter(predictionRefused),
		predictedPrice:      histogram(predictedPrice),
		httpRequests:        counter(httpRequests),
		authFailures:        counter(authFailures),
		fileReloads:         counter(fileReloads),
		backupCompleted:     gauge(backupCompleted),
		backupVerified:      gauge(backupVerified),
		httpDuration:        histogram(httpDuration),
		journalRecorded:     counter(journalRecorded).WithLabelValues(),
		journalWritten:      counter(journalWritten).WithLabelValues(),
		journalDropped:      counter(journalDropped),
		journalWaiting:      made[journalWaiting].(*asked),
		outcomeError:        histogram(outcomeError),
		modelAccuracy:       gauge(modelAccuracy),
		outcomes: outcomes{
			mdape: gauge(outcomeMdAPE), ppe10: gauge(outcomePPE10), medianRatio: gauge(outcomeMedianRatio),
			prd: gauge(outcomePRD), prb: gauge(outcomePRB), sales: gauge(outcomeSales),
		},
		drift: drift{
			houses: counter(driftHouses), population: gauge(driftPopulation), psi: gauge(featurePSI), trained: gauge(featureTrained),
			values: counter(featureValues), unknown: counter(featureUnknown), outsideRange: counter(featureOutside),
		},
	}
}

func (s *Spec) collector() prometheus.Collector {
	switch s.Type {
	case Counter:
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: s.Name, Help: s.Help}, s.Labels)
	case Gauge:
		if s.asked {
			return newAsked(s)
		}
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: s.Name, Help: s.Help}, s.Labels)
	case Histogram:
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:                            s.Name,
			Help:                            s.Help,
			Buckets:                         s.Buckets,
			NativeHistogramBucketFactor:     1.1,
			NativeHistogramMaxBucketNumber:  160,
			NativeHistogramMinResetDuration: time.Hour,
		}, s.Labels)
	}
	panic(fmt.Sprintf("metric %s has no type", s.Name))
}

// Prediction holds the metrics of one version in one role, looked up once so
// that the hot path looks nothing up.
type Prediction struct {
	Requests prometheus.Counter
	Records  prometheus.Counter
	Panics   prometheus.Counter
	Errors   prometheus.Counter
	Refused  prometheus.Counter
	Duration prometheus.Observer // seconds
	Price    prometheus.Observer // US dollars
}

// Prediction returns the metrics of a loaded version in a role.
func (m *Metrics) Prediction(version, role string) Prediction {
	if m.off {
		return unmeasured
	}
	return Prediction{
		Requests: m.predictionRequests.WithLabelValues(version, role),
		Records:  m.predictionRecords.WithLabelValues(version, role),
		Errors:   m.predictionErrors.WithLabelValues(version, role),
		Refused:  m.predictionRefused.WithLabelValues(version, role),
		Panics:   m.predictionPanics.WithLabelValues(version, role),
		Duration: m.predictionDuration.WithLabelValues(version, role),
		Price:    m.predictedPrice.WithLabelValues(version, role),
	}
}

// ForgetPrediction shows no more metrics of a version that runs no longer, as
// versions come and go for as long as the service runs.
func (m *Metrics) ForgetPrediction(version string) {
	label := prometheus.Labels{"model_version": version}
	for _, c := range []*prometheus.CounterVec{m.predictionRequests, m.predictionRecords, m.predictionPanics, m.predictionErrors, m.predictionRefused, m.modelsSentBack} {
		c.DeletePartialMatch(label)
	}
	for _, h := range []*prometheus.HistogramVec{m.predictionDuration, m.predictedPrice, m.shadowDifference} {
		h.DeletePartialMatch(label)
	}
}

// SetModels makes model_info name these versions alone, with the digests of
// their bundles.
func (m *Metrics) SetModels(digests map[string]string) {
	m.modelInfo.Reset()
	for version, digest := range digests {
		m.modelInfo.WithLabelValues(digest, version).Set(1)
	}
}

// ModelLoadFailure counts models that could not be loaded; reason is one of a
// few words.
func (m *Metrics) ModelLoadFailure(reason string, models int) {
	m.modelLoadFailures.WithLabelValues(reason).Add(float64(models))
}

// ModelSentBack returns the count of a version's being sent back, which is
// shown from now on so that its growth can be seen.
func (m *Metrics) ModelSentBack(version string) prometheus.Counter {
	return m.modelsSentBack.WithLabelValues(version)
}

// Share is the part of the callers that a version answers in a role.
type Share struct {
	Version, Role string
	Share         float64 // of 1
}

// SetShares makes rollout_share show these alone.
func (m *Metrics) SetShares(shares ...Share) {
	m.rolloutShare.Reset()
	for _, s := range shares {
		m.rolloutShare.WithLabelValues(s.Role, s.Version).Set(s.Share)
	}
}

// Shadow returns the count of requests that were to be valued aside and came
// to this end, one of a few words.
func (m *Metrics) Shadow(result string) prometheus.Counter {
	return m.shadowRequests.WithLabelValues(result)
}

// ShadowDifference returns where the price by a candidate over that by the
// primary is observed.
func (m *Metrics) ShadowDifference(version string) prometheus.Observer {
	return m.shadowDifference.WithLabelValues(version)
}

// SetDemographics makes demographics_info name this table alone.
func (m *Metrics) SetDemographics(source, sha256 string) {
	m.demographicsInfo.Reset()
	m.demographicsInfo.WithLabelValues(sha256, source).Set(1)
}

// DependencyUp returns the gauge of a system outside.
func (m *Metrics) DependencyUp(name string) prometheus.Gauge {
	return m.dependencyUp.WithLabelValues(name)
}

// Cache holds the metrics of one cache, looked up once.
type Cache struct{ Hit, Miss, Refused, Error prometheus.Counter }

// Cache returns the metrics of a cache.
func (m *Metrics) Cache(name string) Cache {
	result := func(result string) prometheus.Counter { return m.cacheRequests.WithLabelValues(name, result) }
	return Cache{Hit: result("hit"), Miss: result("miss"), Refused: result("refused"), Error: result("error")}
}

// SetBackups shows of when the last backups are. Before it is called there is
// no such metric, as where no backups are to be seen.
func (m *Metrics) SetBackups(completed, verified time.Time) {
	seconds := func(t time.Time) float64 {
		if t.IsZero() {
			return 0
		}
		return float64(t.Unix())
	}
	m.backupCompleted.WithLabelValues().Set(seconds(completed))
	m.backupVerified.WithLabelValues().Set(seconds(verified))
}

// RateLimited returns the count of requests that a limiter refused.
func (m *Metrics) RateLimited(limiter string) prometheus.Counter {
	return m.rateLimited.WithLabelValues(limiter)
}

// AuthFailures returns the counter of requests refused for a reason, which
// must be one of a few fixed words.
func (m *Metrics) AuthFailures(reason string) prometheus.Counter {
	return m.authFailures.WithLabelValues(reason)
}

// ShowFileReloads shows the readings of a file from now on; file is a fixed
// word.
func (m *Metrics) ShowFileReloads(file string) {
	m.fileReloads.WithLabelValues(file, "ok")
	m.fileReloads.WithLabelValues(file, "failed")
}

// FileReload counts one reading of a file that changed; file is a fixed word.
func (m *Metrics) FileReload(file string, err error) {
	result := "ok"
	if err != nil {
		result = "failed"
	}
	m.fileReloads.WithLabelValues(file, result).Inc()
}

// ObserveHTTP counts one answered request, whose trace is in ctx if t traced
// it. The route must be a registered pattern's path or a fixed word; the
// method may be anything.
func (m *Metrics) ObserveHTTP(ctx context.Context, t *Tracer, method, route string, status int, took time.Duration) {
	if m.off {
		return
	}
	method = boundedMethod(method)
	m.httpRequests.WithLabelValues(method, route, statusText(status)).Inc()
	t.Observe(ctx, m.httpDuration.WithLabelValues(method, route), took.Seconds())
}

// boundedMethod returns a method of RFC 9110 or 5789 as it is, and "other"
// for what a client made up.
func boundedMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return method
	}
	return "other"
}

// statusTexts holds the three digits of every status, so that counting one
// allocates nothing.
var statusTexts = func() (texts [600]string) {
	for i := 100; i < len(texts); i++ {
		texts[i] = fmt.Sprint(i)
	}
	return texts
}()

func statusText(status int) string {
	if status < 100 || status >= len(statusTexts) {
		return "other"
	}
	return statusTexts[status]
}

// Unit returns the unit of what a metric counts or shows, by the ending of its
// name, as is the custom of Prometheus; "-" for a number of things.
func (s *Spec) Unit() string {
	name := strings.TrimSuffix(s.Name, "_total")
	for _, unit := range []string{"seconds", "dollars", "bytes", "ratio"} {
		if strings.HasSuffix(name, "_"+unit) {
			return unit
		}
	}
	if strings.HasSuffix(name, "_percentage_error") {
		return "percent"
	}
	return "-"
}
