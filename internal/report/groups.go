package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"housing/internal/house"
	"housing/internal/model"
)

const (
	// minGroup is how many sales a group needs to be shown: figures of fewer
	// say nothing, and would be nearly those of one house.
	minGroup = 5
	tiers    = 10
	zipcodes = 15
)

// grouping is a table of errors by a property of the sales.
type grouping struct {
	Title, Head string
	Text        string
	Rows        []group
	Left        string // what is not shown, or ""
}

// group is a row of a grouping. Error and Ratio are places on its strips, in
// percent of their lengths.
type group struct {
	Label, Sales       string
	MdAPE, Error       string
	MedianRatio, Ratio string
	ErrorOfAll         string
	indices            []int
	figures            model.Metrics
}

// ratioReach is how far from 1 the strips of median ratios reach.
const ratioReach = 0.25

// newGroupings measures the sales by price, month, grade and zipcode.
func newGroupings(r *Report, overall *model.Metrics) ([]grouping, error) {
	if overall == nil {
		return nil, nil
	}
	month := func(h *house.House) (float64, bool) {
		t := h.Date.Time()
		return float64(12*t.Year() + int(t.Month()) - 1), h.Date != house.NoDate
	}
	field := func(f house.Field) func(h *house.House) (float64, bool) {
		return func(h *house.House) (float64, bool) { return h.Values[f], !math.IsNaN(h.Values[f]) }
	}
	all := []struct {
		grouping
		groups []group
	}{
		{grouping{Title: "By price", Head: "Sold for",
			Text: "Ten groups of equal size. A sale that went cheap by chance stands in a low group and one that went dear in a high one, so even a perfect model leans above 1 at the top of this table and below at its end."},
			byPrice(r)},
		{grouping{Title: "By month of sale", Head: "Month", Text: "Whether the model keeps up as prices move."},
			byKey(r, month, func(v float64) string {
				return time.Date(int(v)/12, time.Month(int(v)%12+1), 1, 0, 0, 0, 0, time.UTC).Format("Jan 2006")
			})},
		{grouping{Title: "By grade", Head: "Grade", Text: "King County's grade of construction and design, 1 to 13."},
			byKey(r, field(house.Grade), func(v float64) string { return decimal(v, 0) })},
		{grouping{Title: "By zipcode", Head: "Zipcode", Text: fmt.Sprintf("The %d zipcodes with the most sales.", zipcodes)},
			most(byKey(r, field(house.ZipcodeField), func(v float64) string { return house.Zipcode(v).String() }), zipcodes)},
	}
	var shown []grouping
	for _, g := range all {
		if err := g.measure(r, g.groups, overall); err != nil {
			return nil, err
		}
		if len(g.Rows) > 0 {
			shown = append(shown, g.grouping)
		}
	}
	return shown, nil
}

// measure fills the rows of g with the groups that have enough sales.
func (g *grouping) measure(r *Report, groups []group, overall *model.Metrics) error {
	var left []string
	greatest := overall.MdAPE
	for _, row := range groups {
		if len(row.indices) < minGroup {
			left = append(left, row.Label)
			continue
		}
		prices, predicted := make([]float64, len(row.indices)), make([]float64, len(row.indices))
		for k, i := range row.indices {
			prices[k], predicted[k] = r.Sales[i].Price, r.Predicted[i]
		}
		var err error
		if row.figures, err = model.Measure(prices, predicted); err != nil {
			return fmt.Errorf("%s %s: %w", strings.ToLower(g.Title), row.Label, err)
		}
		greatest = max(greatest, row.figures.MdAPE)
		g.Rows = append(g.Rows, row)
	}
	if greatest == 0 {
		greatest = 1
	}
	for i := range g.Rows {
		row := &g.Rows[i]
		m := &row.figures
		row.Sales = count(m.Sales)
		row.MdAPE, row.Error = percent(m.MdAPE), coordinate(100*m.MdAPE/greatest)
		row.ErrorOfAll = coordinate(100 * overall.MdAPE / greatest)
		row.MedianRatio, row.Ratio = decimal(m.MedianRatio, 3), coordinate(ratioPlace(m.MedianRatio))
	}
	if len(left) > 0 {
		g.Left = fmt.Sprintf("Not shown, having fewer than %d sales: %s.", minGroup, listed(left))
	}
	return nil
}

// ratioPlace is where a ratio stands on a strip, in percent of its length.
func ratioPlace(ratio float64) float64 {
	return max(2, min(98, 50+50*(ratio-1)/ratioReach))
}

// listed writes up to six names.
func listed(names []string) string {
	const shown = 6
	if more := len(names) - shown; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), more)
	}
	return strings.Join(names, ", ")
}

// byPrice parts the sales into tiers of equal size, or fewer where a tier
// would have too few sales.
func byPrice(r *Report) []group {
	n := len(r.Sales)
	parts := min(tiers, n/minGroup)
	if parts < 2 {
		return nil
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(r.Sales[a].Price, r.Sales[b].Price) })
	groups := make([]group, parts)
	for t := range groups {
		members := order[t*n/parts : (t+1)*n/parts]
		least, greatest := r.Sales[members[0]].Price, r.Sales[members[len(members)-1]].Price
		groups[t] = group{Label: shortDollars(least, 3) + dash + shortDollars(greatest, 3), indices: members}
	}
	return groups
}

// byKey parts the sales of which the key is known by it, in its order.
func byKey(r *Report, key func(*house.House) (float64, bool), label func(float64) string) []group {
	members := map[float64][]int{}
	var keys []float64
	for i := range r.Sales {
		k, known := key(&r.Sales[i].House)
		if !known {
			continue
		}
		if members[k] == nil {
			keys = append(keys, k)
		}
		members[k] = append(members[k], i)
	}
	slices.Sort(keys)
	groups := make([]group, len(keys))
	for i, k := range keys {
		groups[i] = group{Label: label(k), indices: members[k]}
	}
	return groups
}

// most returns the groups with the most sales, at most n, most first. Those
// with too few are left out without a word: there are always some.
func most(groups []group, n int) []group {
	slices.SortStableFunc(groups, func(a, b group) int { return len(b.indices) - len(a.indices) })
	groups = groups[:min(n, len(groups))]
	return slices.DeleteFunc(groups, func(g group) bool { return len(g.indices) < minGroup })
}
