package httpapi

import (
	"fmt"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"

	"housing/internal/buildinfo"
	"housing/internal/bundle"
	"housing/internal/model"
	"housing/internal/store"
	"housing/internal/valuer"
)

// Prediction is the answer of /v1/predict and /v1/predict-minimal. It is
// written by appendAnswer; clients and tests read it.
type Prediction struct {
	Predictions      []float64 `json:"predictions" nullable:"false" doc:"Price of each house in US dollars, in the order of the request."`
	ModelVersion     string    `json:"model_version" doc:"Version of the model that answered, as in the header X-Model-Version."`
	ModelType        string    `json:"model_type" doc:"Kind of model."`
	NRecords         int       `json:"n_records" doc:"How many houses were priced."`
	FeatureCount     int       `json:"feature_count" doc:"How many features the model computes of a house."`
	ProcessingTimeMS float64   `json:"processing_time_ms" doc:"Time from the end of the request's header to the answer, in milliseconds."`
	Warnings         []Warning `json:"warnings,omitempty" nullable:"false" doc:"What is to be known of some prices; absent when there is nothing."`
	PredictionID     string    `json:"prediction_id,omitempty" doc:"Names the prediction, to tell by POST /v1/outcomes what its houses sold for; absent where no journal is kept."`
}

// Warning is what is to be known of the price of one house.
type Warning struct {
	Record  int    `json:"record" doc:"Index of the house in the request, from 0."`
	Field   string `json:"field" doc:"Field that it is about."`
	Message string `json:"message"`
}

// ModelInfo is the answer of /v1/model-info.
type ModelInfo struct {
	ModelVersion string           `json:"model_version" doc:"Version of the running model."`
	SHA256       string           `json:"sha256" doc:"SHA-256 of the model's bundle, hexadecimal."`
	ModelType    string           `json:"model_type" doc:"Kind of model."`
	Engine       string           `json:"engine" doc:"How this replica predicts, as its processor allows: avx512, avx2, portable or plain. All give the same prices."`
	Created      time.Time        `json:"created" doc:"When the model was trained."`
	Program      string           `json:"program" doc:"Program that trained it."`
	Sales        int              `json:"sales" doc:"How many sales it was trained on."`
	NewestSale   string           `json:"newest_sale" doc:"Day of the newest of them; houses are valued as of this day unless valuation_date says another."`
	Zipcodes     int              `json:"zipcodes" doc:"How many zipcodes there are demographics of."`
	FeatureCount int              `json:"feature_count" doc:"How many features the model computes of a house."`
	Features     []string         `json:"features" nullable:"false" doc:"Names of the features, in order."`
	Importance   []float64        `json:"importance" nullable:"false" doc:"Of each feature: its share of what the trees gained by splits, of 1."`
	Accuracy     []model.Accuracy `json:"accuracy" nullable:"false" doc:"Measured accuracy on sales that the model had not seen, by the way of splitting."`
	Coverage     []model.Coverage `json:"coverage,omitempty" nullable:"false" doc:"How often sale prices lay within its intervals, by what was known of the houses; absent where that was not measured."`
	Segments     []model.Segment  `json:"segments,omitempty" nullable:"false" doc:"Accuracy by tier of the sale price and by zipcode, from the first of accuracy; absent where the bundle has none."`
	Sources      []bundle.Source  `json:"sources" nullable:"false" doc:"Files that it was trained from."`
	Drift        *Drift           `json:"drift,omitempty" doc:"With drift=true: how what the model is asked differs from its training."`
}

func (a *API) modelInfo(x *exchange, r *http.Request) error {
	drift, err := wantsDrift(r.URL.RawQuery)
	if err != nil {
		return err
	}
	m := a.Valuer.Model()
	if m == nil {
		return valuer.ErrNoModel
	}
	info := ModelInfo{
		ModelVersion: m.Manifest.Version,
		SHA256:       m.Digest,
		ModelType:    m.Type,
		Engine:       m.Engine,
		Created:      m.Manifest.Created.UTC(),
		Program:      m.Manifest.Program,
		Sales:        m.Manifest.Sales,
		NewestSale:   m.Manifest.NewestSale,
		Zipcodes:     m.Demographics.Len(),
		FeatureCount: len(m.Features),
		Features:     m.Features,
		Importance:   m.Manifest.Importance,
		Accuracy:     m.Manifest.Accuracy,
		Coverage:     m.Manifest.Coverage,
		Segments:     m.Manifest.Segments,
		Sources:      append([]bundle.Source{}, m.Manifest.Sources...),
	}
	if drift {
		info.Drift = a.driftOf(m)
	}
	x.Header()["X-Model-Version"] = []string{m.Manifest.Version}
	return x.answerJSON(http.StatusOK, info)
}

