package house

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// DefaultMaxRecords is how many records a request may have unless a
// [Decoder] says otherwise.
const DefaultMaxRecords = 1000

// Decoder reads houses from JSON and checks every field. It is safe for
// concurrent use as long as nobody changes it.
type Decoder struct {
	// Required holds the fields that each record must have.
	Required Set
	// Allowed holds the fields that a record may have, Required among them;
	// valuation_date is always allowed.
	Allowed Set
	// MaxRecords is how many records a body may have; 0 is DefaultMaxRecords.
	MaxRecords int
	// Now is the clock that bounds years; nil is time.Now.
	Now func() time.Time
}

// most is how many records a body may have.
func (d *Decoder) most() int {
	if d.MaxRecords <= 0 {
		return DefaultMaxRecords
	}
	return d.MaxRecords
}

// presentYear is the year by the clock, in UTC.
func (d *Decoder) presentYear() int {
	if d.Now == nil {
		return time.Now().UTC().Year()
	}
	return d.Now().UTC().Year()
}

// Records reads a body {"records": [{…}, …]} and appends its houses to
// dst[:0]. The error is a [*SyntaxError] if the body is not JSON, else an
// [*InvalidError] with every fault in document order; locations begin with
// "body". A body with too many records has that one fault alone, and is not
// read to its end. After an error the houses are none.
func (d *Decoder) Records(dst []House, body []byte) ([]House, error) {
	if houses, ok := d.plainRecords(dst[:0], body); ok {
		return houses, nil
	}
	return d.carefulRecords(dst[:0], body)
}

// carefulRecords is Records for bodies of every spelling, with their faults.
func (d *Decoder) carefulRecords(dst []House, body []byte) ([]House, error) {
	r := d.open(body, false)
	defer r.close()
	return r.finish(r.body(dst))
}

// finish checks that nothing stands behind the body of these houses, and
// returns them if nothing is wrong with it.
func (r *reader) finish(houses []House, err error) ([]House, error) {
	if err == nil {
		err = r.end()
	}
	if err = r.verdict(err, "the body is empty"); err != nil {
		return houses[:0], err
	}
	return houses, nil
}

// Line reads one line of an NDJSON file: an object with the fields of a
// house. Files are dirty: unknown members are ignored, numbers may be quoted,
// an empty string is an unknown value, and "date" is the day if there is no
// valuation_date. Errors are as in [Decoder.Records], with the field's name
// as the location.
func (d *Decoder) Line(line []byte) (House, error) {
	r := d.open(line, true)
	defer r.close()
	var h House
	err := r.record(&h)
	if err == nil {
		err = r.end()
	}
	if err = r.verdict(err, "the line is empty"); err != nil {
		return Unknown(), err
	}
	return h, nil
}

// reader is one reading of a body or a line.
type reader struct {
	*Decoder
	file    bool   // a line of a file rather than a body
	flags   bool   // true and false stand for 1 and 0 of a field that has no others
	array   string // where the array of the records stands, such as body.records
	skipped int    // bytes before the JSON, of a byte order mark
	year    int    // the present one
	index   int    // of the record that is being read
	faults  InvalidError
	scratch []byte // of the last string with escapes
	source  bytes.Buffer
	json    jsontext.Decoder
	part    bytes.Buffer // of what is read by parts
	parts   jsontext.Decoder
}

var readers = sync.Pool{New: func() any { return new(reader) }}

var byteOrderMark = []byte("\xef\xbb\xbf")

func (d *Decoder) open(text []byte, file bool) *reader {
	r := readers.Get().(*reader)
	r.Decoder, r.file, r.flags, r.year, r.array = d, file, false, d.presentYear(), "body.records"
	r.index, r.faults = 0, InvalidError{}
	text, r.skipped = WithoutMark(text)
	r.source = *bytes.NewBuffer(text) // jsontext reads a bytes.Buffer in place
	r.json.Reset(&r.source)
	return r
}

// close lets go of the text and returns r to its pool.
func (r *reader) close() {
	const keptScratch = 4 << 10
	if cap(r.scratch) > keptScratch {
		r.scratch = nil
	}
	r.Decoder, r.faults, r.source = nil, InvalidError{}, bytes.Buffer{}
	r.json.Reset(&r.source)
	r.part = bytes.Buffer{}
	r.parts.Reset(&r.part)
	readers.Put(r)
}

