package valuer

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"housing/internal/house"
	"housing/internal/model"
	"housing/internal/telemetry"
)

// appraisedAtOnce is how many houses are valued before a worker is offered to
// another call, as a valuation takes some fifty times as long as a price.
const appraisedAtOnce = 32

// Appraise appends the valuation of each house to dst[:0], with intervals of
// a level, as [Valuer.Value] does prices: these are in the answer too. No
// cache is asked.
func (v *Valuer) Appraise(ctx context.Context, dst []model.Valuation, houses []house.House, choice Choice, level float64) ([]model.Valuation, Answer, error) {
	answer, err := v.ask(ctx, houses, choice, func(r *running, role Role) (prices []float64, err error) {
		ctx, span := v.tracer.Step(ctx, telemetry.StepPredict)
		defer span.End()
		start := time.Now()
		dst = slices.Grow(dst[:0], len(houses))[:len(houses)]
		err = v.inTurns(ctx, houses, appraisedAtOnce, &v.valuing, func(from int, some []house.House) error {
			valuations, err := v.appraise(r, role, dst[from:from:from+len(some)], some, level)
			copy(dst[from:], valuations)
			return err
		})
		if err != nil {
			return nil, err
		}
		v.tracer.Observe(ctx, v.metricsOf(r.loaded, role).Duration, time.Since(start).Seconds())
		prices = make([]float64, len(dst))
		for i := range dst {
			prices[i] = dst[i].Price
		}
		return prices, nil
	})
	return dst, answer, err
}

// appraise asks the model, and lets nothing out of it but good valuations or
// an error.
func (v *Valuer) appraise(r *running, role Role, dst []model.Valuation, houses []house.House, level float64) (valuations []model.Valuation, err error) {
	err = v.guard(r, role, func() error {
		appraiser, ok := r.Pricer.(Appraiser)
		if !ok {
			return fmt.Errorf("%w: it gives prices alone", ErrModel)
		}
		valuations = appraiser.Value(dst[:0], houses, r.table, level)
		if len(valuations) != len(houses) {
			return fmt.Errorf("%w: %d valuations for %d houses", ErrModel, len(valuations), len(houses))
		}
		for i := range valuations {
			if !finite(&valuations[i]) {
				return fmt.Errorf("%w: the valuation of house %d is %+v", ErrModel, i, valuations[i])
			}
		}
		return nil
	})
	return valuations, err
}

// finite says whether all amounts of a valuation are numbers.
func finite(v *model.Valuation) bool {
	sum := v.Price + v.Low + v.High + v.FSD + v.Within10 + v.BasePrice
	for _, e := range v.Effects {
		sum += e
	}
	for i := range v.Comparables {
		sum += v.Comparables[i].Price + v.Comparables[i].AdjustedPrice
	}
	return !math.IsNaN(sum) && !math.IsInf(sum, 0)
}
