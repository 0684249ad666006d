package cli

import (
	"fmt"
	"io"
	"math"
	"os"
	"text/tabwriter"
	"time"

	"housing/internal/capacity"
	"housing/internal/valuer"
)

type planCommand struct {
	RPS         float64       `name:"rps" xor:"what" required:"" placeholder:"N" help:"Requests a second at the busiest time, in all regions together."`
	Regions     int           `default:"1" placeholder:"R" help:"Regions that share the load. Default: 1."`
	Survive     bool          `name:"survive-region" help:"The other regions carry the load of one that is lost."`
	Records     int           `default:"1" placeholder:"N" help:"Houses a request. Default: 1."`
	P99         time.Duration `name:"p99" placeholder:"TIME" help:"Time within which 99 of 100 requests are to be answered. Default: any."`
	Headroom    float64       `default:"0.3" placeholder:"SHARE" help:"Share of the cores that stays free. Default: 0.3."`
	Spare       int           `default:"1" placeholder:"N" help:"Replicas in each region that may be lost. Default: 1."`
	Cores       int           `default:"2" placeholder:"N" help:"Cores of a replica. Default: 2."`
	Average     float64       `default:"1" placeholder:"SHARE" help:"Share of --rps that comes in the mean of a month. Default: 1."`
	Clients     int           `default:"1000" placeholder:"N" help:"Clients that are counted against RATE_LIMIT. Default: 1000."`
	KeepDays    int           `name:"keep-days" placeholder:"N" help:"Days that predictions stay in PostgreSQL. Default: none is kept."`
	ServiceTime time.Duration `name:"service-time" placeholder:"TIME" help:"What a request takes of a core. Default: as measured."`
	RecordTime  time.Duration `name:"record-time" placeholder:"TIME" help:"What each house takes of a core. Default: as measured."`
	WakeTime    time.Duration `name:"wake-time" placeholder:"TIME" help:"What a request takes more of a core that is otherwise idle; it takes less of it the busier that is. Default: as measured."`
	WakeDelay   time.Duration `name:"wake-delay" placeholder:"TIME" help:"What its answer takes more, beside the core, where it finds one idle. Default: as measured."`
	Variation   *float64      `name:"variation" placeholder:"RATIO" help:"Standard deviation of what requests take, by its mean. Default: as measured, of requests that are alike."`
	NetworkTime time.Duration `name:"network-time" placeholder:"TIME" help:"What an answer takes in the network, there and back. Default: none."`
	Memory      float64       `placeholder:"MIB" help:"Memory of a replica. Default: 384, the limit in deploy/kubernetes."`
	Prices      string        `placeholder:"FILE" help:"Table of prices, as --print-prices shows it. Default: that of this program."`
	PrintPrices bool          `name:"print-prices" xor:"what" required:"" help:"Print the table of prices, and no plan."`
	JSON        bool          `name:"json" help:"Print JSON."`
}

// Help shows an example.
func (*planCommand) Help() string {
	return "Says how many replicas a load needs, how long requests will take, and what it costs a month, from what was measured on one machine (docs/capacity.md says how to measure yours).\n\nExample:\n\n    housing plan --rps 1000 --regions 2 --survive-region --p99 50ms"
}

// Run prints a plan.
func (c *planCommand) Run(p *program) error {
	prices := capacity.BuiltinPrices()
	if c.Prices != "" {
		f, err := os.Open(c.Prices)
		if err != nil {
			return err
		}
		defer f.Close()
		if prices, err = capacity.ReadPrices(f); err != nil {
			return fmt.Errorf("%s: %w", c.Prices, err)
		}
	}
	if c.PrintPrices {
		return printJSON(p.stdout, prices)
	}
	plan, err := capacity.Make(capacity.Demand{
		Rate: c.RPS, Houses: c.Records, Regions: c.Regions, Survive: c.Survive, Cores: c.Cores, Headroom: c.Headroom,
		P99: c.P99.Seconds(), Spare: c.Spare, Average: c.Average, Clients: c.Clients, KeptDays: c.KeepDays,
	}, c.service(), prices)
	if err != nil {
		return &usageError{err}
	}
	if c.JSON {
		return printJSON(p.stdout, plan)
	}
	return printFleet(p.stdout, plan)
}

