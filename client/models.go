package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Accuracy is how close a model came on sales that it had not seen. Percents
// are of the sale price; the ratio study is that of the IAAO (2013).
type Accuracy struct {
	Protocol    string  `json:"protocol"` // how sales were split into learned and valued
	Part        string  `json:"part"`     // which of the valued sales are counted
	Fields      string  `json:"fields"`   // what was known of the houses
	Sales       int     `json:"sales"`
	R2          float64 `json:"r2"`
	RMSE        float64 `json:"rmse"`         // US dollars
	MAE         float64 `json:"mae"`          // US dollars
	MAPE        float64 `json:"mape"`         // percent
	MdAPE       float64 `json:"mdape"`        // percent
	PPE10       float64 `json:"ppe10"`        // percent within 10 %
	PPE20       float64 `json:"ppe20"`        // percent within 20 %
	MedianRatio float64 `json:"median_ratio"` // predicted over sold
	COD         float64 `json:"cod"`          // percent
	PRD         float64 `json:"prd"`
	PRB         float64 `json:"prb"`
}

// Coverage is how often sale prices lay within a model's intervals.
type Coverage struct {
	Fields  string    `json:"fields"`
	Sales   int       `json:"sales"`
	Level   float64   `json:"level"`    // how often they were to, 0 to 1
	Covered float64   `json:"covered"`  // how often they did, percent
	Width   float64   `json:"width"`    // mean, percent of the price
	ByPrice []float64 `json:"by_price"` // percent, by quarter of the sale price
}

// ModelInfo is the model that answers.
type ModelInfo struct {
	ModelVersion string     `json:"model_version"`
	SHA256       string     `json:"sha256"`
	ModelType    string     `json:"model_type"`
	Engine       string     `json:"engine"`
	Created      time.Time  `json:"created"`
	Program      string     `json:"program"`
	Sales        int        `json:"sales"`       // that it was trained on
	NewestSale   string     `json:"newest_sale"` // its day
	Zipcodes     int        `json:"zipcodes"`    // of which there are census figures
	FeatureCount int        `json:"feature_count"`
	Features     []string   `json:"features"`
	Importance   []float64  `json:"importance"` // of Features, sums to 1
	Accuracy     []Accuracy `json:"accuracy"`
	Coverage     []Coverage `json:"coverage"`
	Segments     []Segment  `json:"segments"` // nil where the model has none
	Sources      []Source   `json:"sources"`
	Drift        *Drift     `json:"drift"` // of [Client.Drift]
}

// Segment is how close prices came on the sales of a tier of the price, or of
// a zipcode.
type Segment struct {
	By          string  `json:"by"` // price or zipcode
	Name        string  `json:"name"`
	Sales       int     `json:"sales"`
	MdAPE       float64 `json:"mdape"`        // percent
	PPE10       float64 `json:"ppe10"`        // percent
	MedianRatio float64 `json:"median_ratio"` // predicted over sold
	COD         float64 `json:"cod"`          // percent
}

// Source is a file that a model was trained from.
type Source struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Rows   int    `json:"rows"`
}

// ModelInfo returns the model that answers.
func (c *Client) ModelInfo(ctx context.Context) (*ModelInfo, error) {
	return get[ModelInfo](ctx, c, newCall(http.MethodGet, "/v1/model-info"))
}

// Drift is how what a replica is asked differs from the training of its model.
type Drift struct {
	Status     string           `json:"status"` // off, waiting or on
	Reason     string           `json:"reason"`
	Houses     uint64           `json:"houses"` // that were compared
	Since      *time.Time       `json:"since"`
	Different  *float64         `json:"different_houses"`
	Population *DriftPopulation `json:"population"`
	Features   []DriftFeature   `json:"features"`
}

// DriftPopulation is a test of whether the houses as a whole have shifted.
type DriftPopulation struct {
	Shifted   bool    `json:"shifted"`
	PValue    float64 `json:"p_value"`
	Tolerance float64 `json:"tolerance"` // PSI
	Features  int     `json:"features"`
}

