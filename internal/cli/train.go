package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/renameio/v2"

	"housing/internal/buildinfo"
	"housing/internal/bundle"
	"housing/internal/demographics"
	"housing/internal/gbdt"
	"housing/internal/house"
	"housing/internal/model"
	"housing/internal/report"
)

type trainCommand struct {
	Sales        string `required:"" placeholder:"FILE" help:"CSV file of sales: id, date, price and the fields of a house."`
	Demographics string `required:"" placeholder:"FILE" help:"CSV file of census figures by zipcode."`
	Out          string `required:"" placeholder:"DIR" help:"Folder for the bundle, metrics.json and report.html."`
	Version      string `placeholder:"NAME" help:"Version of the model. Default: the name of the folder."`
	DropInvalid  bool   `help:"Leave out rows of the sales that have faults, and say how many, where they are an error otherwise."`
	Comparables  bool   `help:"Keep the sales in the bundle, without parcel numbers, to be shown as comparables: who gets the model gets the sales."`
	Report       string `default:"basic" enum:"basic,full" placeholder:"KIND" help:"basic or full. Full trains more models, for the learning curve and for what census figures are worth, and takes about twice as long. Default: basic."`
	Folds        int    `default:"5" placeholder:"N" help:"Parts of the cross-validation, 2 to 20. Default: 5."`
	Threads      int    `placeholder:"N" help:"How many threads learn at once; the model does not depend on it. Default: the number of CPUs."`
	JSON         bool   `name:"json" help:"Print the accuracy as JSON."`
	Boosting     struct {
		Rounds              *int     `placeholder:"N" help:"Trees at most. Default: 2000."`
		LearningRate        *float64 `placeholder:"SHARE" help:"Share of each step that is taken. Default: 0.03."`
		MaxLeaves           *int     `placeholder:"N" help:"Leaves of a tree at most. Default: 31."`
		MaxDepth            *int     `placeholder:"N" help:"Splits on a way at most, 0 for no limit. Default: 0."`
		MinChildWeight      *float64 `placeholder:"W" help:"Least weight of a leaf. Default: 5."`
		L2                  *float64 `name:"l2" placeholder:"LAMBDA" help:"Penalty on leaf values. Default: 1."`
		MinSplitGain        *float64 `placeholder:"GAMMA" help:"Least gain of a split. Default: 0."`
		Subsample           *float64 `placeholder:"SHARE" help:"Share of rows that each tree sees. Default: 0.8."`
		ColsampleByTree     *float64 `placeholder:"SHARE" help:"Share of columns that each tree sees. Default: 0.2."`
		EarlyStoppingRounds *int     `placeholder:"N" help:"Keep a tenth of the houses back and stop when they have not been valued better for so many rounds. Default: 0, off."`
		Huber               *float64 `placeholder:"ERROR" help:"Error of a log price from which on it counts as its size, not its square, so that a few sales far off do not bend the trees; 0 squares all. Default: 0.3."`
		Seed                *uint64  `placeholder:"N" help:"Seed of all that is drawn at random. Default: 1."`
	} `embed:"" group:"Boosting"`
	Smooth struct {
		SmoothShare *float64 `placeholder:"SHARE" help:"Share in the price of the network that two Gaussian processes teach; 0 does without both. Default: 0.5."`
		Mixed       *int     `placeholder:"N" help:"Houses that are made up for each sale, for the network to be taught on. Default: 4."`
		TuningSteps *int     `placeholder:"N" help:"Steps that the kernel of the Gaussian process is tuned by for these sales, where it is not that of King County. Default: 0, as it is."`
		Epochs      *int     `placeholder:"N" help:"Times that the network sees each house. Default: 30."`
		Stretch     *float64 `placeholder:"SHARE" help:"By how much log prices are spread about their centre, the mean by price. Default: 0.0125."`
	} `embed:"" group:"Smooth part"`
}

// Help shows an example.
func (*trainCommand) Help() string {
	return "Writes DIR/bundle, DIR/metrics.json and DIR/report.html. The same files and settings give the same bundle to the byte when SOURCE_DATE_EPOCH fixes its date.\n\nExample:\n\n    housing train --sales sales.csv --demographics demographics.csv --out models/kc-2"
}

// sources are the files that a model is trained from.
type sources struct {
	sales        *house.Sales
	demographics *demographics.Table
	files        []bundle.Source
}