// service returns what was measured, but for what the flags say.
func (c *planCommand) service() capacity.Service {
	s := capacity.Measured()
	for _, given := range []struct {
		flag time.Duration
		into *float64
	}{{c.ServiceTime, &s.Request}, {c.RecordTime, &s.House}, {c.WakeTime, &s.Wake}, {c.WakeDelay, &s.WakeDelay}, {c.NetworkTime, &s.Beside}} {
		if given.flag != 0 {
			*given.into, s.Source = given.flag.Seconds(), "as the flags say"
		}
	}
	if c.Variation != nil {
		s.Variation = *c.Variation
	}
	if c.Memory != 0 {
		s.MemoryMiB = c.Memory
	}
	return s
}

func printFleet(out io.Writer, p capacity.Plan) error {
	d, s := p.Demand, p.Service
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "Load\t%s requests a second of %s, in %s\n", digits(d.Rate), count(d.Houses, "house"), count(d.Regions, "region"))
	fmt.Fprintf(w, "A request\t%s of a core: %s and %s a house (%s)\n", micros(s.Request+s.House*float64(d.Houses)), micros(s.Request), micros(s.House), s.Source)
	fmt.Fprintf(w, "Replicas\t%d in each region, %d of them to spare\n", p.Replicas, p.Replicas-p.Needed)
	fmt.Fprintf(w, "Cores\t%d, of which the load keeps %s busy\n", p.Cores, digits(p.BusyCores))
	fmt.Fprintf(w, "Memory\t%s MiB, %s a replica\n", digits(p.MemoryMiB), digits(s.MemoryMiB))
	fmt.Fprintf(w, "Redis\t%s MiB in each region: models and %s\n", digits(p.RedisMiB), count(d.Clients, "client"))
	if d.KeptDays > 0 {
		fmt.Fprintf(w, "PostgreSQL\t%s GiB in each region: %s of predictions\n", digits(p.DatabaseGiB), count(d.KeptDays, "day"))
	}
	fmt.Fprintln(w, "\nWHEN\tREQUESTS A REPLICA\tBUSY\tP50 MS\tP95 MS\tP99 MS")
	for _, s := range p.Situations {
		if s.Overloaded {
			fmt.Fprintf(w, "%s\t%s/s\t%s %%\toverloaded: some are answered 503\n", s.Name, digits(s.Rate), digits(100*s.Utilisation))
			continue
		}
		fmt.Fprintf(w, "%s\t%s/s\t%s %%\t%s\t%s\t%s\n", s.Name, digits(s.Rate), digits(100*s.Utilisation), digits(1e3*s.P50), digits(1e3*s.P95), digits(1e3*s.P99))
	}
	fmt.Fprintln(w, "\nFOR\tTYPE\tCOUNT\t$ A MONTH")
	for _, c := range p.Costs {
		fmt.Fprintf(w, "%s\t%s\t%s\t%.2f\n", c.For, c.Type, digits(c.Count), c.Month)
	}
	fmt.Fprintf(w, "all\t\t\t%.2f\n", p.Month)
	fmt.Fprintf(w, "\nA million houses valued\t$%.4f\n", p.PerMillion)
	fmt.Fprintf(w, "Prices\tof %s, %s\n", p.PricesDate, p.PricesRegion)
	if err := w.Flush(); err != nil {
		return err
	}
	var notes string
	if p.SustainedBounds {
		notes += "There are more replicas than the load needs at its busiest: this type of machine may not use all of its cores all month.\n"
	}
	if d.Houses > valuer.PricedAtOnce {
		notes += fmt.Sprintf("Requests of more than %d houses are valued in turns, and shorter ones pass between these: beside such, theirs take longer.\n", valuer.PricedAtOnce)
	}
	notes += "Not counted: transfer of data, CloudFront, NAT gateways, buckets, backups.\n"
	_, err := io.WriteString(out, "\n"+notes)
	return err
}

// digits returns a number with three digits, or whole.
func digits(v float64) string {
	if math.Abs(v) >= 100 || v == math.Trunc(v) {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

func micros(seconds float64) string { return digits(1e6*seconds) + " µs" }

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return digits(float64(n)) + " " + what
}
