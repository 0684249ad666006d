package client

import (
	"context"
	"fmt"
	"net/http"
)

// House is a house to be valued. Eight fields are required. Of the others nil
// and "" are unknown, which is not zero: new(8.0) is a grade of 8.
type House struct {
	Bedrooms     float64 `json:"bedrooms"`
	Bathrooms    float64 `json:"bathrooms"`     // in quarters
	SqftLiving   float64 `json:"sqft_living"`   // square feet, as all areas
	SqftLot      float64 `json:"sqft_lot"`      // of the land
	Floors       float64 `json:"floors"`        // in halves
	SqftAbove    float64 `json:"sqft_above"`    // of the living space, above ground
	SqftBasement float64 `json:"sqft_basement"` // and below
	Zipcode      string  `json:"zipcode"`       // of five digits

	Waterfront   *float64 `json:"waterfront,omitempty"`   // 0 or 1
	View         *float64 `json:"view,omitempty"`         // 0 to 4
	Condition    *float64 `json:"condition,omitempty"`    // 1 to 5
	Grade        *float64 `json:"grade,omitempty"`        // King County's, 1 to 13
	YrBuilt      *float64 `json:"yr_built,omitempty"`     // year
	YrRenovated  *float64 `json:"yr_renovated,omitempty"` // year, 0 is never
	Lat          *float64 `json:"lat,omitempty"`          // degrees, WGS 84
	Long         *float64 `json:"long,omitempty"`         // degrees, WGS 84
	SqftLiving15 *float64 `json:"sqft_living15,omitempty"`
	SqftLot15    *float64 `json:"sqft_lot15,omitempty"`

	// ValuationDate is the day as of which it is valued, such as 2015-05-27;
	// "" is that of the newest sale which the model knows.
	ValuationDate string `json:"valuation_date,omitempty"`
}

// MinimalHouse is a house of which little is known.
type MinimalHouse struct {
	Bedrooms   float64 `json:"bedrooms"`
	Bathrooms  float64 `json:"bathrooms"`
	SqftLiving float64 `json:"sqft_living"`
	Zipcode    string  `json:"zipcode"`
}

// Prediction is what houses are worth.
type Prediction struct {
	Predictions      []float64 `json:"predictions"` // US dollars, in the order of the houses
	ModelVersion     string    `json:"model_version"`
	ModelType        string    `json:"model_type"`
	NRecords         int       `json:"n_records"`
	FeatureCount     int       `json:"feature_count"`
	ProcessingTimeMS float64   `json:"processing_time_ms"`
	Warnings         []Warning `json:"warnings"`
	// PredictionID names the prediction for [Client.Outcomes]; "" where the
	// service keeps no journal.
	PredictionID string `json:"prediction_id"`

	RequestID string `json:"-"` // X-Request-ID of the call
}

// Warning is what is to be known of the price of one house.
type Warning struct {
	Record  int    `json:"record"` // index of the house, from 0
	Field   string `json:"field"`
	Message string `json:"message"`
}

// records is a body of houses.
type records[T any] struct {
	Records []T `json:"records"`
}

// Predict returns the prices of 1 to MAX_RECORDS (1,000 unless the service is
// set otherwise) houses.
func (c *Client) Predict(ctx context.Context, houses []House, options ...CallOption) (*Prediction, error) {
	return predict(ctx, c, "/v1/predict", houses, options)
}

// PredictMinimal returns prices from four fields alone, which are less exact.
func (c *Client) PredictMinimal(ctx context.Context, houses []MinimalHouse, options ...CallOption) (*Prediction, error) {
	return predict(ctx, c, "/v1/predict-minimal", houses, options)
}

func predict[T any](ctx context.Context, c *Client, path string, houses []T, options []CallOption) (*Prediction, error) {
	q := newCall(http.MethodPost, path, options...)
	if err := q.send(records[T]{houses}); err != nil {
		return nil, err
	}
	p := &Prediction{}
	a, err := c.do(ctx, q, p)
	if err != nil {
		return nil, err
	}
	if len(p.Predictions) != len(houses) {
		return nil, fmt.Errorf("%s: %d prices came for %d houses", path, len(p.Predictions), len(houses))
	}
	p.RequestID = a.requestID
	return p, nil
}

// Valuations is what houses are worth, how sure that is, and why.
type Valuations struct {
	Valuations       []Valuation `json:"valuations"` // in the order of the houses
	ModelVersion     string      `json:"model_version"`
	ModelType        string      `json:"model_type"`
	ModelSHA256      string      `json:"model_sha256"`
	Accuracy         *Accuracy   `json:"accuracy"` // nil where it was not measured
	Coverage         []Coverage  `json:"coverage"`
	NRecords         int         `json:"n_records"`
	FeatureCount     int         `json:"feature_count"`
	ProcessingTimeMS float64     `json:"processing_time_ms"`
	Warnings         []Warning   `json:"warnings"`
	PredictionID     string      `json:"prediction_id"`

	RequestID string `json:"-"` // X-Request-ID of the call
}

