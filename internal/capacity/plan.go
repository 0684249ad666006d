package capacity

import (
	"errors"
	"fmt"
	"math"
)

// Service is what requests take, in seconds, by measurement.
type Service struct {
	Request   float64 `json:"request_seconds"`    // of a core, for each request
	House     float64 `json:"house_seconds"`      // of a core, for each house in it
	Wake      float64 `json:"wake_seconds"`       // more, of a core that is otherwise idle; less the busier that is
	WakeDelay float64 `json:"wake_delay_seconds"` // that the answer of a core that was idle takes more, beside it
	Variation float64 `json:"variation"`          // standard deviation of the sum by its mean
	Beside    float64 `json:"beside_seconds"`     // that an answer takes beside the core: network, wake-ups
	MemoryMiB float64 `json:"memory_mib"`         // that a replica is given
	Source    string  `json:"source"`             // when and where it was measured
}

// What else was measured, and what a replica is given: docs/capacity.md.
const (
	BytesPerClient     = 256    // of Redis, for who is counted against a limit
	BytesPerPrediction = 150    // of PostgreSQL, for each house that is kept
	bundlesMiB         = 8      // of Redis, for four versions of the model
	redisNodes         = 3      // in each region: one that writes, two that take over
	leastReplicas      = 3      // in each region, as in deploy/kubernetes
	maxReplicas        = 10_000 // in each region
	maxCores           = 256    // of a replica
	hoursAMonth        = 730
)

// Demand is what is asked of a fleet.
type Demand struct {
	Rate     float64 `json:"requests_per_second"` // in all regions together
	Houses   int     `json:"houses_per_request"`
	Regions  int     `json:"regions"`
	Survive  bool    `json:"survives_a_region"` // the others carry the load of a region that is lost
	Cores    int     `json:"cores_per_replica"`
	Headroom float64 `json:"headroom"`    // share of the cores that stays free
	P99      float64 `json:"p99_seconds"` // that is to be kept; 0 is any
	Spare    int     `json:"spare"`       // replicas in each region beyond those that are needed
	Average  float64 `json:"average"`     // share of Rate that comes in the mean of a month
	Clients  int     `json:"clients"`     // who are counted against a limit
	KeptDays int     `json:"kept_days"`   // that predictions stay in PostgreSQL; 0 keeps none
}

// Plan is a fleet that meets a Demand, and its price.
type Plan struct {
	Demand          Demand      `json:"demand"`
	Service         Service     `json:"service"`
	Replicas        int         `json:"replicas"`         // in each region
	Needed          int         `json:"needed"`           // of them, without the spare ones
	BusyCores       float64     `json:"busy_cores"`       // in all regions together
	Cores           int         `json:"cores"`            // in all regions together
	MemoryMiB       float64     `json:"memory_mib"`       // in all regions together
	RedisMiB        float64     `json:"redis_mib"`        // that Redis holds in each region
	DatabaseGiB     float64     `json:"database_gib"`     // that each database holds
	Situations      []Situation `json:"situations"`       // the first is that nothing is lost
	Costs           []Cost      `json:"costs"`            // a month
	Month           float64     `json:"month"`            // US dollars
	PerMillion      float64     `json:"per_million"`      // US dollars for a million houses valued
	PricesDate      string      `json:"prices_date"`      // of the table
	PricesRegion    string      `json:"prices_region"`    // of the table
	SustainedBounds bool        `json:"sustained_bounds"` // what the machine may always use decided, not Headroom or P99
}

// Situation is how requests fare when something is lost.
type Situation struct {
	Name        string  `json:"name"`
	Rate        float64 `json:"requests_per_second_per_replica"`
	Utilisation float64 `json:"utilisation"`
	P50         float64 `json:"p50_seconds"` // of the time to answer; 0 where it is overloaded
	P95         float64 `json:"p95_seconds"`
	P99         float64 `json:"p99_seconds"`
	Overloaded  bool    `json:"overloaded"` // more comes than can be answered
}

// Cost is what some of a kind cost in a month.
type Cost struct {
	For    string  `json:"for"`
	Type   string  `json:"type"`
	Count  float64 `json:"count"`
	Month  float64 `json:"month"`
	Source string  `json:"source"`
}

