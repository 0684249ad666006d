package httpapi

import (
	"math"
	"net/http"
	"net/url"
	"time"

	"housing/internal/drift"
	"housing/internal/valuer"
)

// Drift says how the houses that the model is asked about, and the prices it
// gives, differ from those of its training, as this replica sees it.
type Drift struct {
	Status     string           `json:"status" enum:"off,waiting,on" doc:"off: nothing is compared, reason says why; waiting: too few houses came yet; on."`
	Reason     string           `json:"reason,omitempty" doc:"Why it is off, or what it waits for."`
	Houses     uint64           `json:"houses" doc:"Houses that were compared since this replica loaded the model."`
	Since      *time.Time       `json:"since,omitempty" doc:"Begin of the window that shares are of: it reaches back five minutes, or as far as it takes for 2,000 different houses, a day at most."`
	Different  *float64         `json:"different_houses,omitempty" doc:"Different houses in it, about; absent where they are too many to say."`
	Population *DriftPopulation `json:"population,omitempty" doc:"One test of all features together; absent while none has enough values."`
	Features   []DriftFeature   `json:"features" nullable:"false" doc:"The fields of a house in order, then price."`
}

// DriftPopulation is a test of whether the houses as a whole have shifted.
type DriftPopulation struct {
	Shifted   bool    `json:"shifted" doc:"Whether the PSI of some feature is over the tolerance beyond chance: p_value is below 0.001."`
	PValue    float64 `json:"p_value" doc:"Probability of a difference like the largest that is seen, if no feature's PSI were over the tolerance; corrected for the number of features (Bonferroni). For one look, and houses that are independent."`
	Tolerance float64 `json:"tolerance" doc:"PSI up to which the population counts as that of the training."`
	Features  int     `json:"features" doc:"How many features were tested."`
}

// DriftFeature is how a field, or the price, differs from the training.
type DriftFeature struct {
	Feature             string     `json:"feature" doc:"Name of the field, or price."`
	Since               time.Time  `json:"since" doc:"Begin of the window that psi is of: as above, by known values."`
	Values              uint64     `json:"values" doc:"Known values in it."`
	PSI                 *float64   `json:"psi,omitempty" doc:"Population stability index against the training in about 100 bins, less what chance adds; absent with fewer than 2,000 values of as many different houses. By habit, below 0.1 there is no change to speak of, and over 0.2 it matters."`
	UnknownShare        *float64   `json:"unknown_share,omitempty" doc:"Share of houses without the field; absent without a house."`
	UnknownShareTrained float64    `json:"unknown_share_trained" doc:"That share in the training."`
	OutsideShare        *float64   `json:"outside_share,omitempty" doc:"Share of known values outside the range of the training; of zipcode, those without demographics."`
	Min                 *float64   `json:"min,omitempty" doc:"Least value in the training."`
	Max                 *float64   `json:"max,omitempty" doc:"Greatest value in the training."`
	Bins                []DriftBin `json:"bins" nullable:"false" doc:"How the known values are distributed, in a few bins."`
}

// DriftBin is a part of the values of a feature.
type DriftBin struct {
	From         *float64 `json:"from,omitempty" doc:"Least value; absent in the first bin."`
	To           *float64 `json:"to,omitempty" doc:"Values are below it; absent in the last bin."`
	Share        *float64 `json:"share,omitempty" doc:"Share of the known values in the window."`
	ShareTrained *float64 `json:"share_trained,omitempty" doc:"That share in the training."`
}

// wantsDrift says whether a query asks for drift=true.
func wantsDrift(query string) (bool, error) {
	if query == "" {
		return false, nil
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return false, problem(http.StatusBadRequest, "the query of the address cannot be read")
	}
	switch asked := values["drift"]; {
	case len(asked) == 0, len(asked) == 1 && asked[0] == "false":
		return false, nil
	case len(asked) == 1 && asked[0] == "true":
		return true, nil
	}
	return false, problem(http.StatusBadRequest, "drift in the query must be true or false")
}

// driftOf returns what is known of the drift of a model that runs.
func (a *API) driftOf(m *valuer.Model) *Drift {
	r := a.Valuer.Drift(m.Manifest.Version, a.Now())
	switch {
	case r != nil:
		return answerDrift(r)
	case m.Reference == nil:
		return &Drift{Status: off, Reason: "the model carries no statistics of its training: train it again", Features: []DriftFeature{}}
	}
	return &Drift{Status: off, Reason: "this service compares nothing", Features: []DriftFeature{}}
}

// answerDrift returns a report as answers show it.
func answerDrift(r *drift.Report) *Drift {
	since := r.Since.UTC()
	d := &Drift{Status: "on", Houses: r.Houses, Since: &since, Different: finite(math.Round(r.Different))}
	if p := r.Population; p.Features > 0 {
		d.Population = &DriftPopulation{Shifted: p.Shifted, PValue: p.PValue, Tolerance: drift.Tolerance, Features: p.Features}
	} else {
		d.Status, d.Reason = "waiting", "fewer than 2,000 different houses came within a day"
	}
	for _, f := range r.Features {
		one := DriftFeature{
			Feature: f.Name, Since: f.Since.UTC(), Values: f.Values, PSI: finite(f.PSI),
			UnknownShare: finite(f.Unknown), UnknownShareTrained: f.Trained, OutsideShare: finite(f.Outside), Min: finite(f.Min), Max: finite(f.Max),
			Bins: []DriftBin{},
		}
		for _, b := range f.Distribution {
			one.Bins = append(one.Bins, DriftBin{finite(b.From), finite(b.To), finite(b.Share), finite(b.Trained)})
		}
		d.Features = append(d.Features, one)
	}
	return d
}

// finite leaves out what is no finite number, which JSON cannot hold.
func finite(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}
