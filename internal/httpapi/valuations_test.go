package httpapi

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"housing/internal/bundle"
	"housing/internal/bundle/bundletest"
	"housing/internal/features"
	"housing/internal/house"
	"housing/internal/model/modeltest"
	"housing/internal/valuer"
)

// newFullAPI runs a small model with an interval and comparables.
func newFullAPI(t testing.TB, change func(*setup)) *API {
	t.Helper()
	var data bytes.Buffer
	if err := bundle.Write(&data, bundletest.Full(t, "full-1", 1)); err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Parse(data.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return newAPI(t, func(s *setup) {
		s.model = valuer.FromBundle(b)
		if change != nil {
			change(s)
		}
	})
}

// bodyOf returns a body with made-up houses, of every third some fields
// unknown.
func bodyOf(n int) string {
	var body strings.Builder
	body.WriteString(`{"records":[`)
	for i, h := range modeltest.Houses(n) {
		if i > 0 {
			body.WriteByte(',')
		}
		if i%3 == 1 {
			h.Values[house.Lat], h.Values[house.Grade], h.Date = math.NaN(), math.NaN(), house.NoDate
		}
		body.Write(house.AppendJSON(nil, &h))
	}
	body.WriteString("]}")
	return body.String()
}

// TestValuationsAreWhole asks for a thousand: base price and effects must sum
// to the price as they are written, and the price be that of /v1/predict.
func TestValuationsAreWhole(t *testing.T) {
	a := newFullAPI(t, nil)
	body := bodyOf(1000)
	w := ask(a, "POST", "/v1/valuations", body, "Content-Type", "application/json")
	v := read[Valuations](t, w)
	prices := read[Prediction](t, ask(a, "POST", "/v1/predict", body)).Predictions
	if len(v.Valuations) != 1000 || v.NRecords != 1000 || v.ModelVersion != "full-1" || v.ModelSHA256 != a.Valuer.Model().Digest ||
		w.Header().Get("X-Model-Version") != "full-1" || v.Accuracy == nil || v.Accuracy.R2 != 0.5 || len(v.Coverage) != 4 {
		t.Fatalf("answer %.2000s", w.Body)
	}
	for i, one := range v.Valuations {
		if one.Price != prices[i] {
			t.Errorf("house %d: valued at %v, predicted at %v", i, one.Price, prices[i])
		}
		sum := math.Round(100 * one.BasePrice)
		var names []string
		last := math.Inf(1)
		for _, d := range one.Drivers {
			cents := math.Round(100 * d.Effect)
			if math.Abs(100*d.Effect-cents) > 1e-5 || math.Abs(d.Effect) > last {
				t.Errorf("house %d: %s has %v after %v", i, d.Feature, d.Effect, last)
			}
			last = math.Abs(d.Effect)
			sum += cents
			names = append(names, d.Feature)
		}
		if sum != math.Round(100*one.Price) {
			t.Errorf("house %d: base and effects sum to %v cents, the price is %v", i, sum, one.Price)
		}
		slices.Sort(names)
		if want := slices.Sorted(slices.Values(features.Reasons())); !slices.Equal(names, want) {
			t.Fatalf("drivers are %q, want %q", names, want)
		}
		if one.Low == nil || !(*one.Low < one.Price && one.Price < *one.High) || *one.Interval != 0.9 ||
			*one.Confidence != int(math.Round(100*max(0, 1-*one.FSD))) && math.Abs(100*(1-*one.FSD)-float64(*one.Confidence)) > 0.51 ||
			*one.Within10 <= 0 || *one.Within10 > 1 {
			t.Errorf("house %d: %+v", i, one)
		}
		if len(one.ValuationDate) != len("2015-05-27") {
			t.Errorf("house %d is valued as of %q", i, one.ValuationDate)
		}
		for _, c := range one.Comparables {
			if c.Date >= one.ValuationDate || c.AgeDays <= 0 || c.Price <= 0 || c.AdjustedPrice <= 0 || (c.DistanceKM == nil) != (i%3 == 1) {
				t.Errorf("house %d, valued as of %s: comparable %+v", i, one.ValuationDate, c)
			}
		}
	}
}

func TestDriversSayWhatIsKnown(t *testing.T) {
	a := newFullAPI(t, nil)
	body := `{"records":[{"bedrooms":3,"bathrooms":2.25,"sqft_living":2220,"sqft_lot":6380,"floors":1.5,"sqft_above":1660,"sqft_basement":560,"zipcode":98003,"valuation_date":"2015-01-02"}]}`
	one := read[Valuations](t, ask(a, "POST", "/v1/valuations", body)).Valuations[0]
	got := map[string]any{}
	for _, d := range one.Drivers {
		got[d.Feature] = d.Value
	}
	want := map[string]any{
		"bedrooms": 3., "bathrooms": 2.25, "sqft_living": 2220., "sqft_lot": 6380., "floors": 1.5, "sqft_above": 1660., "sqft_basement": 560.,
		"location": "98003", "neighbourhood": "98003", "date": "2015-01-02", "waterfront": nil, "view": nil, "condition": nil, "grade": nil,
		"yr_built": nil, "yr_renovated": nil, "sqft_living15": nil, "sqft_lot15": nil,
	}
	if !maps.Equal(got, want) {
		t.Errorf("drivers have %v, want %v", got, want)
	}
}

func TestIntervalOfTheQuery(t *testing.T) {
	a := newFullAPI(t, nil)
	width := func(query string) float64 {
		v := read[Valuations](t, ask(a, "POST", "/v1/valuations"+query, bodyOf(1))).Valuations[0]
		return *v.High - *v.Low
	}
	if n, d, w := width("?interval=0.5"), width(""), width("?interval=0.99"); !(n < d && d < w) {
		t.Errorf("intervals of 0.5, 0.9 and 0.99 are %v, %v and %v wide", n, d, w)
	}
	if width("?interval=0.9") != width("?model_version=full-1") {
		t.Error("0.9 is not the default")
	}
	for _, query := range []string{"?interval=0.4", "?interval=1", "?interval=x", "?interval=", "?interval=NaN", "?interval=0.9&interval=0.8", "?interval=%zz"} {
		wantProblem(t, ask(a, "POST", "/v1/valuations"+query, bodyOf(1)), 400)
	}
}

// TestAModelOfPricesAlone leaves out what a model does not know, as do those
// trained before there were intervals.
func TestAModelOfPricesAlone(t *testing.T) {
	b, err := bundle.Parse(bundletest.Bytes(t, "bare-1", 1))
	if err != nil {
		t.Fatal(err)
	}
	a := newAPI(t, func(s *setup) { s.model = valuer.FromBundle(b) })
	var answer struct{ Valuations []map[string]any }
	w := ask(a, "POST", "/v1/valuations", bodyOf(2))
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	want := []string{"base_price", "comparables", "drivers", "price", "valuation_date"}
	for _, one := range answer.Valuations {
		if got := slices.Sorted(maps.Keys(one)); !slices.Equal(got, want) || len(one["comparables"].([]any)) != 0 {
			t.Errorf("a valuation has %q, comparables %v", got, one["comparables"])
		}
	}
}

func TestValuationsAreNotedAndLimitedAsPredictionsAre(t *testing.T) {
	journal := new(noted)
	a := newFullAPI(t, func(s *setup) { s.Journal = journal })
	v := read[Valuations](t, ask(a, "POST", "/v1/valuations", bodyOf(3)))
	if len(v.PredictionID) != 36 {
		t.Errorf("prediction %q", v.PredictionID)
	}
	l := limited(t, 1, nil)
	ask(l, "POST", "/v1/valuations", exampleRequest)
	wantProblem(t, ask(l, "POST", "/v1/valuations", exampleRequest), 429)
}

const exampleRequest = `{"records":[{"bedrooms":3,"bathrooms":2.5,"sqft_living":2220,"sqft_lot":6380,"floors":1.5,"sqft_above":1660,"sqft_basement":560,"zipcode":"98115"}]}`

func TestAValuationThatFailsIsAnError(t *testing.T) {
	a := newAPI(t, func(s *setup) {
		s.model.Pricer = pricer(func(dst []float64, _ []house.House) []float64 { return append(dst, 1) })
	})
	wantProblem(t, ask(a, "POST", "/v1/valuations", exampleRequest), 500) // it cannot explain
	w := ask(newAPI(t, func(s *setup) { s.noModel = true }), "POST", "/v1/valuations", exampleRequest)
	wantProblem(t, w, 503)
}

// BenchmarkValuations has a prediction of the same house as its peer.
func BenchmarkValuations(b *testing.B) {
	a := newAPI(b, nil)
	for _, path := range []string{"/v1/valuations", "/v1/predict"} {
		b.Run(strings.TrimPrefix(path, "/v1/"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if w := ask(a, "POST", path, exampleRequest); w.Code != 200 {
					b.Fatal(w.Body)
				}
			}
		})
	}
}
