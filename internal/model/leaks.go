package model

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"housing/internal/house"
)

const (
	// leakShare is the share of the variance of log prices that nothing may
	// explain alone, or in a ratio or product with one field. A whole model
	// of good data explains 0.91; the best single field of King County 0.5.
	leakShare = 0.95
	// leakRows is how many sales are looked at, at most.
	leakRows = 20_000
	// leakBins is into how many bins of equal size a column is cut to see
	// what it explains, whatever the form of it; each has leakBinRows or more.
	leakBins    = 200
	leakBinRows = 10
	// flagValues is up to how many values a column is a flag, and flagRows how
	// many sales a value needs to be looked at.
	flagValues = 12
	flagRows   = 10
	// twinShare is the share of sales that may stand under several ids.
	twinShare = 0.01
)

// Leaks returns what is wrong with sales that would make a model look better
// than it is, or give prices away to it: columns, of those that are read and
// others, from which the price can be computed; flags that were set by the
// price; and sales that stand under several ids, so that they would be
// learned from and valued at once. Each is a sentence that says what to do.
func Leaks(sales []house.Sale, others []house.Other) []string {
	var found []string
	l := newLeakFinder(sales)
	var sound house.Set // fields that do not give the price away by themselves
	for _, s := range house.Fields() {
		if l.explained(l.field(s.Field)) <= leakShare {
			sound |= house.NewSet(s.Field)
			continue
		}
		found = append(found, fmt.Sprintf("column %s gives the price away by itself: it is no %s, or was computed from the price; correct the file", s.Name, strings.ToLower(s.Title)))
	}
	for _, s := range house.Fields() {
		if !sound.Has(s.Field) {
			continue
		}
		if with := l.together(l.field(s.Field), sound); with != "" {
			found = append(found, fmt.Sprintf("column %s gives the price away%s: one of them was computed from the price; correct the file", s.Name, with))
			sound &^= house.NewSet(s.Field)
		}
	}
	for _, o := range others {
		values := o.Values[:min(len(o.Values), len(l.logPrice))]
		name := l.together(values, sound)
		if l.explained(values) > leakShare {
			name = " by itself"
		}
		switch {
		case name != "":
			found = append(found, fmt.Sprintf("column %s gives the price away%s: a model that had it would know what it is to predict; take it out of the file", o.Name, name))
		case l.isFlagOfPrice(values):
			found = append(found, fmt.Sprintf("column %s was set by the price: its values stand in stretches of it; sales that were marked or picked by price make every figure look better than it is, so take it out of the file and leave no sales out by it", o.Name))
		}
	}
	if twins := twinSales(sales); float64(twins) > twinShare*float64(len(sales)) {
		found = append(found, fmt.Sprintf("%d sales stand in the file again under another id, with the same house, day and price: some would be learned from and valued at once; leave each in once, or give a house one id", twins))
	}
	return found
}

// leakFinder looks at the first sales.
type leakFinder struct {
	sales    []house.Sale
	logPrice []float64
	order    []int // of the sales, by price
}

func newLeakFinder(sales []house.Sale) *leakFinder {
	l := &leakFinder{sales: sales[:min(len(sales), leakRows)]}
	for i := range l.sales {
		l.logPrice = append(l.logPrice, math.Log(l.sales[i].Price))
		l.order = append(l.order, i)
	}
	slices.SortFunc(l.order, func(a, b int) int { return cmp.Compare(l.logPrice[a], l.logPrice[b]) })
	return l
}

func (l *leakFinder) field(f house.Field) []float64 {
	values := make([]float64, len(l.sales))
	for i := range values {
		values[i] = l.sales[i].House.Values[f]
	}
	return values
}

