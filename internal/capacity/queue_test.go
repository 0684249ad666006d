package capacity

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
)

func TestWaitsAgainstErlangC(t *testing.T) {
	// The closed sums, which tables of Erlang's C formula hold too.
	for _, c := range []struct {
		cores   int
		offered float64
	}{{1, 0.5}, {2, 1}, {2, 1.6}, {5, 4}, {10, 8}, {20, 19}} {
		sum, term := 0.0, 1.0
		for i := range c.cores {
			sum += term
			term *= c.offered / float64(i+1)
		}
		term *= float64(c.cores) / (float64(c.cores) - c.offered)
		want := term / (sum + term)
		if got := (Queue{Cores: c.cores, Rate: c.offered, Service: 1}).Waits(); math.Abs(got-want) > 1e-12 {
			t.Errorf("%d cores, %v Erlang: %v, want %v", c.cores, c.offered, got, want)
		}
	}
	// And two of the well-known values: M/M/2 at half, 1/3; M/M/5 with 4 Erlang, 0.5541.
	if got := (Queue{Cores: 2, Rate: 1, Service: 1}).Waits(); math.Abs(got-1.0/3) > 1e-12 {
		t.Errorf("M/M/2: %v", got)
	}
	if got := (Queue{Cores: 5, Rate: 4, Service: 1}).Waits(); math.Abs(got-0.5541) > 5e-5 {
		t.Errorf("M/M/5: %v", got)
	}
}

func TestMeanWaitOfOneCoreIsExact(t *testing.T) {
	// Pollaczek and Khinchine: rate E[S²] / (2 (1 - utilisation)).
	for _, variation := range []float64{0, 0.3, 1, 2} {
		for _, busy := range []float64{0.1, 0.5, 0.9} {
			q := Queue{Cores: 1, Rate: busy * 100, Service: 0.01, Variation: variation}
			want := q.Rate * 0.0001 * (1 + variation*variation) / (2 * (1 - busy))
			if got := q.MeanWait(); math.Abs(got/want-1) > 1e-12 {
				t.Errorf("%+v: %v, want %v", q, got, want)
			}
		}
	}
}

func TestQuantilesOfExponentialTimesAreExact(t *testing.T) {
	// M/M/1: the time in the system is exponential with the rate 1/Service - Rate.
	q := Queue{Cores: 1, Rate: 70, Service: 0.01, Variation: 1}
	for _, p := range []float64{0.5, 0.95, 0.99} {
		want := -math.Log(1-p) / 30
		if got := q.Quantile(p); math.Abs(got/want-1) > 0.01 {
			t.Errorf("p%v: %v, want %v", 100*p, got, want)
		}
	}
}

func TestQuantilesOfConstantTimes(t *testing.T) {
	// M/D/1: Erlang's formula for the wait.
	// P(wait <= t) = (1-a) sum over k to t/S of (a (k - t/S))^k / k! exp(-a (k - t/S)).
	a := 0.6
	within := func(wait float64) float64 {
		sum, factorial := 0.0, 1.0
		for k := 0; float64(k) <= wait; k++ {
			if k > 0 {
				factorial *= float64(k)
			}
			x := a * (float64(k) - wait)
			sum += math.Pow(x, float64(k)) / factorial * math.Exp(-x)
		}
		return (1 - a) * sum
	}
	q := Queue{Cores: 1, Rate: a, Service: 1}
	for _, p := range []float64{0.5, 0.75, 0.95, 0.99} {
		got := q.Quantile(p)
		if reached := within(got - 1); math.Abs(reached-p) > 0.02 {
			t.Errorf("p%v: %v, within which %v are answered", 100*p, got, reached)
		}
	}
}

// TestQuantilesAgainstASimulation serves many requests with the
// recursion of Kiefer and Wolfowitz.
func TestQuantilesAgainstASimulation(t *testing.T) {
	for _, cores := range []int{1, 2, 8} {
		for _, busy := range []float64{0.3, 0.6, 0.8} {
			for _, variation := range []float64{0, 0.5, 1.5} {
				t.Run(fmt.Sprintf("%d cores, %v busy, variation %v", cores, busy, variation), func(t *testing.T) {
					q := Queue{Cores: cores, Rate: busy * float64(cores), Service: 1, Variation: variation}
					took := simulate(q, 200_000)
					for _, p := range []float64{0.5, 0.95, 0.99} {
						want, got := took[int(p*float64(len(took)))], q.Quantile(p)
						if ratio := got / want; ratio < 0.92 || ratio > 1.08 {
							t.Errorf("p%v: %.3f, simulated %.3f", 100*p, got, want)
						}
					}
				})
			}
		}
	}
}

// TestRequestsThatWakeACore compares with Welch's utilisation of one core, and
// with a simulation.
func TestRequestsThatWakeACore(t *testing.T) {
	for _, q := range []Queue{
		{Cores: 1, Rate: 10, Service: 1e-3, Wake: 0.3e-3},
		{Cores: 1, Rate: 300, Service: 1e-3, Wake: 0.3e-3},
		{Cores: 1, Rate: 700, Service: 1e-3, Wake: 0.3e-3, Variation: 0.5},
		{Cores: 1, Rate: 500, Service: 1e-3, Wake: 0.1e-3, WakeDelay: 0.3e-3},
		{Cores: 2, Rate: 1400, Service: 1e-3, Wake: 0.2e-3, WakeDelay: 0.1e-3},
	} {
		// A core is idle for a share of the time that is also that of the requests that find it so.
		idle := (1 - q.Rate*q.Service) / (1 + q.Rate*q.Wake)
		want := q.Rate * (q.Service + q.Wake*idle)
		if got := q.Utilisation(); q.Cores == 1 && math.Abs(got/want-1) > 1e-6 {
			t.Errorf("%+v: %v busy, want %v", q, got, want)
		}
		took := simulate(q, 200_000)
		for _, p := range []float64{0.5, 0.95, 0.99} {
			want, got := took[int(p*float64(len(took)))], q.Quantile(p)
			if ratio := got / want; ratio < 0.92 || ratio > 1.08 {
				t.Errorf("%+v: p%v: %.3g, simulated %.3g", q, 100*p, got, want)
			}
		}
	}
}

// simulate returns the times of n requests, in order.
func simulate(q Queue, n int) []float64 {
	source := rand.NewPCG(7, 7)
	r := rand.New(source)
	service := func() float64 { return q.Service }
	switch {
	case q.Variation > 0 && q.Variation <= 1:
		service = func() float64 { return q.Service * (1 - q.Variation + q.Variation*r.ExpFloat64()) }
	case q.Variation > 1:
		shape := 1 / (q.Variation * q.Variation)
		service = distuv.Gamma{Alpha: shape, Beta: shape / q.Service, Src: source}.Rand
	}
	free := make([]float64, q.Cores) // from when each core has nothing to do
	took, now := make([]float64, n), 0.0
	for i := range took {
		now += r.ExpFloat64() / q.Rate
		first := 0
		for c := range free {
			if free[c] < free[first] {
				first = c
			}
		}
		if now > free[first] {
			free[first] = now + q.Wake
			took[i] = q.WakeDelay
		}
		free[first] += service()
		took[i] += free[first] - now
	}
	slices.Sort(took)
	return took
}
