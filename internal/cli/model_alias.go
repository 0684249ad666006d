package cli

import "errors"

type modelAliasCommand struct {
	registryFlags
	changeFlags
	Name    string `arg:"" help:"Alias."`
	Version string `arg:"" optional:"" help:"Version that it is to stand for."`
	Remove  bool   `help:"Remove the alias."`
}

// Help shows examples.
func (*modelAliasCommand) Help() string {
	return "Lets a name stand for a version, wherever a command takes a version. Aliases steer no traffic: that is the traffic plan's (housing rollout).\n\nExamples:\n\n    housing model alias next kc-3 --model-dir s3://models/kc --why \"trained on the sales of May\"\n    housing model alias next --remove --model-dir s3://models/kc"
}

// Run changes the alias.
func (c *modelAliasCommand) Run(p *program) error {
	if c.Remove == (c.Version != "") {
		return &usageError{errors.New("want a version, or --remove")}
	}
	r, err := c.openToChange(p)
	if err != nil {
		return err
	}
	defer r.Close()
	return setAlias(p, r, c.Name, c.Version, &c.changeFlags)
}
