package house

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
)

// CSVReader reads houses from a CSV file, one by one. Columns stand in any
// order under the names of the fields; numbers may be quoted, an empty cell is
// an unknown value, and a column that is missing is unknown throughout. The
// day is in valuation_date, or where that is empty or missing in date.
type CSVReader struct {
	rows    *Rows
	columns *Columns
	record  []string     // the row that is read
	faults  InvalidError // of the row that is read
}

// NewCSVReader reads the header of the file; name is what errors call it. The
// required fields must have a column. Years run to the one after year, the
// present one.
func NewCSVReader(r io.Reader, name string, required Set, year int) (*CSVReader, error) {
	rows, err := NewRows(r, name)
	if err != nil {
		return nil, err
	}
	if err := rows.Require(required.names()...); err != nil {
		return nil, err
	}
	return &CSVReader{rows: rows, columns: NewColumns(rows.header, required, year)}, nil
}

// Header returns the names of all columns, as the cells of a record stand.
func (c *CSVReader) Header() []string { return c.rows.Header() }

// Ignored returns the names of the columns that say nothing of a house.
func (c *CSVReader) Ignored() []string { return c.columns.Ignored() }

// Next returns the next house, with the cells of its row, good until the next
// call, and the line on which it begins. At the end the error is io.EOF. After
// an [*InvalidError], which names every fault of the row, the next can be
// read; see [InvalidError.Merge]. Any other error is final.
func (c *CSVReader) Next() (h House, record []string, line int, err error) {
	record, err = c.rows.Next()
	line = c.rows.Line()
	if err != nil {
		return unknown, nil, line, err
	}
	c.record, c.faults = record, InvalidError{}
	h = c.columns.House(c.cell, c.fault)
	if c.faults.Total > 0 {
		faults := c.faults
		return unknown, record, line, &faults
	}
	return h, record, line, nil
}

func (c *CSVReader) cell(column int) Cell { return Cell{Text: c.record[column]} }

func (c *CSVReader) fault(column int, message string) { c.faults.Add(c.rows.Fault(column, message)) }

// CSV reads a body in CSV with a header and appends its houses to dst[:0].
// Cells are read as a [CSVReader] does, but a column that says nothing of a
// house is a fault. The error is an [*InvalidError] with every fault, or
// another that says why the body is no such table.
func (d *Decoder) CSV(dst []House, body []byte) ([]House, error) {
	const name = "body"
	houses := dst[:0]
	rows, err := anyRows(bytes.NewReader(body), name)
	if err != nil {
		return houses, err
	}
	if !slices.ContainsFunc(rows.header, func(column string) bool { _, is := Lookup(column); return is }) {
		return houses, errors.New(name + ":1: the first line must name the columns, such as bedrooms")
	}
	var faults InvalidError
	d.checkHeader(rows, &faults)
	c := &CSVReader{rows: rows, columns: NewColumns(rows.header, d.Required, d.presentYear())}
	for {
		h, _, _, err := c.Next()
		if err == io.EOF {
			break
		}
		var invalid *InvalidError
		switch {
		case errors.As(err, &invalid):
			faults.Merge(invalid)
		case err != nil:
			return dst[:0], err
		}
		if len(houses) == d.most() {
			return dst[:0], d.tooManyAt(name)
		}
		houses = append(houses, h)
	}
	if len(houses) == 0 && faults.count() {
		faults.keep(name, atLeastOne, nil)
	}
	if faults.Total > 0 {
		return dst[:0], &faults
	}
	return houses, nil
}

// checkHeader adds what is wrong with the names of columns.
func (d *Decoder) checkHeader(rows *Rows, faults *InvalidError) {
	const place = "body:1: column "
	var seen Set
	for i, column := range rows.header {
		field, known := Lookup(column)
		taken := known && d.Allowed.Has(field)
		if taken {
			seen |= 1 << field
		}
		switch twice := rows.twice(i); {
		case !twice && (taken || column == DateField || column == saleDateColumn):
		case !faults.count():
		case column == "":
			faults.keep(place+strconv.Itoa(i+1), "has no name; an index is written with none", nil)
		case twice:
			faults.keep(place+clip([]byte(column)), "stands twice", nil)
		default:
			faults.keep(place+clip([]byte(column)), d.unknownField(column, known), nil)
		}
	}
	for f := range Field(NumFields) {
		if (d.Required &^ seen).Has(f) && faults.count() {
			faults.keep(place+f.String(), isRequired, nil)
		}
	}
}
