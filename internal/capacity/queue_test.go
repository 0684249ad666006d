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

// TestTheSimulation has the mean wait of Pollaczek and Khinchine, which does
// not depend on the order in which requests are served.
func TestTheSimulation(t *testing.T) {
	for _, variation := range []float64{0, 0.5, 1.5} {
		q := Queue{Cores: 1, Rate: 0.6, Service: 1, Variation: variation}
		sum := 0.0
		took := simulate(q, 200_000)
		for _, s := range took {
			sum += s
		}
		want := 1 + 0.6*(1+variation*variation)/(2*0.4)
		if got := sum / float64(len(took)); math.Abs(got/want-1) > 0.03 {
			t.Errorf("variation %v: %v in the mean, want %v", variation, got, want)
		}
	}
}

// TestQuantilesAgainstASimulation of many requests.
func TestQuantilesAgainstASimulation(t *testing.T) {
	for _, cores := range []int{1, 2, 8} {
		for _, busy := range []float64{0.05, 0.3, 0.6, 0.8} {
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

// TestRequestsThatWakeACore take as much more of it as it has been idle, and
// are answered later.
func TestRequestsThatWakeACore(t *testing.T) {
	for _, q := range []Queue{
		{Cores: 1, Rate: 10, Service: 1e-3, Wake: 0.3e-3},
		{Cores: 1, Rate: 300, Service: 1e-3, Wake: 0.3e-3},
		{Cores: 1, Rate: 700, Service: 1e-3, Wake: 0.3e-3, Variation: 0.5},
		{Cores: 1, Rate: 500, Service: 1e-3, Wake: 0.1e-3, WakeDelay: 0.3e-3},
		{Cores: 2, Rate: 1400, Service: 1e-3, Wake: 0.2e-3, WakeDelay: 0.1e-3},
	} {
		busy := q.Utilisation()
		each := q.Service + q.Wake*(1-math.Pow(busy, 1.5))
		if want := q.Rate * each / float64(q.Cores); math.Abs(busy/want-1) > 1e-9 {
			t.Errorf("%+v: %v busy, want %v", q, busy, want)
		}
		took := simulate(Queue{Cores: q.Cores, Rate: q.Rate, Service: each, WakeDelay: q.WakeDelay, Variation: q.Variation}, 200_000)
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
	came := make([]float64, n)
	for i, now := 0, 0.0; i < n; i++ {
		now += r.ExpFloat64() / q.Rate
		came[i] = now
	}
	took, waiting := make([]float64, 0, n), []float64(nil) // taken in, the next one last
	for i := 0; len(took) < n; {
		first := 0
		for c := range free {
			if free[c] < free[first] {
				first = c
			}
		}
		if len(waiting) == 0 {
			if came[i] > free[first] {
				free[first] = came[i] + service()
				took = append(took, free[first]+q.WakeDelay-came[i])
				i++
				continue
			}
			for ; i < n && came[i] <= free[first]; i++ {
				waiting = append(waiting, came[i])
			}
		}
		last := len(waiting) - 1
		free[first] += service()
		took = append(took, free[first]-waiting[last])
		waiting = waiting[:last]
	}
	slices.Sort(took)
	return took
}
