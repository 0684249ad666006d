package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Unmeasured returns metrics that count nothing of what each request counts,
// which benchmarks compare with.
func Unmeasured() *Metrics {
	m := NewMetrics(prometheus.NewRegistry())
	m.off = true
	m.HTTPInFlight, m.WorkersBusy, m.QueueLength = noGauge{}, noGauge{}, noGauge{}
	m.DemographicsKnown, m.DemographicsUnknown = noCounter{}, noCounter{}
	return m
}

type noCounter struct{ prometheus.Counter }

func (noCounter) Inc()        {}
func (noCounter) Add(float64) {}

type noGauge struct{ prometheus.Gauge }

func (noGauge) Inc() {}
func (noGauge) Dec() {}

type noHistogram struct{ prometheus.Histogram }

func (noHistogram) Observe(float64)                                {}
func (noHistogram) ObserveWithExemplar(float64, prometheus.Labels) {}

var unmeasured = Prediction{Requests: noCounter{}, Records: noCounter{}, Panics: noCounter{}, Errors: noCounter{}, Refused: noCounter{}, Duration: noHistogram{}, Price: noHistogram{}}
