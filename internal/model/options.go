package model

import (
	"fmt"

	"housing/internal/features"
	"housing/internal/gbdt"
	"housing/internal/network"
)

// Options says how a model is trained. Start from [DefaultOptions].
type Options struct {
	Boosting gbdt.Params `json:"boosting"`
	// ValidationShare is the share of houses that is kept back for early
	// stopping, where Boosting.EarlyStoppingRounds asks for it.
	ValidationShare float64 `json:"validation_share"`
	// PartialWeight is how much a second copy of each sale counts in which
	// some fields are hidden, so that the trees learn what unknown means; 0
	// makes none.
	PartialWeight float64 `json:"partial_weight"`
	// Huber is from where on the forest counts an error of a log price as its
	// size and no longer as its square (Huber 1964), so that a few sales far
	// off do not bend it; 0 squares all.
	Huber  float64   `json:"huber"`
	Smooth Smoothing `json:"smooth"`
	// Stretch is by how much log prices are spread about their centre, as what
	// is learned by squared errors stays too near to it: dear houses would be
	// valued low and cheap ones high.
	Stretch float64 `json:"stretch"`
	// Threads is how many goroutines learn at once. The model does not depend
	// on it.
	Threads int `json:"-"`
}

// DefaultOptions are those that the built-in model was trained with; the
// figures behind them stand in docs/accuracy.md.
func DefaultOptions() Options {
	p := gbdt.DefaultParams()
	p.Rounds = 2000
	p.LearningRate = 0.03
	p.MinChildWeight = 5
	p.Subsample = 0.8
	p.ColsampleByTree = 0.2
	p.Seed = 1
	smooth := Smoothing{Share: 0.5, Mixed: 4, TuningRows: 1000, TuningSteps: 0, Network: network.DefaultParams()}
	return Options{Boosting: p, ValidationShare: 0.1, PartialWeight: 0.1, Huber: 0.3, Smooth: smooth, Stretch: 0.0125, Threads: 1}
}

// Check returns an error that names the first option that cannot be used.
func (o *Options) Check() error {
	if !(o.ValidationShare > 0 && o.ValidationShare < 1) {
		return fmt.Errorf("validation share is %g, must be over 0 and under 1", o.ValidationShare)
	}
	if !(o.PartialWeight >= 0 && o.PartialWeight <= 1) {
		return fmt.Errorf("partial weight is %g, must be 0 to 1", o.PartialWeight)
	}
	if !(o.Huber >= 0 && o.Huber <= 10) {
		return fmt.Errorf("huber is %g, must be 0 to 10", o.Huber)
	}
	if !(o.Stretch >= 0 && o.Stretch <= 0.2) {
		return fmt.Errorf("stretch is %g, must be 0 to 0.2", o.Stretch)
	}
	if err := o.Smooth.check(); err != nil {
		return err
	}
	return o.Boosting.Check(features.NumColumns())
}

// objective returns what the forest is to make small.
func (o *Options) objective() gbdt.Objective {
	if o.Huber > 0 {
		return gbdt.Huber{Delta: o.Huber}
	}
	return gbdt.Squared{}
}

// params returns the parameters of a forest with what follows from the
// columns.
func (o *Options) params(p gbdt.Params) gbdt.Params {
	p.Threads = o.Threads
	p.Monotone = nil
	for _, c := range features.Columns() {
		p.Monotone = append(p.Monotone, c.Monotone)
	}
	return p
}
