package model

import (
	"cmp"
	"math"
	"slices"

	"housing/internal/demographics"
	"housing/internal/features"
	"housing/internal/house"
)

// explain sets dst, by reason, to how many dollars each moves the price of a
// house, and returns the base from which they do: base and effects are whole
// cents that sum to the price, which is whole cents too.
//
// The model is a sum in logs, so the effects are exact there. Into dollars
// they come by the logarithmic mean of base and price, (price - base) /
// (log price - log base), which leaves no rest (the additive decomposition of
// Ang 2005, "The LMDI approach to decomposition analysis").
func (m *Model) explain(dst []float64, h *house.House, area *demographics.Area, row []float32, price float64) (base float64) {
	clear(dst)
	base = cents(math.Exp(m.effects(dst, h, area, row)))
	inDollars(dst, base, price)
	return base
}

// effects adds to dst, by reason, how much each moves the log price of a
// house, and returns the base from which they do: the forest by TreeSHAP, the
// smooth part by Shapley values, each by its share, and the market.
func (m *Model) effects(dst []float64, h *house.House, area *demographics.Area, row []float32) (base float64) {
	var memory [features.MaxColumns]float64
	columns := memory[:features.NumColumns()]
	m.explainer.Explain(columns, row)
	base = m.explainer.Base()
	if m.Smooth != nil {
		if smoothBase, whole := m.Smooth.effects(dst, knownOf(h, area, features.AroundInRow(row))); whole {
			rest := 1 - m.Smooth.Share
			for c := range columns {
				columns[c] *= rest
			}
			base = rest*base + smoothBase
		}
	}
	features.Fold(dst, columns)
	dst[dateReason] += m.Market.At(h.Date)
	return base
}

// inDollars turns effects in logs into dollars, whole cents that sum to what
// lies between base and price.
func inDollars(effects []float64, base, price float64) {
	target := math.Log(price / base)
	var sum, size float64
	for _, e := range effects {
		sum += e
		size += math.Abs(e)
	}
	mean := price // what the logarithmic mean is where base and price meet
	if math.Abs(target) > 1e-9 {
		mean = (price - base) / target
	}
	for i, e := range effects {
		if size > 0 {
			e += (target - sum) * math.Abs(e) / size // what was lost to rounding
		}
		effects[i] = mean * e
	}
	roundTo(effects, math.Round(100*price)-math.Round(100*base))
}

// roundTo rounds amounts in dollars to whole cents that sum to total, in
// cents: all down, and then those with the largest remainders up.
func roundTo(amounts []float64, total float64) {
	var order [features.MaxReasons]int
	var remainders [features.MaxReasons]float64
	for i, a := range amounts {
		down := math.Floor(100 * a)
		order[i], remainders[i] = i, 100*a-down
		amounts[i] = down
		total -= down
	}
	up := order[:len(amounts)]
	slices.SortStableFunc(up, func(a, b int) int { return cmp.Compare(remainders[b], remainders[a]) })
	for i := 0; total != 0 && i < 2*len(up); i++ { // twice, should one of few be off by more
		step := math.Copysign(1, total)
		amounts[up[i%len(up)]] += step
		total -= step
	}
	amounts[up[0]] += total
	for i := range amounts {
		amounts[i] /= 100
	}
}
