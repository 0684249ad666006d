package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Dropped is why a record is lost for the journal.
type Dropped string

// The reasons. There are no others, as they label a metric.
const (
	DroppedFull    Dropped = "full"
	DroppedExpired Dropped = "expired"
	DroppedClock   Dropped = "clock"
	DroppedTorn    Dropped = "torn"
	DroppedRefused Dropped = "refused"
	DroppedLost    Dropped = "lost"
)

// Journal holds the metrics of the journal, looked up once.
type Journal struct {
	Recorded, Written prometheus.Counter
	dropped           *prometheus.CounterVec
}

// Journal returns the metrics of the journal, which says how many records
// wait; each scrape asks it. What is lost is shown from the start, so that the
// first loss is seen to come.
func (m *Metrics) Journal(waiting func() int) Journal {
	for _, why := range []Dropped{DroppedFull, DroppedExpired, DroppedClock, DroppedTorn, DroppedRefused, DroppedLost} {
		m.journalDropped.WithLabelValues(string(why))
	}
	m.journalWaiting.ask(func() float64 { return float64(waiting()) })
	return Journal{m.journalRecorded, m.journalWritten, m.journalDropped}
}

// Dropped returns the count of records that are lost for a reason.
func (j *Journal) Dropped(why Dropped) prometheus.Counter {
	return j.dropped.WithLabelValues(string(why))
}
