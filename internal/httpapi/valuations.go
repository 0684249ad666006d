package httpapi

import (
	"context"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"housing/internal/features"
	"housing/internal/house"
	"housing/internal/model"
	"housing/internal/valuer"
)

// Valuations is the answer of /v1/valuations. It is written by
// appendValuations; clients and tests read it.
type Valuations struct {
	Valuations       []Valuation      `json:"valuations" nullable:"false" doc:"What each house is worth, in the order of the request."`
	ModelVersion     string           `json:"model_version" doc:"Version of the model that answered, as in the header X-Model-Version."`
	ModelType        string           `json:"model_type" doc:"Kind of model."`
	ModelSHA256      string           `json:"model_sha256" doc:"SHA-256 of the model's bundle, hexadecimal: the valuation can be repeated with it."`
	Accuracy         *model.Accuracy  `json:"accuracy,omitempty" doc:"How close the model came on sales that it had not seen; absent where that was not measured."`
	Coverage         []model.Coverage `json:"coverage,omitempty" nullable:"false" doc:"How often sale prices lay within its intervals, by what was known of the houses; absent where that was not measured."`
	NRecords         int              `json:"n_records" doc:"How many houses were valued."`
	FeatureCount     int              `json:"feature_count" doc:"How many features the model computes of a house."`
	ProcessingTimeMS float64          `json:"processing_time_ms" doc:"Time from the end of the request's header to the answer, in milliseconds."`
	Warnings         []Warning        `json:"warnings,omitempty" nullable:"false" doc:"What is to be known of some valuations; absent when there is nothing."`
	PredictionID     string           `json:"prediction_id,omitempty" doc:"Names the valuations, to tell by POST /v1/outcomes what the houses sold for; absent where no journal is kept."`
}

// Valuation is what one house is worth, how sure that is, and why.
type Valuation struct {
	Price         float64      `json:"price" doc:"US dollars; the same as from /v1/predict."`
	ValuationDate string       `json:"valuation_date" doc:"Day as of which the house is valued."`
	Low           *float64     `json:"low,omitempty" doc:"The sale price lies from low to high as often as interval says. Absent, as high to within_10, where the model has no interval."`
	High          *float64     `json:"high,omitempty"`
	Interval      *float64     `json:"interval,omitempty" doc:"How often sale prices lie from low to high."`
	Confidence    *int         `json:"confidence,omitempty" doc:"0 to 100: 100 less fsd in percent."`
	FSD           *float64     `json:"fsd,omitempty" doc:"Forecast standard deviation, as a share of the price: in two of three cases the sale price is no further off."`
	Within10      *float64     `json:"within_10,omitempty" doc:"Chance that the sale price lies within 10 % of the price."`
	BasePrice     float64      `json:"base_price" doc:"Price of the average house, from which the drivers lead to the price."`
	Drivers       []Driver     `json:"drivers" nullable:"false" doc:"What moves the price and by how much, most first. base_price and all effects sum to price, to the cent."`
	Comparables   []Comparable `json:"comparables" nullable:"false" doc:"Earlier sales that are most alike, the most alike first; empty where the model holds no sales."`
}

// Driver is what moves a price, and by how much.
type Driver struct {
	Feature string  `json:"feature" doc:"A field of the house, location (zipcode and coordinates), neighbourhood (its census figures) or date."`
	Value   any     `json:"value" doc:"What it is: a number, the zipcode, the day, or null where it is unknown."`
	Effect  float64 `json:"effect" doc:"US dollars by which it moves the price, by exact TreeSHAP for the trees and Shapley values over 16 orders for the network beside them; their sum is exact."`
}

