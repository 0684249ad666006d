package house

import (
	"bytes"
	"errors"
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
	rows          int            // how many values there are said to be, or rowsUnknown
}

const rowsUnknown = -1

// column returns the column of a name, which stands at a location, if it is
// one of a house and the first of that name.
func (r *reader) column(t *table, name, location string) (c column, ok bool) {
	c.name = name
	field, known := Lookup(name)
	c.field, c.day = field, name == DateField
	taken := known && r.Allowed.Has(field)
	twice := c.day && t.dated || taken && t.seen.Has(field)
	switch {
	case c.day && !twice:
		t.dated = true
		return c, true
	case taken && !twice:
		t.seen |= 1 << field
		return c, true
	case !r.faults.count():
	case name == "":
		r.faults.keep(location, "has no name", nil)
	case twice:
		r.faults.keep(location, name+" stands twice", nil)
	default:
		r.faults.keep(location, clip([]byte(name))+" "+r.unknownField(name, known), nil)
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
	first := &t.columns[0]
	n := first.rows
	if n == rowsUnknown {
		n = 0
		if err := r.eachValue(first.values, func(int, jsontext.Value) { n++ }); err != nil {
			return houses, err
		}
	}
	switch {
	case n > r.most():
		return houses, r.tooMany(location)
	case n == 0 && r.faults.count():
		r.faults.keep(location, atLeastOne, nil)
	}
	before := len(houses)
	for range n {
		houses = append(houses, unknown)
	}
	for i := range t.columns {
		c := &t.columns[i]
		want, who := n, first.name
		if c.rows != rowsUnknown {
			want, who = c.rows, "the shape"
		}
		rows := 0
		err := r.eachValue(c.values, func(row int, raw jsontext.Value) {
			if row < n {
				r.cell(&houses[before+row], c, row, raw)
			}
			rows = row + 1
		})
		if err != nil {
			return houses, err
		}
		if rows == want {
			want, who = n, first.name
		}
		if rows != want && r.faults.count() {
			r.faults.keep(c.before, "has "+strconv.Itoa(rows)+" values where "+who+" has "+strconv.Itoa(want), nil)
		}
	}
	return houses, nil
}

// byRows appends the houses of rows, an array of arrays of which each has a
// value for every column; they stand at a location.
func (r *reader) byRows(houses []House, t *table, rows jsontext.Value, location string) ([]House, error) {
	json := r.inner(rows)
	if _, err := json.ReadToken(); err != nil {
		return houses, err
	}
	row := 0
	for ; json.PeekKind() != jsontext.KindEndArray; row++ {
		if row == r.most() {
			return houses, r.tooMany(location)
		}
		houses = append(houses, unknown)
		cells, err := r.row(json, &houses[len(houses)-1], t, row)
		if err != nil {
			return houses, err
		}
		if cells != len(t.columns) && r.faults.count() {
			r.faults.keep(location+"["+strconv.Itoa(row)+"]", "must be an array of "+strconv.Itoa(len(t.columns))+" values, one for each column", nil)
		}
	}
	if row == 0 && r.faults.count() {
		r.faults.keep(location, atLeastOne, nil)
	}
	return houses, nil
}

// row reads a house from a row and returns how many cells that has, none of
// what is no array.
func (r *reader) row(json *jsontext.Decoder, h *House, t *table, row int) (cells int, err error) {
	if json.PeekKind() != jsontext.KindBeginArray {
		return 0, json.SkipValue()
	}
	if _, err := json.ReadToken(); err != nil {
		return 0, err
	}
	for ; json.PeekKind() != jsontext.KindEndArray; cells++ {
		raw, err := json.ReadValue()
		if err != nil {
			return cells, err
		}
		if cells < len(t.columns) && t.columns[cells].name != "" {
			r.cell(h, &t.columns[cells], row, raw)
		}
	}
	_, err = json.ReadToken()
	return cells, err
}

// eachValue calls each with the values of an array in their order and their
// indexes. A value may stand in an array of its own, as in a matrix of one
// column.
func (r *reader) eachValue(array jsontext.Value, each func(i int, raw jsontext.Value)) error {
	json := r.inner(array)
	if _, err := json.ReadToken(); err != nil {
		return err
	}
	for i := 0; json.PeekKind() != jsontext.KindEndArray; i++ {
		raw, err := json.ReadValue()
		if err != nil {
			return err
		}
		if raw.Kind() == jsontext.KindBeginArray {
			if alone := jsontext.Value(bytes.TrimSpace(raw[1 : len(raw)-1])); alone.IsValid() && alone.Kind() != jsontext.KindBeginArray {
				raw = alone
			}
		}
		each(i, raw)
	}
	return nil
}

// inner returns a decoder of a part that was read, good until the next.
func (r *reader) inner(part jsontext.Value) *jsontext.Decoder {
	r.part = *bytes.NewBuffer(part)
	r.parts.Reset(&r.part)
	return &r.parts
}

// readArray reads an array to be looked into later, or notes that it is none,
// and then returns nil.
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

// skip reads past a member that is not heeded, which must be of a kind or null.
func (r *reader) skip(kind jsontext.Kind, location, message string) error {
	if is := r.json.PeekKind(); is != kind && is != jsontext.KindNull {
		return r.misfit(location, message)
	}
	return r.json.SkipValue()
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

// reread reads a body again by read if it failed at a bare NaN, which pandas and
// NumPy write for an unknown value though it is not JSON. The first error counts
// unless that helps.
func reread(body []byte, houses []House, err error, read func(body []byte) ([]House, error)) ([]House, error) {
	var syntax *SyntaxError
	if !errors.As(err, &syntax) {
		return houses, err
	}
	text, found := withoutNaN(body)
	if !found {
		return houses, err
	}
	again, secondErr := read(text)
	if errors.As(secondErr, &syntax) {
		return houses, err
	}
	return again, secondErr
}

// withoutNaN returns the text with null for each NaN outside of strings, and
// whether there was one.
func withoutNaN(text []byte) (without []byte, found bool) {
	from, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == 'N' && !quoted && bytes.HasPrefix(text[i:], []byte("NaN")):
			without = append(append(without, text[from:i]...), "null"...)
			i += len("NaN") - 1
			from, found = i+1, true
		}
	}
	return append(without, text[from:]...), found
}
