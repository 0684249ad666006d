package batch

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/parquet-go/parquet-go"

	"housing/internal/features"
	"housing/internal/house"
	"housing/internal/model"
)

// addition is a column that is added behind the price: a number, NaN for
// unknown, or a day.
type addition struct {
	name  string
	isDay bool
	value func(v *model.Valuation) float64
}

// comparablesAdded is how many comparables have columns.
const comparablesAdded = 5

// additions are the columns of a full valuation, as /v1/valuations has them;
// an effect is named by what it is of.
func additions() []addition {
	var all []addition
	add := func(name string, value func(v *model.Valuation) float64) {
		all = append(all, addition{name: name, value: value})
	}
	day := func(name string, value func(v *model.Valuation) house.Date) {
		all = append(all, addition{name, true, func(v *model.Valuation) float64 { return float64(value(v)) }})
	}
	sure := func(name string, value func(v *model.Valuation) float64) {
		add(name, func(v *model.Valuation) float64 {
			if v.Interval == 0 {
				return math.NaN()
			}
			return value(v)
		})
	}
	day("valued_as_of", func(v *model.Valuation) house.Date { return v.Date })
	sure("low", func(v *model.Valuation) float64 { return v.Low })
	sure("high", func(v *model.Valuation) float64 { return v.High })
	sure("interval", func(v *model.Valuation) float64 { return v.Interval })
	sure("confidence", func(v *model.Valuation) float64 { return float64(v.Confidence) })
	sure("fsd", func(v *model.Valuation) float64 { return rounded(v.FSD) })
	sure("within_10", func(v *model.Valuation) float64 { return rounded(v.Within10) })
	add("base_price", func(v *model.Valuation) float64 { return v.BasePrice })
	for r, name := range features.Reasons() {
		add("effect_"+name, func(v *model.Valuation) float64 { return v.Effects[r] })
	}
	for k := range comparablesAdded {
		comparable := func(value func(c *model.Comparable) float64) func(v *model.Valuation) float64 {
			return func(v *model.Valuation) float64 {
				if k >= len(v.Comparables) {
					return math.NaN()
				}
				return value(&v.Comparables[k])
			}
		}
		prefix := fmt.Sprintf("comparable_%d_", k+1)
		add(prefix+"price", comparable(func(c *model.Comparable) float64 { return c.Price }))
		all = append(all, addition{prefix + "date", true, comparable(func(c *model.Comparable) float64 { return float64(c.House.Date) })})
		add(prefix+"distance_km", comparable(func(c *model.Comparable) float64 { return rounded(c.DistanceKM) }))
		add(prefix+"similarity", comparable(func(c *model.Comparable) float64 { return rounded(c.Similarity) }))
		add(prefix+"adjusted_price", comparable(func(c *model.Comparable) float64 { return c.AdjustedPrice }))
	}
	return all
}

// rounded cuts a number that is no amount to four decimals.
func rounded(v float64) float64 { return math.Round(1e4*v) / 1e4 }

// isAdded says whether a column is one that is added.
func isAdded(name string, more []addition) bool {
	return name == PriceColumn || slices.ContainsFunc(more, func(a addition) bool { return a.name == name })
}

// extras returns what is added to a row behind its price.
func (b *block) extras(row int) []float64 {
	n := len(b.more)
	return b.extra[row*n:][:n]
}

// text writes a value as a cell of CSV.
func (a *addition) text(v float64) string {
	switch {
	case math.IsNaN(v):
		return ""
	case a.isDay:
		return house.Date(v).String()
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// appendJSON appends a value.
func (a *addition) appendJSON(dst []byte, v float64) []byte {
	switch {
	case math.IsNaN(v):
		return append(dst, "null"...)
	case a.isDay:
		return strconv.AppendQuote(dst, house.Date(v).String())
	}
	return strconv.AppendFloat(dst, v, 'f', -1, 64)
}

// node is the type of the column in Parquet.
func (a *addition) node() parquet.Node {
	if a.isDay {
		return parquet.Optional(parquet.Date())
	}
	return parquet.Optional(parquet.Leaf(parquet.DoubleType))
}

// appendValues appends what is added to a row, the price first, as columns
// from the one at column on.
func (b *block) appendValues(dst []parquet.Value, row, column int) []parquet.Value {
	dst = append(dst, parquet.DoubleValue(b.prices[row]).Level(0, 0, column))
	for k, v := range b.extras(row) {
		at := column + 1 + k
		switch {
		case math.IsNaN(v):
			dst = append(dst, parquet.NullValue().Level(0, 0, at))
		case b.more[k].isDay:
			dst = append(dst, parquet.Int32Value(int32(v)).Level(0, 1, at))
		default:
			dst = append(dst, parquet.DoubleValue(v).Level(0, 1, at))
		}
	}
	return dst
}