// Comparable is an earlier sale.
type Comparable struct {
	Price         float64  `json:"price" doc:"What it sold for, US dollars."`
	Date          string   `json:"date" doc:"Day of the sale."`
	AgeDays       int      `json:"age_days" doc:"Days from the sale to the day of the valuation."`
	DistanceKM    *float64 `json:"distance_km" doc:"Distance from the house in kilometres; null where a place is unknown."`
	Similarity    float64  `json:"similarity" doc:"Share of the model's trees, 0 to 1, that do not tell the two houses apart."`
	AdjustedPrice float64  `json:"adjusted_price" doc:"What its price means for this house on the day of the valuation, US dollars."`
	Zipcode       string   `json:"zipcode"`
	Bedrooms      *float64 `json:"bedrooms"`
	Bathrooms     *float64 `json:"bathrooms"`
	SqftLiving    *float64 `json:"sqft_living"`
	SqftLot       *float64 `json:"sqft_lot"`
	Grade         *float64 `json:"grade"`
	Condition     *float64 `json:"condition"`
	YrBuilt       *float64 `json:"yr_built"`
}

// shownOfComparables are the fields of a comparable, as Comparable has them.
var shownOfComparables = []house.Field{house.Bedrooms, house.Bathrooms, house.SqftLiving, house.SqftLot, house.Grade, house.Condition, house.YrBuilt}

// appraisals is memory of valuations, used again by the next request.
var appraisals = sync.Pool{New: func() any { return new([]model.Valuation) }}

const keptAppraisals = 64

// valuations answers what the houses of a body are worth, and why.
func (a *API) valuations(x *exchange, r *http.Request) error {
	level, err := askedLevel(r.URL.RawQuery)
	if err != nil {
		return err
	}
	list := appraisals.Get().(*[]model.Valuation)
	defer func() {
		if cap(*list) <= keptAppraisals {
			appraisals.Put(list)
		}
	}()
	var houses []house.House
	ask := func(ctx context.Context, w *workspace, choice valuer.Choice) (answer valuer.Answer, err error) {
		houses = w.houses
		*list, answer, err = a.Valuer.Appraise(ctx, *list, houses, choice, level)
		return answer, err
	}
	return a.value(x, r, readings{json: a.full.Records}, ask, inJSON(func(b []byte, answer *valuer.Answer, took time.Duration) []byte {
		return appendValuations(b, houses, *list, answer, took)
	}))
}

// askedLevel returns the level of the intervals that the query asks for.
func askedLevel(query string) (float64, error) {
	if !strings.Contains(query, "interval") {
		return model.DefaultLevel, nil
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return 0, problem(http.StatusBadRequest, "the query of the address cannot be read")
	}
	asked, ok := values["interval"]
	if !ok {
		return model.DefaultLevel, nil
	}
	level, err := strconv.ParseFloat(asked[0], 64)
	if len(asked) != 1 || err != nil || !(level >= model.LeastLevel && level <= model.GreatestLevel) {
		return 0, problem(http.StatusBadRequest, "interval in the query must be one number from 0.5 to 0.99, such as 0.8")
	}
	return level, nil
}

// appendValuations appends the JSON of an answer, [Valuations].
func appendValuations(b []byte, houses []house.House, valuations []model.Valuation, answer *valuer.Answer, took time.Duration) []byte {
	b = append(b, `{"valuations":[`...)
	for i := range valuations {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendValuation(b, &houses[i], &valuations[i])
	}
	b = append(b, ']')
	b = appendModel(b, answer)
	b = append(b, `,"model_sha256":"`...)
	b = append(append(b, answer.Digest...), '"')
	if accuracy := answer.Manifest.Accuracy; len(accuracy) > 0 {
		b = appendMember(b, "accuracy", accuracy[0])
	}
	if coverage := answer.Manifest.Coverage; len(coverage) > 0 {
		b = appendMember(b, "coverage", coverage)
	}
	return appendEnd(b, answer, took)
}

// appendMember appends a member behind others. What a bundle published is
// finite, so that there is no error.
func appendMember(b []byte, name string, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		return b
	}
	b = append(append(append(b, `,"`...), name...), `":`...)
	return append(b, text...)
}

