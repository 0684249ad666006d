package cli

import (
	"slices"

	"housing/internal/registry"
)

type modelHistoryCommand struct {
	registryFlags
	Version string `arg:"" optional:"" help:"Version or alias whose history to show. Default: all."`
	JSON    bool   `name:"json" help:"Print JSON."`
}

// Help shows examples.
func (*modelHistoryCommand) Help() string {
	return "Shows who pushed models, and who let which alias stand for them, newest first: when, what, before, after and why.\n\nExamples:\n\n    housing model history --model-dir s3://models/kc\n    housing model history kc-3 --json --model-dir s3://models/kc"
}

// Run prints the history.
func (c *modelHistoryCommand) Run(p *program) error {
	r, err := c.open(p.ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	if c.Version == "" {
		history, err := r.History(p.ctx)
		if err != nil {
			return err
		}
		return printHistory(p.stdout, history, c.JSON)
	}
	state, _, err := r.State(p.ctx, "")
	if err != nil {
		return err
	}
	version := state.Resolve(c.Version)
	if _, err := r.Stat(p.ctx, version); err != nil {
		return err
	}
	history, err := r.Pushes(p.ctx, version)
	if err != nil {
		return err
	}
	for _, change := range state.AliasHistory {
		if change.Concerns(version) {
			history = append(history, change)
		}
	}
	slices.SortStableFunc(history, func(a, b registry.Change) int { return b.When.Compare(a.When) })
	return printHistory(p.stdout, history, c.JSON)
}
