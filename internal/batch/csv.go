package batch

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"housing/internal/house"
)

// csvInput reads houses from CSV.
type csvInput struct {
	reader *house.CSVReader
	name   string
	header []string
	utf8   bool // cells must be UTF-8, as JSON and Parquet hold nothing else
}

// jsonCells writes rows of cells as JSON objects.
type jsonCells struct {
	keys [][]byte // of the members, with the colon
	zip  int      // column of the zipcode
}

// csvPath is the way from CSV to the format.
func csvPath(r io.Reader, name string, to Format, year int, more []addition) (*path, error) {
	reader, err := house.NewCSVReader(r, name, house.RequiredFields, year)
	if err != nil {
		return nil, err
	}
	c := &csvInput{reader: reader, name: name, header: reader.Header()}
	for _, column := range c.header {
		if isAdded(column, more) {
			return nil, fmt.Errorf("%s: column %s %s", place(name, 1), column, isThere)
		}
	}
	c.utf8 = to != CSV
	p := &path{fill: c.fill, parse: func(*block) {}, width: len(c.header), more: more}
	for _, column := range reader.Ignored() {
		p.ignored.add(column, listedNames)
	}
	return p, p.writeCells(place(name, 1), c.header, to)
}

// writeCells makes the path write rows of cells in the format.
func (p *path) writeCells(name string, header []string, to Format) error {
	switch to {
	case CSV:
		p.header, p.encode = csvHeader(header, p.more), (*block).encodeCSV
		return nil
	case Parquet:
		if err := checkNames(header, p.more); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		p.table, p.encode = cellTable(header, p.more)
		return nil
	}
	c := &jsonCells{keys: make([][]byte, len(header)), zip: slices.Index(header, house.ZipcodeField.String())}
	for i, column := range header {
		if column == "" && slices.Index(header, "") < i {
			return fmt.Errorf("%s: several columns have no name, so they cannot be members of a JSON object: name them, or write .csv", name)
		}
		key, err := jsontext.AppendQuote(nil, column)
		if err != nil {
			return fmt.Errorf("%s: column %d: its name is %s", name, i+1, notUTF8)
		}
		c.keys[i] = append(key, ':')
	}
	p.encode = c.encode
	return nil
}

const notUTF8 = "not UTF-8, so it cannot be written as JSON or Parquet: convert the file, or write .csv"

// csvHeader returns the first line of a CSV file of these columns, the price
// and what is added to it.
func csvHeader(columns []string, more []addition) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	columns = append(slices.Clone(columns), PriceColumn)
	for i := range more {
		columns = append(columns, more[i].name)
	}
	_ = w.Write(columns) // to memory
	w.Flush()
	return b.Bytes()
}

// fill reads rows until the block is full.
func (c *csvInput) fill(b *block) error {
	for !b.full() {
		h, record, line, err := c.reader.Next()
		var invalid *house.InvalidError
		switch {
		case errors.As(err, &invalid):
			b.faults.Merge(invalid)
		case err != nil:
			return err
		}
		b.read++
		if c.utf8 {
			checkUTF8(b, record, place(c.name, line), c.header)
		}
		if b.faults.Total > 0 {
			continue // the rows of this block are not needed any more
		}
		b.houses = append(b.houses, h)
		b.cells = append(b.cells, record...)
		for _, cell := range record {
			b.size += len(cell)
		}
	}
	return nil
}

// checkUTF8 finds cells of a row that are not UTF-8.
func checkUTF8(b *block, record []string, row string, header []string) {
	for i, cell := range record {
		if !utf8.ValidString(cell) {
			b.faults.Add(house.Fault{Location: row + ": column " + clip(header[i]), Message: "is " + notUTF8})
		}
	}
}

// encode writes the rows of a block.
func (c *jsonCells) encode(b *block) {
	out := b.out.AvailableBuffer()
	for i := range b.prices {
		out = append(out, '{')
		for j, cell := range b.cells[i*b.width:][:b.width] {
			out = append(out, c.keys[j]...)
			if j == c.zip {
				out = strconv.AppendQuote(out, b.houses[i].Zipcode().String())
			} else {
				out = appendJSON(out, cell)
			}
			out = append(out, ',')
		}
		out = b.appendPrice(out, i)
	}
	b.out.Write(out)
}

// appendPrice appends the price of a row, what is added to it, and the end of
// the object.
func (b *block) appendPrice(dst []byte, row int) []byte {
	dst = append(dst, `"`+PriceColumn+`":`...)
	dst = strconv.AppendFloat(dst, b.prices[row], 'f', -1, 64)
	for k, v := range b.extras(row) {
		dst = append(append(append(dst, `,"`...), b.more[k].name...), `":`...)
		dst = b.more[k].appendJSON(dst, v)
	}
	return append(dst, "}\n"...)
}

// appendJSON appends a cell as a JSON value: null if it is blank, a number as
// it is written if JSON allows to write it so and it is within float64, else
// a string.
func appendJSON(dst []byte, cell string) []byte {
	trimmed := strings.TrimSpace(cell)
	if trimmed == "" {
		return append(dst, "null"...)
	}
	if v, isNumber := house.ParseNumber(trimmed); isNumber && !math.IsInf(v, 0) && isJSONNumber(trimmed) {
		return append(dst, trimmed...)
	}
	dst, _ = jsontext.AppendQuote(dst, cell) // its error is broken UTF-8, which fill has refused
	return dst
}

// isJSONNumber says whether a number that house.ParseNumber reads is written
// as JSON has it (RFC 8259, section 6): no plus sign, no idle zeros in front,
// digits on both sides of the point.
func isJSONNumber(text string) bool {
	mantissa := strings.TrimPrefix(text, "-")
	if end := strings.IndexAny(mantissa, "eE"); end >= 0 {
		mantissa = mantissa[:end]
	}
	whole, fraction, point := strings.Cut(mantissa, ".")
	if whole == "" || whole[0] == '+' || whole[0] == '0' && len(whole) > 1 {
		return false
	}
	return !point || fraction != ""
}
