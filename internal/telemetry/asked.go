package telemetry

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// asked is a gauge whose value each scrape asks for, so that it is never
// older than the scrape; 0 where there is nobody to ask.
type asked struct {
	prometheus.GaugeFunc
	value atomic.Pointer[func() float64]
}

func newAsked(s *Spec) *asked {
	a := &asked{}
	a.GaugeFunc = prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: s.Name, Help: s.Help}, func() float64 {
		if value := a.value.Load(); value != nil {
			return (*value)()
		}
		return 0
	})
	return a
}

// ask sets who is asked from now on, which may be at any time and by several
// goroutines at once.
func (a *asked) ask(value func() float64) { a.value.Store(&value) }
