package model

import (
	"cmp"
	"math"
	"slices"

	"housing/internal/features"
)

// explain sets dst, by reason, to how many dollars each moves the price of a
// row, and returns the base from which they do: base and effects are whole
// cents that sum to the price, which is whole cents too.
//
// The model is a sum in logs, so the effects are exact there. Into dollars
// they come by the logarithmic mean of base and price, (price - base) /
// (log price - log base), which leaves no rest (the additive decomposition of
// Ang 2005, "The LMDI approach to decomposition analysis").
func (m *Model) explain(dst []float64, row []float32, price float64) (base float64) {
	var memory [features.MaxColumns]float64
	columns := memory[:features.NumColumns()]
	logBase := m.effects(columns, row)
	clear(dst)
	features.Fold(dst, columns)
	base = cents(math.Exp(logBase))
	inDollars(dst, base, price)
	return base
}

// effects adds to dst, by column, how much each moves the log price of a row,
// and returns the base from which they do.
func (m *Model) effects(dst []float64, row []float32) (base float64) {
	m.explainer.Explain(dst, row)
	return m.explainer.Base()
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
