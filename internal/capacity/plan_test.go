package capacity

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// demand is an easy one, which tests change.
func demand(change func(*Demand)) Demand {
	d := Demand{Rate: 1000, Houses: 1, Regions: 1, Cores: 2, Headroom: 0.3, Spare: 1, Average: 1}
	if change != nil {
		change(&d)
	}
	return d
}

// steady costs a millisecond of a core for each request, whatever else.
var steady = Service{Request: 1e-3, MemoryMiB: 384, Source: "a test"}

// table has one type of each, at a price that is easy to add up.
func table(machines ...Price) Prices {
	one := func(month, memory float64) Price {
		return Price{Type: "t", MemoryMiB: memory, Month: month, Source: "a test"}
	}
	return Prices{Date: "2026-01-01", Machines: machines, Redis: []Price{one(1, 512)}, Databases: []Price{one(10, 1024)}, EachRegion: []Price{one(100, 0)}, Storage: one(0.5, 0), DNS: one(1000, 0)}
}

var machine = Price{Type: "m", Cores: 2, MemoryMiB: 4096, Month: 10_000, Source: "a test"}

func TestMakeFindsTheLeastReplicas(t *testing.T) {
	for _, c := range []struct {
		name             string
		demand           Demand
		needed, replicas int
		month            float64
	}{
		// 10,000 requests of 1 ms keep 10 cores busy: 14.3 at 70 %, 8 replicas of two.
		{"one region", demand(func(d *Demand) { d.Rate = 10_000 }), 8, 9, 90_000 + 3 + 10 + 100},
		{"little load", demand(func(d *Demand) { d.Rate = 1 }), 2, 3, 30_000 + 3 + 10 + 100},
		{"no spare", demand(func(d *Demand) { d.Rate = 10_000; d.Spare = 0 }), 8, 8, 80_000 + 3 + 10 + 100},
		{"two regions share", demand(func(d *Demand) { d.Rate = 10_000; d.Regions = 2 }), 4, 5, 100_000 + 6 + 20 + 200 + 1000},
		{"one of two may go", demand(func(d *Demand) { d.Rate = 10_000; d.Regions = 2; d.Survive = true }), 8, 9, 180_000 + 6 + 20 + 200 + 1000},
		{"one of three may go", demand(func(d *Demand) { d.Rate = 10_000; d.Regions = 3; d.Survive = true }), 4, 5, 150_000 + 9 + 30 + 300 + 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Make(c.demand, steady, table(machine))
			if err != nil {
				t.Fatal(err)
			}
			if p.Needed != c.needed || p.Replicas != c.replicas || p.Month != c.month {
				t.Errorf("%d of %d replicas for $%v, want %d of %d for $%v", p.Needed, p.Replicas, p.Month, c.needed, c.replicas, c.month)
			}
			if busy := c.demand.Rate / 1000; math.Abs(p.BusyCores-busy) > 1e-9 {
				t.Errorf("%v cores are busy, want %v", p.BusyCores, busy)
			}
		})
	}
}

func TestWhatAMonthCosts(t *testing.T) {
	p, err := Make(demand(func(d *Demand) { d.Average = 0.5; d.Houses = 10; d.KeptDays = 7 }), steady, table(machine))
	if err != nil {
		t.Fatal(err)
	}
	houses := 1000 * 0.5 * 10 * 3600 * 730.0
	if want := p.Month / houses * 1e6; math.Abs(p.PerMillion/want-1) > 1e-12 {
		t.Errorf("$%v a million, want %v", p.PerMillion, want)
	}
	if want := 5000 * 7 * 86400 * BytesPerPrediction / math.Exp2(30); math.Abs(p.DatabaseGiB/want-1) > 1e-12 {
		t.Errorf("%v GiB, want %v", p.DatabaseGiB, want)
	}
	sum := 0.0
	for _, c := range p.Costs {
		sum += c.Month
	}
	if math.Abs(sum-p.Month) > 1e-6 {
		t.Errorf("the rows sum to %v, not %v", sum, p.Month)
	}
}

