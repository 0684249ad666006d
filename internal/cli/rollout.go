package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/jackc/pgx/v5/pgxpool"

	"housing/internal/config"
	"housing/internal/httpapi"
	"housing/internal/journal"
	"housing/internal/registry"
	"housing/internal/rollout"
)

type rolloutCommand struct {
	Status   rolloutStatusCommand   `cmd:"" help:"Show the traffic plan and its history."`
	History  rolloutHistoryCommand  `cmd:"" help:"Show who changed the traffic plan, from what to what."`
	Start    rolloutStartCommand    `cmd:"" help:"Put a candidate beside the primary."`
	Set      rolloutSetCommand      `cmd:"" help:"Change the share of the candidate, or the primary."`
	Promote  rolloutPromoteCommand  `cmd:"" help:"Make the candidate the primary."`
	Rollback rolloutRollbackCommand `cmd:"" help:"Drop the candidate, or go back to the primary before."`
}

// planFlags are the flags of the commands that change the plan.
type planFlags struct {
	registryFlags
	changeFlags
	JSON bool `name:"json" help:"Print the plan as JSON."`
}

// step takes one step from the plan that is there.
func (f *planFlags) step(p *program, step rollout.Step) error {
	r, err := f.openToChange(p)
	if err != nil {
		return err
	}
	defer r.Close()
	var next rollout.Plan
	if f.DryRun {
		if next, err = rollout.Preview(p.ctx, r, step); err == nil {
			fmt.Fprintln(p.stderr, "Nothing was changed. The plan would be:")
		}
	} else {
		next, err = rollout.Change(p.ctx, r, step, f.change(""))
	}
	if err != nil {
		return err
	}
	return printPlan(p.stdout, next, f.JSON)
}

func printPlan(out io.Writer, plan rollout.Plan, asJSON bool) error {
	if asJSON {
		text, err := plan.Text()
		if err != nil {
			return err
		}
		return printJSON(out, jsontext.Value(text))
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "primary\t%s\n", orDash(plan.Primary))
	if plan.Candidate != "" {
		fmt.Fprintf(w, "candidate\t%s\nmode\t%s\npercent\t%v\nsalt\t%s\n", plan.Candidate, plan.Mode, plan.Percent, plan.Salt)
	}
	if plan.Previous != "" {
		fmt.Fprintf(w, "previous\t%s\n", plan.Previous)
	}
	return w.Flush()
}

type rolloutStatusCommand struct {
	registryFlags
	config.Fleet
	config.Database
	JSON bool `name:"json" help:"Print JSON."`
}

// Help shows an example.
func (*rolloutStatusCommand) Help() string {
	return "Shows the traffic plan, who changed it when, from what and why, what each replica serves where PROMETHEUS_URL or REPLICAS says how to see them, and how close each version comes to what houses then sold for where DATABASE_URL names the journal.\n\nExample:\n\n    housing rollout status --replicas http://housing:8000 --model-dir s3://models/kc"
}

// shownHistory is how many changes are printed; --json has all.
const shownHistory = 10

