package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"housing/internal/model"
)

// study is what was looked into beyond the prices themselves.
type study struct {
	Coverage       []coverageRow
	Sureness       []surenessGroup
	Neighbourhoods []protocolRows
	Ablation       []fact // what census figures are worth; none where that was not tried
	Shuffled       []importance
	Learning       *curve
}

// coverageRow says how often intervals held, by what was known of the houses.
type coverageRow struct{ Fields, Sales, Covered, Width, ByPrice string }

// surenessGroup is a row of a table of coverage. Place is on a strip from
// leastCovered to 100 %.
type surenessGroup struct {
	Title, Head, Text string
	Rows              []surenessRow
}

type surenessRow struct{ Label, Sales, Covered, Place, Width string }

// Strips of coverage begin at leastCovered; the band is what is accepted of a
// group where nine of ten are to be covered.
const (
	leastCovered       = 70.0
	bandStart, bandEnd = 84.0, 96.0
)

func (r *Report) study() (*study, error) {
	all, err := r.neighbourhoods()
	if err != nil {
		return nil, fmt.Errorf("report on %s: %w", r.Title, err)
	}
	s := &study{Neighbourhoods: neighbourhoodTable(all), Learning: newCurve(r.Learning)}
	for _, c := range r.Coverage {
		var quarters []string
		for _, q := range c.ByPrice {
			quarters = append(quarters, decimal(q, 1))
		}
		s.Coverage = append(s.Coverage, coverageRow{c.Fields, count(c.Sales), percent(c.Covered), percent(c.Width), strings.Join(quarters, " · ") + space + "%"})
	}
	if r.Bounds != nil {
		for _, g := range []surenessGroup{
			r.sureness("By price", "Sold for", "Ten groups of equal size by what the houses sold for.", byPrice(r)),
			r.sureness("By width", "Interval", "Ten groups by the width of the interval in percent of the price: narrow ones must hold as often as wide ones.", r.byWidth()),
		} {
			if len(g.Rows) > 0 {
				s.Sureness = append(s.Sureness, g)
			}
		}
	}
	s.Shuffled = shuffledRows(r.Shuffled)
	if s.Ablation, err = r.ablation(); err != nil {
		return nil, fmt.Errorf("report on %s: %w", r.Title, err)
	}
	return s, nil
}

// sureness counts how many sales of each group lie within their intervals.
func (r *Report) sureness(title, head, text string, groups []group) surenessGroup {
	g := surenessGroup{Title: title, Head: head, Text: text}
	for _, members := range groups {
		var width float64
		for _, i := range members.indices {
			width += 100 * (r.Bounds[i].High - r.Bounds[i].Low) / r.Predicted[i] / float64(len(members.indices))
		}
		covered := r.covered(members.indices)
		g.Rows = append(g.Rows, surenessRow{
			Label: members.Label, Sales: count(len(members.indices)), Covered: percent(covered), Width: percent(width),
			Place: coordinate(surePlace(max(leastCovered, covered))),
		})
	}
	return g
}

// surePlace is where a coverage stands on its strip, in percent of the length.
func surePlace(covered float64) float64 { return 100 * (covered - leastCovered) / (100 - leastCovered) }

// sureBand returns the start and the length of the accepted band.
func sureBand() (start, length string) {
	return coordinate(surePlace(bandStart)), coordinate(surePlace(bandEnd) - surePlace(bandStart))
}

// sureLine is where nine of ten stand.
func sureLine() string { return "M" + coordinate(surePlace(100*model.DefaultLevel)) + " 0V12" }

// byWidth parts the sales into tiers of equal size by the width of their
// intervals.
func (r *Report) byWidth() []group {
	n := len(r.Sales)
	parts := min(tiers, n/minGroup)
	if parts < 2 {
		return nil
	}
	width := func(i int) float64 { return 100 * (r.Bounds[i].High - r.Bounds[i].Low) / r.Predicted[i] }
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(width(a), width(b)) })
	groups := make([]group, parts)
	for t := range groups {
		members := order[t*n/parts : (t+1)*n/parts]
		groups[t] = group{Label: decimal(width(members[0]), 0) + dash + decimal(width(members[len(members)-1]), 0) + space + "%", indices: members}
	}
	return groups
}

// shuffledRows shows what is worth most first; what is worth nothing has no
// bar.
func shuffledRows(all []model.Shuffled) (rows []importance) {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b model.Shuffled) int { return cmp.Compare(b.MAPE, a.MAPE) })
	for _, s := range all {
		length := 0.0
		if all[0].MAPE > 0 {
			length = 100 * max(0, s.MAPE) / all[0].MAPE
		}
		rows = append(rows, importance{s.Feature, decimal(s.MAPE, 2), coordinate(length)})
	}
	return rows
}

// ablation compares with prices of models that knew no census figures.
func (r *Report) ablation() ([]fact, error) {
	if r.WithoutCensus == nil {
		return nil, nil
	}
	sold := make([]float64, len(r.Sales))
	for i := range sold {
		sold[i] = r.Sales[i].Price
	}
	with, err := model.Measure(sold, r.Predicted)
	if err != nil {
		return nil, err
	}
	without, err := model.Measure(sold, r.WithoutCensus)
	if err != nil {
		return nil, err
	}
	row := func(name, a, b string) fact { return fact{Name: name, Value: a + " → " + b} }
	return []fact{
		row("MAPE", percent(with.MAPE), percent(without.MAPE)),
		row("MdAPE", percent(with.MdAPE), percent(without.MdAPE)),
		row("RMSE", dollars(with.RMSE), dollars(without.RMSE)),
		row("Median ratio", decimal(with.MedianRatio, 3), decimal(without.MedianRatio, 3)),
		row("COD", decimal(with.COD, 1), decimal(without.COD, 1)),
		row("PRD", decimal(with.PRD, 3), decimal(without.PRD, 3)),
		row("PRB", decimal(with.PRB, 3), decimal(without.PRB, 3)),
	}, nil
}

// curve is the chart of the error by how many sales a model was trained on.
type curve struct {
	plot
	X, Y   []tick
	Line   string
	Points []curvePoint
}

type curvePoint struct{ X, Y, Sales, MAPE string }

// newCurve draws the learning curve; nil where there are too few points.
func newCurve(learning []model.Learning) *curve {
	if len(learning) < 2 {
		return nil
	}
	least, greatest, most := learning[0].MAPE, learning[0].MAPE, 0
	for _, l := range learning {
		least, greatest, most = min(least, l.MAPE), max(greatest, l.MAPE), max(most, l.Sales)
	}
	least, greatest = 0.92*least, 1.08*greatest // room above and below
	c := &curve{plot: histogramPlot}
	x := func(sales float64) string { return c.x(sales / (1.05 * float64(most))) }
	y := func(mape float64) string { return c.y((mape - least) / (greatest - least)) }
	for _, v := range linearTicks(0, 1.05*float64(most), 5) {
		c.X = append(c.X, tick{x(v), count(int(v))})
	}
	for _, v := range linearTicks(least, greatest, 4) {
		c.Y = append(c.Y, tick{y(v), decimal(v, 1)})
	}
	for i, l := range learning {
		command := "L"
		if i == 0 {
			command = "M"
		}
		at := curvePoint{x(float64(l.Sales)), y(l.MAPE), count(l.Sales), percent(l.MAPE)}
		c.Line += command + at.X + " " + at.Y
		c.Points = append(c.Points, at)
	}
	return c
}
