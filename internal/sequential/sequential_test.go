package sequential

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// random returns a source whose seed the test prints. Rates are compared with
// bounds that chance exceeds once in 10,000 runs or less, so that a new seed
// each day tests more than one of old.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 7))
}

// times returns n, and fewer where tests are to be short.
func times(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}

// atMost fails if k of n are more than a true rate explains.
func atMost(t *testing.T, what string, k, n int, rate float64) {
	t.Helper()
	bound := rate*float64(n) + 3.8*math.Sqrt(float64(n)*rate*(1-rate))
	t.Logf("%s: %d of %d (%.2f %%)", what, k, n, 100*float64(k)/float64(n))
	if float64(k) > bound {
		t.Errorf("%s: %d of %d are more than %.2f %% explains", what, k, n, 100*rate)
	}
}

func TestMomentsAreThoseOfTheNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.SliceOfN(rapid.Float64Range(-1e3, 1e3), 4, 50).Draw(t, "numbers")
		cut := rapid.IntRange(1, len(numbers)-1).Draw(t, "cut")
		var first, rest, all Moments
		var sum, squares float64
		for i, x := range numbers {
			if i < cut {
				first = first.Add(x)
			} else {
				rest = rest.Add(x)
			}
			all = all.Add(x)
			sum, squares = sum+x, squares+x*x
		}
		for name, m := range map[string]Moments{"merged": first.Merge(rest), "of sums": MomentsOf(float64(len(numbers)), sum, squares)} {
			if m.N != all.N || math.Abs(m.Mean-all.Mean) > 1e-9 || math.Abs(m.M2-all.M2) > 1e-6 {
				t.Errorf("%s %+v, want %+v", name, m, all)
			}
		}
		if m := all.Sub(first); m.N != rest.N || math.Abs(m.Mean-rest.Mean) > 1e-9 || math.Abs(m.M2-rest.M2) > 1e-6 {
			t.Errorf("less the first %+v, want %+v", m, rest)
		}
		if m := first.Sub(all); m != (Moments{}) {
			t.Errorf("a counter that began anew gives %+v", m)
		}
	})
}

// Where nothing differs, looking after every sample finds a difference no
// more often than alpha, at any share of the streams, also of skewed numbers.
func TestPeekingAtMeansErrsNoMoreThanAlpha(t *testing.T) {
	r := random(t)
	const alpha, samples = 0.05, 4000
	runs := times(600)
	for _, c := range []struct {
		name        string
		first, last float64 // share of B
		draw        func() float64
	}{
		{"normal, halves", 0.5, 0.5, r.NormFloat64},
		{"normal, a canary of 5 %", 0.05, 0.05, r.NormFloat64},
		{"normal, a canary that grows from 5 % to 50 %", 0.05, 0.5, r.NormFloat64},
		{"prices, a canary of 10 %", 0.1, 0.1, func() float64 { return 450e3 * math.Exp(0.5*r.NormFloat64()) }},
	} {
		differ, exceed := 0, 0
		for range runs {
			var arms [2]Moments
			wide, high := false, false
			for i := range samples {
				arm := 0
				if r.Float64() < c.first+(c.last-c.first)*float64(4*i/samples)/3 {
					arm = 1
				}
				arms[arm] = arms[arm].Add(c.draw())
				wide = wide || Means(arms[0], arms[1], alpha, 0).Real()
				_, low := Excess(arms[0], arms[1], alpha, 0)
				high = high || low > 0
			}
			if wide {
				differ++
			}
			if high {
				exceed++
			}
		}
		atMost(t, c.name+", two-sided", differ, runs, alpha)
		atMost(t, c.name+", one-sided", exceed, runs, alpha)
	}
}

// The interval has the true difference in it at every look.
func TestIntervalsCoverTheDifference(t *testing.T) {
	r := random(t)
	const alpha, samples, shift = 0.1, 3000, 0.3
	runs := times(500)
	missed := 0
	for range runs {
		var a, b Moments
		for range samples {
			a, b = a.Add(r.NormFloat64()), b.Add(shift+2*r.NormFloat64())
			if i := Means(a, b, alpha, 0); shift < i.Low || shift > i.High {
				missed++
				break
			}
		}
	}
	atMost(t, "missed", missed, runs, alpha)
}

// shiftFoundWithin is by how many predictions of each stream a shift of the
// price by 15 % is found in nine of ten cases, where prices spread as those of
// King County do (0.53 in logarithm).
const shiftFoundWithin = 1200

