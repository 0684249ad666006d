package house

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Bounds of a CSV file.
const (
	maxRowBytes = 1 << 20
	maxColumns  = 1000
	readBuffer  = 64 << 10
)

// Rows reads a CSV file with a header, row by row, in bounded memory, and
// names the places of its faults: sales.csv:17: column sqft_living. A byte
// order mark and \r\n are read past. [CSVReader] and [ReadSales] stand on it,
// and so do other tables in CSV.
type Rows struct {
	name   string
	header []string
	csv    *csv.Reader
	limit  *rowLimit
	record []string
	line   int
}

// NewRows reads the header of the file; name is what errors call it. It is an
// error if a column stands there twice.
func NewRows(r io.Reader, name string) (*Rows, error) {
	t, err := anyRows(r, name)
	if err != nil {
		return nil, err
	}
	for i, column := range t.header {
		if t.twice(i) {
			return nil, fmt.Errorf("%s:1: column %s stands twice", name, clip([]byte(column)))
		}
	}
	return t, nil
}

// twice says whether a column of this name stands before it.
func (t *Rows) twice(column int) bool {
	return t.header[column] != "" && slices.Contains(t.header[:column], t.header[column])
}

// anyRows is NewRows where a column may stand twice.
func anyRows(r io.Reader, name string) (*Rows, error) {
	limit := &rowLimit{from: r}
	limit.refill()
	buffered := bufio.NewReaderSize(limit, readBuffer)
	if mark, _ := buffered.Peek(len(byteOrderMark)); bytes.Equal(mark, byteOrderMark) {
		_, _ = buffered.Discard(len(byteOrderMark)) // just peeked at
	}
	t := &Rows{name: name, csv: csv.NewReader(buffered), limit: limit}
	t.csv.ReuseRecord = true
	t.csv.FieldsPerRecord = -1 // Next says it better
	header, err := t.csv.Read()
	switch {
	case err == io.EOF:
		return nil, fmt.Errorf("%s: is empty, must begin with a header", name)
	case err != nil:
		return nil, t.explain(err)
	case len(header) > maxColumns:
		return nil, fmt.Errorf("%s:1: must have at most %d columns, has %d", name, maxColumns, len(header))
	}
	t.line, _ = t.csv.FieldPos(0)
	for _, column := range header {
		t.header = append(t.header, strings.Clone(strings.TrimSpace(column)))
	}
	return t, nil
}

// Header returns the names of the columns, trimmed.
func (t *Rows) Header() []string { return slices.Clone(t.header) }

// Require returns an error that names each of the columns that is missing.
func (t *Rows) Require(columns ...string) error {
	var missing []string
	for _, c := range columns {
		if !slices.Contains(t.header, c) {
			missing = append(missing, c)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	hint := ""
	if len(t.header) == 1 {
		for _, other := range []string{";", "\t", "|"} {
			if strings.Contains(t.header[0], other) {
				hint = fmt.Sprintf(" (columns must be parted by commas, not %q)", other)
			}
		}
	}
	if len(missing) == 1 {
		return fmt.Errorf("%s:1: column %s is missing%s", t.name, missing[0], hint)
	}
	return fmt.Errorf("%s:1: columns %s are missing%s", t.name, strings.Join(missing, ", "), hint)
}

// Next returns the cells of the next row, as many as the header has, until
// the next call. At the end the error is io.EOF. After an [*InvalidError] that
// row is none but the next can be read; any other error is final.
func (t *Rows) Next() ([]string, error) {
	t.limit.refill()
	record, err := t.csv.Read()
	if err != nil {
		return nil, t.explain(err)
	}
	t.record = record
	t.line, _ = t.csv.FieldPos(0)
	if len(record) != len(t.header) {
		message := fmt.Sprintf("has %d cells where the header has %d", len(record), len(t.header))
		return nil, &InvalidError{Faults: []Fault{{Location: t.place(), Message: message}}, Total: 1}
	}
	return record, nil
}

// Line returns the line on which the row begins, from 1.
func (t *Rows) Line() int { return t.line }

// Fault returns the fault of a cell of the row, by index of its column.
func (t *Rows) Fault(column int, message string) Fault {
	f := Fault{Location: t.place() + ": column " + clip([]byte(t.header[column])), Message: message}
	if cell := strings.TrimSpace(t.record[column]); cell != "" && len(cell) <= maxFaultValue {
		if _, isNumber := ParseNumber(cell); isNumber && jsontext.Value(cell).IsValid() {
			f.Value = jsontext.Value(cell)
		} else {
			f.Value, _ = jsontext.AppendQuote(nil, cell) // invalid UTF-8 is replaced
		}
	}
	return f
}

func (t *Rows) place() string { return t.name + ":" + strconv.Itoa(t.line) }

// explain names file and line of an error of the CSV.
func (t *Rows) explain(err error) error {
	if err == io.EOF {
		return err
	}
	if errors.Is(err, errRowTooLong) {
		return fmt.Errorf("%s:%d: %w", t.name, t.line+1, err)
	}
	var syntax *csv.ParseError
	if errors.As(err, &syntax) {
		return fmt.Errorf("%s:%d: not CSV: %w", t.name, syntax.StartLine, syntax.Err)
	}
	return fmt.Errorf("read %s: %w", t.name, err)
}

// rowLimit bounds how much is read for one row.
type rowLimit struct {
	from io.Reader
	left int
}

var errRowTooLong = errors.New("must not have more than 1 MiB in a row; is a quote left open?")

func (l *rowLimit) refill() { l.left = maxRowBytes + readBuffer }

func (l *rowLimit) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errRowTooLong
	}
	n, err := l.from.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}
