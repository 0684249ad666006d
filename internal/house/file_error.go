package house

import (
	"fmt"
	"strings"
)

// shownFaults is how many faults of a file its error lists.
const shownFaults = 20

// FileError returns an error of the rows of a file, which lists the first
// faults, one a line. It wraps faults.
func FileError(name string, faults *InvalidError) error { return &fileError{name, faults} }

// fileError is an error of the rows of a file, one fault a line.
type fileError struct {
	name   string
	faults *InvalidError
}

func (e *fileError) Error() string {
	if e.faults.Total == 1 {
		return e.faults.Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s has %d faults:", e.name, e.faults.Total)
	shown := e.faults.Faults[:min(shownFaults, len(e.faults.Faults))]
	for _, f := range shown {
		b.WriteString("\n  " + f.String())
	}
	if more := e.faults.Total - len(shown); more > 0 {
		fmt.Fprintf(&b, "\n  and %d more", more)
	}
	return b.String()
}

func (e *fileError) Unwrap() error { return e.faults }
