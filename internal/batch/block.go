package batch

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/parquet-go/parquet-go"

	"housing/internal/house"
)

// Bounds of a block. One row more than blockBytes may be in it.
const (
	blockRows  = 512
	blockBytes = 1 << 20
)

// How many names and zipcodes a [Summary] lists.
const (
	listedNames    = 20
	listedZipcodes = 5
)

// block is some rows of the input on their way to the output. One goroutine
// at a time has it: the reader, then a worker, then the writer.
type block struct {
	read  int   // rows that were read into it, those with faults among them
	size  int   // bytes of the rows that it holds
	bytes int64 // bytes of the input that were read for it

	houses []house.House
	width  int      // cells of a row
	cells  []string // rows × width, when rows are cells
	text   []byte   // the lines, when rows are lines
	ends   []int    // where each line ends in text
	lines  []int    // the number of each line

	faults  house.InvalidError
	err     error // that ended the reading or the valuing
	prices  []float64
	more    []addition // columns behind the price; none unless all of a valuation is asked for
	extra   []float64  // rows × more
	ignored some[string]

	unknown  int                 // houses valued without demographics
	zipcodes some[house.Zipcode] // of some of them

	out    bytes.Buffer
	csv    *csv.Writer // to out
	record []string    // for csv
	source bytes.Reader
	json   *jsontext.Decoder // of source
	first  int               // the number of the first row, from 1, when rows are of Parquet
	values []parquet.Value   // rows × (width + 1), when rows are of Parquet
	rows   []parquet.Row     // to be written to Parquet
	done   chan struct{}     // tells the writer that the worker is done
}

func newBlock(width int, more []addition) *block {
	b := &block{width: width, more: more, record: make([]string, width+1+len(more)), done: make(chan struct{}, 1)}
	b.csv = csv.NewWriter(&b.out)
	b.json = jsontext.NewDecoder(&b.source)
	return b
}

// full says whether no more rows may be read into the block.
func (b *block) full() bool { return b.read >= blockRows || b.size >= blockBytes }

// reset makes the block ready for other rows.
func (b *block) reset() {
	b.read, b.size, b.bytes, b.err, b.unknown = 0, 0, 0, nil, 0
	b.houses, b.cells, b.text, b.ends, b.lines = b.houses[:0], b.cells[:0], b.text[:0], b.ends[:0], b.lines[:0]
	b.ignored, b.zipcodes, b.faults = some[string]{}, some[house.Zipcode]{}, house.InvalidError{}
	b.values, b.rows, b.extra = b.values[:0], b.rows[:0], b.extra[:0]
	b.out.Reset()
}

// line returns the text of a row.
func (b *block) line(row int) []byte {
	start := 0
	if row > 0 {
		start = b.ends[row-1]
	}
	return b.text[start:b.ends[row]]
}

// encodeCSV writes rows of cells as CSV.
func (b *block) encodeCSV() {
	for i, price := range b.prices {
		copy(b.record, b.cells[i*b.width:][:b.width])
		b.record[b.width] = strconv.FormatFloat(price, 'f', -1, 64)
		for k, v := range b.extras(i) {
			b.record[b.width+1+k] = b.more[k].text(v)
		}
		_ = b.csv.Write(b.record) // to memory
	}
	b.csv.Flush()
}

// some is a short list of different things in the order in which they came.
type some[T comparable] struct {
	list []T
	more bool // there are others
}

// add adds a thing unless it is listed or the list has as many as most.
func (s *some[T]) add(thing T, most int) {
	switch {
	case slices.Contains(s.list, thing):
	case len(s.list) == most:
		s.more = true
	default:
		s.list = append(s.list, thing)
	}
}

// merge adds what another list has.
func (s *some[T]) merge(other *some[T], most int) {
	for _, thing := range other.list {
		s.add(thing, most)
	}
	s.more = s.more || other.more
}

// counter counts the bytes that are read.
type counter struct {
	from io.Reader
	n    int64
}

// ReadAt is for formats that are not read from beginning to end.
func (c *counter) ReadAt(p []byte, at int64) (int, error) {
	from, ok := c.from.(io.ReaderAt)
	if !ok {
		return 0, errors.New("batch: Parquet is read from an io.ReaderAt")
	}
	n, err := from.ReadAt(p, at)
	c.n += int64(n)
	return n, err
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n += int64(n)
	return n, err
}