// DriftFeature is how a field, or the price, differs from the training.
type DriftFeature struct {
	Feature             string     `json:"feature"`
	Since               time.Time  `json:"since"`
	Values              uint64     `json:"values"`
	PSI                 *float64   `json:"psi"` // nil with too few values
	UnknownShare        *float64   `json:"unknown_share"`
	UnknownShareTrained float64    `json:"unknown_share_trained"`
	OutsideShare        *float64   `json:"outside_share"`
	Min                 *float64   `json:"min"`
	Max                 *float64   `json:"max"`
	Bins                []DriftBin `json:"bins"`
}

// DriftBin is a part of the values of a feature.
type DriftBin struct {
	From         *float64 `json:"from"`
	To           *float64 `json:"to"`
	Share        *float64 `json:"share"`
	ShareTrained *float64 `json:"share_trained"`
}

// Drift returns how what the replica that answers is asked differs from the
// training of its model.
func (c *Client) Drift(ctx context.Context) (*Drift, error) {
	q := newCall(http.MethodGet, "/v1/model-info")
	q.query.Set("drift", "true")
	info, err := get[ModelInfo](ctx, c, q)
	if err != nil {
		return nil, err
	}
	if info.Drift == nil {
		return nil, fmt.Errorf("%s: the service does not say how it drifts", q.path)
	}
	return info.Drift, nil
}

// ModelName is a version in a list.
type ModelName struct {
	Version string `json:"version"`
	Running bool   `json:"running"` // on the replica that answered
	Role    string `json:"role"`    // primary, candidate, or ""
}

// Models returns every version that there is, sorted by name.
func (c *Client) Models(ctx context.Context) ([]ModelName, error) {
	list, err := get[struct {
		Models []ModelName `json:"models"`
	}](ctx, c, newCall(http.MethodGet, "/v1/models"))
	if err != nil {
		return nil, err
	}
	return list.Models, nil
}

// ModelVersion is what is known of a version.
type ModelVersion struct {
	Version string   `json:"version"`
	SHA256  string   `json:"sha256"`
	Bytes   int64    `json:"bytes"`
	Signed  bool     `json:"signed"`
	Running bool     `json:"running"`
	Role    string   `json:"role"`
	Aliases []string `json:"aliases"`
	// Measured is what its bundle says of it; nil where that cannot be read.
	Measured *MeasuredModel `json:"measured"`
}

// MeasuredModel is what the bundle of a version says of it.
type MeasuredModel struct {
	ModelType  string     `json:"model_type"`
	Created    time.Time  `json:"created"`
	Program    string     `json:"program"`
	Sales      int        `json:"sales"`
	NewestSale string     `json:"newest_sale"`
	Accuracy   []Accuracy `json:"accuracy"`
	Coverage   []Coverage `json:"coverage"`
	Segments   []Segment  `json:"segments"`
}

// Model returns what is known of a version, or of the one that an alias
// stands for.
func (c *Client) Model(ctx context.Context, version string) (*ModelVersion, error) {
	return get[ModelVersion](ctx, c, newCall(http.MethodGet, "/v1/models/"+url.PathEscape(version)))
}

// Health is how a service is.
type Health struct {
	Status             string               `json:"status"`  // healthy, degraded or unhealthy
	Version            string               `json:"version"` // of the program
	ModelLoaded        bool                 `json:"model_loaded"`
	ModelVersion       string               `json:"model_version"`
	DemographicsLoaded bool                 `json:"demographics_loaded"`
	Components         map[string]Component `json:"components"`
}

// Component is how one part of a service is.
type Component struct {
	Status string     `json:"status"` // up, down or off
	Since  *time.Time `json:"since"`
	Reason string     `json:"reason"`
}

// Health returns how the replica that answers is. That it is unhealthy is no
// error.
func (c *Client) Health(ctx context.Context) (*Health, error) {
	q := newCall(http.MethodGet, "/health")
	q.alsoAnswers = http.StatusServiceUnavailable
	return get[Health](ctx, c, q)
}

func get[T any](ctx context.Context, c *Client, q *call) (*T, error) {
	v := new(T)
	if _, err := c.do(ctx, q, v); err != nil {
		return nil, err
	}
	return v, nil
}
