package model

import (
	"context"
	"fmt"
	"math/rand/v2"

	"housing/internal/demographics"
	"housing/internal/features"
	"housing/internal/gp"
	"housing/internal/house"
	"housing/internal/network"
)

// Smooth is the part of a model that errs elsewhere than trees do: a small
// network that was taught by two Gaussian processes. They are slow and their
// inducing points lie near sales; so they value the houses that were sold and
// many that are made up, and the network, which holds no sale, learns the
// mean of what they say. It never changes once made.
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
func (s *Smooth) value(of known) (float64, bool) {
	var row [numInputs]float32
	if !s.Scale.row(row[:], of) {
		return 0, false
	}
	return s.Network.Predict(row[:]), true
}

// startKernels are where tuning starts from. Each is a sum over place,
// structure, and both together, where neighbours are near. The length scales,
// in standard deviations of the inputs, were found by gp.Tune on sales of King
// County, the oldest 80 % alone: those of the first on 1,200, but for what the
// houses around are like, which was set by hand, those of the second on 2,500.
func startKernels() []gp.Kernel {
	all := make([]int, numInputs)
	for i := range all {
		all[i] = i
	}
	place, structure := all[:placeInputs], all[placeInputs:]
	return []gp.Kernel{
		{
			Terms: []gp.Term{
				{Columns: place, Centres: 300, Variance: 0.033, Scales: []float64{0.68, 1.68}},
				{Columns: structure, Centres: 300, Variance: 0.059, Scales: []float64{2.6, 9.1, 12.5, 5.7, 8.3, 9.2, 6.3, 5.1, 4.3, 7, 2, 2.7, 13.2, 12.6, 9.5, 4.6, 2.5, 3, 5, 5}},
				{Columns: all, Centres: 800, Variance: 0.0118, Scales: []float64{0.32, 0.22, 7, 16.4, 31, 18, 19, 0.66, 2.55, 3.4, 6.65, 26.5, 3.5, 28.8, 12.7, 11.1, 26.8, 0.47, 4, 4, 8, 8}},
			},
			Linear: 0.0047,
			Noise:  0.0098,
		},
		{
			Terms: []gp.Term{
				{Columns: place, Centres: 300, Variance: 0.0284, Scales: []float64{0.95, 2.01}},
				{Columns: structure, Centres: 300, Variance: 0.021, Scales: []float64{4.2, 37, 5.89, 21.7, 33.6, 8.33, 5.36, 12.1, 3.89, 16.1, 4.64, 1.31, 12.1, 35.3, 7.68, 13.7, 12.9, 13, 2.59, 6.78}},
				{Columns: all, Centres: 800, Variance: 0.0131, Scales: []float64{0.269, 0.155, 15.4, 1.85, 7.1, 3.25, 6.93, 0.347, 5.2, 3.37, 33.6, 113, 3.55, 5.95, 4.24, 2.69, 110, 0.3, 11, 1.96, 38.2, 27.7}},
			},
			Linear: 0.00368,
			Noise:  0.0134,
		},
	}
}

// The errors of log prices are taken to have the t distribution with
// errorFreedom degrees of freedom, found in errorRounds rounds: some sales are
// far off for reasons that no field tells.
const (
	errorFreedom = 4
	errorRounds  = 1
)

// newSmooth learns from houses and labels: log prices less the market.
func newSmooth(ctx context.Context, houses []house.House, label []float64, encoder *features.Encoder, table *demographics.Table, o Options) (*Smooth, error) {
	s := &Smooth{Scale: newScale(houses, encoder, table), Share: o.Smooth.Share}
	_, rows := s.rows(houses, encoder, table)
	weight := equal(len(label))
	random := rand.New(rand.NewPCG(o.Boosting.Seed, mixStream))
	single, lessons := s.rows(newMixer(houses, random).extend(o.Smooth.Mixed), encoder, table)
	kernels := startKernels()
	values := make([]float64, lessons.Len())
	tuning := gp.Tuning{Rows: o.Smooth.TuningRows, Steps: o.Smooth.TuningSteps, Rate: 0.08, Seed: o.Boosting.Seed}
	for _, start := range kernels {
		kernel, err := gp.Tune(ctx, start, rows, label, weight, tuning)
		if err != nil {
			return nil, fmt.Errorf("gaussian process: %w", err)
		}
		process, err := gp.FitStudent(ctx, kernel, rows, label, weight, errorFreedom, errorRounds, o.Boosting.Seed, o.Threads)
		if err != nil {
			return nil, fmt.Errorf("gaussian process: %w", err)
		}
		for i, v := range process.Predict(lessons, o.Threads) {
			values[i] += v / float64(len(kernels))
		}
	}
	params := o.Smooth.Network
	params.Seed, params.Threads = o.Boosting.Seed, o.Threads
	var err error
	if s.Network, err = network.Train(ctx, single, len(inputs), values, equal(len(values)), params); err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	return s, nil
}

// rows returns the inputs of houses for the network and for the process.
func (s *Smooth) rows(houses []house.House, encoder *features.Encoder, table *demographics.Table) (single []float32, double gp.Rows) {
	single = make([]float32, len(houses)*len(inputs))
	for i := range houses {
		area, _ := table.Lookup(houses[i].Zipcode())
		s.Scale.row(single[i*len(inputs):(i+1)*len(inputs)], knownOf(&houses[i], area, encoder.Around(houses[i].Values[house.Lat], houses[i].Values[house.Long])))
	}
	double = gp.Rows{Data: make([]float64, len(single)), Columns: len(inputs)}
	for i, v := range single {
		double.Data[i] = float64(v)
	}
	return single, double
}
