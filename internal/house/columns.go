package house

import (
	"fmt"
	"math"
	"strings"
)

// saleDateColumn is the column of the day on which a house was sold.
const saleDateColumn = "date"

// Cell is what stands in one cell of a table of houses. The zero value is an
// empty cell, which is an unknown value.
type Cell struct {
	Kind   CellKind
	Text   string  // of a TextCell
	Number float64 // of a NumberCell; NaN is unknown, as pandas writes it
	Day    Date    // of a DayCell
}

// CellKind says how a cell is typed.
type CellKind uint8

// The kinds of cells.
const (
	TextCell CellKind = iota // as in CSV: numbers may be quoted and padded
	NumberCell
	DayCell
)

// Columns says what the columns of a table of houses hold, by their names.
type Columns struct {
	names     []string
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

// NewColumns returns the meaning of columns with the given names. Years run
// to the one after year, the present one.
func NewColumns(names []string, required Set, year int) *Columns {
	c := &Columns{names: names, required: required, year: year, sold: -1, valuation: -1}
	for i, name := range names {
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

// Missing returns an error that names the required fields that have no column.
func (c *Columns) Missing() error {
	has := Set(0)
	for _, role := range c.roles {
		if role >= 0 {
			has |= NewSet(Field(role))
		}
	}
	switch missing := (c.required &^ has).names(); len(missing) {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("column %s is missing", missing[0])
	default:
		return fmt.Errorf("columns %s are missing", strings.Join(missing, ", "))
	}
}

// Used says whether a column says something of a house.
func (c *Columns) Used(column int) bool { return c.roles[column] != noRole }

// Field returns the field that a column holds, if it holds one.
func (c *Columns) Field(column int) (f Field, ok bool) {
	if role := c.roles[column]; role >= 0 {
		return Field(role), true
	}
	return 0, false
}

// IsDay says whether a column holds days.
func (c *Columns) IsDay(column int) bool { return c.roles[column] == dayRole }

// Ignored returns the names of the columns that say nothing of a house.
func (c *Columns) Ignored() []string {
	var names []string
	for i, role := range c.roles {
		if role == noRole {
			names = append(names, c.names[i])
		}
	}
	return names
}

// House reads one row, of which cell returns the cells. It calls fault for
// each that is wrong, in the order of the columns; then the row is no house.
func (c *Columns) House(cell func(column int) Cell, fault func(column int, message string)) House {
	h := unknown
	sold := NoDate
	for i, role := range c.roles {
		switch {
		case role == noRole:
		case role == dayRole:
			day, problem := cell(i).day()
			if problem != "" {
				fault(i, problem)
			} else if i == c.valuation {
				h.Date = day
			} else {
				sold = day
			}
		default:
			f := Field(role)
			v, problem := cell(i).value(&fields[f], c.year)
			if problem == "" && math.IsNaN(v) && c.required.Has(f) {
				problem = isRequired
			}
			if problem != "" {
				fault(i, problem)
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

// value reads the cell as a value of the field.
func (c Cell) value(s *Spec, year int) (v float64, problem string) {
	switch {
	case c.Kind == TextCell:
		return s.parseText(c.Text, year)
	case c.Kind == DayCell:
		return math.NaN(), s.mustBe()
	case math.IsNaN(c.Number):
		return c.Number, ""
	case c.Number == 0:
		return 0, s.check(0, year) // -0 too
	}
	return c.Number, s.check(c.Number, year)
}

// day reads the cell as a day; an empty one is no day. A number is read as it
// would be written: 20150527.
func (c Cell) day() (Date, string) {
	switch {
	case c.Kind == TextCell:
		return parseDay(c.Text)
	case c.Kind == DayCell:
		if year := c.Day.Time().Year(); year < minDateYear || year > maxDateYear {
			return NoDate, mustBeDay
		}
		return c.Day, ""
	case math.IsNaN(c.Number):
		return NoDate, ""
	}
	return parseDay(formatNumber(c.Number))
}