func TestAShiftOfPricesIsFound(t *testing.T) {
	r := random(t)
	const alpha, runs = 0.05, 300
	found := func(plan float64) (at []int) {
		for range runs {
			var a, b Moments
			n := 0
			for !Means(a, b, alpha, plan).Real() {
				n++
				a, b = a.Add(0.53*r.NormFloat64()), b.Add(math.Log(1.15)+0.53*r.NormFloat64())
			}
			at = append(at, n)
		}
		slices.Sort(at)
		return at
	}
	at := found(0)
	t.Logf("found after %d (median), %d (90 %%) of each", at[runs/2], at[runs*9/10])
	if at[runs*9/10] > shiftFoundWithin {
		t.Errorf("nine of ten need %d, not %d", at[runs*9/10], shiftFoundWithin)
	}
}

// A test of errors errs no more than alpha where the candidate is at the edge
// of what is tolerated, however rare errors are and however many requests come
// between two looks.
func TestPeekingAtProportionsErrsNoMoreThanAlpha(t *testing.T) {
	r := random(t)
	const alpha, looks = 0.05, 400
	runs := times(600)
	for _, c := range []struct {
		name         string
		test         Test
		margin, a, b float64
		most         [2]int // samples between two looks
	}{
		{"no errors", Worse, 0, 0, 0, [2]int{20, 2}},
		{"rare", Worse, 0, 0.001, 0.001, [2]int{50, 5}},
		{"at the margin, a canary", Worse, 0.005, 0.001, 0.006, [2]int{60, 5}},
		{"at the margin, halves", Worse, 0.005, 0.02, 0.025, [2]int{10, 10}},
		{"often", Worse, 0.005, 0.3, 0.305, [2]int{10, 10}},
		{"same, two-sided", Different, 0, 0.02, 0.02, [2]int{20, 20}},
		{"one at a time", Different, 0, 0.1, 0.1, [2]int{1, 1}},
	} {
		wrong := 0
		for range runs {
			p, err := NewProportions(c.test, c.margin)
			if err != nil {
				t.Fatal(err)
			}
			for range looks {
				if p, err = p.Add(draw(r, r.IntN(c.most[0]+1), c.a), draw(r, r.IntN(c.most[1]+1), c.b)); err != nil {
					t.Fatal(err)
				}
				if p.E() >= 1/alpha {
					wrong++
					break
				}
			}
		}
		atMost(t, c.name, wrong, runs, alpha)
	}
}

func draw(r *rand.Rand, n int, p float64) Counts {
	c := Counts{N: float64(n)}
	for range n {
		if r.Float64() < p {
			c.K++
		}
	}
	return c
}

// failuresFoundWithin is by how many requests of the candidate 2 % of failures
// are found in nine of ten cases, where the primary has none and half a
// percentage point is tolerated.
const failuresFoundWithin = 1000

func TestFailuresAreFound(t *testing.T) {
	r := random(t)
	const alpha, runs = 0.05, 300
	for _, c := range []struct {
		name   string
		test   Test
		margin float64
		a, b   int // requests between two looks
		within int
	}{
		{"canary of 5 %, half a point tolerated", Worse, 0.005, 190, 10, failuresFoundWithin},
		{"canary of 1 %, half a point tolerated", Worse, 0.005, 99, 1, failuresFoundWithin},
		{"halves, half a point tolerated", Worse, 0.005, 10, 10, 1200},
		{"halves, two-sided", Different, 0, 10, 10, 600},
	} {
		var at []int
		for range runs {
			p, err := NewProportions(c.test, c.margin)
			if err != nil {
				t.Fatal(err)
			}
			for p.E() < 1/alpha {
				if p, err = p.Add(draw(r, c.a, 0), draw(r, c.b, 0.02)); err != nil {
					t.Fatal(err)
				}
			}
			at = append(at, int(p.B.N))
		}
		slices.Sort(at)
		t.Logf("%s: found after %d (median), %d (90 %%) of the candidate", c.name, at[runs/2], at[runs*9/10])
		if at[runs*9/10] > c.within {
			t.Errorf("%s: nine of ten need %d, not %d", c.name, at[runs*9/10], c.within)
		}
	}
}

