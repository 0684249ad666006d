package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"housing/internal/house"
	"housing/internal/telemetry"
	"housing/internal/valuer"
)

func rndPath() string { return strconv.FormatUint(rand.Uint64(), 36) }

func TestPredict(t *testing.T) {
	a := newAPI(t, nil)
	for _, c := range []struct {
		name, path, body string
		records          int
	}{
		{"one house", "/v1/predict", fullBody(1), 1},
		{"many houses", "/v1/predict", fullBody(100), 100},
		{"as many as may be", "/v1/predict", compact(1000), 1000},
		{"four fields", "/v1/predict-minimal", minimalBody, 1},
		{"a day", "/v1/predict-minimal", strings.Replace(minimalBody, `"bedrooms"`, `"valuation_date":"2015-05-27","bedrooms"`, 1), 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := ask(a, "POST", c.path, c.body, "Content-Type", "application/json")
			if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" {
				t.Fatalf("%d %s: %s", w.Code, w.Header().Get("Content-Type"), w.Body)
			}
			p := read[Prediction](t, w)
			m := a.Valuer.Model()
			if len(p.Predictions) != c.records || p.NRecords != c.records || p.ModelVersion != m.Manifest.Version ||
				p.ModelType != m.Type || p.FeatureCount != len(m.Features) || w.Header().Get("X-Model-Version") != m.Manifest.Version {
				t.Errorf("answer %+v", p)
			}
			if strings.Contains(w.Body.String(), "warnings") {
				t.Errorf("warnings where nothing is to be warned of: %s", w.Body)
			}
		})
	}
}

// compact is a body of n houses that fits the limit on bodies.
func compact(n int) string {
	one := `{"bedrooms":3,"bathrooms":2.5,"sqft_living":2220,"sqft_lot":6380,"floors":1.5,"sqft_above":1660,"sqft_basement":560,"zipcode":"98115"},`
	return `{"records":[` + strings.TrimSuffix(strings.Repeat(one, n), ",") + `]}`
}

func TestOneByOneAndTogetherAreTheSamePrices(t *testing.T) {
	a := newAPI(t, nil)
	var all []string
	var single []float64
	for living := 500; living < 5000; living += 100 {
		h := house.Example()
		h.Values[house.SqftLiving] = float64(living)
		record := string(house.AppendJSON(nil, &h))
		all = append(all, record)
		single = append(single, read[Prediction](t, ask(a, "POST", "/v1/predict", `{"records":[`+record+`]}`)).Predictions...)
	}
	together := read[Prediction](t, ask(a, "POST", "/v1/predict", `{"records":[`+strings.Join(all, ",")+`]}`)).Predictions
	for i := range single {
		if single[i] != together[i] {
			t.Errorf("house %d: %v alone, %v together", i, single[i], together[i])
		}
	}
}

func TestUnknownZipcodeIsAWarning(t *testing.T) {
	a := newAPI(t, nil)
	body := `{"records":[` + strings.Repeat(`{"bedrooms":3,"bathrooms":2.5,"sqft_living":2220,"zipcode":"98115"},`, 2) +
		strings.Repeat(`{"bedrooms":3,"bathrooms":2.5,"sqft_living":2220,"zipcode":501},`, 1) + `{"bedrooms":3,"bathrooms":2.5,"sqft_living":2220,"zipcode":"00501"}]}`
	p := read[Prediction](t, ask(a, "POST", "/v1/predict-minimal", body))
	if len(p.Warnings) != 2 || p.Warnings[0].Record != 2 || p.Warnings[1].Record != 3 || p.Warnings[0].Field != "zipcode" || p.Warnings[0].Message == "" {
		t.Errorf("warnings %+v", p.Warnings)
	}
	if len(p.Predictions) != 4 {
		t.Errorf("%d prices", len(p.Predictions))
	}
}

func TestModelVersionInTheQuery(t *testing.T) {
	a := newAPI(t, nil)
	version := a.Valuer.Model().Manifest.Version
	for query, status := range map[string]int{
		"?model_version=" + version:        200,
		"?other=1":                         200,
		"":                                 200,
		"?model_version=kc-999":            404,
		"?model_version=":                  404,
		"?model_version=a&model_version=b": 404,
		"?model_version=../../etc":         404,
		"?%zz":                             400,
	} {
		w := ask(a, "POST", "/v1/predict", fullBody(1), "Content-Type", "application/json")
		if query != "" {
			r := httptest.NewRequest("POST", "/v1/predict", strings.NewReader(fullBody(1)))
			r.URL.RawQuery = query[1:]
			w = httptest.NewRecorder()
			a.Handler().ServeHTTP(w, r)
		}
		if w.Code != status {
			t.Errorf("%q: %d, want %d", query, w.Code, status)
		} else if status != 200 {
			wantProblem(t, w, status)
		}
	}
}