// Run prints the plan and its history.
func (c *rolloutStatusCommand) Run(p *program) error {
	r, err := c.open(p.ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	state, _, err := r.State(p.ctx, "")
	if err != nil {
		return err
	}
	plan, err := rollout.Of(state)
	if err != nil {
		return err
	}
	from, err := source(&c.Fleet)
	if err != nil {
		return err
	}
	var replicas []rollout.Replica
	if from != nil {
		samples, err := from.Read(p.ctx)
		if err != nil { // the plan can be shown all the same
			fmt.Fprintf(p.stderr, "The replicas are not shown: %v\n", err)
		}
		replicas = rollout.ReplicasOf(samples)
	}
	accuracy, err := c.accuracy(p, plan.Began(state.PlanHistory))
	if err != nil {
		fmt.Fprintf(p.stderr, "What houses sold for is not shown: %v\n", err)
	}
	if c.JSON {
		status := struct {
			Plan     jsontext.Value           `json:"plan"`
			Source   string                   `json:"source"` // plan, the file VERSION, or none
			History  []registry.Change        `json:"history"`
			Replicas []rollout.Replica        `json:"replicas,omitempty"`
			Accuracy *httpapi.VersionAccuracy `json:"accuracy,omitempty"`
		}{Source: planSource(state), History: state.PlanHistory, Replicas: replicas, Accuracy: accuracy}
		if plan != (rollout.Plan{}) {
			if status.Plan, err = plan.Text(); err != nil {
				return err
			}
		}
		return printJSON(p.stdout, status)
	}
	if err := printPlan(p.stdout, plan, false); err != nil {
		return err
	}
	if source := planSource(state); source != "plan" {
		fmt.Fprintf(p.stderr, "No plan was set; the primary is that of: %s.\n", source)
	}
	if err := errors.Join(printReplicas(p.stdout, replicas), printVersionAccuracy(p.stdout, accuracy)); err != nil {
		return err
	}
	if len(state.PlanHistory) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nWHEN\tWHO\tWHAT\tWHY")
	for _, h := range state.PlanHistory[:min(shownHistory, len(state.PlanHistory))] {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", h.When.Format(historyTime), h.Who, h.What, orDash(h.Why))
	}
	return w.Flush()
}

// accuracy asks the journal how close the versions come, nil without one.
func (c *rolloutStatusCommand) accuracy(p *program, since time.Time) (*httpapi.VersionAccuracy, error) {
	if c.DatabaseURL == "" {
		return nil, nil
	}
	var found *httpapi.VersionAccuracy
	err := onPrimary(p, &c.Database, nothingWritten, func(ctx context.Context, pool *pgxpool.Pool) error {
		arms, difference, err := journal.Measure(ctx, pool, since)
		if err == nil {
			measured := httpapi.VersionAccuracyOf(since, arms, difference)
			found = &measured
		}
		return err
	})
	return found, err
}

// printVersionAccuracy prints how close the versions come.
func printVersionAccuracy(out io.Writer, a *httpapi.VersionAccuracy) error {
	if a == nil || len(a.Arms) == 0 {
		return nil
	}
	figure := func(e httpapi.Estimate, format string) string {
		switch {
		case e.Value == nil:
			return "-"
		case e.Low == nil || e.High == nil:
			return fmt.Sprintf(format, *e.Value)
		}
		return fmt.Sprintf(format+" ("+format+" to "+format+")", *e.Value, *e.Low, *e.High)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nVERSION\tROLE\tPREDICTIONS\tSALES\tMDAPE %\tPPE10 %\tMEDIAN RATIO")
	for _, arm := range a.Arms {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%s\t%s\n", arm.Version, arm.Role, arm.Predictions, arm.Outcomes,
			figure(arm.MdAPE, "%.1f"), figure(arm.PPE10, "%.1f"), figure(arm.MedianRatio, "%.3f"))
	}
	if err := w.Flush(); err != nil || a.Difference == nil {
		return err
	}
	d := a.Difference
	verdict := "that may be chance"
	if d.Better != "" {
		verdict = "the " + d.Better + " is closer"
	}
	_, err := fmt.Fprintf(out, "%s against %s, mean of |ln(predicted / sold)|: %s; %s\n", d.Candidate, d.Primary, figure(d.LogError, "%+.4f"), verdict)
	return err
}

// printReplicas prints what each replica serves.
func printReplicas(out io.Writer, replicas []rollout.Replica) error {
	if len(replicas) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nREPLICA\tRUNS\tSHARES")
	for _, r := range replicas {
		var shares []string
		for _, version := range slices.Sorted(maps.Keys(r.Shares)) {
			shares = append(shares, fmt.Sprintf("%s %g %%", version, 100*r.Shares[version]))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", r.Address, strings.Join(r.Models, ", "), strings.Join(shares, ", "))
	}
	return w.Flush()
}

func planSource(state registry.State) string {
	switch {
	case state.Plan != nil:
		return "plan"
	case state.Version != "":
		return "the file VERSION"
	}
	return "none"
}

type rolloutStartCommand struct {
	planFlags
	guardFlags
	Version string          `arg:"" help:"Version or alias of the candidate."`
	Mode    rollout.Mode    `default:"canary" enum:"blue-green,canary,ab,shadow" help:"blue-green, canary, ab or shadow. Default: canary."`
	Percent rollout.Percent `default:"0" placeholder:"P" help:"Share of callers (in shadow, of requests) for the candidate, to 0.01. Default: 0."`
}

// Help shows examples.
func (*rolloutStartCommand) Help() string {
	return "Puts a candidate beside the primary. Who asks for it by the header canary: true gets it from then on; a share of the callers does as soon as it has one. With --steps the command stays, watches what the replicas count, moves the share on and in the end promotes the candidate, or rolls it back at once. It can be killed at any moment: the plan stays as it is, and the same command goes on from there.\n\nExamples:\n\n    housing rollout start kc-3 --steps 1,5,25,50,100 --every 5m --prometheus-url http://prometheus:9090 --model-dir s3://models/kc\n    housing rollout start kc-3 --percent 1 --model-dir s3://models/kc\n    housing rollout start kc-3 --mode shadow --percent 100 --dry-run --model-dir s3://models/kc"
}

// Run starts the candidate.
func (c *rolloutStartCommand) Run(p *program) error {
	if c.guarded() {
		return c.guard(p)
	}
	return c.step(p, func(plan rollout.Plan, resolve func(string) string) (rollout.Plan, string, error) {
		next, err := plan.Start(resolve(c.Version), c.Mode, c.Percent, rand.Text())
		return next, fmt.Sprintf("start %s as %s at %v %%", next.Candidate, next.Mode, next.Percent), err
	})
}

type rolloutSetCommand struct {
	planFlags
	Percent *rollout.Percent `xor:"what" required:"" placeholder:"P" help:"Share for the candidate, to 0.01."`
	Primary string           `xor:"what" required:"" placeholder:"VERSION" help:"Version or alias to be the primary at once; the first plan is made so."`
}

// Help shows examples.
func (*rolloutSetCommand) Help() string {
	return "Examples:\n\n    housing rollout set --primary kc-2 --model-dir s3://models/kc\n    housing rollout set --percent 12.5 --why \"no complaints\" --model-dir s3://models/kc"
}

// Run sets the share or the primary.
func (c *rolloutSetCommand) Run(p *program) error {
	return c.step(p, func(plan rollout.Plan, resolve func(string) string) (rollout.Plan, string, error) {
		if c.Percent != nil {
			next, err := plan.Set(*c.Percent)
			return next, fmt.Sprintf("set %s to %v %%", next.Candidate, next.Percent), err
		}
		next, err := plan.SetPrimary(resolve(c.Primary))
		return next, "set primary " + next.Primary, err
	})
}

type rolloutPromoteCommand struct{ planFlags }

// Help shows an example.
func (*rolloutPromoteCommand) Help() string {
	return "Makes the candidate the primary of everyone. The old primary stays known, for a rollback.\n\nExample:\n\n    housing rollout promote --why \"a week at 50 % without a complaint\" --model-dir s3://models/kc"
}

// Run promotes the candidate.
func (c *rolloutPromoteCommand) Run(p *program) error {
	return c.step(p, func(plan rollout.Plan, _ func(string) string) (rollout.Plan, string, error) {
		next, err := plan.Promote()
		return next, "promote " + next.Primary, err
	})
}

type rolloutRollbackCommand struct{ planFlags }

// Help shows an example.
func (*rolloutRollbackCommand) Help() string {
	return "Drops the candidate, so that the primary answers everyone; without a candidate, goes back to the primary before this one.\n\nExample:\n\n    housing rollout rollback --why \"prices in 98039 are off\" --model-dir s3://models/kc"
}

// Run rolls back.
func (c *rolloutRollbackCommand) Run(p *program) error {
	return c.step(p, func(plan rollout.Plan, _ func(string) string) (rollout.Plan, string, error) {
		next, err := plan.Rollback()
		return next, "rollback to " + next.Primary, err
	})
}
