package house

import (
	"math"
	"strconv"
	"strings"
)

// DateField is the name of the field that says as of which day a house is
// valued; it stands beside the table because its values are days.
const DateField = "valuation_date"

const isRequired = "is required"

// mustBe returns what is said of a value of the wrong type.
func (s *Spec) mustBe() string {
	switch s.Kind {
	case Number:
		return "must be a number"
	case ZIP:
		return "must be a string of five digits or a whole number"
	default:
		return "must be a whole number"
	}
}

// Range returns the least and the greatest value of the field in the given
// year. A [YearOrZero] may also be 0.
func (s *Spec) Range(year int) (least, greatest float64) {
	if s.Kind == Year || s.Kind == YearOrZero {
		return s.Min, float64(year + 1)
	}
	return s.Min, s.Max
}

// check returns why v cannot be a value of the field in the given year, or "".
// Infinities stand for numbers that are too large to be read.
func (s *Spec) check(v float64, year int) string {
	least, greatest := s.Range(year)
	switch {
	case math.IsNaN(v), s.Kind != Number && v != math.Trunc(v):
		return s.mustBe()
	case v >= least && v <= greatest, v == 0 && s.Kind == YearOrZero:
		return ""
	case s.Kind == YearOrZero:
		return "must be 0 or from " + formatNumber(least) + " to " + formatNumber(greatest)
	case v < least:
		return "must be at least " + formatNumber(least)
	default:
		return "must be at most " + formatNumber(greatest)
	}
}

// ParseNumber reads a decimal number as it stands in a file, and says whether
// it is one: "nan", "inf" and hexadecimals are none, nor is empty text.
// Numbers too large for a float64 become infinities; -0 becomes 0.
func ParseNumber(text string) (v float64, isNumber bool) {
	return parseNumber([]byte(strings.TrimSpace(text)))
}

func parseNumber(text []byte) (float64, bool) {
	for _, c := range text {
		switch {
		case '0' <= c && c <= '9', c == '.', c == '-', c == '+', c == 'e', c == 'E':
		default: // ParseFloat also knows hexadecimals, underscores, inf and nan
			return math.NaN(), false
		}
	}
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil && !math.IsInf(v, 0) {
		return math.NaN(), false
	}
	if v == 0 {
		v = 0
	}
	return v, true
}

// parseText reads the value of a field as it stands in a file, where numbers
// may be quoted and padded. Empty text is an unknown value.
func (s *Spec) parseText(text string, year int) (v float64, fault string) {
	if strings.TrimSpace(text) == "" {
		return math.NaN(), ""
	}
	v, isNumber := ParseNumber(text)
	if !isNumber {
		return v, s.mustBe()
	}
	return v, s.check(v, year)
}

// parseDay reads a day as it stands in a file; empty text is no day.
func parseDay(text string) (day Date, fault string) {
	text = strings.TrimSpace(text)
	if text == "" {
		return NoDate, ""
	}
	day, err := ParseDate(text)
	if err != nil {
		return NoDate, mustBeDay
	}
	return day, ""
}

func formatNumber(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
