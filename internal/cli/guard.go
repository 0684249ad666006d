package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"

	"housing/internal/config"
	"housing/internal/rollout"
)

// guardFlags are the flags of a rollout that is guarded.
type guardFlags struct {
	config.Fleet
	Steps       []rollout.Percent `sep:"," placeholder:"P" help:"Move the share on from step to step, such as 1,5,25,50,100, while candidate and primary agree, and roll back where they do not."`
	Again       bool              `help:"Start also a candidate that a guard has just rolled back."`
	Every       time.Duration     `default:"5m" placeholder:"TIME" help:"How long each step lasts at least. Default: 5m."`
	MinRequests int               `default:"200" placeholder:"N" help:"Requests of the candidate that each step needs. Default: 200."`
	MaxErrors   float64           `default:"0.005" placeholder:"SHARE" help:"How many more of its requests the candidate may fail in. Default: 0.005, half a percentage point."`
	MaxRefused  float64           `default:"0.02" placeholder:"SHARE" help:"How many more of its requests may be refused. Default: 0.02."`
	MaxSlower   float64           `default:"1.5" placeholder:"FACTOR" help:"How much longer its 95th percentile may be. Default: 1.5."`
	MaxShift    float64           `default:"0.05" placeholder:"SHARE" help:"How far the median of its prices over the primary's may be from 1: 0.01, 0.02, 0.05, 0.1, 0.15 or 0.25. Default: 0.05."`
	MaxPSI      float64           `name:"max-psi" default:"0.25" placeholder:"PSI" help:"How differently its prices may be distributed, as a population stability index. Default: 0.25."`
}

// guarded says whether the rollout is to be guarded.
func (f *guardFlags) guarded() bool { return len(f.Steps) > 0 }

// source returns where the replicas' metrics are read, nil where nothing says
// so.
func source(f *config.Fleet) (rollout.Source, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	client := &http.Client{Timeout: 10 * time.Second}
	switch {
	case f.PrometheusURL != "":
		return &rollout.Prometheus{URL: string(f.PrometheusURL), Match: f.PrometheusMatch, Client: client}, nil
	case len(f.Addresses()) > 0:
		return &rollout.Replicas{Addresses: f.Addresses(), Client: client}, nil
	}
	return nil, nil
}

// guard runs a guarded rollout in the foreground.
func (c *rolloutStartCommand) guard(p *program) error {
	from, err := source(&c.Fleet)
	if err != nil {
		return err
	}
	if from == nil {
		return &config.Error{Source: "PROMETHEUS_URL", Problem: "is not set, and neither is REPLICAS: a guard must see what the replicas count"}
	}
	if c.Mode != rollout.Canary {
		return &usageError{fmt.Errorf("--steps moves the share of a canary: leave --mode out")}
	}
	r, err := c.openToChange(p)
	if err != nil {
		return err
	}
	defer r.Close()
	view := &guardView{out: p.stdout, terminal: isTerminal(p.stdout), asJSON: c.JSON}
	g := &rollout.Guard{
		Registry: r, Source: from, Version: c.Version, Steps: c.Steps, Every: c.Every, Least: float64(c.MinRequests),
		Limits: rollout.Limits{Errors: c.MaxErrors, Refused: c.MaxRefused, Slower: c.MaxSlower, Prices: c.MaxShift, PSI: c.MaxPSI},
		Again:  c.Again, Who: who(), Why: c.Why, Tell: view.show,
	}
	if err := g.Check(); err != nil {
		return &usageError{err}
	}
	if c.DryRun {
		samples, err := from.Read(p.ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(p.stdout, "Nothing was changed. %s would go through %v %%, each for %v and %d requests at least; %d replicas are seen.\n",
			c.Version, c.Steps, c.Every, c.MinRequests, len(rollout.ReplicasOf(samples)))
		return nil
	}
	err = g.Run(p.ctx)
	view.end()
	if errors.Is(err, context.Canceled) {
		return errors.New("stopped: the plan stays as it is; start again to go on from there")
	}
	return err
}

// guardView shows how a rollout is: lines, the last of which changes on a
// terminal.
type guardView struct {
	out      io.Writer
	terminal bool
	asJSON   bool
	open     bool   // the last line is not ended
	last     string // event and detail that were shown
}

func (v *guardView) show(p rollout.Progress) {
	if v.asJSON {
		line, err := json.Marshal(p)
		if err == nil {
			fmt.Fprintf(v.out, "%s\n", line)
		}
		return
	}
	at := p.Time.Format("15:04:05") + "  " + p.Candidate
	text := fmt.Sprintf("%s at %v %%  step %d of %d  ", at, p.Percent, p.Step, p.Steps)
	switch p.Event {
	case "promoted":
		text = at + " is promoted"
	case "rolled_back":
		text = at + " is rolled back: " + p.Detail
	case "step":
		text += "begins"
	case "watching":
		text += fmt.Sprintf("%d replicas, %.0f of the %.0f requests it needs, beside %.0f of the primary, %.0f houses compared, evidence against it %.0f %%",
			p.Replicas, p.Requests, p.Needed, p.Primary, p.Compared, 100*p.Evidence)
	default:
		text += p.Event + ": " + p.Detail
	}
	changed := p.Event+p.Detail != v.last
	v.last = p.Event + p.Detail
	switch {
	case v.terminal && p.Event == "watching":
		fmt.Fprintf(v.out, "\r\x1b[K%s", text)
		v.open = true
	case changed:
		v.end()
		fmt.Fprintln(v.out, text)
	}
}

// end ends a line that was still changing.
func (v *guardView) end() {
	if v.open {
		fmt.Fprintln(v.out)
		v.open = false
	}
}