// Run trains, measures and writes.
func (c *trainCommand) Run(p *program) (err error) {
	if _, there := os.Stat(c.Out); errors.Is(there, fs.ErrNotExist) {
		defer func() {
			if err != nil {
				_ = os.Remove(c.Out) // which it is not where something is in it
			}
		}()
	}
	if err := c.check(); err != nil {
		return err
	}
	created, err := creationTime(p)
	if err != nil {
		return err
	}
	from, err := c.read(p)
	if err != nil {
		return err
	}
	options := c.options()
	trained, err := c.learn(p, from, options)
	if err != nil {
		return interrupted(p.ctx, fmt.Errorf("%s: %w", c.Sales, err), nothingWritten)
	}
	segments, err := model.SegmentsOf(from.sales.Sales, trained.predicted)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Sales, err)
	}
	manifest := bundle.Manifest{
		Version:    c.Version,
		Created:    created,
		Program:    buildinfo.Program,
		ModelType:  model.Type,
		Sources:    from.files,
		NewestSale: trained.model.Encoder.Newest.String(),
		Sales:      len(from.sales.Sales),
		Options:    options,
		Trees:      trained.rounds,
		Features:   trained.model.FeatureNames(),
		Importance: trained.importance,
		Accuracy:   trained.accuracy,
		Coverage:   trained.coverage,
		Segments:   segments,
	}
	r := &report.Report{
		Title:     "Model " + c.Version,
		Manifest:  manifest,
		Accuracy:  trained.accuracy,
		Sales:     from.sales.Sales,
		Predicted: trained.predicted,
		Dropped:   from.sales.DroppedRows,
		Faults:    from.sales.Dropped,

		Coverage: trained.coverage, Bounds: trained.bounds, Demographics: from.demographics,
		Shuffled: trained.shuffled, Learning: trained.curve, WithoutCensus: trained.withoutCensus,
	}
	if err := writeReport(c.Out, r); err != nil {
		return err
	}
	// The bundle comes last: where there is one, all of it is there.
	err = bundle.WriteFile(c.bundlePath(), bundle.Contents{
		Manifest:     manifest,
		Model:        trained.model,
		Demographics: from.demographics,
		Golden:       bundle.Golden(houses(from.sales.Sales), options.Boosting.Seed),
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stderr, "Wrote %s, and beside it metrics.json and report.html.\n", c.bundlePath())
	return printAccuracy(p, manifest.Accuracy, manifest.Coverage, c.JSON)
}

func (c *trainCommand) bundlePath() string { return filepath.Join(c.Out, "bundle") }