// together says by which of some fields a column must be multiplied or divided
// to give the price away, "" if by none.
func (l *leakFinder) together(values []float64, fields house.Set) string {
	mixed := make([]float64, len(values))
	for _, s := range house.Fields() {
		if !fields.Has(s.Field) {
			continue
		}
		for _, divide := range [2]bool{false, true} {
			for i, v := range values {
				other := l.sales[i].House.Values[s.Field]
				if mixed[i] = v * other; divide {
					mixed[i] = v / other
				}
			}
			if l.explained(mixed) <= leakShare {
				continue
			}
			if divide {
				return " divided by " + s.Name
			}
			return " times " + s.Name
		}
	}
	return ""
}

// explained returns the share of the variance of log prices that lies between
// bins of a column, whichever way it goes with the price; 0 where too few
// sales have a value.
func (l *leakFinder) explained(values []float64) float64 {
	var known []int
	var mean float64
	for i, v := range values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			known = append(known, i)
			mean += l.logPrice[i]
		}
	}
	n := len(known)
	if n < MinSales || 2*n < len(values) {
		return 0
	}
	mean /= float64(n)
	slices.SortFunc(known, func(a, b int) int { return cmp.Compare(values[a], values[b]) })
	bins := min(leakBins, n/leakBinRows)
	var between, total float64
	for b := 0; b < n; {
		end := max(b+1, (b*bins/n+1)*n/bins)
		for end < n && values[known[end]] == values[known[end-1]] {
			end++ // one value stands in one bin
		}
		var sum float64
		for _, i := range known[b:end] {
			sum += l.logPrice[i] - mean
			total += (l.logPrice[i] - mean) * (l.logPrice[i] - mean)
		}
		between += sum * sum / float64(end-b)
		b = end
	}
	if total == 0 {
		return 0
	}
	// What bins of n/bins sales explain by chance is taken off.
	chance := float64(bins-1) / float64(n-1)
	return (between/total - chance) / (1 - chance)
}

// isFlagOfPrice says whether one of few values stands for stretches of the
// prices, or of the prices by living space: as where "outlier" means beyond
// some quantiles. No value is one too.
func (l *leakFinder) isFlagOfPrice(values []float64) bool {
	values = slices.Clone(values)
	for i, v := range values {
		if math.IsNaN(v) { // which equals nothing, not even itself
			values[i] = math.Inf(-1)
		}
	}
	counts := map[float64]int{}
	for _, v := range values {
		if counts[v]++; len(counts) > flagValues {
			return false
		}
	}
	byArea := slices.Clone(l.order)
	perArea := func(i int) float64 { return l.logPrice[i] - math.Log(l.sales[i].House.Values[house.SqftLiving]) }
	slices.SortFunc(byArea, func(a, b int) int { return cmp.Compare(perArea(a), perArea(b)) })
	for value, count := range counts {
		if count < flagRows || len(values)-count < flagRows {
			continue
		}
		for _, order := range [2][]int{l.order, byArea} {
			if stretches(values, order, value) <= 2 {
				return true
			}
		}
	}
	return false
}

// stretches counts the unbroken stretches of an order in which sales have a
// value. One of them can come about by chance only among very few sales.
func stretches(values []float64, order []int, value float64) (n int) {
	inside := false
	for _, i := range order {
		if i >= len(values) {
			continue
		}
		has := values[i] == value
		if has && !inside {
			n++
		}
		inside = has
	}
	return n
}

// twinSales counts the sales of the same house, on the same day, for the same
// price as one before under another id.
func twinSales(sales []house.Sale) (twins int) {
	type deal struct {
		house house.House
		price float64
	}
	first := map[deal]string{}
	for i := range sales {
		d := deal{comparableHouse(sales[i].House), sales[i].Price}
		if id, seen := first[d]; !seen {
			first[d] = sales[i].ID
		} else if id != sales[i].ID {
			twins++
		}
	}
	return twins
}

// comparableHouse returns a house that equals others of the same values: what
// is unknown is one number of its own, where NaN equals nothing.
func comparableHouse(h house.House) house.House {
	for f, v := range h.Values {
		if v != v {
			h.Values[f] = math.Inf(-1)
		}
	}
	return h
}