func TestMachinesThatMayNotAlwaysUseAllCores(t *testing.T) {
	// 10 busy cores are 25 machines of 0.4 that last.
	burst := machine
	burst.Type, burst.Sustained, burst.Month = "burst", 0.2, 1000
	p, err := Make(demand(func(d *Demand) { d.Rate = 10_000 }), steady, table(machine, burst))
	if err != nil {
		t.Fatal(err)
	}
	if p.Costs[0].Type != "burst" || p.Replicas != 25 || !p.SustainedBounds {
		t.Errorf("%d of %s, want 25 of burst, for they may use a fifth", p.Replicas, p.Costs[0].Type)
	}
	burst.Month = 9000 // then nine whole ones are cheaper
	p, err = Make(demand(func(d *Demand) { d.Rate = 10_000 }), steady, table(machine, burst))
	if err != nil {
		t.Fatal(err)
	}
	if p.Costs[0].Type != "m" || p.Replicas != 9 || p.SustainedBounds {
		t.Errorf("%d of %s, want 9 of m", p.Replicas, p.Costs[0].Type)
	}
}

func TestDemandsThatCannotBeMet(t *testing.T) {
	for says, d := range map[string]Demand{
		"no number of replicas answers within": demand(func(d *Demand) { d.P99 = 0.5e-3 }),
		"more than 10000 replicas":             demand(func(d *Demand) { d.Rate = 1e9 }),
		"no machine of the table":              demand(func(d *Demand) { d.Cores = 64 }),
		"requests a second":                    demand(func(d *Demand) { d.Rate = math.NaN() }),
		"houses a request":                     demand(func(d *Demand) { d.Houses = 0 }),
		"regions: want":                        demand(func(d *Demand) { d.Regions = 0 }),
		"survived by another one":              demand(func(d *Demand) { d.Survive = true }),
		"headroom":                             demand(func(d *Demand) { d.Headroom = 1 }),
		"average":                              demand(func(d *Demand) { d.Average = 0 }),
	} {
		if _, err := Make(d, steady, table(machine)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, want %q", d, err, says)
		}
	}
}

// TestPlansKeepWhatIsAsked holds for whatever is asked and measured: with the
// spare replicas lost, and a region, headroom and p99 are kept, and with one
// replica less they would not be.
func TestPlansKeepWhatIsAsked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Demand{
			Rate: rapid.Float64Range(0.1, 1e5).Draw(t, "rate"), Houses: rapid.IntRange(1, 128).Draw(t, "houses"), Regions: rapid.IntRange(1, 4).Draw(t, "regions"),
			Cores: rapid.IntRange(1, 8).Draw(t, "cores"), Headroom: rapid.Float64Range(0.05, 0.9).Draw(t, "headroom"), Spare: rapid.IntRange(0, 2).Draw(t, "spare"), Average: 1,
		}
		d.Survive = d.Regions > 1 && rapid.Bool().Draw(t, "survive")
		s := Service{
			Request: rapid.Float64Range(1e-5, 1e-3).Draw(t, "request"), House: rapid.Float64Range(0, 1e-5).Draw(t, "house"), Wake: rapid.Float64Range(0, 1e-3).Draw(t, "wake"),
			WakeDelay: rapid.Float64Range(0, 1e-3).Draw(t, "delay"), Variation: rapid.Float64Range(0, 2).Draw(t, "variation"), MemoryMiB: 384,
		}
		d.P99 = rapid.SampledFrom([]float64{0, 0.02, 0.5}).Draw(t, "p99")
		big := machine
		big.Cores = 8
		p, err := Make(d, s, table(big))
		if err != nil {
			t.Skip(err)
		}
		rate := d.Rate / float64(d.Regions)
		if d.Survive {
			rate = d.Rate / float64(d.Regions-1)
		}
		kept := func(n int) bool {
			q := queue(d, s, rate, n)
			return q.Utilisation() <= 1-d.Headroom && (d.P99 == 0 || q.Quantile(0.99) <= d.P99)
		}
		if !kept(p.Needed) {
			t.Errorf("%d replicas do not keep it", p.Needed)
		}
		if p.Needed > 1 && p.Replicas > leastReplicas && kept(p.Needed-1) {
			t.Errorf("%d replicas would keep it, %d are planned", p.Needed-1, p.Needed)
		}
		for _, s := range p.Situations {
			if !s.Overloaded && !(s.P50 > 0 && s.P50 <= s.P95 && s.P95 <= s.P99) {
				t.Errorf("%+v", s)
			}
		}
	})
}
