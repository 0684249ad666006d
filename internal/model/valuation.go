package model

import (
	"math"
	"slices"

	"housing/internal/demographics"
	"housing/internal/features"
	"housing/internal/house"
)

// Valuation is what a house is worth, how sure that is, and why. Amounts are
// in US dollars, whole cents.
type Valuation struct {
	Price float64
	Date  house.Date // as of which it is valued

	// Interval is how often sale prices are to lie from Low to High; 0 where
	// the model says nothing of that, nor of the next three.
	Interval   float64
	Low, High  float64
	Confidence int     // 0 to 100: 100 less FSD in percent
	FSD        float64 // forecast standard deviation, as a share of the price
	Within10   float64 // chance that the sale price lies within 10 % of Price

	// BasePrice is the price of the average house, in logs: with all Effects,
	// which are by features.Reasons, it sums to Price to the cent.
	BasePrice float64
	Effects   [features.MaxReasons]float64

	Comparables []Comparable // the most alike first; empty where the model holds no sales
}

// Value appends the valuation of each house to dst[:0] and returns it. Level
// is that of the intervals, from [LeastLevel] to [GreatestLevel]. The prices
// are those of [Model.Prices], rounded.
func (m *Model) Value(dst []Valuation, houses []house.House, table *demographics.Table, level float64) []Valuation {
	var memory [features.MaxColumns]float32
	row := memory[:features.NumColumns()]
	dst = slices.Grow(dst[:0], len(houses))
	for i := range houses {
		h := &houses[i]
		area, _ := table.Lookup(h.Zipcode())
		m.Row(row, h, area)
		dst = append(dst, m.value(h, area, row, level))
	}
	return dst
}

func (m *Model) value(h *house.House, area *demographics.Area, row []float32, level float64) Valuation {
	logPrice := m.logPrice(h, area, row)
	price := math.Exp(logPrice)
	v := Valuation{Price: cents(price), Date: h.Date}
	if v.Date == house.NoDate {
		v.Date = m.Encoder.Newest
	}
	if m.Interval != nil {
		c := m.Interval.certainty(h, row, logPrice, level)
		v.Interval, v.FSD, v.Confidence, v.Within10 = level, c.fsd, confidenceOf(c.fsd), c.within10
		v.Low, v.High = cents(price*c.low), cents(price*c.high)
	}
	v.BasePrice = m.explain(v.Effects[:features.NumReasons()], h, area, row, v.Price)
	if m.Comparables != nil {
		v.Comparables = m.Comparables.find(m, h, row, logPrice, v.Date)
	}
	return v
}

// Intervals returns the interval of each house at DefaultLevel, nil where the
// model has none. It is quicker than [Model.Value].
func (m *Model) Intervals(houses []house.House, table *demographics.Table) []Bounds {
	if m.Interval == nil {
		return nil
	}
	row := make([]float32, features.NumColumns())
	bounds := make([]Bounds, len(houses))
	for i, price := range m.Prices(nil, houses, table) {
		area, _ := table.Lookup(houses[i].Zipcode())
		m.Row(row, &houses[i], area)
		c := m.Interval.certainty(&houses[i], row, math.Log(price), DefaultLevel)
		bounds[i] = Bounds{price * c.low, price * c.high}
	}
	return bounds
}

// cents rounds dollars to whole cents.
func cents(dollars float64) float64 { return hundredths(dollars) }