func appendValuation(b []byte, h *house.House, v *model.Valuation) []byte {
	b = append(b, `{"price":`...)
	b = appendCents(b, v.Price)
	b = append(b, `,"valuation_date":`...)
	b = appendDay(b, v.Date)
	if v.Interval > 0 {
		b = append(b, `,"low":`...)
		b = appendCents(b, v.Low)
		b = append(b, `,"high":`...)
		b = appendCents(b, v.High)
		b = append(b, `,"interval":`...)
		b = strconv.AppendFloat(b, v.Interval, 'f', -1, 64)
		b = append(b, `,"confidence":`...)
		b = strconv.AppendInt(b, int64(v.Confidence), 10)
		b = append(b, `,"fsd":`...)
		b = appendRounded(b, v.FSD, 4)
		b = append(b, `,"within_10":`...)
		b = appendRounded(b, v.Within10, 4)
	}
	b = append(b, `,"base_price":`...)
	b = appendCents(b, v.BasePrice)
	b = append(b, `,"drivers":[`...)
	b = appendDrivers(b, h, v)
	b = append(b, `],"comparables":[`...)
	for i := range v.Comparables {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendComparable(b, &v.Comparables[i])
	}
	return append(b, "]}"...)
}

// reasonNames are the names of drivers, by reason, and the fields that they
// are of.
var reasonNames = features.Reasons()

// appendDrivers appends what moved a price, most first.
func appendDrivers(b []byte, h *house.House, v *model.Valuation) []byte {
	var order [features.MaxReasons]int
	n := len(reasonNames)
	for i := range n { // by insertion, for they are few
		k := i
		for ; k > 0 && math.Abs(v.Effects[order[k-1]]) < math.Abs(v.Effects[i]); k-- {
			order[k] = order[k-1]
		}
		order[k] = i
	}
	for k, reason := range order[:n] {
		if k > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"feature":"`...)
		b = append(b, reasonNames[reason]...)
		b = append(b, `","value":`...)
		b = appendReasonValue(b, reasonNames[reason], h, v)
		b = append(b, `,"effect":`...)
		b = appendSignedCents(b, v.Effects[reason])
		b = append(b, '}')
	}
	return b
}

func appendReasonValue(b []byte, reason string, h *house.House, v *model.Valuation) []byte {
	switch reason {
	case features.Location, features.Neighbourhood:
		return strconv.AppendQuote(b, h.Zipcode().String())
	case features.ValuationDate:
		return appendDay(b, v.Date)
	}
	f, _ := house.Lookup(reason)
	return appendKnown(b, h.Values[f])
}

func appendComparable(b []byte, c *model.Comparable) []byte {
	b = append(b, `{"price":`...)
	b = appendCents(b, c.Price)
	b = append(b, `,"date":`...)
	b = appendDay(b, c.House.Date)
	b = append(b, `,"age_days":`...)
	b = strconv.AppendInt(b, int64(c.AgeDays), 10)
	b = append(b, `,"distance_km":`...)
	if c.DistanceKM != c.DistanceKM {
		b = append(b, "null"...)
	} else {
		b = appendRounded(b, c.DistanceKM, 3)
	}
	b = append(b, `,"similarity":`...)
	b = appendRounded(b, c.Similarity, 4)
	b = append(b, `,"adjusted_price":`...)
	b = appendCents(b, c.AdjustedPrice)
	b = append(b, `,"zipcode":`...)
	b = strconv.AppendQuote(b, c.House.Zipcode().String())
	for _, f := range shownOfComparables {
		b = append(append(append(b, `,"`...), f.String()...), `":`...)
		b = appendKnown(b, c.House.Values[f])
	}
	return append(b, '}')
}

// appendKnown appends a number, null where it is unknown.
func appendKnown(b []byte, v float64) []byte {
	if v != v {
		return append(b, "null"...)
	}
	return jsontext.AppendFloat(b, v, 64)
}

func appendDay(b []byte, d house.Date) []byte {
	b = append(b, '"')
	b = d.Time().AppendFormat(b, time.DateOnly)
	return append(b, '"')
}

// appendRounded appends a number with some decimals at most.
func appendRounded(b []byte, v float64, decimals int) []byte {
	scale := math.Pow10(decimals)
	return strconv.AppendFloat(b, math.Round(v*scale)/scale, 'f', -1, 64)
}

// appendSignedCents is appendCents for amounts that may be negative.
func appendSignedCents(b []byte, dollars float64) []byte {
	if dollars < 0 {
		return appendCents(append(b, '-'), -dollars)
	}
	return appendCents(b, dollars)
}
