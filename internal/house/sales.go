package house

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// Bounds of a file of sales.
const (
	MaxSales   = 10_000_000 // rows
	MaxPrice   = 1e9        // US dollars
	maxIDBytes = 64
)

// SalesOptions says how sales are read; the zero value takes valid rows only.
type SalesOptions struct {
	// DropInvalid drops the rows that have faults and reports them; else
	// they are an error.
	DropInvalid bool
	// Year is the present one, which bounds years; 0 asks the clock.
	Year int
	// KeepOthers keeps what stands in the columns that are not read, to look
	// for such as give prices away.
	KeepOthers bool
}

// Sales is what a file of sales holds.
type Sales struct {
	Sales       []Sale   // in the order of the file, at least one
	Dropped     []Fault  // of the rows that were dropped, the first MaxFaults
	DroppedRows int      // how many rows were dropped
	Ignored     []string // the columns that were not read
	Others      []Other  // what stands in them, if that is to be kept
}

// Other is a column that is not read.
type Other struct {
	Name string
	// Values are those of the first sales, at most maxOthers: numbers as they
	// are; of texts, each a number of its own; NaN where a cell is empty, or has
	// one text too many.
	Values []float64
	texts  map[string]float64
}

// Bounds of Other.
const (
	maxOthers = 20_000
	maxTexts  = 1000
)

// add keeps one more cell.
func (o *Other) add(cell string) {
	cell = strings.TrimSpace(cell)
	value, isNumber := ParseNumber(cell)
	switch known, seen := o.texts[cell]; {
	case isNumber && !math.IsInf(value, 0):
	case cell == "":
		value = math.NaN()
	case seen:
		value = known
	case len(o.texts) == maxTexts:
		value = math.NaN()
	default:
		if o.texts == nil {
			o.texts = map[string]float64{}
		}
		value = float64(len(o.texts))
		o.texts[strings.Clone(cell)] = value
	}
	o.Values = append(o.Values, value)
}

// ReadSales reads a CSV file of sales: id, date, price and the columns of a
// house, as [CSVReader] has them. Name is what errors call the file; an error
// of bad rows wraps an [*InvalidError] and lists the first 20 faults.
func ReadSales(r io.Reader, name string, options SalesOptions) (*Sales, error) {
	rows, err := NewRows(r, name)
	if err != nil {
		return nil, err
	}
	if err := rows.Require(append([]string{"id", saleDateColumn, "price"}, RequiredFields.names()...)...); err != nil {
		return nil, err
	}
	year := options.Year
	if year == 0 {
		year = time.Now().UTC().Year()
	}
	columns := NewColumns(rows.header, RequiredFields, year)
	if columns.valuation >= 0 { // the day of a sale is its date
		columns.roles[columns.valuation] = noRole
	}
	s := &saleReader{
		rows:    rows,
		columns: columns,
		id:      slices.Index(rows.header, "id"),
		price:   slices.Index(rows.header, "price"),
	}
	sales := &Sales{Ignored: slices.DeleteFunc(columns.Ignored(), func(c string) bool { return c == "id" || c == "price" })}
	var others []int // columns
	if options.KeepOthers {
		for _, name := range sales.Ignored {
			sales.Others = append(sales.Others, Other{Name: name})
			others = append(others, slices.Index(rows.header, name))
		}
	}
	var faults InvalidError
	for {
		sale, err := s.next()
		var invalid *InvalidError
		switch {
		case err == io.EOF:
			return sales.verdict(name, &faults, options.DropInvalid)
		case errors.As(err, &invalid):
			faults.Merge(invalid)
			sales.DroppedRows++
		case err != nil:
			return nil, err
		case faults.Total > 0 && !options.DropInvalid: // read on for the faults alone
		case len(sales.Sales) == MaxSales:
			return nil, fmt.Errorf("%s:%d: must have at most %d sales", name, rows.Line(), MaxSales)
		default:
			sales.Sales = append(sales.Sales, sale)
			if len(sales.Sales) <= maxOthers {
				for i, column := range others {
					sales.Others[i].add(s.record[column])
				}
			}
		}
	}
}

// verdict returns the sales, or why they cannot be used.
func (s *Sales) verdict(name string, faults *InvalidError, dropInvalid bool) (*Sales, error) {
	switch {
	case faults.Total > 0 && !dropInvalid:
		return nil, FileError(name, faults)
	case len(s.Sales) == 0 && faults.Total > 0:
		return nil, fmt.Errorf("%s: no row is a valid sale: %w", name, faults)
	case len(s.Sales) == 0:
		return nil, fmt.Errorf("%s: has a header and no sales", name)
	}
	s.Dropped = faults.Faults
	return s, nil
}

// saleReader reads rows as sales.
type saleReader struct {
	rows      *Rows
	columns   *Columns
	id, price int          // columns
	record    []string     // the row that is read
	faults    InvalidError // of it
}

func (s *saleReader) cell(column int) Cell { return Cell{Text: s.record[column]} }

func (s *saleReader) fault(column int, message string) { s.faults.Add(s.rows.Fault(column, message)) }

func (s *saleReader) next() (Sale, error) {
	record, err := s.rows.Next()
	if err != nil {
		return Sale{}, err
	}
	s.record, s.faults = record, InvalidError{}
	sale := Sale{ID: strings.TrimSpace(record[s.id])}
	switch {
	case sale.ID == "":
		s.fault(s.id, isRequired)
	case len(sale.ID) > maxIDBytes:
		s.fault(s.id, fmt.Sprintf("must be at most %d bytes long", maxIDBytes))
	}
	var fault string
	if sale.Price, fault = parsePrice(record[s.price]); fault != "" {
		s.fault(s.price, fault)
	}
	if strings.TrimSpace(record[s.columns.sold]) == "" {
		s.fault(s.columns.sold, isRequired)
	}
	sale.House = s.columns.House(s.cell, s.fault)
	if s.faults.Total > 0 {
		faults := s.faults
		return Sale{}, &faults
	}
	sale.ID = strings.Clone(sale.ID) // lets go of the rest of the row
	return sale, nil
}

// parsePrice reads what a house sold for.
func parsePrice(text string) (price float64, fault string) {
	price, isNumber := ParseNumber(text)
	switch {
	case strings.TrimSpace(text) == "":
		return price, isRequired
	case !isNumber:
		return price, "must be a number"
	case price <= 0:
		return price, "must be more than 0"
	case price > MaxPrice:
		return price, "must be at most " + formatNumber(MaxPrice)
	}
	return price, ""
}
