package batch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"housing/internal/house"
	"housing/internal/model"
	"housing/internal/valuer"
)

// Options are how a file is valued.
type Options struct {
	// Valuer has the model that values; required.
	Valuer *valuer.Valuer
	// Workers is how many blocks are valued at once; 0 is GOMAXPROCS.
	Workers int
	// Now is the present, which bounds years; zero asks the clock.
	Now time.Time
	// Full adds all of a valuation to the price, not the price alone.
	Full bool
	// Progress, if not nil, is told how many more houses have been valued and
	// bytes of the input read.
	Progress func(houses int, bytes int64)
}

// Input is what houses are read from.
type Input struct {
	io.Reader
	Name   string // that errors call it
	Format Format
	Size   int64 // of Parquet, whose Reader must be an io.ReaderAt too
}

// Summary is what there is to say of a file that was valued.
type Summary struct {
	Houses       int
	ModelVersion string
	// Ignored lists columns or members that say nothing of a house, the
	// first 20; IgnoredMore says that there are others.
	Ignored     []string
	IgnoredMore bool
	// UnknownZipcodes is how many houses were valued without demographics of
	// their zipcode. Zipcodes lists these, the first 5; ZipcodesMore says that
	// there are others.
	UnknownZipcodes int
	Zipcodes        []house.Zipcode
	ZipcodesMore    bool
}

// path is the way of rows from one format to another.
type path struct {
	fill    func(*block) error // reads rows; io.EOF at the end
	parse   func(*block)       // makes houses of rows, concurrently
	encode  func(*block)       // writes rows to the block's out, concurrently
	width   int                // cells of a row
	more    []addition         // columns behind the price
	header  []byte             // what the output begins with
	table   *table             // of Parquet, if that is written
	close   func() error       // ends the reading, if not nil
	ignored some[string]
}

func newPath(in Input, to Format, now time.Time, more []addition) (*path, error) {
	switch in.Format {
	case CSV:
		return csvPath(in, in.Name, to, now.UTC().Year(), more)
	case Parquet:
		return parquetPath(in, to, now.UTC().Year(), more)
	}
	return ndjsonPath(in, in.Name, to, now, more)
}

// Run values the houses of in and writes them to w in the format. If rows
// have faults the error wraps a [*house.InvalidError]; after any error what
// was written is not whole. The Summary is of what was done up to then.
func Run(ctx context.Context, w io.Writer, to Format, in Input, o Options) (Summary, error) {
	running := o.Valuer.Model()
	if running == nil {
		return Summary{}, valuer.ErrNoModel
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	read := &counter{from: in.Reader}
	in.Reader = read
	var more []addition
	if o.Full {
		more = additions()
	}
	way, err := newPath(in, to, o.Now, more)
	if err != nil {
		return Summary{}, err
	}
	r := &run{Options: o, path: way, name: in.Name, read: read, w: w, ignored: way.ignored}
	if way.table != nil {
		r.parquet = newParquetWriter(w, way.table)
	} else if _, err := w.Write(way.header); err != nil {
		return Summary{}, err
	}
	r.summary.ModelVersion = running.Manifest.Version
	err = r.blocks(ctx)
	if way.close != nil {
		err = errors.Join(err, way.close())
	}
	if err == nil && r.parquet != nil {
		err = r.parquet.close()
	}
	if err == nil && r.summary.Houses == 0 {
		err = fmt.Errorf("%s: has no houses", in.Name)
	}
	r.summary.Ignored, r.summary.IgnoredMore = r.ignored.list, r.ignored.more
	r.summary.Zipcodes, r.summary.ZipcodesMore = r.zipcodes.list, r.zipcodes.more
	return r.summary, err
}

// run is one call of Run.
type run struct {
	Options
	*path
	name    string
	read    *counter // the reader's
	invalid atomic.Bool

	// The writer's:
	w        io.Writer
	parquet  *parquetWriter // to w, if Parquet is written
	faults   house.InvalidError
	ignored  some[string]
	zipcodes some[house.Zipcode]
	summary  Summary
}

// blocks moves all blocks from the input to the output. Every channel has
// room for all blocks there are, so only a lack of them holds the reader up.
func (r *run) blocks(parent context.Context) error {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	n := 2*r.Workers + 1
	free, jobs, order := make(chan *block, n), make(chan *block, n), make(chan *block, n)
	for range n {
		free <- newBlock(r.width, r.more)
	}
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() {
		defer close(jobs)
		defer close(order)
		r.readBlocks(ctx, free, jobs, order)
	})
	for range r.Workers {
		group.Go(func() {
			for b := range jobs {
				r.work(ctx, b)
				b.done <- struct{}{}
			}
		})
	}
	var failed error
	for b := range order {
		<-b.done
		if failed != nil {
			continue
		}
		if failed = r.write(b); failed != nil {
			cancel()
			continue
		}
		free <- b
	}
	switch {
	case parent.Err() != nil:
		return parent.Err()
	case failed != nil:
		return failed
	case r.faults.Total > 0:
		return house.FileError(r.name, &r.faults)
	}
	return nil
}

