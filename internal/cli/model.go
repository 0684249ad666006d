package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"housing/internal/bundle"
)

type modelCommand struct {
	List    modelListCommand    `cmd:"" help:"List the versions in a registry."`
	Show    modelShowCommand    `cmd:"" help:"Show what a bundle holds."`
	Push    modelPushCommand    `cmd:"" help:"Put a bundle into a registry."`
	Pull    modelPullCommand    `cmd:"" help:"Fetch a bundle from a registry."`
	Verify  modelVerifyCommand  `cmd:"" help:"Verify versions in a registry."`
	Compare modelCompareCommand `cmd:"" help:"Compare two models on the same houses."`
	Alias   modelAliasCommand   `cmd:"" help:"Let a name stand for a version."`
	History modelHistoryCommand `cmd:"" help:"Show who pushed models and changed aliases."`
}

type modelShowCommand struct {
	registryFlags
	Bundle string `arg:"" optional:"" help:"Bundle to show: a file, or a version or alias in the registry. Default: the built-in one."`
	JSON   bool   `name:"json" help:"Print the manifest as JSON."`
	Card   bool   `help:"Print the model card: what the model is for and not for, what it was trained on, how good and how sure it is."`
}

// Help shows an example.
func (*modelShowCommand) Help() string {
	return "Verifies the bundle and prints its manifest.\n\nExamples:\n\n    housing model show models/kc-2/bundle\n    housing model show kc-2 --model-dir s3://models/kc"
}

// Run prints the manifest.
func (c *modelShowCommand) Run(p *program) (err error) {
	b, err := c.bundle(p.ctx, c.Bundle)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if c.JSON {
		return printJSON(p.stdout, struct {
			SHA256 string `json:"sha256"`
			bundle.Manifest
		}{b.Digest, b.Manifest})
	}
	if c.Card {
		_, err := io.WriteString(p.stdout, modelCard(b))
		return err
	}
	m := &b.Manifest
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "version\t%s\n", m.Version)
	fmt.Fprintf(w, "sha256\t%s\n", b.Digest)
	fmt.Fprintf(w, "made\t%s by %s\n", m.Created.Format("2006-01-02 15:04:05 MST"), m.Program)
	fmt.Fprintf(w, "model\t%s, %d trees, %d features\n", m.ModelType, m.Trees, len(m.Features))
	fmt.Fprintf(w, "trained on\t%d sales, the newest of %s\n", m.Sales, m.NewestSale)
	for _, s := range m.Sources {
		fmt.Fprintf(w, "from\t%s, %d rows, sha256 %s\n", s.Name, s.Rows, s.SHA256)
	}
	fmt.Fprintf(w, "areas\t%d zipcodes\n", b.Demographics.Len())
	if err := w.Flush(); err != nil {
		return err
	}
	if err := printAccuracy(p, m.Accuracy, m.Coverage, false); err != nil {
		return err
	}
	return c.printImportance(p, m)
}

// printImportance prints the columns that matter most.
func (c *modelShowCommand) printImportance(p *program, m *bundle.Manifest) error {
	order := make([]int, len(m.Features))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case m.Importance[a] > m.Importance[b]:
			return -1
		case m.Importance[a] < m.Importance[b]:
			return 1
		}
		return 0
	})
	const shown = 10
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nfeature\tshare of gain")
	for _, i := range order[:min(shown, len(order))] {
		fmt.Fprintf(w, "%s\t%.1f %%\n", m.Features[i], 100*m.Importance[i])
	}
	return w.Flush()
}
