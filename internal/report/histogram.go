package report

import (
	"math"

	"housing/internal/model"
)

// Range of the ratios that the histogram resolves; what is beyond stands in
// the bars at its ends.
const (
	leastRatio    = 0.5
	greatestRatio = 1.5
)

// fineSales is from how many sales on the histogram has narrow bars.
const fineSales = 500

// histogram is the chart of predicted over actual price.
type histogram struct {
	plot
	X, Y        []tick
	Bars        []bar
	One, Median string // coordinates of the ratio 1 and of the median ratio
	MedianLabel string
	Shares      []share
	Below       string // ratios that the end bars hold
	Above       string
}

// bar is a bar of the histogram, in coordinates of the drawing. Near is how
// close its sales are to 1: "b10", "b20" or "b99".
type bar struct{ X, Y, Width, Height, Near string }

// share is a part of the sales in words.
type share struct{ Label, Value string }

func newHistogram(r *Report, overall *model.Metrics) *histogram {
	n := len(r.Sales)
	if n == 0 || overall == nil {
		return nil
	}
	bars := 20
	if n >= fineSales {
		bars = 40
	}
	width := (greatestRatio - leastRatio) / float64(bars)
	counts := make([]int, bars+2) // the first and the last hold what is beyond
	var over, under int
	for i := range r.Sales {
		ratio := r.Predicted[i] / r.Sales[i].Price
		at := math.Floor((ratio-leastRatio)/width+1e-9) + 1
		counts[int(max(0, min(float64(bars+1), at)))]++
		switch {
		case ratio > 1.2:
			over++
		case ratio < 0.8:
			under++
		}
	}
	most := 0
	for _, c := range counts {
		most = max(most, c)
	}
	top := 100 * float64(most) / float64(n) * 1.06

	h := &histogram{plot: histogramPlot, MedianLabel: decimal(overall.MedianRatio, 3), Below: decimal(leastRatio, 1), Above: decimal(greatestRatio, 1)}
	span := greatestRatio - leastRatio + 2*width
	place := func(ratio float64) float64 {
		return max(0, min(1, (ratio-leastRatio+width)/span))
	}
	for i, c := range counts {
		from := leastRatio + float64(i-1)*width
		middle := math.Abs(from + width/2 - 1)
		near := "b99"
		switch {
		case middle < 0.1:
			near = "b10"
		case middle < 0.2:
			near = "b20"
		}
		height := 100 * float64(c) / float64(n) / top * (h.Bottom - h.Top)
		left := h.Left + (from-leastRatio+width)/span*(h.Right-h.Left)
		h.Bars = append(h.Bars, bar{
			X: coordinate(left + 0.5), Width: coordinate(width/span*(h.Right-h.Left) - 1),
			Y: coordinate(h.Bottom - height), Height: coordinate(height), Near: near,
		})
	}
	for _, v := range linearTicks(leastRatio, greatestRatio, 10) {
		h.X = append(h.X, tick{h.x(place(v)), decimal(v, 1)})
	}
	decimals := 0
	if top < 4 {
		decimals = 1
	}
	for _, v := range linearTicks(0, top, 5) {
		h.Y = append(h.Y, tick{h.y(v / top), decimal(v, decimals)})
	}
	h.One, h.Median = h.x(place(1)), h.x(place(overall.MedianRatio))
	part := func(k int) string { return percent(100 * float64(k) / float64(n)) }
	h.Shares = []share{
		{"valued more than 20\u00a0% too low", part(under)},
		{"within 10\u00a0%", percent(overall.PPE10)},
		{"within 20\u00a0%", percent(overall.PPE20)},
		{"valued more than 20\u00a0% too high", part(over)},
	}
	return h
}