// Health is the answer of /health.
type Health struct {
	Status             string               `json:"status" enum:"healthy,degraded,unhealthy" doc:"healthy; degraded, when it answers without a part of it; or unhealthy."`
	Version            string               `json:"version" doc:"Version of the program."`
	ModelLoaded        bool                 `json:"model_loaded" doc:"Whether a model is running."`
	ModelVersion       string               `json:"model_version" doc:"Empty when no model is loaded."`
	DemographicsLoaded bool                 `json:"demographics_loaded" doc:"Whether there are demographics."`
	Components         map[string]Component `json:"components" doc:"The parts of the service by name: model, demographics, rollout (down when a version of the traffic plan does not run), and the systems outside: off where the settings do not ask for them."`
}

// Component is how one part of the service is.
type Component struct {
	Status string     `json:"status" enum:"up,down,off"`
	Since  *time.Time `json:"since,omitempty" doc:"When it became so, if that is known."`
	Reason string     `json:"reason,omitempty" doc:"Why it is down, in a word such as unreachable, timeout, read_only or refused."`
}

// The states of the service and its parts.
const (
	Healthy   = "healthy"
	Degraded  = "degraded"
	Unhealthy = "unhealthy"
	up        = "up"
	down      = "down"
	off       = "off"
)

// optional are the systems outside that the service can do without.
var optional = []string{"journal", "jwks", "postgresql", "redis", "registry", "traces"}

func (a *API) health(x *exchange, _ *http.Request) error {
	h := Health{
		Status:     Unhealthy,
		Version:    buildinfo.Version,
		Components: map[string]Component{"model": {Status: down}, "demographics": {Status: down}},
	}
	status := http.StatusServiceUnavailable
	if m := a.Valuer.Model(); m != nil {
		status = http.StatusOK
		h.Status, h.ModelLoaded, h.ModelVersion, h.DemographicsLoaded = Healthy, true, m.Manifest.Version, true
		h.Components["model"] = Component{Status: up, Since: &m.Since}
		h.Components["demographics"] = Component{Status: up, Since: &m.Since}
	}
	for _, name := range optional {
		h.Components[name] = Component{Status: off}
	}
	for _, d := range a.Dependencies {
		state := d.State()
		h.Components[d.Name] = Component{Status: string(state.Status), Since: &state.Since, Reason: string(state.Reason)}
		if state.Status != store.Up && h.Status == Healthy {
			h.Status = Degraded
		}
	}
	h.Components["rollout"] = Component{Status: off}
	if a.Traffic != nil {
		h.Components["rollout"] = Component{Status: up}
		if reason, since := a.Traffic.Trouble(); reason != "" {
			h.Components["rollout"] = Component{Status: down, Since: &since, Reason: reason}
			if h.Status == Healthy {
				h.Status = Degraded
			}
		}
	}
	return x.answerJSON(status, h)
}

func (a *API) live(x *exchange, _ *http.Request) error {
	x.answer(http.StatusOK, valueText, []byte("ok\n"))
	return nil
}

// notReady returns why no requests are to be sent here, or nil.
func (a *API) notReady() error {
	switch {
	case a.draining.Load():
		return unavailable("the service is stopping")
	case a.Valuer.Model() == nil:
		return valuer.ErrNoModel
	}
	return nil
}

func (a *API) ready(x *exchange, _ *http.Request) error {
	if err := a.notReady(); err != nil {
		return err
	}
	x.answer(http.StatusOK, valueText, []byte("ok\n"))
	return nil
}

// answerJSON answers with v as JSON.
func (x *exchange) answerJSON(status int, v any) error {
	body, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	x.answer(status, valueJSON, append(body, '\n'))
	return nil
}
