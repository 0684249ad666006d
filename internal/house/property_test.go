package house_test

import (
	"encoding/csv"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"housing/internal/house"
)

// value draws a valid value of the field.
func value(t *rapid.T, s house.Spec) float64 {
	least, greatest := s.Range(year)
	if s.Kind == house.YearOrZero && rapid.Bool().Draw(t, s.Name+" is 0") {
		return 0
	}
	if s.Kind == house.Number {
		return rapid.Float64Range(least, greatest).Draw(t, s.Name)
	}
	return float64(rapid.IntRange(int(least), int(greatest)).Draw(t, s.Name))
}

var anyHouse = rapid.Custom(func(t *rapid.T) house.House {
	h := house.Unknown()
	for _, s := range house.Fields() {
		if s.Required || rapid.Bool().Draw(t, s.Name+" is known") {
			h.Values[s.Field] = value(t, s)
		}
	}
	if rapid.Bool().Draw(t, "has a day") {
		first, _ := house.ParseDate("1900-01-01")
		last, _ := house.ParseDate("2199-12-31")
		h.Date = house.Date(rapid.Int32Range(int32(first), int32(last)).Draw(t, "day"))
	}
	return h
})

// asCSV writes houses as a spreadsheet might, quoting here and there.
func asCSV(houses []house.House) string {
	var b strings.Builder
	w := csv.NewWriter(&b)
	header := []string{house.DateField}
	for _, s := range house.Fields() {
		header = append(header, s.Name)
	}
	_ = w.Write(header)
	for _, h := range houses {
		row := []string{h.Date.String()}
		for _, v := range h.Values {
			cell := ""
			if !math.IsNaN(v) {
				cell = strconv.FormatFloat(v, 'g', -1, 64)
			}
			row = append(row, cell)
		}
		_ = w.Write(row)
	}
	w.Flush()
	return b.String()
}

func TestHousesComeBackAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		houses := rapid.SliceOfN(anyHouse, 1, 5).Draw(t, "houses")
		var records []string
		for _, h := range houses {
			record := house.AppendJSON(nil, &h)
			records = append(records, string(record))
			line, err := fullDecoder().Line(record)
			if diff := cmp.Diff(h, line, cmpopts.EquateNaNs()); err != nil || diff != "" {
				t.Fatalf("as a line: %v\n%s", err, diff)
			}
		}
		got, err := fullDecoder().Records(nil, body(records...))
		if diff := cmp.Diff(houses, got, cmpopts.EquateNaNs()); err != nil || diff != "" {
			t.Fatalf("as JSON: %v\n%s", err, diff)
		}
		got, _, err = readCSV(asCSV(houses))
		if diff := cmp.Diff(houses, got, cmpopts.EquateNaNs()); err != nil || diff != "" {
			t.Fatalf("as CSV: %v\n%s", err, diff)
		}
	})
}

// TestNoValueOutOfRangeIsRead draws any number for one field: JSON, lines and
// CSV must agree on whether it may stand there, and say the same of it.
func TestNoValueOutOfRangeIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := anyHouse.Draw(t, "house")
		s := rapid.SampledFrom(house.Fields()).Draw(t, "field")
		least, greatest := s.Range(year)
		v := rapid.OneOf(rapid.Float64(), rapid.Float64Range(least-2, least+2), rapid.Float64Range(greatest-2, greatest+2),
			rapid.Map(rapid.IntRange(-10, 3000), func(i int) float64 { return float64(i) })).Draw(t, "value")
		h.Values[s.Field] = v
		valid := v >= least && v <= greatest || s.Kind == house.YearOrZero && v == 0
		if s.Kind != house.Number && v != math.Trunc(v) {
			valid = false
		}
		known := h
		known.Values[s.Field] = math.NaN()
		number := strconv.FormatFloat(v, 'g', -1, 64)
		record := strings.Replace(string(house.AppendJSON(nil, &known)), "{", fmt.Sprintf(`{"%s":%s,`, s.Name, number), 1)

		_, errJSON := fullDecoder().Records(nil, body(record))
		_, errLine := fullDecoder().Line([]byte(record))
		_, _, errCSV := readCSV(asCSV([]house.House{h}))
		for how, err := range map[string]error{"JSON": errJSON, "line": errLine, "CSV": errCSV} {
			if (err == nil) != valid {
				t.Fatalf("%s: %s = %v: %v", how, s.Name, v, err)
			}
		}
		if !valid {
			told := strings.TrimPrefix(errJSON.Error(), "body.records[0].")
			if told != errLine.Error() || strings.TrimPrefix(errCSV.Error(), "houses.csv:2: column ") != told {
				t.Fatalf("JSON says %q, a line %q, CSV %q", errJSON, errLine, errCSV)
			}
		}
	})
}