// with returns the full body of one house with a member replaced or added.
func with(member, value string) string {
	h := house.Example()
	if f, ok := house.Lookup(member); ok {
		h.Values[f] = math.NaN()
	}
	return `{"records":[` + strings.TrimSuffix(string(house.AppendJSON(nil, &h)), "}") + `,"` + member + `":` + value + `}]}`
}

func without(member string) string {
	h := house.Example()
	f, _ := house.Lookup(member)
	h.Values[f] = math.NaN()
	return `{"records":[` + string(house.AppendJSON(nil, &h)) + `]}`
}

func TestBadInput(t *testing.T) {
	a := newAPI(t, nil)
	const record = "body.records[0]"
	type fault struct{ location, says string }
	for _, c := range []struct {
		name, body string
		header     []string
		status     int
		faults     []fault
	}{
		{"not JSON", `{"records": [`, nil, 400, nil},
		{"not JSON at all", `hello`, nil, 400, nil},
		{"an empty body", ``, nil, 400, nil},
		{"data after the end", fullBody(1) + `{}`, nil, 400, nil},
		{"duplicate keys", `{"records":[{"bedrooms":1,"bedrooms":2}]}`, nil, 400, nil},
		{"duplicate records", `{"records":[],"records":[]}`, nil, 400, nil},
		{"invalid UTF-8", "{\"records\":[{\"bedr\xffoms\":1}]}", nil, 400, nil},
		{"NaN", with("bedrooms", "NaN"), nil, 400, nil},
		{"Infinity", with("bedrooms", "-Infinity"), nil, 400, nil},
		{"10,000 deep", `{"records":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`, nil, 400, nil},
		{"10,000 deep and cut", strings.Repeat(`{"records":`, 10_000), nil, 400, nil},
		{"an array", `[]`, nil, 422, []fault{{"body", "object"}}},
		{"null", `null`, nil, 422, []fault{{"body", "object"}}},
		{"records missing", `{}`, nil, 422, []fault{{"body.records", "required"}}},
		{"records empty", `{"records":[]}`, nil, 422, []fault{{"body.records", "at least 1"}}},
		{"records no array", `{"records":{}}`, nil, 422, []fault{{"body.records", "array"}}},
		{"1,001 records", compact(1001), nil, 422, []fault{{"body.records", "at most 1000"}}},
		{"another member", `{"records":[` + strings.TrimPrefix(fullBody(1), `{"records":[`)[:len(fullBody(1))-len(`{"records":[`)-1] + `,"x":1}`, nil, 422, []fault{{"body.x", "not"}}},
		{"a field missing", without("sqft_living"), nil, 422, []fault{{record + ".sqft_living", "required"}}},
		{"a field null", with("sqft_living", "null"), nil, 422, []fault{{record + ".sqft_living", "required"}}},
		{"a field unknown", with("pool", "1"), nil, 422, []fault{{record + ".pool", "not a field"}}},
		{"a field in capitals", with("Bedrooms", "1"), nil, 422, []fault{{record + ".Bedrooms", "not a field"}}},
		{"a string for a number", with("bedrooms", `"3"`), nil, 422, []fault{{record + ".bedrooms", "whole number"}}},
		{"true for a number", with("floors", `true`), nil, 422, []fault{{record + ".floors", "number"}}},
		{"an object for a number", with("floors", `{"a":1}`), nil, 422, []fault{{record + ".floors", "number"}}},
		{"a fraction of a bedroom", with("bedrooms", `2.5`), nil, 422, []fault{{record + ".bedrooms", "whole number"}}},
		{"too small", with("sqft_living", `99`), nil, 422, []fault{{record + ".sqft_living", "at least 100"}}},
		{"too large", with("sqft_living", `50001`), nil, 422, []fault{{record + ".sqft_living", "at most 50000"}}},
		{"1e999", with("sqft_lot", `1e999`), nil, 422, []fault{{record + ".sqft_lot", "at most"}}},
		{"-1e999", with("sqft_lot", `-1e999`), nil, 422, []fault{{record + ".sqft_lot", "at least"}}},
		{"a year to come", with("yr_built", `3000`), nil, 422, []fault{{record + ".yr_built", "at most"}}},
		{"a zipcode of letters", with("zipcode", `"abcde"`), nil, 422, []fault{{record + ".zipcode", "five digits"}}},
		{"no day", with("valuation_date", `"yesterday"`), nil, 422, []fault{{record + ".valuation_date", "day"}}},
		{"every fault at once", `{"records":[{"bedrooms":-1,"bathrooms":99,"sqft_living":"x","pool":1}]}`, nil, 422, []fault{
			{record + ".bedrooms", "at least 0"}, {record + ".bathrooms", "at most 20"}, {record + ".sqft_living", "number"}, {record + ".pool", "not a field"},
			{record + ".sqft_lot", "required"}, {record + ".floors", "required"}, {record + ".sqft_above", "required"}, {record + ".sqft_basement", "required"}, {record + ".zipcode", "required"},
		}},
		{"2 MiB", `{"records":"` + strings.Repeat("x", 2<<20) + `"}`, nil, 413, nil},
		{"text", fullBody(1), []string{"Content-Type", "text/plain"}, 415, nil},
		{"a form", "a=1", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, nil},
		{"no type at all", fullBody(1), []string{"Content-Type", ";;"}, 415, nil},
		{"Latin 1", fullBody(1), []string{"Content-Type", "application/json; charset=iso-8859-1"}, 415, nil},
		{"gzip", fullBody(1), []string{"Content-Encoding", "gzip"}, 415, nil},
		{"UTF-8", fullBody(1), []string{"Content-Type", "application/json; charset=UTF-8; x=y"}, 200, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := ask(a, "POST", "/v1/predict", c.body, c.header...)
			if c.status == 200 {
				if w.Code != 200 {
					t.Fatalf("%d: %s", w.Code, w.Body)
				}
				return
			}
			p := wantProblem(t, w, c.status)
			if len(p.Errors) != len(c.faults) {
				t.Fatalf("%d faults, want %d: %s", len(p.Errors), len(c.faults), w.Body)
			}
			for i, want := range c.faults {
				if got := p.Errors[i]; got.Location != want.location || !strings.Contains(got.Message, want.says) {
					t.Errorf("fault %d is %+v, want %+v", i, got, want)
				}
			}
		})
	}
}