// body reads the whole body. Its error is of the syntax.
func (r *reader) body(houses []House) ([]House, error) {
	if r.json.PeekKind() != jsontext.KindBeginObject {
		return houses, r.misfit("body", "must be an object with the member records")
	}
	if _, err := r.json.ReadToken(); err != nil {
		return houses, err
	}
	found := false
	for r.json.PeekKind() != jsontext.KindEndObject {
		name, err := r.name()
		if err != nil {
			return houses, err
		}
		if string(name) == "records" {
			found = true
			houses, err = r.records(houses)
		} else {
			err = r.misfit("body."+clip(name), "is not a member of the body, which is only records")
		}
		if err != nil {
			return houses, err
		}
	}
	if _, err := r.json.ReadToken(); err != nil {
		return houses, err
	}
	if !found && r.faults.count() {
		r.faults.keep("body.records", isRequired, nil)
	}
	return houses, nil
}

// errTooMany ends the reading of a body with too many records.
var errTooMany = errors.New("too many records")

const atLeastOne = "must have at least 1 record"

// tooManyAt returns the fault that there are too many records at a location.
func (d *Decoder) tooManyAt(location string) *InvalidError {
	e := InvalidError{Total: 1}
	e.keep(location, "must have at most "+strconv.Itoa(d.most())+" records", nil)
	return &e
}

// tooMany makes of all faults the one that there are too many records.
func (r *reader) tooMany(location string) error {
	r.faults = *r.tooManyAt(location)
	return errTooMany
}

// records reads the array of records.
func (r *reader) records(houses []House) ([]House, error) {
	if r.json.PeekKind() != jsontext.KindBeginArray {
		return houses, r.misfit(r.array, "must be an array of houses")
	}
	if _, err := r.json.ReadToken(); err != nil {
		return houses, err
	}
	for r.index = 0; r.json.PeekKind() != jsontext.KindEndArray; r.index++ {
		if r.index == r.most() {
			if err := r.json.SkipValue(); err != nil {
				return houses, err
			}
			return houses, r.tooMany(r.array)
		}
		houses = append(houses, House{})
		if err := r.record(&houses[len(houses)-1]); err != nil {
			return houses, err
		}
	}
	if r.index == 0 && r.faults.count() {
		r.faults.keep(r.array, atLeastOne, nil)
	}
	_, err := r.json.ReadToken()
	return houses, err
}

// record reads one house.
func (r *reader) record(h *House) error {
	*h = unknown
	if r.json.PeekKind() != jsontext.KindBeginObject {
		return r.misfit(r.location(""), "must be an object with the fields of a house")
	}
	if _, err := r.json.ReadToken(); err != nil {
		return err
	}
	var seen Set
	sold := NoDate
	for r.json.PeekKind() != jsontext.KindEndObject {
		name, err := r.name()
		if err != nil {
			return err
		}
		field, known := Lookup(string(name))
		switch {
		case known && r.Allowed.Has(field):
			seen |= 1 << field
			err = r.value(h, field)
		case string(name) == DateField:
			h.Date, err = r.date(DateField)
		case r.file && string(name) == "date":
			sold, err = r.date("date")
		case r.file:
			err = r.json.SkipValue()
		default:
			err = r.stranger(string(name), known)
		}
		if err != nil {
			return err
		}
	}
	if h.Date == NoDate {
		h.Date = sold
	}
	if missing := r.Required &^ seen; missing != 0 {
		for f := range Field(NumFields) {
			if missing.Has(f) && r.faults.count() {
				r.faults.keep(r.location(f.String()), isRequired, nil)
			}
		}
	}
	_, err := r.json.ReadToken()
	return err
}

// value reads the value of a field into h.
func (r *reader) value(h *House, f Field) error {
	raw, err := r.json.ReadValue()
	if err != nil {
		return err
	}
	if fault := r.set(h, f, raw); fault != "" && r.faults.count() {
		r.faults.keep(r.location(f.String()), fault, raw)
	}
	return nil
}

