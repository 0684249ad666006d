package web

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"housing/internal/features"
	"housing/internal/house"
	"housing/internal/model"
)

// Answer is what the page says of a house.
type Answer struct {
	model.Valuation
	House    house.House
	Version  string  // of the model
	Digest   string  // of its bundle
	MdAPE    float64 // of the model on sales it had not seen, in percent; 0 is not known
	Warnings []string
	Body     []byte // the request, as JSON
	Address  string // of the service, for the request to copy
	Guarded  bool   // the request needs a token
}

// shownReasons is how many reasons have a line of their own.
const shownReasons = 9

// bar is a line of the waterfall: from where the price stood to where the
// reason moves it, in percent of the width.
type bar struct {
	Title, Value string
	Amount       float64 // US dollars: the effect, or the price at the ends
	X, Width     float64
	Class        string // up, down or whole
}

// waterfall returns the lines from the price of the average house to that of
// this one, the strongest reason first.
func (a *Answer) waterfall() []bar {
	names := features.Reasons()
	order := make([]int, len(names))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		switch d := math.Abs(a.Effects[j]) - math.Abs(a.Effects[i]); {
		case d > 0:
			return 1
		case d < 0:
			return -1
		}
		return 0
	})
	bars := []bar{{Title: "Average house", Amount: a.BasePrice, Class: "whole"}}
	var rest float64
	for k, i := range order {
		if k >= shownReasons {
			rest += a.Effects[i]
			continue
		}
		bars = append(bars, bar{Title: reasonTitle(names[i]), Value: a.reasonValue(names[i]), Amount: a.Effects[i]})
	}
	if n := len(order) - shownReasons; n > 0 {
		bars = append(bars, bar{Title: fmt.Sprintf("%d other reasons", n), Amount: rest})
	}
	bars = append(bars, bar{Title: "This house", Amount: a.Price, Class: "whole"})
	place(bars)
	return bars
}

// place gives the bars their places on an axis that begins somewhat below the
// lowest point which the price passes, at zero where that is near.
func place(bars []bar) {
	at, least, most := bars[0].Amount, bars[0].Amount, bars[0].Amount
	for _, b := range bars[1 : len(bars)-1] {
		at += b.Amount
		least, most = min(least, at), max(most, at)
	}
	from := max(0, least-(most-least)/3)
	if from < most/4 {
		from = 0
	}
	scale := 100 / max(most-from, 1)
	at = 0
	for i := range bars {
		b := &bars[i]
		low, high := at, at+b.Amount
		switch {
		case b.Class == "whole":
			low, high, at = from, b.Amount, b.Amount
		case b.Amount < 0:
			low, high, b.Class, at = high, low, "down", high
		default:
			b.Class, at = "up", high
		}
		b.X, b.Width = (low-from)*scale, max((high-low)*scale, 0.4)
	}
}

// reasonTitle returns what a person calls a reason.
func reasonTitle(name string) string {
	if f, ok := house.Lookup(name); ok {
		return f.Spec().Title
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

// reasonValue returns what the reason is at this house, in words.
func (a *Answer) reasonValue(name string) string {
	switch name {
	case features.Location, features.Neighbourhood:
		return a.House.Zipcode().String()
	case features.ValuationDate:
		return day(a.Date)
	}
	f, ok := house.Lookup(name)
	if !ok {
		return ""
	}
	v, s := a.House.Values[f], f.Spec()
	switch {
	case v != v:
		return "not known"
	case f == house.YrRenovated && v == 0:
		return "never"
	case s.Kind == house.Year || s.Kind == house.YearOrZero:
		return plain(v)
	case f == house.Waterfront:
		return choices[f][int(v)]
	}
	return strings.TrimSpace(count(v) + " " + s.Unit)
}

// interval is the picture of the interval: places in percent of its axis.
type interval struct {
	From, To float64 // US dollars at the ends of the axis
	X, Width float64
	PriceX   float64
}

func (a *Answer) interval() interval {
	from, to := max(0, a.Low-(a.High-a.Low)*0.25), a.High+(a.High-a.Low)*0.25
	scale := 100 / max(to-from, 1)
	return interval{From: from, To: to, X: (a.Low - from) * scale, Width: (a.High - a.Low) * scale, PriceX: (a.Price - from) * scale}
}

// chance says in words how likely something is.
func chance(p float64) string {
	return strconv.Itoa(int(math.Round(100*p))) + " %"
}

// money writes whole dollars: $706,431.
func money(dollars float64) string {
	if dollars < 0 {
		return "−" + money(-dollars)
	}
	return "$" + count(math.Round(dollars))
}

// signedMoney writes an effect: +$12,345 or −$12,345.
func signedMoney(dollars float64) string {
	if math.Round(dollars) > 0 {
		return "+" + money(dollars)
	}
	return money(dollars)
}

// count writes a number with commas between thousands.
func count(v float64) string {
	text := plain(math.Round(v*100) / 100)
	whole, fraction, _ := strings.Cut(text, ".")
	sign := ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "−", whole[1:]
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if fraction != "" {
		whole += "." + fraction
	}
	return sign + whole
}

// percentage writes a number for an attribute of a picture.
func percentage(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) }

func day(d house.Date) string { return d.Time().Format("2 January 2006") }

func shortDay(d house.Date) string { return d.Time().Format(time.DateOnly) }

// known writes a field of a house, a dash where it is unknown.
func known(h *house.House, f house.Field) string {
	v := h.Values[f]
	switch {
	case v != v:
		return "–"
	case f.Spec().Kind == house.Year:
		return plain(v)
	}
	return count(v)
}
