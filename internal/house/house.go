package house

import "math"

// House is one house to value, or one that was sold. Make one with [Unknown]
// or by reading; the zero value is a house of zeros, which is no house.
type House struct {
	// Values holds the fields by [Field]; NaN is unknown. The zipcode stands
	// among them as a whole number.
	Values [NumFields]float64
	// Date is the day as of which the house is valued or was sold, or NoDate.
	Date Date
}

// unknown is what Unknown returns; a copy of it is cheaper than a loop.
var unknown = func() House {
	var h House
	for i := range h.Values {
		h.Values[i] = math.NaN()
	}
	h.Date = NoDate
	return h
}()

// Unknown returns a house of which nothing is known.
func Unknown() House { return unknown }

// Zipcode returns the house's zipcode, which every house that was read has.
func (h *House) Zipcode() Zipcode { return Zipcode(h.Values[ZipcodeField]) }

// Sale is a house with what it sold for; House.Date is the day of the sale.
type Sale struct {
	ID    string  // parcel number; a resale repeats it
	Price float64 // US dollars
	House House
}
