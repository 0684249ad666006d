package batch

import (
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"housing/internal/house"
)

func TestCellsAsJSON(t *testing.T) {
	for cell, want := range map[string]string{
		"":                     "null",
		" \t":                  "null",
		"3":                    "3",
		" 3 ":                  "3",
		"1.50":                 "1.50",
		"-0":                   "-0",
		"1e5":                  "1e5",
		"1E+05":                "1E+05",
		"12345678901234567890": "12345678901234567890",
		"007":                  `"007"`,
		"-01":                  `"-01"`,
		"+1":                   `"+1"`,
		"1.":                   `"1."`,
		".5":                   `".5"`,
		"-.5":                  `"-.5"`,
		"1e999":                `"1e999"`,
		"nan":                  `"nan"`,
		"0x3":                  `"0x3"`,
		"20141013T000000":      `"20141013T000000"`,
		" a\n\"b\" ":           `" a\n\"b\" "`,
		"true":                 `"true"`,
	} {
		if got := string(appendJSON(nil, cell)); got != want {
			t.Errorf("%q becomes %s, want %s", cell, got, want)
		}
	}
}

// FuzzCell holds that a cell becomes a JSON value which says the same.
func FuzzCell(f *testing.F) {
	for _, cell := range []string{"", "3", " 1.50", "007", "1e999", "-.5e+1", "a\n\"b\"", "\u00a07", "1.e2"} {
		f.Add(cell)
	}
	f.Fuzz(func(t *testing.T, cell string) {
		if !utf8.ValidString(cell) {
			t.Skip("refused before, as it is no UTF-8")
		}
		value := jsontext.Value(appendJSON(nil, cell))
		if !value.IsValid() {
			t.Fatalf("%q becomes %s, which is not JSON", cell, value)
		}
		back, ok := cellOf(value)
		number, isNumber := house.ParseNumber(cell)
		switch {
		case !ok:
			t.Errorf("%q becomes %s, which is no cell", cell, value)
		case value.Kind() == jsontext.KindString:
			if back != cell {
				t.Errorf("%q becomes %q", cell, back)
			}
			if isNumber && !math.IsInf(number, 0) && jsontext.Value(strings.TrimSpace(cell)).IsValid() {
				t.Errorf("%q, which is a number, becomes %s", cell, value)
			}
		case back != strings.TrimSpace(cell):
			t.Errorf("%q becomes %q", cell, back)
		case value.Kind() == jsontext.KindNumber && (!isNumber || math.IsInf(number, 0)):
			t.Errorf("%q, which is no number, becomes %s", cell, value)
		}
	})
}