func (d *Demand) check() error {
	switch {
	case !(d.Rate > 0 && d.Rate <= 1e9):
		return errors.New("requests a second: want more than 0, at most 1,000,000,000")
	case d.Houses < 1 || d.Houses > 100_000:
		return errors.New("houses a request: want 1 to 100,000")
	case d.Regions < 1 || d.Regions > 30:
		return errors.New("regions: want 1 to 30")
	case d.Survive && d.Regions == 1:
		return errors.New("a region that is lost is survived by another one: want 2 regions or more")
	case d.Cores < 1 || d.Cores > maxCores:
		return fmt.Errorf("cores of a replica: want 1 to %d", maxCores)
	case !(d.Headroom >= 0.05 && d.Headroom <= 0.95):
		return errors.New("headroom: want 0.05 to 0.95")
	case !(d.P99 >= 0):
		return errors.New("p99: want a time of 0 or more")
	case d.Spare < 0 || d.Spare > 100:
		return errors.New("spare replicas: want 0 to 100")
	case !(d.Average > 0 && d.Average <= 1):
		return errors.New("average: want a share above 0, at most 1")
	case d.Clients < 0 || d.KeptDays < 0 || d.KeptDays > 3660:
		return errors.New("clients and days: want 0 or more, at most 3660 days")
	}
	return nil
}

func (s *Service) check() error {
	switch {
	case !(s.Request >= 0 && s.House >= 0 && s.Request+s.House > 1e-9 && s.Request+s.House < 3600):
		return errors.New("service times: want more than 0")
	case !(s.Wake >= 0 && s.Wake < 3600 && s.WakeDelay >= 0 && s.WakeDelay < 3600):
		return errors.New("time to wake: want 0 or more")
	case !(s.Variation >= 0 && s.Variation <= 5):
		return errors.New("variation: want 0 to 5")
	case !(s.Beside >= 0 && s.Beside < 3600):
		return errors.New("time beside the service: want 0 or more")
	case !(s.MemoryMiB > 0):
		return errors.New("memory of a replica: want more than 0")
	}
	return nil
}

// Queue returns a replica to which requests of so many houses come.
func (s *Service) Queue(cores int, rate float64, houses int) Queue {
	return Queue{Cores: cores, Rate: rate, Service: s.Request + s.House*float64(houses), Wake: s.Wake, WakeDelay: s.WakeDelay, Variation: s.Variation}
}

// queue returns one replica of n that share a rate.
func queue(d Demand, s Service, rate float64, n int) Queue {
	return s.Queue(d.Cores, rate/float64(n), d.Houses)
}

// Make plans a fleet: the least replicas for which the headroom and the p99 are
// kept with the spare ones gone and, where that is asked, a region too. Each
// replica has a machine for itself; of those with enough cores and memory it takes the ones of
// which the fleet is cheapest. The error says what of the demand cannot be
// met, or makes no sense.
func Make(d Demand, s Service, prices Prices) (Plan, error) {
	if err := errors.Join(d.check(), s.check()); err != nil {
		return Plan{}, err
	}
	needed, err := replicas(d, s, 1)
	if err != nil {
		return Plan{}, err
	}
	p := Plan{Demand: d, Service: s, PricesDate: prices.Date, PricesRegion: prices.Region}
	machine := Price{Month: math.Inf(1)}
	for _, m := range prices.Machines {
		if m.Cores < d.Cores || m.MemoryMiB < s.MemoryMiB {
			continue
		}
		lasting, err := replicas(d, s, float64(m.Cores)/float64(d.Cores)*m.sustained())
		if err != nil {
			continue // there would be too many
		}
		n := max(lasting, leastReplicas-d.Spare)
		if total := float64(n+d.Spare) * m.Month; math.IsInf(machine.Month, 1) || total < float64(p.Replicas)*machine.Month {
			machine, p.Needed, p.Replicas, p.SustainedBounds = m, n, n+d.Spare, lasting > needed && n == lasting
		}
	}
	if math.IsInf(machine.Month, 1) {
		return Plan{}, fmt.Errorf("no machine of the table of prices has %d cores and %.0f MiB", d.Cores, s.MemoryMiB)
	}
	p.size()
	p.situations()
	p.cost(machine, prices)
	return p, nil
}

