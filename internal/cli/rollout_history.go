package cli

type rolloutHistoryCommand struct {
	registryFlags
	JSON bool `name:"json" help:"Print JSON."`
}

// Help shows an example.
func (*rolloutHistoryCommand) Help() string {
	return "Shows the last changes of the traffic plan, newest first: when, who, what, the plan before and after, and why.\n\nExample:\n\n    housing rollout history --model-dir s3://models/kc"
}

// Run prints the history.
func (c *rolloutHistoryCommand) Run(p *program) error {
	r, err := c.open(p.ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	state, _, err := r.State(p.ctx, "")
	if err != nil {
		return err
	}
	return printHistory(p.stdout, state.PlanHistory, c.JSON)
}
