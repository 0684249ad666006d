package house

import (
	"bytes"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// table is a table of houses as a body holds it by columns, under the names
// of the fields.
type table struct {
	columns []column
	seen    Set  // fields that have a column
	dated   bool // the day has one
}

// column is one column: the field that it holds, or the day.
type column struct {
	name  string // "" of one that holds nothing of a house
	field Field
	day   bool
	// The value of row 3 stands at before + "[3]" + after.
	before, after string
	values        jsontext.Value // of all rows, an array; unset where a table comes by rows
	rows          int            // how many values there are
}

// column returns the column of a name, which stands at a location, if it is
// one of a house and the first of that name.
func (r *reader) column(t *table, name, location string) (c column, ok bool) {
	c.name = name
	field, known := Lookup(name)
	c.field, c.day = field, name == DateField
	var fault string
	switch taken := known && r.Allowed.Has(field); {
	case !taken && !c.day:
		fault = r.unknownField(name, known)
	case c.day && t.dated, taken && t.seen.Has(field):
		fault = "stands twice"
	case c.day:
		t.dated = true
		return c, true
	default:
		t.seen |= 1 << field
		return c, true
	}
	if r.faults.count() {
		r.faults.keep(location, clip([]byte(name))+" "+fault, nil)
	}
	return column{}, false
}

// require notes the required fields that have no column, unless the table at
// the location could not be read at all and there were faults so far.
func (r *reader) require(t *table, location string, before int) {
	if len(t.columns) == 0 && r.faults.Total > before {
		return
	}
	for f := range Field(NumFields) {
		if (r.Required &^ t.seen).Has(f) && r.faults.count() {
			r.faults.keep(location, f.String()+" "+isRequired, nil)
		}
	}
}

// cell reads the value of a house that stands in a column, in a row.
func (r *reader) cell(h *House, c *column, row int, raw jsontext.Value) {
	var fault string
	if c.day {
		h.Date, fault = r.day(raw)
	} else {
		fault = r.set(h, c.field, raw)
	}
	if fault != "" && r.faults.count() {
		r.faults.keep(c.before+"["+strconv.Itoa(row)+"]"+c.after, c.name+" "+fault, raw)
	}
}

// byColumns appends the houses of a table, all of whose columns have as many
// values; it stands at a location.
func (r *reader) byColumns(houses []House, t *table, location string) ([]House, error) {
	if len(t.columns) == 0 {
		return houses, nil // it lacks what is required
	}
	n := t.columns[0].rows
	switch {
	case n > r.most():
		return houses, r.tooMany(location)
	case n == 0 && r.faults.count():
		r.faults.keep(location, atLeastOne, nil)
	}
	first := len(houses)
	for range n {
		houses = append(houses, unknown)
	}
	for i := range t.columns {
		c := &t.columns[i]
		if c.rows != n {
			if r.faults.count() {
				r.faults.keep(c.before, "has "+strconv.Itoa(c.rows)+" values where "+t.columns[0].name+" has "+strconv.Itoa(n), nil)
			}
			continue
		}
		row := 0
		err := eachValue(c.values, func(raw jsontext.Value) {
			r.cell(&houses[first+row], c, row, raw)
			row++
		})
		if err != nil {
			return houses, err
		}
	}
	return houses, nil
}

// byRows appends the houses of rows, an array of arrays of which each has a
// value for every column; they stand at a location.
func (r *reader) byRows(houses []House, t *table, rows jsontext.Value, location string) ([]House, error) {
	json := jsontext.NewDecoder(bytes.NewBuffer(rows))
	if _, err := json.ReadToken(); err != nil {
		return houses, err
	}
	row := 0
	for ; json.PeekKind() != jsontext.KindEndArray; row++ {
		if row == r.most() {
			return houses, r.tooMany(location)
		}
		raw, err := json.ReadValue()
		if err != nil {
			return houses, err
		}
		h, cells := unknown, 0
		if raw.Kind() == jsontext.KindBeginArray {
			err = eachValue(raw, func(raw jsontext.Value) {
				if cells < len(t.columns) && t.columns[cells].name != "" {
					r.cell(&h, &t.columns[cells], row, raw)
				}
				cells++
			})
		}
		if err != nil {
			return houses, err
		}
		if cells != len(t.columns) && r.faults.count() {
			r.faults.keep(location+"["+strconv.Itoa(row)+"]", "must be an array of "+strconv.Itoa(len(t.columns))+" values, one for each column", nil)
		}
		houses = append(houses, h)
	}
	if row == 0 && r.faults.count() {
		r.faults.keep(location, atLeastOne, nil)
	}
	return houses, nil
}

// eachValue calls each with the values of an array in their order, and with
// those of arrays in it in their place.
func eachValue(array jsontext.Value, each func(raw jsontext.Value)) error {
	json := jsontext.NewDecoder(bytes.NewBuffer(array))
	for {
		switch json.PeekKind() {
		case jsontext.KindBeginArray, jsontext.KindEndArray:
			if _, err := json.ReadToken(); err != nil {
				return err
			}
			if json.StackDepth() == 0 {
				return nil
			}
		default:
			raw, err := json.ReadValue()
			if err != nil {
				return err
			}
			each(raw)
		}
	}
}

// countValues returns how many values eachValue finds.
func countValues(array jsontext.Value) (n int, err error) {
	err = eachValue(array, func(jsontext.Value) { n++ })
	return n, err
}

// readArray reads an array to be looked into later, or notes that it is none, and
// then returns nil.
func (r *reader) readArray(location, message string) (jsontext.Value, error) {
	if r.json.PeekKind() != jsontext.KindBeginArray {
		return nil, r.misfit(location, message)
	}
	raw, err := r.json.ReadValue()
	return raw.Clone(), err
}

// members reads an object and calls each for every member of it, which reads
// its value, or notes that there is no object.
func (r *reader) members(location, message string, each func(name string) error) error {
	if r.json.PeekKind() != jsontext.KindBeginObject {
		return r.misfit(location, message)
	}
	if _, err := r.json.ReadToken(); err != nil {
		return err
	}
	for r.json.PeekKind() != jsontext.KindEndObject {
		name, err := r.name()
		if err != nil {
			return err
		}
		if err := each(string(name)); err != nil {
			return err
		}
	}
	_, err := r.json.ReadToken()
	return err
}

// text reads a string, or notes that it is none.
func (r *reader) text(location string) (string, error) {
	if r.json.PeekKind() != jsontext.KindString {
		return "", r.misfit(location, "must be a string")
	}
	raw, err := r.json.ReadValue()
	if err != nil {
		return "", err
	}
	return string(r.unquote(raw)), nil
}

// list reads an array and calls each for every element, which it reads.
func (r *reader) list(location, message string, each func(location string) error) error {
	if r.json.PeekKind() != jsontext.KindBeginArray {
		return r.misfit(location, message)
	}
	if _, err := r.json.ReadToken(); err != nil {
		return err
	}
	for i := 0; r.json.PeekKind() != jsontext.KindEndArray; i++ {
		if err := each(location + "[" + strconv.Itoa(i) + "]"); err != nil {
			return err
		}
	}
	_, err := r.json.ReadToken()
	return err
}
