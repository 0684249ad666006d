package batch

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"housing/internal/house"
)

// shownFaults is how many faults of a file its error lists.
const shownFaults = 20

// rowsError is an error of the rows of a file, one fault a line.
type rowsError struct {
	name   string
	faults *house.InvalidError
}

func (e *rowsError) Error() string {
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

func (e *rowsError) Unwrap() error { return e.faults }

// place names a line of a file.
func place(name string, line int) string { return name + ":" + strconv.Itoa(line) }

// clip returns a name from a file, cut to a length fit for a message and
// quoted if it is not plain.
func clip(name string) string {
	const longest = 64
	if len(name) > longest {
		cut := longest
		for cut > 0 && !utf8.RuneStart(name[cut]) {
			cut--
		}
		name = name[:cut] + "…"
	}
	if quoted := strconv.Quote(name); name == "" || quoted[1:len(quoted)-1] != name || strings.Contains(name, " ") {
		return quoted
	}
	return name
}