// set gives h the value that raw stands for, or says what is wrong with it.
func (r *reader) set(h *House, f Field, raw jsontext.Value) (fault string) {
	v, fault := r.parse(&fields[f], raw)
	switch {
	case fault != "":
	case math.IsNaN(v) && r.Required.Has(f):
		return isRequired
	default:
		h.Values[f] = v
	}
	return fault
}

// parse returns the value that raw stands for, NaN for an unknown one, or
// what is wrong with it.
func (r *reader) parse(s *Spec, raw jsontext.Value) (v float64, fault string) {
	switch raw.Kind() {
	case jsontext.KindNull:
		return math.NaN(), ""
	case jsontext.KindNumber:
		v, _ = parseNumber(raw)
		return v, s.check(v, r.year)
	case jsontext.KindTrue, jsontext.KindFalse:
		if r.flags && s.Kind == Whole && s.Max == 1 {
			if raw.Kind() == jsontext.KindTrue {
				v = 1
			}
			return v, ""
		}
	case jsontext.KindString:
		text := r.unquote(raw)
		if r.file {
			return s.parseText(string(text), r.year)
		}
		if s.Kind == ZIP && isZipcode(text) {
			v, _ = parseNumber(text)
			return v, ""
		}
	}
	return math.NaN(), s.mustBe()
}

// date reads the value of the named day field.
func (r *reader) date(name string) (Date, error) {
	raw, err := r.json.ReadValue()
	if err != nil {
		return NoDate, err
	}
	day, fault := r.day(raw)
	if fault != "" && r.faults.count() {
		r.faults.keep(r.location(name), fault, raw)
	}
	return day, nil
}

// day returns the day that raw stands for, or what is wrong with it; null is
// no day, and so is an empty string in a file.
func (r *reader) day(raw jsontext.Value) (day Date, fault string) {
	switch kind := raw.Kind(); {
	case kind == jsontext.KindNull:
		return NoDate, ""
	case kind == jsontext.KindString && r.file:
		return parseDay(string(r.unquote(raw)))
	case kind == jsontext.KindString:
		if day, err := ParseDate(string(r.unquote(raw))); err == nil {
			return day, ""
		}
	case kind == jsontext.KindNumber && r.file:
		return parseDay(string(raw))
	}
	return NoDate, mustBeDay
}

// stranger reads past a member of a record that is not taken.
func (r *reader) stranger(name string, known bool) error {
	raw, err := r.json.ReadValue()
	if err == nil && r.faults.count() {
		r.faults.keep(r.location(clip([]byte(name))), r.unknownField(name, known), raw)
	}
	return err
}

// unknownField says of a name, which is of a field that is not taken here if it
// is known, that it is none.
func (d *Decoder) unknownField(name string, known bool) string {
	const message = "is not a field of a house"
	if known {
		return "is not taken here, where a house has only " + d.Allowed.String() + " and " + DateField
	}
	if near := nearest(name, d.Allowed); near != "" {
		return message + ", did you mean " + near + "?"
	}
	return message
}

// misfit reads past a value that is not of the type it must be.
func (r *reader) misfit(location, message string) error {
	raw, err := r.json.ReadValue()
	if err == nil && r.faults.count() {
		r.faults.keep(location, message, raw)
	}
	return err
}

// name reads the name of a member; it is good until the next one.
func (r *reader) name() ([]byte, error) {
	raw, err := r.json.ReadValue()
	if err != nil {
		return nil, err
	}
	return r.unquote(raw), nil
}

// unquote returns what a JSON string says; it is good until the next one.
func (r *reader) unquote(raw jsontext.Value) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	r.scratch, _ = jsontext.AppendUnquote(r.scratch[:0], raw) // ReadValue has checked it
	return r.scratch
}

// location names a field of the record that is being read, or the record.
func (r *reader) location(name string) string {
	if r.file {
		return name
	}
	record := r.array + "[" + strconv.Itoa(r.index) + "]"
	if name == "" {
		return record
	}
	return record + "." + name
}

func isZipcode(text []byte) bool {
	if len(text) != 5 {
		return false
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