// A candidate without errors is found better than a primary that has them.
func TestImprovementIsFoundTwoSided(t *testing.T) {
	p, err := NewProportions(Different, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 300 {
		if p, err = p.Add(Counts{100, 5}, Counts{100, 0}); err != nil {
			t.Fatal(err)
		}
	}
	if p.E() < 1e6 {
		t.Errorf("e is %v", p.E())
	}
	worse, _ := NewProportions(Worse, 0)
	if worse, err = worse.Add(Counts{10000, 500}, Counts{10000, 0}); err != nil || worse.E() > 1 {
		t.Errorf("e of worse is %v, %v", worse.E(), err)
	}
}

// The mean of a bet is at most 1 everywhere in the null hypothesis, computed
// over every outcome.
func TestABetIsFairAtMost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		margin := rapid.Float64Range(0, 0.2).Draw(t, "margin")
		x := rapid.Float64Range(0.001, 0.5).Draw(t, "x")
		y := rapid.Float64Range(x+margin+1e-4, 0.99).Draw(t, "y")
		n, m := rapid.IntRange(1, 12).Draw(t, "n"), rapid.IntRange(1, 12).Draw(t, "m")
		p := rapid.Float64Range(0, 1).Draw(t, "p")
		q := rapid.Float64Range(0, min(1, p+margin)).Draw(t, "q")
		var mean float64
		for i := range n + 1 {
			for j := range m + 1 {
				mean += binomial(n, i, p) * binomial(m, j, q) *
					math.Exp(bet(Counts{float64(n), float64(i)}, Counts{float64(m), float64(j)}, x, y, margin))
			}
		}
		if mean > 1+1e-9 {
			t.Errorf("the mean is %v", mean)
		}
	})
}

func binomial(n, k int, p float64) float64 {
	choose := 1.0
	for i := range k {
		choose *= float64(n-i) / float64(i+1)
	}
	return choose * math.Pow(p, float64(k)) * math.Pow(1-p, float64(n-k))
}

func TestATestIsCarriedOn(t *testing.T) {
	p, err := NewProportions(Worse, 0.005)
	if err != nil {
		t.Fatal(err)
	}
	whole := p
	for i := range 20 {
		a, b := Counts{float64(10 * (i % 3)), 0}, Counts{float64(i % 2), float64(i % 2)}
		if whole, err = whole.Add(a, b); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		p = Proportions{}
		if err := json.Unmarshal(text, &p); err != nil {
			t.Fatal(err)
		}
		before := p.E()
		next, err := p.Add(a, b)
		if err != nil {
			t.Fatal(err)
		}
		if p.E() != before {
			t.Error("adding changed the test before it")
		}
		p = next
	}
	if p.E() != whole.E() || p.A != whole.A || p.B != whole.B {
		t.Errorf("carried on %+v, whole %+v", p, whole)
	}
	if _, err := p.Add(Counts{1, 2}, Counts{}); err == nil {
		t.Error("2 of 1 were taken")
	}
	if _, err := NewProportions(Different, 0.1); err == nil {
		t.Error("a two-sided test with a margin was made")
	}
}

func TestStabilityIsChanceWhereNothingChanged(t *testing.T) {
	r := random(t)
	const alpha, runs, bins = 0.05, 2000, 10
	for _, n := range []int{200, 5000} {
		exceeded := 0
		for range runs {
			reference, current := make([]float64, bins), make([]float64, bins)
			for range 20 * n {
				reference[r.IntN(bins)]++
			}
			for range n {
				current[r.IntN(bins)]++
			}
			s, err := Compare(reference, current)
			if err != nil {
				t.Fatal(err)
			}
			if s.PSI > s.Critical(alpha) {
				exceeded++
			}
		}
		atMost(t, "exceeded", exceeded, runs, alpha+0.01) // the distribution is asymptotic
		if exceeded < runs/50 {
			t.Errorf("of %d samples only %d of %d exceed: the bound is no bound of %v", n, exceeded, runs, alpha)
		}
	}
	s, err := Compare([]float64{100, 200, 300, 400}, []float64{400, 300, 200, 100})
	// 2*0.3*ln(4) + 2*0.1*ln(1.5) without the half counts
	if want := 2*0.3*math.Log(4) + 2*0.1*math.Log(1.5); err != nil || math.Abs(s.PSI-want) > 0.01 || s.PSI < s.Critical(0.001) {
		t.Errorf("got %+v, %v, want PSI near %v", s, err, want)
	}
	for _, c := range [][2][]float64{{{1}, {1, 2}}, {{1, 2}, {0, 0}}, {{1, -1}, {1, 1}}, {{1, math.NaN()}, {1, 1}}} {
		if _, err := Compare(c[0], c[1]); err == nil {
			t.Errorf("%v was compared", c)
		}
	}
}

