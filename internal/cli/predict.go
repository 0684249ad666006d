package cli

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"housing/internal/batch"
	"housing/internal/house"
	"housing/internal/telemetry"
	"housing/internal/valuer"
)

type predictCommand struct {
	registryFlags
	In    string `required:"" placeholder:"FILE" help:"File of houses: .csv, .ndjson, .jsonl or .parquet; or a folder or bucket of such files."`
	Out   string `required:"" placeholder:"FILE" help:"File to write, in the format of its name; - is stdout, in the format of the input. Of a folder or bucket: another one."`
	Model string `placeholder:"BUNDLE" help:"Bundle of the model: a file, or with MODEL_DIR a version or alias of the registry. Default: the built-in one."`
	Full  bool   `help:"Add all of a valuation: interval, confidence, what moves the price by how much, and comparables. Takes some twenty times as long."`
	Shard string `placeholder:"I/N" help:"Value only the files of shard I of N, from 0; N alone takes I from JOB_COMPLETION_INDEX."`
}

// Help shows an example and the fields of a house.
func (*predictCommand) Help() string {
	return `Values every house of a file. The output has all that the input has, and last the price in dollars, ` + batch.PriceColumn + `. It is written only when every house could be valued; if not, every fault is named by its line, and an old file stays.

A column that is empty or missing is unknown, and columns of other names are carried through. The column valuation_date (2015-05-27), or else date, values a house as of that day.

Example:

    housing predict --in houses.csv --out prices.csv

With --full the columns valued_as_of, low, high, interval, confidence, fsd, within_10, base_price, an effect in dollars for each thing that moves the price (effect_grade, effect_location), and comparable_1_price and so on follow; base_price and all effects sum to the price. They say what POST /v1/valuations answers.

Of a folder or bucket every file is valued into one of the same name. Several machines share it by --shard: of the files in the order of their names, shard 2/8 has numbers 2, 10, 18 and so on. A shard that was cut off may be run again, and leaves the same bytes:

    housing predict --in s3://houses/may --out s3://prices/may --shard 2/8

Fields:

` + fieldTable(time.Now().UTC().Year())
}