// replicas returns how many replicas a region needs when all that may be lost
// is lost, if with nothing lost a share of a replica's cores may be busy in the mean of a month.
func replicas(d Demand, s Service, sustained float64) (int, error) {
	rate := d.Rate / float64(d.Regions)
	if d.Survive {
		rate = d.Rate / float64(d.Regions-1)
	}
	if d.P99 > 0 {
		if alone := s.Beside + queue(d, s, 1e-9, 1).Quantile(0.99); alone > d.P99 {
			return 0, fmt.Errorf("a request of %d houses takes %.4g s (p99) of a replica with nothing else to do: no number of replicas answers within %.4g s", d.Houses, alone, d.P99)
		}
	}
	enough := func(n int) bool {
		if lasting := queue(d, s, d.Rate*d.Average/float64(d.Regions), n+d.Spare); lasting.Utilisation() > sustained {
			return false
		}
		q := queue(d, s, rate, n)
		return q.Utilisation() <= 1-d.Headroom && (d.P99 == 0 || s.Beside+q.Quantile(0.99) <= d.P99)
	}
	low, high := 0, 1 // too few, enough
	for !enough(high) {
		if low, high = high, 2*high; high > maxReplicas {
			return 0, fmt.Errorf("a region would need more than %d replicas", maxReplicas)
		}
	}
	for high-low > 1 {
		if middle := (low + high) / 2; enough(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return high, nil
}

// size fills what follows from the number of replicas.
func (p *Plan) size() {
	all := p.Replicas * p.Demand.Regions
	p.BusyCores = float64(p.Demand.Cores*all) * queue(p.Demand, p.Service, p.Demand.Rate, all).Utilisation()
	p.Cores = all * p.Demand.Cores
	p.MemoryMiB = float64(all) * p.Service.MemoryMiB
	p.RedisMiB = bundlesMiB + float64(p.Demand.Clients)*BytesPerClient/(1<<20)
	houses := p.Demand.Rate * float64(p.Demand.Houses) * p.Demand.Average
	p.DatabaseGiB = houses * 86400 * float64(p.Demand.KeptDays) * BytesPerPrediction / (1 << 30)
}

// situations fills how requests fare.
func (p *Plan) situations() {
	d := p.Demand
	each := d.Rate / float64(d.Regions)
	add := func(name string, rate float64, n int) {
		if n < 1 {
			return
		}
		q := queue(d, p.Service, rate, n)
		s := Situation{Name: name, Rate: q.Rate, Utilisation: q.Utilisation(), Overloaded: q.overloaded()}
		if !s.Overloaded {
			s.P50, s.P95, s.P99 = p.Service.Beside+q.Quantile(0.5), p.Service.Beside+q.Quantile(0.95), p.Service.Beside+q.Quantile(0.99)
		}
		p.Situations = append(p.Situations, s)
	}
	add("all is well", each, p.Replicas)
	add("a replica of each region is lost", each, p.Replicas-1)
	if d.Regions > 1 {
		add("a region is lost", d.Rate/float64(d.Regions-1), p.Replicas)
	}
}

// cost fills what the plan costs.
func (p *Plan) cost(machine Price, prices Prices) {
	regions := float64(p.Demand.Regions)
	add := func(what string, row Price, count float64) {
		c := Cost{For: what, Type: row.Type, Count: count, Month: count * row.Month, Source: row.Source}
		p.Costs = append(p.Costs, c)
		p.Month += c.Month
	}
	add("replicas", machine, float64(p.Replicas)*regions)
	redis, shards := cheapest(prices.Redis, p.RedisMiB*2) // half is free for the copy that a save makes
	add("Redis", redis, float64(redisNodes*shards)*regions)
	database, _ := cheapest(prices.Databases, 1024)
	add("PostgreSQL", database, regions)
	if p.DatabaseGiB > 0 {
		add("PostgreSQL, GiB", prices.Storage, math.Ceil(p.DatabaseGiB)*regions)
	}
	for _, row := range prices.EachRegion {
		add("each region", row, regions)
	}
	if regions > 1 {
		add("all regions", prices.DNS, 1)
	}
	houses := p.Demand.Rate * p.Demand.Average * float64(p.Demand.Houses) * hoursAMonth * 3600
	p.PerMillion = p.Month / (houses / 1e6)
}
