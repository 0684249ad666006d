package house

import (
	"errors"
	"fmt"
	"math"
)

// Zipcode is a US zipcode, 0 to 99999.
type Zipcode uint32

// String returns the five digits.
func (z Zipcode) String() string { return fmt.Sprintf("%05d", uint32(z)) }

// ParseZipcode reads a zipcode as it stands in a file: five digits, or a whole
// number such as 98178.0.
func ParseZipcode(text string) (Zipcode, error) {
	s := ZipcodeField.Spec()
	v, fault := s.parseText(text, 0)
	if fault == "" && math.IsNaN(v) {
		fault = isRequired
	}
	if fault != "" {
		return 0, errors.New(fault)
	}
	return Zipcode(v), nil
}
