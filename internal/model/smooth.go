package model

import (
	"context"
	"fmt"
	"math/rand/v2"

	"housing/internal/demographics"
	"housing/internal/gp"
	"housing/internal/house"
	"housing/internal/network"
)

// Smooth is the part of a model that errs elsewhere than trees do: a small
// network that was taught by a Gaussian process. The process is slow and its
// inducing points lie near sales; so it values the houses that were sold and
// many that are made up, and the network, which holds no sale, learns from
// that. It never changes once made.
type Smooth struct {
	Network *network.Network // of log prices less the market
	Scale   Scale            // of its inputs
	Share   float64          // in the price; the forest has the rest
}

// Smoothing says how the smooth part is learned.
type Smoothing struct {
	// Share is that of the smooth part in the price of a house of which all
	// inputs are known; 0 does without.
	Share float64 `json:"share"`
	// Mixed is how many houses are made up for each sale.
	Mixed int `json:"mixed"`
	// TuningRows and TuningSteps say how long the kernel is tuned; 0 steps
	// leave it as it is.
	TuningRows  int            `json:"tuning_rows"`
	TuningSteps int            `json:"tuning_steps"`
	Network     network.Params `json:"network"`
}

func (o *Smoothing) check() error {
	switch {
	case !(o.Share >= 0 && o.Share < 1):
		return fmt.Errorf("smooth share is %g, must be 0 or more and under 1", o.Share)
	case o.Share == 0:
		return nil
	case o.Mixed < 0 || o.Mixed > 100:
		return fmt.Errorf("mixed is %d, must be 0 to 100", o.Mixed)
	case o.TuningRows < MinSales || o.TuningRows > 5000:
		return fmt.Errorf("tuning rows is %d, must be %d to 5000", o.TuningRows, MinSales)
	case o.TuningSteps < 0 || o.TuningSteps > 1000:
		return fmt.Errorf("tuning steps is %d, must be 0 to 1000", o.TuningSteps)
	}
	if err := o.Network.Check(); err != nil {
		return fmt.Errorf("network: %w", err)
	}
	return nil
}

// check returns an error unless houses can be valued with s.
func (s *Smooth) check() error {
	if !(s.Share >= 0 && s.Share <= 1) {
		return fmt.Errorf("smooth part's share is %g", s.Share)
	}
	if err := s.Scale.check(); err != nil {
		return err
	}
	if s.Network.Inputs != len(inputs) {
		return fmt.Errorf("network looks at %d inputs, there are %d", s.Network.Inputs, len(inputs))
	}
	return s.Network.Check()
}

// value returns the log price, less the market, of a house, or false where an
// input is unknown.
func (s *Smooth) value(h *house.House, area *demographics.Area) (float64, bool) {
	var row [numInputs]float32
	if !s.Scale.row(row[:], h, area) {
		return 0, false
	}
	return s.Network.Predict(row[:]), true
}

// startKernel is where tuning starts from: place, structure, and both
// together, where neighbours are near. Its length scales, in standard
// deviations of the inputs, were found by gp.Tune on 1,200 sales of King
// County, the oldest 80 % alone.
func startKernel() gp.Kernel {
	columns := func(from, to int) []int {
		var c []int
		for i := from; i < to; i++ {
			c = append(c, i)
		}
		return c
	}
	return gp.Kernel{
		Terms: []gp.Term{
			{
				Columns:  columns(0, placeInputs),
				Scales:   []float64{0.68, 1.68},
				Variance: 0.033,
				Centres:  300,
			},
			{
				Columns:  columns(placeInputs, numInputs),
				Scales:   []float64{2.6, 9.1, 12.5, 5.7, 8.3, 9.2, 6.3, 5.1, 4.3, 7, 2, 2.7, 13.2, 12.6, 9.5, 4.6},
				Variance: 0.059,
				Centres:  300,
			},
			{
				Columns:  columns(0, numInputs),
				Scales:   []float64{0.32, 0.22, 7, 16.4, 31, 18, 19, 0.66, 2.55, 3.4, 6.65, 26.5, 3.5, 28.8, 12.7, 11.1, 26.8, 0.47},
				Variance: 0.0118,
				Centres:  800,
			},
		},
		Linear: 0.0047,
		Noise:  0.0098,
	}
}

// newSmooth learns from houses and labels: log prices less the market.
func newSmooth(ctx context.Context, houses []house.House, label []float64, table *demographics.Table, o Options) (*Smooth, error) {
	s := &Smooth{Scale: newScale(houses, table), Share: o.Smooth.Share}
	_, rows := s.rows(houses, table)
	weight := priceWeights(label)
	tuning := gp.Tuning{Rows: o.Smooth.TuningRows, Steps: o.Smooth.TuningSteps, Rate: 0.08, Seed: o.Boosting.Seed}
	kernel, err := gp.Tune(ctx, startKernel(), rows, label, weight, tuning)
	if err != nil {
		return nil, fmt.Errorf("gaussian process: %w", err)
	}
	process, err := gp.Fit(ctx, kernel, rows, label, weight, o.Boosting.Seed, o.Threads)
	if err != nil {
		return nil, fmt.Errorf("gaussian process: %w", err)
	}

	random := rand.New(rand.NewPCG(o.Boosting.Seed, mixStream))
	lessons := newMixer(houses, random).extend(o.Smooth.Mixed)
	single, rows := s.rows(lessons, table)
	values := process.Predict(rows, o.Threads)
	params := o.Smooth.Network
	params.Seed, params.Threads = o.Boosting.Seed, o.Threads
	if s.Network, err = network.Train(ctx, single, len(inputs), values, priceWeights(values), params); err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	return s, nil
}

// rows returns the inputs of houses for the network and for the process.
func (s *Smooth) rows(houses []house.House, table *demographics.Table) (single []float32, double gp.Rows) {
	single = make([]float32, len(houses)*len(inputs))
	for i := range houses {
		area, _ := table.Lookup(houses[i].Zipcode())
		s.Scale.row(single[i*len(inputs):(i+1)*len(inputs)], &houses[i], area)
	}
	double = gp.Rows{Data: make([]float64, len(single)), Columns: len(inputs)}
	for i, v := range single {
		double.Data[i] = float64(v)
	}
	return single, double
}
