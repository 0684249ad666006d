package housing

import (
	"bytes"
	"fmt"
	"html"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestThePictureOfTheRoomsIsCurrent draws the rooms and what they import from
// the code itself, and compares with the picture in the documents.
func TestThePictureOfTheRoomsIsCurrent(t *testing.T) {
	const path = "docs/rooms.svg"
	want := roomsPicture(importsByRoom(t))
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not of this code (%v): run make generate", path, err)
	}
}

// importsByRoom returns which rooms each room imports, from what go list says.
func importsByRoom(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for path, imports := range packages(t, "{{join .Imports \" \"}}") {
		from, inside := room(path)
		if !inside || strings.HasSuffix(path, "test") { // packages for tests alone
			continue
		}
		for _, imported := range strings.Fields(imports) {
			if to, inside := room(imported); inside && to != from && !slices.Contains(found[from], to) {
				found[from] = append(found[from], to)
			}
		}
	}
	return found
}

// Of the picture, in its units.
const (
	rowHeight  = 26
	arcsAt     = 560 // where names and jobs end and arcs begin
	pageWidth  = 900
	topMargin  = 44
	arcsMargin = 20
)

// roomsPicture draws the rooms from top to bottom with an arc from each to
// those it imports. An import that goes without saying, as another room on the
// way has it, is left out.
func roomsPicture(imports map[string][]string) []byte {
	at := map[string]int{}
	for i, r := range rooms {
		at[r.name] = topMargin + i*rowHeight
	}
	height := topMargin + len(rooms)*rowHeight + 16
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" role="img" aria-labelledby="title">
<title id="title">The rooms of the code, top to bottom; an arc leads from a room to one below that it imports</title>
<rect width="%[1]d" height="%[2]d" fill="#fff"/>
<text x="20" y="22" font-size="13" fill="#55625f">Each room imports only rooms below it. Arcs that follow from others are left out.</text>
`, pageWidth, height)
	for i, r := range rooms {
		for _, to := range reduced(imports, r.name) {
			y, end := at[r.name], at[to]
			reach := arcsAt + arcsMargin + (pageWidth-arcsAt-2*arcsMargin)*(end-y)/(len(rooms)*rowHeight)*4/3
			fmt.Fprintf(&b, `<path d="M%d %dC%d %d %[3]d %[5]d %[1]d %[5]d" fill="none" stroke="hsl(%d 55%% 38%%)" stroke-opacity=".75" stroke-width="1.3"/>`+"\n", arcsAt, y, reach, y, end, i*360/len(rooms))
		}
	}
	for i, r := range rooms {
		y := at[r.name]
		fmt.Fprintf(&b, `<circle cx="%d" cy="%d" r="4" fill="hsl(%d 55%% 38%%)"/><text x="20" y="%d" font-size="14" font-weight="600" fill="#12332e">%s</text><text x="140" y="%[4]d" font-size="13" fill="#1d2524">%[6]s</text>`+"\n",
			arcsAt, y, i*360/len(rooms), y+5, html.EscapeString(r.name), html.EscapeString(r.job))
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// reduced returns the rooms that a room imports, without those that one of
// the others leads to, from top to bottom.
func reduced(imports map[string][]string, of string) []string {
	var leads func(from, to string) bool
	leads = func(from, to string) bool {
		return slices.ContainsFunc(imports[from], func(next string) bool { return next == to || leads(next, to) })
	}
	var direct []string
	for _, r := range rooms {
		if slices.Contains(imports[of], r.name) && !slices.ContainsFunc(imports[of], func(other string) bool { return other != r.name && leads(other, r.name) }) {
			direct = append(direct, r.name)
		}
	}
	return direct
}
