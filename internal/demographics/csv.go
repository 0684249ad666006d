package demographics

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"housing/internal/house"
)

// Read reads a CSV file with the columns of [Columns] and zipcode, in any
// order; other columns are ignored. Name is what errors call the file. Faults
// of rows are an [*house.InvalidError] that names line and column of each.
func Read(r io.Reader, name string) (*Table, error) {
	rows, err := house.NewRows(r, name)
	if err != nil {
		return nil, err
	}
	f, err := newFile(rows)
	if err != nil {
		return nil, err
	}
	var faults house.InvalidError
	var zipcodes []house.Zipcode
	var areas []Area
	for {
		z, area, err := f.next()
		var invalid *house.InvalidError
		switch {
		case errors.As(err, &invalid):
			faults.Merge(invalid)
		case err == io.EOF && faults.Total > 0:
			return nil, &faults
		case err == io.EOF && len(zipcodes) == 0:
			return nil, fmt.Errorf("%s: has a header and no areas", name)
		case err == io.EOF:
			return NewTable(zipcodes, areas)
		case err != nil:
			return nil, err
		case len(zipcodes) == MaxAreas:
			return nil, fmt.Errorf("%s:%d: must have at most %d areas", name, rows.Line(), MaxAreas)
		default:
			zipcodes = append(zipcodes, z)
			areas = append(areas, area)
		}
	}
}

// file reads the rows of a CSV file as areas.
type file struct {
	rows    *house.Rows
	zipcode int             // its column
	figures [NumColumns]int // their columns
	lines   map[house.Zipcode]int
}

func newFile(rows *house.Rows) (*file, error) {
	names := []string{zipcodeColumn}
	for _, c := range columns {
		names = append(names, c.Name)
	}
	if err := rows.Require(names...); err != nil {
		return nil, err
	}
	header := rows.Header()
	f := &file{rows: rows, zipcode: slices.Index(header, zipcodeColumn), lines: make(map[house.Zipcode]int)}
	for c := range columns {
		f.figures[c] = slices.Index(header, columns[c].Name)
	}
	return f, nil
}

func (f *file) next() (z house.Zipcode, area Area, err error) {
	record, err := f.rows.Next()
	if err != nil {
		return 0, area, err
	}
	var faults house.InvalidError
	z, err = house.ParseZipcode(record[f.zipcode])
	first, again := f.lines[z]
	switch {
	case err != nil:
		faults.Add(f.rows.Fault(f.zipcode, err.Error()))
	case again:
		faults.Add(f.rows.Fault(f.zipcode, fmt.Sprintf("stands on line %d already", first)))
	case len(f.lines) <= MaxAreas:
		f.lines[z] = f.rows.Line()
	}
	for c, at := range f.figures {
		v, fault := columns[c].parse(record[at])
		if fault != "" {
			faults.Add(f.rows.Fault(at, fault))
		}
		area[c] = v
	}
	if faults.Total > 0 {
		return 0, area, &faults
	}
	return z, area, nil
}

// parse reads a figure of the column.
func (c *Column) parse(text string) (v float32, fault string) {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0, "is required"
	}
	exact, isNumber := house.ParseNumber(text)
	if !isNumber {
		return 0, "must be a number"
	}
	if fault = c.check(exact); fault != "" || exact == 0 {
		return 0, fault
	}
	rounded, err := strconv.ParseFloat(text, 32) // rounds once, where float32(exact) rounds twice
	if err != nil {
		return 0, "must be a number"
	}
	return float32(rounded), ""
}

// Write writes the table as a CSV file that [Read] reads as the same table:
// the columns in order, zipcode last, rows by ascending zipcode.
func (t *Table) Write(w io.Writer) error {
	out := csv.NewWriter(w)
	record := make([]string, 0, NumColumns+1)
	for _, c := range columns {
		record = append(record, c.Name)
	}
	if err := out.Write(append(record, zipcodeColumn)); err != nil {
		return fmt.Errorf("write demographics: %w", err)
	}
	for i, z := range t.zipcodes {
		record = record[:0]
		for _, v := range t.areas[i] {
			record = append(record, strconv.FormatFloat(float64(v), 'f', -1, 32))
		}
		if err := out.Write(append(record, z.String())); err != nil {
			return fmt.Errorf("write demographics: %w", err)
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("write demographics: %w", err)
	}
	return nil
}
