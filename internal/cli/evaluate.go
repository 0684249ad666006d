package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"housing/internal/bundle"
	"housing/internal/house"
	"housing/internal/model"
	"housing/internal/report"
)

type evaluateCommand struct {
	Model        string `placeholder:"BUNDLE" help:"Bundle of the model. Default: the built-in one."`
	Sales        string `required:"" placeholder:"FILE" help:"CSV file of sales that the model has not seen."`
	Demographics string `placeholder:"FILE" help:"CSV file of census figures. Default: those inside the model."`
	DropInvalid  bool   `help:"Leave out rows of the sales that have faults, where they are an error otherwise."`
	Out          string `placeholder:"DIR" help:"Folder for metrics.json and report.html."`
	JSON         bool   `name:"json" help:"Print the accuracy as JSON."`
}

// Help shows an example.
func (*evaluateCommand) Help() string {
	return "Values each sale as of its day and compares with what it sold for.\n\nExample:\n\n    housing evaluate --model models/kc-2/bundle --sales new-sales.csv --out evaluation"
}

// Run measures and prints.
func (c *evaluateCommand) Run(p *program) (err error) {
	b, err := openBundle(c.Model)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	sales, file, err := readSales(c.Sales, house.SalesOptions{DropInvalid: c.DropInvalid})
	if err != nil {
		return err
	}
	if sales.DroppedRows > 0 {
		fmt.Fprintf(p.stderr, "Left out %d rows of %s that have faults.\n", sales.DroppedRows, c.Sales)
	}
	files, table := []bundle.Source{file}, b.Demographics
	if c.Demographics != "" {
		var tableFile bundle.Source
		if table, tableFile, err = readTable(c.Demographics); err != nil {
			return err
		}
		files = append(files, tableFile)
	}
	if err := warnUnknownZipcodes(p, c.Sales, sales.Sales, "the model", table); err != nil {
		return err
	}
	accuracy, predicted, err := model.Evaluate(b.Model, sales.Sales, table)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Sales, err)
	}
	r := &report.Report{
		Title:     fmt.Sprintf("Model %s on %s", b.Manifest.Version, file.Name),
		Manifest:  b.Manifest,
		Digest:    b.Digest,
		Sources:   files,
		Accuracy:  accuracy,
		Sales:     sales.Sales,
		Predicted: predicted,
		Dropped:   sales.DroppedRows,
		Faults:    sales.Dropped,

		Demographics: table,
	}
	if r.Bounds = b.Model.Intervals(houses(sales.Sales), table); r.Bounds != nil {
		r.Coverage = []model.Coverage{model.MeasureCoverage("as given", prices(sales.Sales), predicted, r.Bounds)}
	}
	for _, trainedFrom := range b.Manifest.Sources {
		if trainedFrom.SHA256 == file.SHA256 {
			note := fmt.Sprintf("%s is the file that model %s was trained from: these figures say nothing about sales that it has not seen.", file.Name, b.Manifest.Version)
			r.Notes = append(r.Notes, note)
			fmt.Fprintln(p.stderr, "Warning:", note)
		}
	}
	if c.Out != "" {
		if _, err := os.Stat(filepath.Join(c.Out, "bundle")); err == nil {
			return fmt.Errorf("--out: %s holds a model, whose own report would be lost: choose another folder", c.Out)
		}
		if err := os.MkdirAll(c.Out, 0o755); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
		if err := writeReport(c.Out, r); err != nil {
			return err
		}
		fmt.Fprintf(p.stderr, "Wrote metrics.json and report.html into %s.\n", c.Out)
	}
	return printAccuracy(p, accuracy, r.Coverage, c.JSON)
}
