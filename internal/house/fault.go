package house

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxFaults is how many faults of one request or file are kept; the rest are
// only counted.
const MaxFaults = 100

// maxFaultValue is the longest offending value in bytes that a fault repeats.
const maxFaultValue = 100

// Fault is one thing that is wrong with what was read.
type Fault struct {
	// Location names the place: body.records[3].sqft_living in a request,
	// sales.csv:17: column sqft_living in a file, sqft_living in a line.
	Location string `json:"location"`
	// Message says what must be, such as "must be at least 100".
	Message string `json:"message"`
	// Value is what stands there, if it is a JSON scalar of at most 100
	// bytes; else nil.
	Value jsontext.Value `json:"value,omitzero"`
}

// String returns the fault as one line.
func (f Fault) String() string {
	var b strings.Builder
	if f.Location != "" {
		b.WriteString(f.Location)
		b.WriteString(": ")
	}
	b.WriteString(f.Message)
	if f.Value != nil {
		b.WriteString(", is ")
		b.Write(f.Value)
	}
	return b.String()
}

// InvalidError says that something well-formed was read and is no house. The
// zero value has no faults yet; see [InvalidError.Add].
type InvalidError struct {
	Faults []Fault // the first MaxFaults, in document order
	Total  int     // how many faults there are
}

// Error returns the first faults as one line.
func (e *InvalidError) Error() string {
	const shown = 3
	var b strings.Builder
	for i, f := range e.Faults[:min(shown, len(e.Faults))] {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(f.String())
	}
	if more := e.Total - min(shown, len(e.Faults)); more > 0 {
		fmt.Fprintf(&b, "; and %d more", more)
	}
	return b.String()
}

// Merge adds the faults of other, so that the faults of many rows can be
// reported as one error.
func (e *InvalidError) Merge(other *InvalidError) {
	room := max(0, MaxFaults-len(e.Faults))
	e.Faults = append(e.Faults, other.Faults[:min(room, len(other.Faults))]...)
	e.Total += other.Total
}

// Add adds a fault, keeping it if it is among the first MaxFaults.
func (e *InvalidError) Add(f Fault) {
	if e.count() {
		e.Faults = append(e.Faults, f)
	}
}

// count counts a fault and says whether it is to be kept, which is when its
// texts are worth making.
func (e *InvalidError) count() bool {
	e.Total++
	return len(e.Faults) < MaxFaults
}

// keep keeps a fault that count has counted. The value is copied.
func (e *InvalidError) keep(location, message string, value jsontext.Value) {
	f := Fault{Location: location, Message: message}
	if n := len(value); n > 0 && n <= maxFaultValue && value[0] != '{' && value[0] != '[' {
		f.Value = value.Clone()
	}
	e.Faults = append(e.Faults, f)
}

// SyntaxError says that what was read is not JSON: broken grammar, a name
// twice in one object, invalid UTF-8, nesting too deep, or data after the end.
type SyntaxError struct {
	Offset  int64  // in bytes from the start of what was given
	Message string // for people
}

// Error returns the message with the place.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("not JSON at byte %d: %s", e.Offset, e.Message)
}
