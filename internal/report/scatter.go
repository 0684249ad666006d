package report

import (
	"fmt"
	"math"
)

// maxDots is how many sales are drawn, for the size of the page.
const maxDots = 2000

// fewDots is up to how many sales are drawn as larger dots.
const fewDots = 200

// margin is by what factor the axes reach beyond the prices. Its square must
// be over 1.25, for the edge of 20 % too low to cross the drawing.
const margin = 1.12

// plot is the drawing of a chart in units of its own, and the area within
// that its axes span; y runs downwards. Left and Bottom leave room for labels.
type plot struct {
	Width, Height            float64
	Left, Top, Right, Bottom float64
}

var (
	scatterPlot   = plot{Width: 560, Height: 498, Left: 68, Top: 12, Right: 548, Bottom: 440}
	histogramPlot = plot{Width: 560, Height: 378, Left: 56, Top: 34, Right: 548, Bottom: 320}
)

// x and y place a share of an axis, 0 to 1.
func (p *plot) x(share float64) string { return coordinate(p.Left + share*(p.Right-p.Left)) }
func (p *plot) y(share float64) string { return coordinate(p.Bottom - share*(p.Bottom-p.Top)) }

// viewBox, vertical and horizontal write the plot and its lines as SVG does.
func (p *plot) viewBox() string { return "0 0 " + coordinate(p.Width) + " " + coordinate(p.Height) }
func (p *plot) vertical(x string) string {
	return "M" + x + " " + coordinate(p.Top) + "V" + coordinate(p.Bottom)
}
func (p *plot) horizontal(y string) string {
	return "M" + coordinate(p.Left) + " " + y + "H" + coordinate(p.Right)
}

// scatter is the chart of predicted against actual prices.
type scatter struct {
	plot
	X, Y           []tick
	Wide, Narrow   string // paths of the areas within 20 % and within 10 %
	Edges          string // path of their four edges
	Diagonal       string
	Dots           []string // paths
	Drawn, Sales   string
	DrawnAreSample bool
	Few            bool
}

// newScatter draws prices on axes of logarithms of one range, so that equal
// shares are equal lengths everywhere; every k-th sale where there are many.
func newScatter(r *Report) *scatter {
	n := len(r.Sales)
	if n == 0 {
		return nil
	}
	low, high := math.Inf(1), 0.0
	for i := range r.Sales {
		low = min(low, r.Sales[i].Price, r.Predicted[i])
		high = max(high, r.Sales[i].Price, r.Predicted[i])
	}
	low, high = low/margin, high*margin
	length := math.Log(high) - math.Log(low)
	share := func(price float64) float64 { return math.Log(price/low) / length }

	s := &scatter{plot: scatterPlot, Sales: count(n)}
	for _, v := range logTicks(low, high) {
		label := shortDollars(v, 4)
		s.X = append(s.X, tick{s.x(share(v)), label})
		s.Y = append(s.Y, tick{s.y(share(v)), label})
	}
	within := func(part float64) (area, edges string) {
		up, down := math.Log(1+part)/length, -math.Log(1-part)/length
		upper := fmt.Sprintf("M%s %sL%s %s", s.x(0), s.y(up), s.x(1-up), s.y(1))
		lower := fmt.Sprintf("M%s %sL%s %s", s.x(down), s.y(0), s.x(1), s.y(1-down))
		area = fmt.Sprintf("%sL%s %sL%s %sL%s %sL%s %sZ", upper,
			s.x(1), s.y(1), s.x(1), s.y(1-down), s.x(down), s.y(0), s.x(0), s.y(0))
		return area, upper + lower
	}
	var wide, narrow string
	s.Wide, wide = within(0.2)
	s.Narrow, narrow = within(0.1)
	s.Edges = wide + narrow
	s.Diagonal = fmt.Sprintf("M%s %sL%s %s", s.x(0), s.y(0), s.x(1), s.y(1))

	drawn := min(n, maxDots)
	for k := range drawn {
		i := k * n / drawn
		s.Dots = append(s.Dots, fmt.Sprintf("M%s %sh0", s.x(share(r.Sales[i].Price)), s.y(share(r.Predicted[i]))))
	}
	s.Drawn, s.DrawnAreSample = count(drawn), drawn < n
	s.Few = n <= fewDots
	return s
}
