package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

const (
	space = "\u00a0" // does not break
	minus = "\u2212"
	dash  = "\u2013"
)

// decimal writes v with a fixed number of decimals and a typographic minus.
func decimal(v float64, decimals int) string {
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	if rest, negative := strings.CutPrefix(s, "-"); negative {
		if strings.Trim(rest, "0.") == "" {
			return rest // rounded to zero
		}
		return minus + rest
	}
	return s
}

// percent writes v, which is in percent.
func percent(v float64) string { return decimal(v, 1) + space + "%" }

// count writes a whole number with its thousands set off.
func count(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// dollars writes an amount in full.
func dollars(v float64) string {
	if math.Abs(v) >= 1e15 {
		return fmt.Sprintf("$%.3g", v)
	}
	return "$" + count(int(math.Round(v)))
}

// shortDollars writes an amount with the given number of digits that count,
// such as $452k.
func shortDollars(v float64, digits int) string {
	if v <= 0 {
		return "$0"
	}
	exponent := math.Floor(math.Log10(v)) - float64(digits-1)
	scale := math.Pow(10, math.Max(exponent, -2)) // no less than a cent
	v = math.Round(v/scale) * scale
	for _, unit := range []struct {
		size   float64
		suffix string
	}{{1e9, "B"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= unit.size {
			return "$" + strconv.FormatFloat(round(v/unit.size, 6), 'f', -1, 64) + unit.suffix
		}
	}
	return "$" + strconv.FormatFloat(round(v, 2), 'f', -1, 64)
}

// round rounds v to a number of decimals.
func round(v float64, decimals int) float64 {
	scale := math.Pow(10, float64(decimals))
	return math.Round(v*scale) / scale
}

// coordinate writes a place in a drawing, to a tenth.
func coordinate(v float64) string { return strconv.FormatFloat(round(v, 1), 'f', -1, 64) }

// plural writes n of a thing.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}
