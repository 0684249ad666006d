package house

import (
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// Schema returns the JSON Schema (2020-12, as in OpenAPI 3.1) of one record
// for a [Decoder] with these sets, in the given year: what it says is what the
// decoder enforces. An optional field may be null, which is unknown.
func Schema(required, allowed Set, year int) map[string]any {
	properties := make(map[string]any)
	for f := range Field(NumFields) {
		if allowed.Has(f) {
			properties[f.String()] = f.Spec().schema(required.Has(f), year)
		}
	}
	properties[DateField] = map[string]any{
		"type":        []string{"string", "null"},
		"pattern":     datePattern,
		"title":       "Day of valuation",
		"description": "Day as of which the house is valued, written as 2015-05-27 or 20150527T000000, from 1900 to 2199; without it, as of the newest sale that the model was trained on.",
		"example":     "2015-05-27",
	}
	return map[string]any{
		"type":                 "object",
		"description":          "A house. A field that is left out is unknown, not zero.",
		"required":             required.names(),
		"properties":           properties,
		"additionalProperties": false,
	}
}

// datePattern matches all that ParseDate reads, and little else.
const datePattern = `^(19|20|21)[0-9]{2}(-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:.*)?|[0-9]{4}(T[0-9]{6}.*)?)$`

// schema returns the JSON Schema of the field's values.
func (s *Spec) schema(required bool, year int) map[string]any {
	least, greatest := s.Range(year)
	number := map[string]any{"type": "integer", "minimum": least, "maximum": greatest}
	choices := []any{number}
	switch s.Kind {
	case Number:
		number["type"] = "number"
	case YearOrZero:
		choices = []any{map[string]any{"type": "integer", "const": 0.0}, number}
	case ZIP:
		choices = []any{map[string]any{"type": "string", "pattern": "^[0-9]{5}$"}, number}
	}
	if !required {
		choices = append(choices, map[string]any{"type": "null"})
	}
	schema := number
	if len(choices) > 1 {
		schema = map[string]any{"oneOf": choices}
	}
	schema["title"] = s.Title
	schema["description"] = s.Help
	if s.Unit != "" {
		schema["description"] = s.Help + " Unit: " + s.Unit + "."
	}
	schema["example"] = s.Example
	if s.Kind == ZIP {
		schema["example"] = Zipcode(s.Example).String()
	}
	return schema
}

// Example returns a house of typical values, with every field known and no
// day.
func Example() House {
	h := unknown
	for i := range fields {
		h.Values[i] = fields[i].Example
	}
	return h
}

// AppendJSON appends the house to dst as a record that a [Decoder] reads: the
// fields in order, unknown ones left out.
func AppendJSON(dst []byte, h *House) []byte {
	dst = append(dst, '{')
	name := func(name string) {
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = append(dst, name...)
		dst = append(dst, '"', ':')
	}
	for i, v := range h.Values {
		switch {
		case math.IsNaN(v):
		case Field(i) == ZipcodeField:
			name(fields[i].Name)
			dst = strconv.AppendQuote(dst, h.Zipcode().String())
		default:
			name(fields[i].Name)
			dst = jsontext.AppendFloat(dst, v, 64)
		}
	}
	if h.Date != NoDate {
		name(DateField)
		dst = strconv.AppendQuote(dst, h.Date.String())
	}
	return append(dst, '}')
}