// Valuation is what one house is worth. What is nil the model cannot say.
type Valuation struct {
	Price         float64      `json:"price"` // US dollars
	ValuationDate string       `json:"valuation_date"`
	Low           *float64     `json:"low"` // the sale price lies from Low to High as often as Interval says
	High          *float64     `json:"high"`
	Interval      *float64     `json:"interval"`   // 0 to 1
	Confidence    *int         `json:"confidence"` // 0 to 100
	FSD           *float64     `json:"fsd"`        // forecast standard deviation, as a share of the price
	Within10      *float64     `json:"within_10"`  // chance to be within 10 % of the sale price
	BasePrice     float64      `json:"base_price"` // of the average house; with all effects it sums to Price
	Drivers       []Driver     `json:"drivers"`    // the strongest first
	Comparables   []Comparable `json:"comparables"`
}

// Driver is what moves a price, and by how many dollars.
type Driver struct {
	Feature string  `json:"feature"`
	Value   any     `json:"value"` // a number, a string, or nil where it is unknown
	Effect  float64 `json:"effect"`
}

// Comparable is an earlier sale that is like the house.
type Comparable struct {
	Price         float64  `json:"price"` // that it sold for
	Date          string   `json:"date"`
	AgeDays       int      `json:"age_days"`
	DistanceKM    *float64 `json:"distance_km"`
	Similarity    float64  `json:"similarity"`     // 0 to 1
	AdjustedPrice float64  `json:"adjusted_price"` // what it means for the house, on its day
	Zipcode       string   `json:"zipcode"`
	Bedrooms      *float64 `json:"bedrooms"`
	Bathrooms     *float64 `json:"bathrooms"`
	SqftLiving    *float64 `json:"sqft_living"`
	SqftLot       *float64 `json:"sqft_lot"`
	Grade         *float64 `json:"grade"`
	Condition     *float64 `json:"condition"`
	YrBuilt       *float64 `json:"yr_built"`
}

// Valuations returns prices as [Client.Predict] does, with how sure each is,
// what moved it, and the earlier sales that are most alike.
func (c *Client) Valuations(ctx context.Context, houses []House, options ...CallOption) (*Valuations, error) {
	q := newCall(http.MethodPost, "/v1/valuations", options...)
	if err := q.send(records[House]{houses}); err != nil {
		return nil, err
	}
	v := &Valuations{}
	a, err := c.do(ctx, q, v)
	if err != nil {
		return nil, err
	}
	if len(v.Valuations) != len(houses) {
		return nil, fmt.Errorf("%s: %d valuations came for %d houses", q.path, len(v.Valuations), len(houses))
	}
	v.RequestID = a.requestID
	return v, nil
}

// Outcome is what a valued house sold for.
type Outcome struct {
	PredictionID string  `json:"prediction_id"`
	Record       int     `json:"record"` // index of the house in the prediction, from 0
	SalePrice    float64 `json:"sale_price"`
	SaleDate     string  `json:"sale_date"` // such as 2015-05-27
}

// Recorded is what came of outcomes.
type Recorded struct {
	Recorded  int                `json:"recorded"`        // are new
	Known     int                `json:"known"`           // were known already
	Corrected int                `json:"corrected"`       // replace another price or day
	Unmatched int                `json:"unmatched"`       // are of predictions that are not there yet
	First     []UnmatchedOutcome `json:"first_unmatched"` // of those, 100 at most
}

// UnmatchedOutcome is an outcome whose prediction is not there.
type UnmatchedOutcome struct {
	Outcome      int    `json:"outcome"` // index in the request, from 0
	PredictionID string `json:"prediction_id"`
	Record       int    `json:"record"`
}

// Outcomes tells what up to 10,000 valued houses sold for: all are kept or
// none. The same again changes nothing, so the call is repeated as those for
// prices are.
func (c *Client) Outcomes(ctx context.Context, outcomes []Outcome, options ...CallOption) (*Recorded, error) {
	q := newCall(http.MethodPost, "/v1/outcomes", options...)
	if err := q.send(map[string][]Outcome{"outcomes": outcomes}); err != nil {
		return nil, err
	}
	r := &Recorded{}
	if _, err := c.do(ctx, q, r); err != nil {
		return nil, err
	}
	return r, nil
}
