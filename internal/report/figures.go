package report

import (
	"fmt"
	"strings"

	"housing/internal/model"
)

// figure is one headline figure.
type figure struct {
	Name, Long string
	Value      string
	Unit       string // set smaller behind the value, or ""
	Text       string // what it is
	Lead       bool   // the one to look at first
}

// standard is a figure with the range that the IAAO Standard on Ratio
// Studies (2013) accepts of residential property.
type standard struct {
	figure
	Range   string
	Verdict string // "Met", or "Not met" and why
	Met     bool
	// Places on the gauge in percent of its length.
	BandX, BandWidth, Dot string
}

// closeness returns the figures that say how close prices come.
func closeness(m *model.Metrics) []figure {
	share := func(v float64) string { return decimal(v, 1) }
	return []figure{
		{Name: "MdAPE", Long: "median error", Value: share(m.MdAPE), Unit: "%", Lead: true,
			Text: "Half of the prices are closer than this to what the house sold for, half are further off."},
		{Name: "MAPE", Long: "mean error", Value: share(m.MAPE), Unit: "%",
			Text: "The average distance, in percent of the sale price."},
		{Name: "PPE10", Long: "within 10\u00a0%", Value: share(m.PPE10), Unit: "%",
			Text: "Share of prices within 10\u00a0% of the sale price."},
		{Name: "PPE20", Long: "within 20\u00a0%", Value: share(m.PPE20), Unit: "%",
			Text: "Share of prices within 20\u00a0% of the sale price."},
		{Name: "R²", Long: "variance explained", Value: decimal(m.R2, 4),
			Text: "1 is every price exact, 0 is no better than the average."},
		{Name: "MAE", Long: "mean error", Value: dollars(m.MAE),
			Text: "The average distance in dollars."},
		{Name: "RMSE", Long: "root mean squared error", Value: dollars(m.RMSE),
			Text: "The same with large misses weighing more."},
	}
}

// fairness returns the figures of a ratio study.
func fairness(m *model.Metrics) []standard {
	return []standard{
		newStandard(figure{Name: "Median ratio", Long: "level", Value: decimal(m.MedianRatio, 3),
			Text: "The middle of predicted over actual price: above 1 is too high overall, below 1 too low."},
			m.MedianRatio, 0.90, 1.10, 0.80, 1.20, "0.90 to 1.10"),
		newStandard(figure{Name: "COD", Long: "coefficient of dispersion", Value: decimal(m.COD, 1), Unit: "%",
			Text: "How far the ratios spread about their median: are like houses valued alike?"},
			m.COD, 5, 15, 0, 20, "5 to 15"),
		newStandard(figure{Name: "PRD", Long: "price-related differential", Value: decimal(m.PRD, 3),
			Text: "Above 1, dear houses are valued low against cheap ones; below 1, high."},
			m.PRD, 0.98, 1.03, 0.93, 1.08, "0.98 to 1.03"),
		newStandard(figure{Name: "PRB", Long: "price-related bias", Value: decimal(m.PRB, 3),
			Text: "How much the ratio changes each time the value doubles; 0 is no bias."},
			m.PRB, -0.05, 0.05, -0.10, 0.10, "±0.05"),
	}
}

// newStandard judges v by its range, and places both on a gauge from start to
// end.
func newStandard(f figure, v, low, high, start, end float64, text string) standard {
	place := func(v float64) float64 { return 100 * (v - start) / (end - start) }
	s := standard{figure: f, Range: text, Met: v >= low && v <= high, Verdict: "Met"}
	switch {
	case v < low:
		s.Verdict = "Not met: below"
	case v > high:
		s.Verdict = "Not met: above"
	}
	s.BandX, s.BandWidth = coordinate(place(low)), coordinate(place(high)-place(low))
	s.Dot = coordinate(max(3, min(97, place(v))))
	return s
}

// protocolRows are the rows of the accuracy table that were measured in one
// way.
type protocolRows struct {
	Protocol string
	Rows     [][]string // cells: part, fields, then figures
}

// accuracyHead names the cells of protocolRows.
var accuracyHead = []string{"Counted", "Fields known", "Sales", "R²", "MdAPE", "MAPE", "PPE10", "PPE20", "MAE", "RMSE", "Median ratio", "COD", "PRD", "PRB"}

// accuracyTable gathers what was measured by its protocol, in the order of
// first mention.
func accuracyTable(accuracy []model.Accuracy) []protocolRows {
	var table []protocolRows
	for _, a := range accuracy {
		if len(table) == 0 || table[len(table)-1].Protocol != a.Protocol {
			table = append(table, protocolRows{Protocol: a.Protocol})
		}
		t := &table[len(table)-1]
		t.Rows = append(t.Rows, []string{
			a.Part, a.Fields, count(a.Sales), decimal(a.R2, 4),
			percent(a.MdAPE), percent(a.MAPE), percent(a.PPE10), percent(a.PPE20), dollars(a.MAE), dollars(a.RMSE),
			decimal(a.MedianRatio, 3), decimal(a.COD, 1), decimal(a.PRD, 3), decimal(a.PRB, 3),
		})
	}
	return table
}

// lede says the headline in one sentence.
func lede(a *model.Accuracy) string {
	return fmt.Sprintf("Half of the houses are valued within %s of what they sold for, and %s of them within 10%s%%.",
		percent(a.MdAPE), percent(a.PPE10), space)
}

// basis says what the headline was measured on.
func basis(a *model.Accuracy) string {
	parts := []string{plural(a.Sales, "sale", "sales"), a.Protocol}
	if a.Fields != "" {
		parts = append(parts, "fields known: "+a.Fields)
	}
	return strings.Join(parts, " · ")
}
