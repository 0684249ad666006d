package bundle

import (
	"fmt"

	"housing/internal/features"
	"housing/internal/house"
	"housing/internal/model"
)

// addInterval adds the parts that say how sure prices are, of which a bundle
// has all or none.
func addInterval(tensors map[string]tensor, i *model.Interval) {
	if i == nil {
		return
	}
	addForest(tensors, "interval", i.Spread)
	for kind, name := range scoreParts {
		tensors[name] = tensorOf(i.Scores[kind], len(i.Scores[kind]))
	}
}

// scoreParts are the parts of Interval.Scores.
var scoreParts = [2]string{"interval.scores", "interval.scores_partial"}

// readInterval returns what says how sure prices are, nil where the bundle has
// nothing of it.
func readInterval(p *parts) (*model.Interval, error) {
	if _, there := p.tensors["interval.base"]; !there {
		return nil, nil
	}
	spread := readForest(p, "interval", features.NumColumns()+1)
	whole, _ := valuesOf[float64](p, scoreParts[0])
	partial, _ := valuesOf[float64](p, scoreParts[1])
	if p.err != nil {
		return nil, p.err
	}
	return model.NewInterval(spread, whole, partial)
}

// addComparables adds the sales that are shown beside a price, of which a
// bundle has all parts or none.
func addComparables(tensors map[string]tensor, c *model.Comparables) {
	if c == nil {
		return
	}
	var dates []int32
	var prices, values []float64
	for i := range c.Sales {
		s := &c.Sales[i]
		dates, prices, values = append(dates, int32(s.House.Date)), append(prices, s.Price, s.Expected), append(values, s.House.Values[:]...)
	}
	n := len(c.Sales)
	tensors["comparables.dates"] = tensorOf(dates, n)
	tensors["comparables.houses"] = tensorOf(values, n, house.NumFields)
	tensors["comparables.prices"] = tensorOf(prices, n, 2)
	tensors["comparables.leaves"] = tensorOf(c.Leaves, n, c.Trees)
}

// readComparables returns the sales, nil where the bundle has none.
func readComparables(p *parts) (*model.Comparables, error) {
	leaves, there := p.tensors["comparables.leaves"]
	if !there {
		return nil, nil
	}
	if len(leaves.shape) != 2 {
		return nil, fmt.Errorf("part comparables.leaves is of shape %v, which this program does not read", leaves.shape)
	}
	c := &model.Comparables{Trees: leaves.shape[1]}
	var n [4]int
	var dates []int32
	var prices, values []float64
	c.Leaves, n[0] = valuesOf[uint8](p, "comparables.leaves", c.Trees)
	dates, n[1] = valuesOf[int32](p, "comparables.dates")
	values, n[2] = valuesOf[float64](p, "comparables.houses", house.NumFields)
	prices, n[3] = valuesOf[float64](p, "comparables.prices", 2)
	if p.err != nil {
		return nil, p.err
	}
	if n[1] != n[0] || n[2] != n[0] || n[3] != n[0] {
		return nil, fmt.Errorf("parts of comparables are of %v sales", n)
	}
	c.Sales = make([]model.ComparableSale, n[0])
	for i := range c.Sales {
		s := &c.Sales[i]
		s.House.Date, s.Price, s.Expected = house.Date(dates[i]), prices[2*i], prices[2*i+1]
		copy(s.House.Values[:], values[i*house.NumFields:])
	}
	return c, nil
}
