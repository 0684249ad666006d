package capacity

import (
	"math"
	"sort"
)

// Queue is a service with several cores and one line before them, which
// requests join at random moments (a Poisson process), whoever came first
// being served first: M/G/c in Kendall's notation. Its mean wait is exact for
// one core and for exponential service times, and otherwise between that of
// exponential and that of constant ones:
//
//   - G. P. Cosmetatos, Some approximate equilibrium results for the
//     multi-server queue (M/G/r), Operational Research Quarterly 27 (1976), for
//     constant service times;
//   - H. C. Tijms, Stochastic Models (1994), 4.3 and 4.5, for what lies between, and for
//     the exponential tail of the wait, which is asymptotically exact;
//   - A. M. Lee and P. A. Longton, Queueing processes associated with airline
//     passenger check-in (1959), known as Allen-Cunneen where arrivals vary
//     too, for service times that vary more than exponential ones.
//
// A service time is taken to be a least one and an exponential disturbance, or,
// where it varies more than that can, to have a gamma distribution. A request that
// finds a core idle has to wake it, which takes longer: P. D. Welch, On a
// generalized M/G/1 queuing process in which the first customer of each busy
// period receives exceptional service, Operations Research 12 (1964). The
// utilisation and the mean wait with it are exact for one core; with several a request
// that waits is taken to wait for waking cores as often as for busy ones.
type Queue struct {
	Cores     int     // 1 or more
	Rate      float64 // requests a second, above 0
	Service   float64 // seconds that a request has a core, in the mean, above 0
	Wake      float64 // seconds, more, that it has it where it was idle
	WakeDelay float64 // seconds, more, until it is answered there, in which the core is free
	Variation float64 // standard deviation of the service time by its mean, 0 or more
}

// Utilisation returns which share of the cores is busy; of 1 or more the
// line grows without end.
func (q Queue) Utilisation() float64 {
	return q.Rate * (q.Service + q.Wake*(1-q.Waits())) / float64(q.Cores)
}

// overloaded says whether more comes than can be served.
func (q Queue) overloaded() bool { return q.Rate*q.Service >= float64(q.Cores) }

// awake returns a queue without waking, in which a request has a core as long
// as in this one in the mean.
func (q Queue) awake() Queue {
	mean, low, high := q, q.Service, q.Service+q.Wake
	mean.Wake, mean.WakeDelay = 0, 0
	if low == high || q.overloaded() {
		return mean
	}
	for range 40 { // the longer they have it, the fewer find one idle
		mean.Service = (low + high) / 2
		if mean.Service < q.Service+q.Wake*(1-mean.Waits()) {
			low = mean.Service
		} else {
			high = mean.Service
		}
	}
	return mean
}

// Waits returns the probability that a request has to wait: Erlang's C
// formula, which is exact for exponential service times.
func (q Queue) Waits() float64 {
	q = q.awake()
	if q.overloaded() {
		return 1
	}
	busy := q.Rate * q.Service / float64(q.Cores)
	// Erlang's B by its recursion, which does not overflow.
	offered, b := q.Rate*q.Service, 1.0
	for c := range q.Cores {
		b = offered * b / (float64(c+1) + offered*b)
	}
	return b / (1 - busy*(1-b))
}

// MeanWait returns how many seconds requests wait for a core in the mean.
func (q Queue) MeanWait() float64 {
	if q.overloaded() {
		return math.Inf(1)
	}
	busy, c, squared := q.Rate*q.Service/float64(q.Cores), float64(q.Cores), q.Variation*q.Variation
	if q.Wake > 0 {
		mean, each := q.awake(), q.Rate/c
		longer := each * q.Wake * (2*q.Service + q.Wake) / (2 * (1 + each*q.Wake)) // for one core
		q.Wake = 0
		return q.MeanWait() + longer*mean.Waits()*c/(mean.Rate*mean.Service)
	}
	exponential := q.Waits() * q.Service / (c * (1 - busy))
	if squared >= 1 {
		return (1 + squared) / 2 * exponential
	}
	// With little to do a request that waits does so for the first of c cores
	// that began at random moments; Cosmetatos is above that there.
	constant := exponential * min(c/(c+1), 0.5*(1+(1-busy)*(c-1)*(math.Sqrt(4+5*c)-2)/(16*busy*c)))
	return squared*exponential + (1-squared)*constant
}

// decay returns by which rate, a second, the probability of long waits falls:
// the positive solution x of E[exp(x S/c)] Rate / (Rate + x) = 1.
func (q Queue) decay() float64 {
	c, squared := float64(q.Cores), q.Variation*q.Variation
	above := func(x float64) bool { // logarithms, as the left side may be infinite
		each := x * q.Service / c
		least, random, shape := (1-q.Variation)*each, q.Variation*each, 1.0
		if q.Variation > 1 {
			least, random, shape = 0, squared*each, 1/squared
		}
		return random >= 1 || least-shape*math.Log1p(-random) > math.Log1p(x/q.Rate)
	}
	low, high := 0.0, c/q.Service
	for !above(high) {
		low, high = high, 2*high
	}
	for range 60 {
		if middle := (low + high) / 2; above(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}

// parts is by how many service times the distribution is stood for.
const parts = 500

// Quantile returns the time, in seconds, within which a share p of the
// requests is answered: their wait and their service.
func (q Queue) Quantile(p float64) float64 {
	if q.overloaded() {
		return math.Inf(1)
	}
	services, decay, waits := q.services(), q.decay(), q.Waits()
	front := q.MeanWait() * decay // so that the mean is right
	longer := func(t float64) float64 {
		sum := 0.0
		for _, s := range services {
			if t < s+q.Wake+q.WakeDelay {
				sum += 1 - waits // of those that wake a core
			}
			if t < s {
				sum += waits
			} else {
				sum += min(waits, front*math.Exp(-decay*(t-s)))
			}
		}
		return sum / float64(len(services))
	}
	high := q.Service + q.Wake + q.WakeDelay
	for longer(high) > 1-p {
		high *= 2
	}
	const steps = 1 << 20
	return high * float64(sort.Search(steps, func(i int) bool { return longer(high*float64(i)/steps) <= 1-p })) / steps
}

// services returns service times that stand for equal shares of them. Of a
// gamma variable the cube root is nearly normal (E. B. Wilson and M. M.
// Hilferty, The distribution of chi-square, 1931).
func (q Queue) services() []float64 {
	if q.Variation == 0 {
		return []float64{q.Service}
	}
	times := make([]float64, parts)
	for i := range times {
		share := (float64(i) + 0.5) / parts
		if q.Variation <= 1 {
			times[i] = q.Service * (1 - q.Variation - q.Variation*math.Log1p(-share))
			continue
		}
		third := q.Variation / 3
		root := max(0, 1-third*third+third*math.Sqrt2*math.Erfinv(2*share-1))
		times[i] = q.Service * root * root * root
	}
	return times
}