func TestEveryBoundOfEveryField(t *testing.T) {
	now := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	a := newAPI(t, func(s *setup) { s.Now = func() time.Time { return now } })
	for _, s := range house.Fields() {
		least, greatest := s.Range(now.Year())
		for value, good := range map[float64]bool{least: true, greatest: true, least - 1: s.Kind == house.YearOrZero && least == 1, greatest + 1: false} {
			w := ask(a, "POST", "/v1/predict", with(s.Name, strconv.FormatFloat(value, 'f', -1, 64)))
			switch {
			case good && w.Code != 200:
				t.Errorf("%s = %v: %d %s", s.Name, value, w.Code, w.Body)
			case !good:
				if p := wantProblem(t, w, 422); len(p.Errors) != 1 || p.Errors[0].Value != value {
					t.Errorf("%s = %v: %s", s.Name, value, w.Body)
				}
			}
		}
	}
}

func TestOnlyTheFirst100FaultsAreListed(t *testing.T) {
	p := wantProblem(t, ask(newAPI(t, nil), "POST", "/v1/predict", `{"records":[`+strings.TrimSuffix(strings.Repeat("{},", 50), ",")+`]}`), 422)
	if len(p.Errors) != 100 || !strings.Contains(p.Detail, "400 faults") {
		t.Errorf("%d listed, %q", len(p.Errors), p.Detail)
	}
}

func TestMinimalTakesFourFieldsAlone(t *testing.T) {
	p := wantProblem(t, ask(newAPI(t, nil), "POST", "/v1/predict-minimal", `{"records":[{"bedrooms":3,"grade":7}]}`), 422)
	if len(p.Errors) != 4 {
		t.Errorf("faults %+v, want grade and the three that are missing", p.Errors)
	}
}

func TestABodyThatDoesNotSayItsSizeIsCutOff(t *testing.T) {
	a := newAPI(t, func(s *setup) { s.MaxBodyBytes = 1000 })
	for size, status := range map[int]int{len(fullBody(1)): 200, 1000: 200, 1001: 413, 100_000: 413} {
		body := fullBody(1)
		body += strings.Repeat(" ", size-len(body))
		r := httptest.NewRequest("POST", "/v1/predict", io.MultiReader(strings.NewReader(body))) // length -1
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, r)
		if w.Code != status {
			t.Errorf("%d bytes: %d, want %d", size, w.Code, status)
		}
	}
}

func TestABodyThatBreaksOff(t *testing.T) {
	r := httptest.NewRequest("POST", "/v1/predict", iotest.ErrReader(io.ErrUnexpectedEOF))
	w := httptest.NewRecorder()
	newAPI(t, nil).Handler().ServeHTTP(w, r)
	wantProblem(t, w, 400)
}

