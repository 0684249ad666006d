package house

import "fmt"

// Zipcode is a US zipcode, 0 to 99999.
type Zipcode uint32

// String returns the five digits.
func (z Zipcode) String() string { return fmt.Sprintf("%05d", uint32(z)) }