// The expected values are those that Prometheus computes.
// TestNoncentralChiSquared compares with scipy.stats.ncx2.sf (SciPy 1.16).
func TestNoncentralChiSquared(t *testing.T) {
	for _, c := range []struct{ x, k, l, want float64 }{
		{10, 7, 3, 0.43523074860908323}, {30, 7, 10, 0.05481100193209136}, {250, 7, 180, 0.014294975315548806},
		{300, 7, 180, 0.00010456575685969876}, {1200, 7, 1000, 0.0017078534343629042}, {1100, 3, 1000, 0.06519176736085718},
		{20, 1, 5, 0.012673659348585846},
	} {
		if got := noncentral(c.x, c.k, c.l); math.Abs(got-c.want) > 0.04*c.want {
			t.Errorf("above %g, with %g degrees and noncentrality %g: %g, want %g", c.x, c.k, c.l, got, c.want)
		}
	}
}

// TestChanceCountsAShiftOnlyBeyondTheTolerance draws from populations whose
// PSI is just the tolerance, half of it, and twice it.
func TestChanceCountsAShiftOnlyBeyondTheTolerance(t *testing.T) {
	const seed, tolerance, rounds = 5, 0.1, 2000
	random := rand.New(rand.NewPCG(seed, 0))
	draw := func(shares []float64, n int) []float64 {
		counts := make([]float64, len(shares))
		for range n {
			u, i := random.Float64(), 0
			for ; i < len(shares)-1 && u >= shares[i]; i++ {
				u -= shares[i]
			}
			counts[i]++
		}
		return counts
	}
	reference := []float64{.125, .125, .125, .125, .125, .125, .125, .125}
	// tilted returns shares whose PSI against the reference is psi.
	tilted := func(psi float64) []float64 {
		low, high := 0.0, 10.0
		shares := make([]float64, len(reference))
		for range 60 {
			tilt := (low + high) / 2
			var sum, got float64
			for i := range shares {
				shares[i] = reference[i] * math.Exp(tilt*float64(i)/7)
				sum += shares[i]
			}
			for i := range shares {
				shares[i] /= sum
				got += (shares[i] - reference[i]) * math.Log(shares[i]/reference[i])
			}
			if got > psi {
				high = tilt
			} else {
				low = tilt
			}
		}
		return shares
	}
	for psi, bounds := range map[float64][2]float64{tolerance / 2: {0, 0.001}, tolerance: {0.03, 0.07}, 2 * tolerance: {0.9, 1}} {
		shares, rejected := tilted(psi), 0.0
		for range rounds {
			s, err := Compare(draw(reference, 1500), draw(shares, 1000))
			if err != nil {
				t.Fatal(err)
			}
			if s.Chance(tolerance) < 0.05 {
				rejected++
			}
		}
		if share := rejected / rounds; share < bounds[0] || share > bounds[1] {
			t.Errorf("seed %d: of a PSI of %g, %.3f count as over %g, want %g to %g", seed, psi, share, tolerance, bounds[0], bounds[1])
		}
	}
}

func TestQuantileIsThatOfPrometheus(t *testing.T) {
	inf := math.Inf(1)
	bounds := []float64{0.1, 0.5, 1, inf}
	for _, c := range []struct {
		q           float64
		bounds, cum []float64
		want        float64
	}{
		{0.5, bounds, []float64{10, 20, 40, 40}, 0.5},
		{0.25, bounds, []float64{10, 20, 40, 40}, 0.1},
		{0.75, bounds, []float64{10, 20, 40, 40}, 0.75},
		{0, bounds, []float64{10, 20, 40, 40}, 0},
		{0.05, bounds, []float64{10, 20, 40, 40}, 0.02},
		{1, bounds, []float64{10, 20, 40, 80}, 1},
		{0.99, bounds, []float64{0, 0, 0, 3}, 1},
		{0.5, []float64{-1, 0, inf}, []float64{4, 4, 4}, -1},
	} {
		if got := Quantile(c.q, c.bounds, c.cum); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%v of %v: %v, want %v", c.q, c.cum, got, c.want)
		}
	}
	for _, c := range []float64{Quantile(0.5, bounds, []float64{0, 0, 0, 0}), Quantile(0.5, bounds[:2], []float64{1, 2}), Quantile(2, bounds, []float64{1, 1, 1, 1}), Quantile(0.5, nil, nil)} {
		if !math.IsNaN(c) {
			t.Errorf("%v is of no histogram", c)
		}
	}
}
