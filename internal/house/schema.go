package house

// Example returns a house of typical values, with every field known and no
// day.
func Example() House {
	h := unknown
	for i := range fields {
		h.Values[i] = fields[i].Example
	}
	return h
}