func TestABrokenModelIsOurFault(t *testing.T) {
	var log bytes.Buffer
	a := newAPI(t, func(s *setup) {
		s.model.Pricer = pricer(func(dst []float64, _ []house.House) []float64 { return append(dst[:0], math.NaN()) })
		s.Log = telemetry.NewLogger(&log, slog.LevelInfo, telemetry.JSON)
	})
	p := wantProblem(t, ask(a, "POST", "/v1/predict", fullBody(1)), 500)
	if strings.Contains(p.Detail, "NaN") {
		t.Errorf("the cause went to the client: %q", p.Detail)
	}
	events := lines(t, &log)
	if len(events) != 2 || events[0]["msg"] != "prediction_request" || events[1]["msg"] != "prediction_error" || !strings.Contains(fmt.Sprint(events[1]["error"]), "NaN") {
		t.Errorf("the cause is not in the log: %v", events)
	}
}

func TestOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		a := newAPI(t, func(s *setup) {
			s.valuer.Workers, s.valuer.Queue = 1, 1
			s.model.Pricer = pricer(func(dst []float64, _ []house.House) []float64 { <-gate; return append(dst[:0], 1) })
		})
		var group sync.WaitGroup
		for range 2 {
			group.Go(func() {
				if w := ask(a, "POST", "/v1/predict", fullBody(1)); w.Code != 200 {
					t.Errorf("one that had a place: %d", w.Code)
				}
			})
		}
		synctest.Wait() // one runs, one waits
		w := ask(a, "POST", "/v1/predict", fullBody(1))
		wantProblem(t, w, 503)
		if w.Header().Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		if w := ask(a, "GET", "/health", ""); w.Code != 200 {
			t.Errorf("health waits behind predictions: %d", w.Code)
		}
		close(gate)
		group.Wait()
	})
}

func TestPricesAreWrittenInTheirShortestForm(t *testing.T) {
	for price, want := range map[float64]string{
		706431.2: "706431.2", 706431.25: "706431.25", 706431.05: "706431.05", 706431: "706431", 0: "0", 0.01: "0.01",
		0.1: "0.1", 1e15: "1000000000000000", 123456789.99: "123456789.99", -1.5: "-1.5",
	} {
		if got := string(appendCents(nil, price)); got != want {
			t.Errorf("%v: %s, want %s", price, got, want)
		}
	}
	for range 10_000 {
		price := math.Round(rand.Float64()*1e9) / 100
		got := string(appendCents(nil, price))
		if back, err := strconv.ParseFloat(got, 64); err != nil || back != price || got != strconv.FormatFloat(price, 'f', -1, 64) {
			t.Fatalf("%v is written %s", price, got)
		}
	}
}

func TestAClientThatWentAway(t *testing.T) {
	if p := asProblem(fmt.Errorf("wait: %w", errors.Join(http.ErrAbortHandler, valuer.ErrOverloaded))); p.Status != 503 {
		t.Errorf("got %+v", p)
	}
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		a := newAPI(t, func(s *setup) {
			s.valuer.Workers = 1
			s.model.Pricer = pricer(func(dst []float64, _ []house.House) []float64 { <-gate; return append(dst[:0], 1) })
		})
		var group sync.WaitGroup
		group.Go(func() { ask(a, "POST", "/v1/predict", fullBody(1)) })
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		w := httptest.NewRecorder()
		group.Go(func() {
			a.Handler().ServeHTTP(w, httptest.NewRequest("POST", "/v1/predict", strings.NewReader(fullBody(1))).WithContext(ctx))
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(gate)
		group.Wait()
		if w.Code != statusClientGone {
			t.Errorf("status %d", w.Code)
		}
	})
}

func FuzzPredict(f *testing.F) {
	f.Add(fullBody(1))
	f.Add(minimalBody)
	f.Add(`{"records":[{"bedrooms":-1,"zipcode":"00501"}]}`)
	f.Add("\xff")
	a := newAPI(f, nil)
	f.Fuzz(func(t *testing.T, body string) {
		for _, path := range []string{"/v1/predict", "/v1/predict-minimal"} {
			w := ask(a, "POST", path, body)
			switch w.Code {
			case 200:
				if p := read[Prediction](t, w); len(p.Predictions) != p.NRecords || p.NRecords == 0 {
					t.Errorf("%s", w.Body)
				}
			case 400, 413, 422:
				read[wireProblem](t, w)
			default:
				t.Errorf("status %d: %s", w.Code, w.Body)
			}
		}
	})
}
