package model

import (
	"errors"
	"math"
	"slices"
)

// Metrics says how well prices agree with what houses sold for. Shares are
// in percent. The ratio study (median ratio, COD, PRD, PRB) follows the IAAO
// Standard on Ratio Studies, 2013; a ratio is predicted price over sale
// price.
type Metrics struct {
	Sales       int     `json:"sales"`
	R2          float64 `json:"r2"`           // share of the variance of prices that is explained
	RMSE        float64 `json:"rmse"`         // root mean squared error, dollars
	MAE         float64 `json:"mae"`          // mean absolute error, dollars
	MAPE        float64 `json:"mape"`         // mean absolute error in percent of the sale price
	MdAPE       float64 `json:"mdape"`        // median of the same
	PPE10       float64 `json:"ppe10"`        // percent of prices within 10 % of the sale price
	PPE20       float64 `json:"ppe20"`        // percent within 20 %
	MedianRatio float64 `json:"median_ratio"` // level of the prices; 1 is neither high nor low
	COD         float64 `json:"cod"`          // coefficient of dispersion, percent about the median ratio
	PRD         float64 `json:"prd"`          // price-related differential; over 1 is dear houses valued low
	PRB         float64 `json:"prb"`          // price-related bias; change of the ratio when the value doubles
}

// Measure compares predicted prices with sale prices, both positive and of
// one length of at least 2. Of prices that are all equal, R2 is 0.
func Measure(prices, predicted []float64) (Metrics, error) {
	n := len(prices)
	if n < 2 || len(predicted) != n {
		return Metrics{}, errors.New("measure: needs two sales or more, with a price for each")
	}
	var sum, sumPredicted, squared, absolute, percent, within10, within20 float64
	errorsPercent, ratios := make([]float64, n), make([]float64, n)
	for i, price := range prices {
		if !(price > 0) || !(predicted[i] > 0) || math.IsInf(price, 0) || math.IsInf(predicted[i], 0) {
			return Metrics{}, errors.New("measure: a price is not positive and finite")
		}
		e := predicted[i] - price
		sum += price
		sumPredicted += predicted[i]
		squared += e * e
		absolute += math.Abs(e)
		errorsPercent[i] = 100 * math.Abs(e) / price
		percent += errorsPercent[i]
		if errorsPercent[i] <= 10 {
			within10++
		}
		if errorsPercent[i] <= 20 {
			within20++
		}
		ratios[i] = predicted[i] / price
	}
	count := float64(n)
	var variance float64
	for _, price := range prices {
		variance += (price - sum/count) * (price - sum/count)
	}
	r2 := 0.0
	if variance > 0 {
		r2 = 1 - squared/variance
	}
	middle := median(ratios)
	var dispersion, sumRatios float64
	for _, r := range ratios {
		dispersion += math.Abs(r - middle)
		sumRatios += r
	}
	return Metrics{
		Sales:       n,
		R2:          r2,
		RMSE:        math.Sqrt(squared / count),
		MAE:         absolute / count,
		MAPE:        percent / count,
		MdAPE:       median(errorsPercent),
		PPE10:       100 * within10 / count,
		PPE20:       100 * within20 / count,
		MedianRatio: middle,
		COD:         100 * dispersion / count / middle,
		PRD:         sumRatios / count / (sumPredicted / sum),
		PRB:         priceRelatedBias(prices, predicted, ratios, middle),
	}, nil
}

// priceRelatedBias is the slope of the ratios' percentage about their median
// on log2 of the mean of sale price and levelled prediction.
func priceRelatedBias(prices, predicted, ratios []float64, middle float64) float64 {
	n := float64(len(prices))
	x, y := make([]float64, len(prices)), make([]float64, len(prices))
	var meanX, meanY float64
	for i := range prices {
		x[i] = math.Log2((prices[i] + predicted[i]/middle) / 2)
		y[i] = (ratios[i] - middle) / middle
		meanX += x[i] / n
		meanY += y[i] / n
	}
	var xy, xx float64
	for i := range x {
		xy += (x[i] - meanX) * (y[i] - meanY)
		xx += (x[i] - meanX) * (x[i] - meanX)
	}
	if xx == 0 {
		return 0
	}
	return xy / xx
}

// median returns the median of values, at least one; of an even number, the
// mean of the middle two.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
