package cli

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"housing/internal/registry"
	"housing/internal/rollout"
	"housing/internal/valuer"
)

type modelListCommand struct {
	registryFlags
	JSON bool `name:"json" help:"Print JSON."`
}

// Help shows an example.
func (*modelListCommand) Help() string {
	return "Lists the versions in the registry, what the traffic plan makes of them, and their aliases.\n\nExample:\n\n    housing model list --model-dir s3://models/kc"
}

// listed is a version as the list shows it.
type listed struct {
	registry.Info
	Role    valuer.Role `json:"role,omitempty"`
	Aliases []string    `json:"aliases,omitempty"`
}

// Run prints the list.
func (c *modelListCommand) Run(p *program) error {
	r, err := c.open(p.ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	infos, err := r.List(p.ctx)
	if err != nil {
		return err
	}
	state, _, err := r.State(p.ctx, "")
	if err != nil {
		return err
	}
	plan, err := rollout.Of(state)
	if err != nil {
		return err
	}
	list := make([]listed, len(infos))
	for i, info := range infos {
		list[i] = listed{Info: info, Role: plan.Role(info.Version)}
		for name, version := range state.Aliases {
			if version == info.Version {
				list[i].Aliases = append(list[i].Aliases, name)
			}
		}
		slices.Sort(list[i].Aliases)
	}
	if c.JSON {
		return printJSON(p.stdout, map[string]any{"models": list})
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "VERSION\tSHA256\tBYTES\tSIGNED\tROLE\tALIASES")
	for _, l := range list {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\n", l.Version, orDash(short(l.Digest)), l.Size, yesNo(l.Signed), orDash(string(l.Role)), orDash(strings.Join(l.Aliases, ", ")))
	}
	return w.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
