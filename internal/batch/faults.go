package batch

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

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
