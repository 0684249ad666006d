// Command publish puts the tables that bench/servers.py wrote into
// docs/performance.md, between the marks that stand there, and draws
// docs/performance-http.svg of them.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"math"
	"os"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "publish:", err)
		os.Exit(1)
	}
}

const (
	document = "docs/performance.md"
	chart    = "docs/performance-http.svg"
	begin    = "<!-- bench/servers.py -->\n"
	end      = "<!-- end -->\n"
)

func run() error {
	var tables []byte
	for _, part := range []string{"http", "growth", "overload"} {
		table, err := os.ReadFile("build/bench/" + part + ".md")
		if err != nil {
			return err
		}
		tables = append(tables, table...)
	}
	text, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	before, rest, found := bytes.Cut(text, []byte(begin))
	_, after, ended := bytes.Cut(rest, []byte(end))
	if !found || !ended {
		return fmt.Errorf("%s has no marks %q and %q", document, begin, end)
	}
	// The document's own headings are of the second level.
	tables = bytes.ReplaceAll(append([]byte("\n"), tables...), []byte("\n## "), []byte("\n### "))
	if err := os.WriteFile(document, bytes.Join([][]byte{before, []byte(begin), tables, []byte(end), after}, nil), 0o600); err != nil {
		return err
	}
	measured, err := os.ReadFile("build/bench/http.json")
	if err != nil {
		return err
	}
	var results struct {
		Rates []rate `json:"rates"`
	}
	if err := json.Unmarshal(measured, &results); err != nil {
		return err
	}
	picture, err := draw(results.Rates)
	if err != nil {
		return err
	}
	return os.WriteFile(chart, picture, 0o600)
}

// rate is what a server answered in a second.
type rate struct {
	Server      string  `json:"server"`
	Records     int     `json:"records"`
	Connections int     `json:"connections"`
	Rate        float64 `json:"rate"`
}

// Measures of the chart in pixels, and the decades of its scale.
const (
	width, left, bar, gap = 760, 170, 16, 22
	decades               = 5
)

// draw returns bars of requests a second over 64 connections, on a scale of
// logarithms as they differ by orders of magnitude.
func draw(rates []rate) ([]byte, error) {
	var b bytes.Buffer
	y := 10
	for _, records := range []int{1, 100} {
		y += gap
		fmt.Fprintf(&b, `<text x="%d" y="%d" font-weight="bold">%d record%s a request: requests a second over 64 connections</text>`+"\n", 10, y, records, map[bool]string{true: "s"}[records > 1])
		y += gap / 2
		for _, r := range rates {
			if r.Records != records || r.Connections != 64 {
				continue
			}
			long := int(math.Max(0, math.Log10(math.Max(r.Rate, 1))) / decades * (width - left - 90))
			colour := "#8a94a6"
			if r.Server == "housing" {
				colour = "#1f6f5c"
			}
			fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text><rect x="%d" y="%d" width="%d" height="%d" fill="%s"/><text x="%d" y="%d">%.0f</text>`+"\n",
				left-8, y+bar-3, html.EscapeString(r.Server), left, y, long, bar, colour, left+long+6, y+bar-3, r.Rate)
			y += gap
		}
	}
	if b.Len() == 0 {
		return nil, errors.New("nothing was measured over 64 connections")
	}
	return fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="13" role="img" aria-label="Requests a second beside the peers, on a logarithmic scale">
<rect width="100%%" height="100%%" fill="#fff"/>
%s</svg>
`, width, y+10, b.Bytes()), nil
}