// fieldTable returns the fields of a house as a table, valid in the year.
func fieldTable(year int) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, s := range house.Fields() {
		need := "optional"
		if s.Required {
			need = "required"
		}
		least, greatest := s.Range(year)
		span := plain(least) + " to " + plain(greatest)
		switch s.Kind {
		case house.ZIP:
			span = "five digits"
		case house.YearOrZero:
			span = "0 or " + span
		}
		fmt.Fprintf(w, "    %s\t%s\t%s\t%s\n", s.Name, need, span, s.Unit)
	}
	_ = w.Flush() // to memory
	lines := strings.Split(b.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

func plain(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// Run values the file.
func (c *predictCommand) Run(p *program) (err error) {
	start := time.Now()
	if batch.IsPlace(c.In) {
		return c.files(p, start)
	}
	if c.Shard != "" {
		return &usageError{fmt.Errorf("--shard: shares out the files of a folder or bucket, and %s is none", c.In)}
	}
	job, err := batch.Plan(c.In, c.Out)
	var refused *batch.RefusedError
	if errors.As(err, &refused) {
		return &usageError{err}
	}
	if err != nil {
		return fmt.Errorf("predict: %w", err)
	}
	v, release, err := c.valuer(p, start)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	bar := newProgress(p, job.Bytes, "valuing houses")
	defer bar.done()
	summary, err := job.Run(p.ctx, p.stdout, batch.Options{
		Valuer:   v,
		Full:     c.Full,
		Progress: func(_ int, bytes int64) { bar.add(int(bytes)) },
	})
	bar.done()
	if len(summary.Ignored) > 0 {
		sayIgnored(p.stderr, c.In, &summary)
	}
	if err != nil {
		left := nothingWritten
		if c.Out == batch.Stdout {
			left = "stdout may have a part of the prices"
		}
		return interrupted(p.ctx, fmt.Errorf("predict: %w", err), left)
	}
	if summary.UnknownZipcodes > 0 {
		sayUnknown(p.stderr, &summary)
	}
	fmt.Fprintf(p.stderr, "Valued %s with model %s in %.1f seconds.\n", number(summary.Houses), summary.ModelVersion, time.Since(start).Seconds())
	return nil
}

// valuer returns what values with the model of the flags, until release.
func (c *predictCommand) valuer(p *program, start time.Time) (v *valuer.Valuer, release func() error, err error) {
	b, err := c.bundle(p.ctx, c.Model)
	if err != nil {
		return nil, nil, err
	}
	v = valuer.New(valuer.Options{
		Metrics: telemetry.NewMetrics(prometheus.NewRegistry()),
		Log:     telemetry.NewLogger(p.stderr, slog.LevelInfo, telemetry.Text),
	})
	if err := v.Use(valuer.FromBundle(b), time.Since(start)); err != nil {
		return nil, nil, errors.Join(err, b.Close())
	}
	return v, b.Close, nil
}

// files values the files of a folder or bucket, all of them even if some
// cannot be.
func (c *predictCommand) files(p *program, start time.Time) (err error) {
	shard := batch.All
	if c.Shard != "" {
		index, _ := p.getenv("JOB_COMPLETION_INDEX")
		if shard, err = batch.ParseShard(c.Shard, index); err != nil {
			return &usageError{fmt.Errorf("--shard: %w", err)}
		}
	}
	files, err := batch.OpenFiles(p.ctx, c.In, c.Out, shard)
	var refused *batch.RefusedError
	if errors.As(err, &refused) {
		return &usageError{err}
	}
	if err != nil {
		return fmt.Errorf("predict: %w", err)
	}
	defer files.Close()
	v, release, err := c.valuer(p, start)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	houses, written, failed := 0, 0, error(nil)
	for i, name := range files.Names {
		summary, err := files.Value(p.ctx, name, batch.Options{Valuer: v, Full: c.Full})
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("predict: %w", err))
			if p.ctx.Err() != nil {
				return interrupted(p.ctx, failed, fmt.Sprintf("%d of %d files are written; run it again for the rest", written, len(files.Names)))
			}
			continue
		}
		written++
		houses += summary.Houses
		fmt.Fprintf(p.stderr, "%d of %d: %s, %s.\n", i+1, len(files.Names), name, number(summary.Houses))
		if summary.UnknownZipcodes > 0 {
			sayUnknown(p.stderr, &summary)
		}
	}
	if failed != nil {
		return failed
	}
	fmt.Fprintf(p.stderr, "Valued %s in %d files of shard %d/%d with model %s in %.1f seconds.\n",
		number(houses), len(files.Names), shard.Index, shard.Count, v.Model().Manifest.Version, time.Since(start).Seconds())
	return nil
}

// sayIgnored names the columns that say nothing of a house.
func sayIgnored(w io.Writer, in string, s *batch.Summary) {
	others := ""
	if s.IgnoredMore {
		others = " and others"
	}
	fmt.Fprintf(w, "Not used of %s, but carried through: %s%s.\n", in, strings.Join(s.Names(), ", "), others)
}

// sayUnknown counts the houses whose zipcode has no demographics.
func sayUnknown(w io.Writer, s *batch.Summary) {
	zipcodes := make([]string, len(s.Zipcodes))
	for i, z := range s.Zipcodes {
		zipcodes[i] = z.String()
	}
	others := ""
	if s.ZipcodesMore {
		others = ", …"
	}
	fmt.Fprintf(w, "Warning: %s of %d in zipcodes that model %s does not have (%s%s): its medians stand for them.\n",
		number(s.UnknownZipcodes), s.Houses, s.ModelVersion, strings.Join(zipcodes, ", "), others)
}

func number(n int) string {
	if n == 1 {
		return "1 house"
	}
	return strconv.Itoa(n) + " houses"
}
