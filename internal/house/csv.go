package house

import "io"

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
