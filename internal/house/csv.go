package house

import (
	"bytes"
	"errors"
	"io"
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
	c, err := NewCSVReader(bytes.NewReader(body), name, d.Required, d.presentYear())
	if err != nil {
		return houses, err
	}
	var faults InvalidError
	for i, column := range c.rows.header {
		field, known := Lookup(column)
		if known && d.Allowed.Has(field) || column == DateField || column == saleDateColumn {
			continue
		}
		location, fault := name+":1: column "+clip([]byte(column)), d.unknownField(column, known)
		if column == "" {
			location, fault = name+":1: column "+strconv.Itoa(i+1), "has no name; an index is written with none"
		}
		if faults.count() {
			faults.keep(location, fault, nil)
		}
	}
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
