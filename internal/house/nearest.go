package house

import (
	"strings"
	"unicode/utf8"
)

// nearest returns the name of a field in the set, or valuation_date, that the
// writer of name probably meant, or "".
func nearest(name string, allowed Set) string {
	const longest = 32
	if len(name) > longest {
		return ""
	}
	bare := strings.NewReplacer("_", "", "-", "", " ", "", ".", "")
	name = bare.Replace(strings.ToLower(name))
	best, least := "", 3 // three changes are another word
	consider := func(candidate string) {
		letters := bare.Replace(candidate)
		if d := editDistance(name, letters); d < least && d*3 <= len(letters) {
			best, least = candidate, d
		}
	}
	for f := range Field(NumFields) {
		if allowed.Has(f) {
			consider(f.String())
		}
	}
	consider(DateField)
	return best
}

// editDistance returns how many bytes must be inserted, deleted or replaced to
// make b of a (Levenshtein 1966).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			above := row[j+1]
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			row[j+1] = min(above+1, row[j]+1, replaced)
			diagonal = above
		}
	}
	return row[len(b)]
}

// clip returns a name that a client chose, cut to a length fit for a message.
func clip(name []byte) string {
	const longest = 64
	if len(name) <= longest {
		return string(name)
	}
	cut := longest
	for cut > 0 && !utf8.RuneStart(name[cut]) {
		cut--
	}
	return string(name[:cut]) + "…"
}