// readBlocks reads the input to its end, an error, or the end of ctx.
func (r *run) readBlocks(ctx context.Context, free <-chan *block, jobs, order chan<- *block) {
	seen := int64(0)
	for {
		var b *block
		select {
		case b = <-free:
		case <-ctx.Done():
			return
		}
		b.reset()
		err := r.fill(b)
		if err != nil && err != io.EOF {
			b.err = err
		}
		b.bytes, seen = r.read.n-seen, r.read.n
		order <- b
		jobs <- b
		if err != nil {
			return
		}
	}
}

// work parses, values and encodes a block. Once there are faults, blocks are
// only looked at for more.
func (r *run) work(ctx context.Context, b *block) {
	if ctx.Err() != nil {
		b.err = errors.Join(b.err, ctx.Err())
		return
	}
	r.parse(b)
	if b.faults.Total > 0 {
		r.invalid.Store(true)
	}
	if b.err != nil || r.invalid.Load() || len(b.houses) == 0 {
		return
	}
	answer, err := r.value(ctx, b)
	if err != nil {
		b.err = fmt.Errorf("value %s: %w", r.name, err)
		return
	}
	b.prices, b.unknown = answer.Prices, len(answer.UnknownZipcodes)
	for _, i := range answer.UnknownZipcodes {
		b.zipcodes.add(b.houses[i].Zipcode(), listedZipcodes)
	}
	r.encode(b)
}

// value values the houses of a block.
func (r *run) value(ctx context.Context, b *block) (valuer.Answer, error) {
	choice := valuer.Choice{Version: r.summary.ModelVersion}
	if !r.Full {
		return r.Valuer.Value(ctx, b.prices, b.houses, choice)
	}
	valuations, answer, err := r.Valuer.Appraise(ctx, nil, b.houses, choice, model.DefaultLevel)
	for i := range valuations {
		for _, a := range b.more {
			b.extra = append(b.extra, a.value(&valuations[i]))
		}
	}
	return answer, err
}

// write writes a block, unless there were faults.
func (r *run) write(b *block) error {
	r.faults.Merge(&b.faults)
	r.ignored.merge(&b.ignored, listedNames)
	if b.err != nil {
		if r.faults.Total == 0 {
			return b.err
		}
		r.faults.Add(house.Fault{Message: b.err.Error()})
	}
	if r.Progress != nil {
		r.Progress(len(b.houses), b.bytes)
	}
	if r.faults.Total > 0 {
		return nil
	}
	r.summary.Houses += len(b.houses)
	r.summary.UnknownZipcodes += b.unknown
	r.zipcodes.merge(&b.zipcodes, listedZipcodes)
	if r.parquet != nil {
		return r.parquet.write(b)
	}
	_, err := r.w.Write(b.out.Bytes())
	return err
}

// Names returns the ignored some[string] for a message, quoted where they are not
// plain.
func (s *Summary) Names() []string {
	shown := slices.Clone(s.Ignored)
	for i, name := range shown {
		shown[i] = clip(name)
	}
	return shown
}
