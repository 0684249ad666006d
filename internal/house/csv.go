package house

import (
	"io"
	"math"
)

// saleDateColumn is the column of the day on which a house was sold.
const saleDateColumn = "date"

// CSVReader reads houses from a CSV file, one by one. Columns stand in any
// order under the names of the fields; numbers may be quoted, an empty cell is
// an unknown value, and a column that is missing is unknown throughout. The
// day is in valuation_date, or where that is empty or missing in date.
type CSVReader struct {
	rows    *Rows
	columns columns
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
	return &CSVReader{rows, newColumns(rows, required, year)}, nil
}

// Header returns the names of all columns, as the cells of a record stand.
func (c *CSVReader) Header() []string { return c.rows.Header() }

// Ignored returns the names of the columns that say nothing of a house.
func (c *CSVReader) Ignored() []string { return c.columns.ignored() }

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
	var faults InvalidError
	h = c.columns.house(record, &faults)
	if faults.Total > 0 {
		return unknown, record, line, &faults
	}
	return h, record, line, nil
}

// columns says what the columns of a CSV file hold.
type columns struct {
	rows      *Rows
	required  Set
	year      int
	roles     []int // by column: a Field, or one of the following
	sold      int   // the column of the day of sale, or -1
	valuation int   // the column of the day of valuation, or -1
}

// Roles of columns that hold no Field.
const (
	noRole = -1 - iota
	dayRole
)

func newColumns(rows *Rows, required Set, year int) columns {
	c := columns{rows: rows, required: required, year: year, sold: -1, valuation: -1}
	for i, name := range rows.header {
		role := noRole
		if f, ok := Lookup(name); ok {
			role = int(f)
		} else if name == DateField {
			role, c.valuation = dayRole, i
		} else if name == saleDateColumn {
			role, c.sold = dayRole, i
		}
		c.roles = append(c.roles, role)
	}
	return c
}

func (c *columns) ignored() []string {
	var names []string
	for i, role := range c.roles {
		if role == noRole {
			names = append(names, c.rows.header[i])
		}
	}
	return names
}

// house reads one row and adds its faults, in the order of the columns.
func (c *columns) house(record []string, faults *InvalidError) House {
	h := unknown
	sold := NoDate
	for i, role := range c.roles {
		switch {
		case role == noRole:
		case role == dayRole:
			day := c.day(i, record[i], faults)
			if i == c.valuation {
				h.Date = day
			} else {
				sold = day
			}
		default:
			f := Field(role)
			v, fault := fields[f].parseText(record[i], c.year)
			if fault == "" && math.IsNaN(v) && c.required.Has(f) {
				fault = isRequired
			}
			if fault != "" {
				c.fault(i, fault, faults)
				continue
			}
			h.Values[f] = v
		}
	}
	if h.Date == NoDate {
		h.Date = sold
	}
	return h
}

// day reads the day in a cell; an empty one is no day.
func (c *columns) day(column int, cell string, faults *InvalidError) Date {
	day, fault := parseDay(cell)
	if fault != "" {
		c.fault(column, fault, faults)
	}
	return day
}

func (c *columns) fault(column int, message string, faults *InvalidError) {
	faults.Add(c.rows.Fault(column, message))
}