// check refuses before a long training what would fail after it.
func (c *trainCommand) check() error {
	if c.Version == "" {
		absolute, err := filepath.Abs(c.Out)
		if err != nil {
			return err
		}
		c.Version = filepath.Base(absolute)
	}
	if err := bundle.CheckVersion(c.Version); err != nil {
		return &usageError{fmt.Errorf("%w: choose one with --version", err)}
	}
	if c.Folds < 2 || c.Folds > 20 {
		return &usageError{fmt.Errorf("--folds is %d, must be 2 to 20", c.Folds)}
	}
	if c.Threads == 0 {
		c.Threads = runtime.GOMAXPROCS(0)
	}
	o := c.options()
	if err := o.Check(); err != nil {
		return &usageError{err}
	}
	if err := os.MkdirAll(c.Out, 0o755); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	switch _, err := os.Stat(c.bundlePath()); {
	case err == nil:
		return fmt.Errorf("%s exists: a version is never overwritten, choose another --out", c.bundlePath())
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("--out: %w", err)
	}
	probe, err := os.CreateTemp(c.Out, ".writable-*")
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

func (c *trainCommand) options() model.Options {
	o := model.DefaultOptions()
	o.Threads = c.Threads
	b := &o.Boosting
	set(&b.Rounds, c.Boosting.Rounds)
	set(&b.LearningRate, c.Boosting.LearningRate)
	set(&b.MaxLeaves, c.Boosting.MaxLeaves)
	set(&b.MaxDepth, c.Boosting.MaxDepth)
	set(&b.MinChildWeight, c.Boosting.MinChildWeight)
	set(&b.L2, c.Boosting.L2)
	set(&b.MinSplitGain, c.Boosting.MinSplitGain)
	set(&b.Subsample, c.Boosting.Subsample)
	set(&b.ColsampleByTree, c.Boosting.ColsampleByTree)
	set(&b.EarlyStoppingRounds, c.Boosting.EarlyStoppingRounds)
	set(&o.Huber, c.Boosting.Huber)
	set(&b.Seed, c.Boosting.Seed)
	set(&o.Smooth.Share, c.Smooth.SmoothShare)
	set(&o.Smooth.Mixed, c.Smooth.Mixed)
	set(&o.Smooth.TuningSteps, c.Smooth.TuningSteps)
	set(&o.Smooth.Network.Epochs, c.Smooth.Epochs)
	set(&o.Stretch, c.Smooth.Stretch)
	return o
}

// set gives to the value of a flag, where the flag was given.
func set[T any](to, flag *T) {
	if flag != nil {
		*to = *flag
	}
}

// read reads both files and compares them.
func (c *trainCommand) read(p *program) (*sources, error) {
	sales, salesFile, err := readSales(c.Sales, house.SalesOptions{DropInvalid: c.DropInvalid, KeepOthers: true})
	if err != nil {
		return nil, err
	}
	if leaks := model.Leaks(sales.Sales, sales.Others); len(leaks) > 0 {
		return nil, fmt.Errorf("%s is not fit to learn from:\n  - %s", c.Sales, strings.Join(leaks, "\n  - "))
	}
	table, tableFile, err := readTable(c.Demographics)
	if err != nil {
		return nil, err
	}
	if sales.DroppedRows > 0 {
		fmt.Fprintf(p.stderr, "Left out %d rows of %s that have faults; report.html lists them.\n", sales.DroppedRows, c.Sales)
	}
	if len(sales.Ignored) > 0 {
		fmt.Fprintf(p.stderr, "Not used of %s: %s.\n", c.Sales, strings.Join(sales.Ignored, ", "))
	}
	if err := warnUnknownZipcodes(p, c.Sales, sales.Sales, c.Demographics, table); err != nil {
		return nil, err
	}
	return &sources{sales, table, []bundle.Source{salesFile, tableFile}}, nil
}

// learned is a model and what was measured on the way to it.
type learned struct {
	model      *model.Model
	rounds     int
	importance []float64
	accuracy   []model.Accuracy
	coverage   []model.Coverage
	predicted  []float64 // by sale, in the cross-validation
	bounds     []model.Bounds
	shuffled   []model.Shuffled

	// Of a full report.
	curve         []model.Learning
	withoutCensus []float64 // by sale, likewise
}

// learn measures and trains, under one progress bar.
func (c *trainCommand) learn(p *program, from *sources, o model.Options) (*learned, error) {
	sales, table := from.sales.Sales, from.demographics
	models := c.Folds + 2
	full := c.Report == "full"
	if full {
		models += c.Folds + model.Curves
	}
	if o.Boosting.EarlyStoppingRounds > 0 {
		models *= 2 // each is preceded by one that finds the number of rounds
	}
	bar := newProgress(p, int64(models*o.Boosting.Rounds), "cross-validation")
	defer bar.done()
	step := func(what string) func(gbdt.Round) {
		bar.describe(what)
		return func(r gbdt.Round) {
			bar.add(1)
			if r.Number%100 == 0 && !math.IsNaN(r.Validation) {
				// The loss is half the squared error of the log price.
				bar.describe(fmt.Sprintf("%s, validation error about %.1f %%", what, 100*math.Sqrt(2*r.Validation)))
			}
		}
	}
	validation, err := model.CrossValidate(p.ctx, sales, table, o, c.Folds, step("cross-validation"))
	if err != nil {
		return nil, err
	}
	newest, err := model.NewestSplit(p.ctx, sales, table, o, step("newest sales"))
	if err != nil {
		return nil, err
	}
	trained, err := model.Train(p.ctx, sales, table, o, step("all sales"))
	if err != nil {
		return nil, err
	}
	bar.describe("interval")
	calibrated, err := model.Calibrate(p.ctx, trained.Model, sales, validation, table, o)
	if err != nil {
		return nil, err
	}
	l := &learned{
		model: calibrated.Model, rounds: trained.Rounds, importance: trained.Importance, accuracy: append(validation.Accuracy, newest),
		coverage: calibrated.Coverage, bounds: calibrated.Bounds, predicted: validation.Prices, shuffled: validation.Shuffled,
	}
	if c.Comparables {
		if l.model, err = l.model.WithComparables(model.NewComparables(l.model, sales, validation, table)); err != nil {
			return nil, err
		}
	}
	if !full {
		return l, nil
	}
	if l.curve, err = model.LearningCurve(p.ctx, sales, table, o, step("learning curve")); err != nil {
		return nil, err
	}
	flat, err := model.WithoutCensus(table)
	if err != nil {
		return nil, err
	}
	without, err := model.CrossValidate(p.ctx, sales, flat, o, c.Folds, step("without census figures"))
	if err != nil {
		return nil, err
	}
	l.withoutCensus = without.Prices
	return l, nil
}

// creationTime returns the time that a bundle made now is said to be of:
// SOURCE_DATE_EPOCH (reproducible-builds.org) where that is set.
func creationTime(p *program) (time.Time, error) {
	const name = "SOURCE_DATE_EPOCH"
	value, ok := p.getenv(name)
	if !ok || value == "" {
		return time.Now().UTC().Truncate(time.Second), nil
	}
	seconds, err := strconv.ParseInt(value, 10, 64)
	if err != nil || seconds < 1 || seconds > math.MaxInt32*4 {
		return time.Time{}, &usageError{fmt.Errorf("%s is %.40q, must be a number of seconds since 1970", name, value)}
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// warnUnknownZipcodes says which sales are in zipcodes without figures; where
// that is all of them, the files do not belong together.
func warnUnknownZipcodes(p *program, salesPath string, sales []house.Sale, tablePath string, table *demographics.Table) error {
	var unknown []string
	seen := map[house.Zipcode]bool{}
	count := 0
	for i := range sales {
		z := sales[i].House.Zipcode()
		if _, known := table.Lookup(z); known {
			continue
		}
		count++
		if !seen[z] {
			seen[z] = true
			unknown = append(unknown, z.String())
		}
	}
	switch {
	case count == 0:
		return nil
	case count == len(sales):
		return fmt.Errorf("%s has no figures for any zipcode in %s (such as %s): the files do not belong together", tablePath, salesPath, unknown[0])
	}
	const shown = 5
	more := ""
	if len(unknown) > shown {
		unknown, more = unknown[:shown], ", …"
	}
	fmt.Fprintf(p.stderr, "Warning: %d of %d sales are in zipcodes that %s does not have (%s%s): its medians stand for them.\n",
		count, len(sales), tablePath, strings.Join(unknown, ", "), more)
	return nil
}

// writeReport writes metrics.json and report.html into dir.
func writeReport(dir string, r *report.Report) error {
	metrics, err := r.JSON()
	if err != nil {
		return err
	}
	page, err := r.HTML()
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(filepath.Join(dir, "metrics.json"), metrics, 0o644); err != nil {
		return err
	}
	return renameio.WriteFile(filepath.Join(dir, "report.html"), page, 0o644)
}

// printAccuracy prints what was measured, as a table or as JSON.
func printAccuracy(p *program, accuracy []model.Accuracy, coverage []model.Coverage, asJSON bool) error {
	if asJSON {
		return printJSON(p.stdout, map[string]any{"accuracy": accuracy, "coverage": coverage})
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	protocol := ""
	for _, a := range accuracy {
		if a.Protocol != protocol {
			protocol = a.Protocol
			fmt.Fprintf(w, "\n%s:\n", protocol)
			fmt.Fprintln(w, "sales\tfields known\tn\tR²\tRMSE\tMAE\tMAPE\tMdAPE\tPPE10\tPPE20\tratio\tCOD\tPRD\tPRB")
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%.4f\t%.0f\t%.0f\t%.2f\t%.2f\t%.1f\t%.1f\t%.3f\t%.2f\t%.3f\t%+.3f\n", a.Part, a.Fields, a.Sales,
			a.R2, a.RMSE, a.MAE, a.MAPE, a.MdAPE, a.PPE10, a.PPE20, a.MedianRatio, a.COD, a.PRD, a.PRB)
	}
	if err := w.Flush(); err != nil || len(coverage) == 0 {
		return err
	}
	fmt.Fprintf(p.stdout, "\nintervals of %.0f %%, and how many of the sales are within them:\n", 100*coverage[0].Level)
	w = tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "fields known\tn\twithin\twidth\twithin, by quarter of the price")
	for _, c := range coverage {
		fmt.Fprintf(w, "%s\t%d\t%.1f %%\t%.1f %%\t%s\n", c.Fields, c.Sales, c.Covered, c.Width, percents(c.ByPrice))
	}
	return w.Flush()
}

func prices(sales []house.Sale) []float64 {
	out := make([]float64, len(sales))
	for i := range sales {
		out[i] = sales[i].Price
	}
	return out
}

func houses(sales []house.Sale) []house.House {
	out := make([]house.House, len(sales))
	for i := range sales {
		out[i] = sales[i].House
	}
	return out
}
