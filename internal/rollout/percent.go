package rollout

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Percent is a share in hundredths of a percent, so that shares are exact.
type Percent int

// Whole is 100 %.
const Whole Percent = 10_000

// ParsePercent reads 0 to 100 with up to two digits behind a point.
func ParsePercent(text string) (Percent, error) {
	whole, part, pointed := strings.Cut(text, ".")
	digits := func(s string) bool { return strings.Trim(s, "0123456789") == "" }
	if whole == "" || len(whole) > 3 || !digits(whole) || pointed && part == "" || len(part) > 2 || !digits(part) {
		return 0, fmt.Errorf("%.20q is not a share: want 0 to 100 with up to two digits behind the point, such as 12.5", text)
	}
	n, err := strconv.Atoi(whole + (part + "00")[:2])
	if err != nil || Percent(n) > Whole {
		return 0, fmt.Errorf("%.20q is not a share: want 0 to 100", text)
	}
	return Percent(n), nil
}

// String returns the share as ParsePercent reads it, without needless digits.
func (p Percent) String() string {
	if p < 0 {
		return "-" + (-p).String()
	}
	text := fmt.Sprintf("%d.%02d", int(p)/100, int(p)%100)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// Fraction returns the share as a number from 0 to 1.
func (p Percent) Fraction() float64 { return float64(p) / float64(Whole) }

// MarshalJSONTo writes the share as a JSON number.
func (p Percent) MarshalJSONTo(to *jsontext.Encoder) error {
	return to.WriteValue(jsontext.Value(p.String()))
}

// UnmarshalJSONFrom reads the share from a JSON number.
func (p *Percent) UnmarshalJSONFrom(from *jsontext.Decoder) error {
	value, err := from.ReadValue()
	if err != nil {
		return err
	}
	*p, err = ParsePercent(string(value))
	return err
}

// UnmarshalText reads the share from a flag.
func (p *Percent) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePercent(string(text))
	return err
}
