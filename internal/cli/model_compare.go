package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"housing/internal/bundle"
	"housing/internal/house"
	"housing/internal/model"
)

type modelCompareCommand struct {
	registryFlags
	A    string `arg:"" help:"Bundle, or version or alias in the registry."`
	B    string `arg:"" help:"The other."`
	In   string `required:"" placeholder:"FILE" help:"CSV file of houses, with what they sold for in the column price where that is known."`
	Seed uint64 `default:"1" help:"Seed of the resampling. Default: 1."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Help shows an example.
func (*modelCompareCommand) Help() string {
	return `Values each house with both models and says how the prices differ, and, where the file has sale prices, which model is closer to them: each measure with an interval of 95 % of its difference, by a paired bootstrap. Sales that a model was trained on say nothing of it.

Examples:

    housing model compare kc-2 kc-3 --model-dir s3://models/kc --in new-sales.csv
    housing model compare models/kc-2/bundle models/kc-3/bundle --in houses.csv --json`
}

// Run compares and prints.
func (c *modelCompareCommand) Run(p *program) (err error) {
	a, err := c.bundle(p.ctx, c.A)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	b, err := c.bundle(p.ctx, c.B)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	var houses []house.House
	var sold []float64
	file, err := readSource(c.In, func(r io.Reader) (int, error) {
		houses, sold, err = house.ReadPriced(r, c.In, time.Now().UTC().Year(), model.MaxCompared)
		return len(houses), err
	})
	if err != nil {
		return err
	}
	for _, x := range []*bundle.Bundle{a, b} {
		if slices.ContainsFunc(x.Manifest.Sources, func(s bundle.Source) bool { return s.SHA256 == file.SHA256 }) {
			fmt.Fprintf(p.stderr, "Warning: %s is the file that model %s was trained from: its accuracy here says nothing.\n", c.In, x.Manifest.Version)
		}
	}
	compared, err := model.Compare(p.ctx, a.Model.Prices(nil, houses, a.Demographics), b.Model.Prices(nil, houses, b.Demographics), sold, c.Seed)
	if err != nil {
		return interrupted(p.ctx, err, nothingWritten)
	}
	if c.JSON {
		return printJSON(p.stdout, struct {
			A string `json:"a"`
			B string `json:"b"`
			*model.Comparison
		}{a.Manifest.Version, b.Manifest.Version, compared})
	}
	return printComparison(p.stdout, a.Manifest.Version, b.Manifest.Version, compared)
}

func printComparison(out io.Writer, a, b string, c *model.Comparison) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "A\t%s\nB\t%s\nhouses\t%d, %d of them at one price\n", a, b, c.Houses, c.Equal)
	r := c.Ratio
	fmt.Fprintf(w, "\nB / A\tmin\t1 %%\t5 %%\t25 %%\tmedian\t75 %%\t95 %%\t99 %%\tmax\n")
	fmt.Fprintf(w, "\t%.4f\t%.4f\t%.4f\t%.4f\t%.4f\t%.4f\t%.4f\t%.4f\t%.4f\n", r.Min, r.P1, r.P5, r.P25, r.Median, r.P75, r.P95, r.P99, r.Max)
	if len(c.Largest) > 0 {
		fmt.Fprintln(w, "\nhouse\tA\tB\tB / A")
		for _, d := range c.Largest {
			fmt.Fprintf(w, "%d\t%.2f\t%.2f\t%.4f\n", d.House, d.A, d.B, d.Ratio)
		}
	}
	if len(c.Accuracy) > 0 {
		fmt.Fprintf(w, "\non %d sales\tA\tB\tB − A\t95 %% interval\tbetter\n", c.Sold)
		for _, p := range c.Accuracy {
			better := map[string]string{"a": "A", "b": "B", "": "not told"}[p.Better]
			fmt.Fprintf(w, "%s\t%.4f\t%.4f\t%+.4f\t%+.4f to %+.4f\t%s\n", p.Measure, p.A, p.B, p.Difference, p.Low, p.High, better)
		}
		fmt.Fprintf(w, "\nSeed %d, %d resamples.\n", c.Seed, c.Resamples)
	}
	return w.Flush()
}
