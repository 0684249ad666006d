package capacity

import (
	"math"
	"sort"
)

// Queue is a service with several cores, which requests join at random moments
// (a Poisson process): M/G/c in Kendall's notation. A core with nothing more to
// do takes in all that have come meanwhile, and the last of them first, as the
// poller of Go's runtime hands them over. The mean wait does not depend on that order; it
// is exact for one core and for exponential service times, and otherwise between that of
// exponential and that of constant ones:
//
//   - G. P. Cosmetatos, Some approximate equilibrium results for the
//     multi-server queue (M/G/r), Operational Research Quarterly 27 (1976), for
//     constant service times;
//   - H. C. Tijms, Stochastic Models (1994), 4.3 and 4.5, for what lies between, and for
//     the exponential tail of the wait in the order of arrival, which is asymptotically exact;
//   - A. M. Lee and P. A. Longton, Queueing processes associated with airline
//     passenger check-in (1959), known as Allen-Cunneen where arrivals vary
//     too, for service times that vary more than exponential ones.
//
// A service time is taken to be a least one and an exponential disturbance, or,
// where it varies more than that can, to have a gamma distribution. A core that
// has been idle is slow for a while (it wakes, and its caches are cold), for the
// request that comes first and those soon after it: what requests take of it falls
// with the share of the time that it is busy, slowly at first (see [idle]).
type Queue struct {
	Cores     int     // 1 or more
	Rate      float64 // requests a second, above 0
	Service   float64 // seconds that a request has a core, in the mean, above 0
	Wake      float64 // seconds, more, that it has one that is otherwise idle; less the busier that is
	WakeDelay float64 // seconds, more, until it is answered where it finds a core idle, in which the core is free
	Variation float64 // standard deviation of the service time by its mean, 0 or more
}

// Utilisation returns which share of the cores is busy; of 1 or more the
// line grows without end.
func (q Queue) Utilisation() float64 {
	low, high := q.Rate*q.Service/float64(q.Cores), 1.0
	if low >= high || q.Wake == 0 {
		return low
	}
	for range 50 { // the longer requests take, the busier the cores, and the less they take
		if busy := (low + high) / 2; busy*float64(q.Cores) < q.Rate*(q.Service+q.Wake*idle(busy)) {
			low = busy
		} else {
			high = busy
		}
	}
	return high
}

// idle returns how much of what a request takes more of an idle core it takes of
// one that is so busy. If only the first request after a pause took more, it
// would be 1 - busy. The power describes the costs that `make capacity` saw at
// three loads in four runs, within 4 %.
func idle(busy float64) float64 { return 1 - busy*math.Sqrt(busy) }

// overloaded says whether more comes than can be served.
func (q Queue) overloaded() bool { return q.Rate*q.Service >= float64(q.Cores) }

// warm returns the queue with what requests take of a core as busy as it is.
func (q Queue) warm() Queue {
	if !q.overloaded() {
		q.Service += q.Wake * idle(q.Utilisation())
	}
	q.Wake = 0
	return q
}

// Waits returns the probability that a request has to wait: Erlang's C
// formula, which is exact for exponential service times.
func (q Queue) Waits() float64 {
	q = q.warm()
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
	q = q.warm()
	busy, c, squared := q.Rate*q.Service/float64(q.Cores), float64(q.Cores), q.Variation*q.Variation
	exponential := q.Waits() * q.Service / (c * (1 - busy))
	if squared >= 1 {
		return (1 + squared) / 2 * exponential
	}
	// With little to do a request that waits does so for the first of c cores
	// that began at random moments; Cosmetatos is above that there.
	constant := exponential * min(c/(c+1), 0.5*(1+(1-busy)*(c-1)*(math.Sqrt(4+5*c)-2)/(16*busy*c)))
	return squared*exponential + (1-squared)*constant
}

// decay returns by which rate, a second, the probability of long waits would
// fall in the order of arrival: the positive solution x of E[exp(x S/c)] Rate / (Rate + x) = 1.
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
	q = q.warm()
	services, waits, longer := q.services(), q.Waits(), q.longer()
	later := func(t float64) float64 {
		sum := 0.0
		for _, s := range services {
			if t < s+q.WakeDelay {
				sum += 1 - waits
			}
			sum += longer(t - s)
		}
		return sum / float64(len(services))
	}
	high := q.Service + q.WakeDelay
	for later(high) > 1-p {
		high *= 2
	}
	const steps = 1 << 20
	return high * float64(sort.Search(steps, func(i int) bool { return later(high*float64(i)/steps) <= 1-p })) / steps
}

// longer returns the probability of a wait that is longer than a time. Of those
// who wait half are taken to do so briefly and half long, such that the mean is
// right; or, with little to do, for what is left of one service. How long the long ones are was fitted to simulations, which tests
// repeat: about as long as in the order of arrival with little to do, and up to 1.6 times with much.
func (q Queue) longer() func(t float64) float64 {
	waits, busy := q.Waits(), q.Utilisation()
	if waits == 0 { // less than can be told from nothing
		return func(float64) float64 { return 0 }
	}
	mean, long := q.MeanWait()/waits, (1+1.15*busy-0.55*busy*busy)/q.decay()
	brief := max(2*mean-long, mean/100)
	return func(t float64) float64 {
		switch {
		case t < 0:
			return waits
		case mean >= long: // waits vary less than exponential ones
			return waits * max(1-t/(2*mean), min(1, mean/long*math.Exp(-t/long)))
		}
		return waits / 2 * (math.Exp(-t/long) + math.Exp(-t/brief))
	}
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
