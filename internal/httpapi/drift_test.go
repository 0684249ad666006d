package httpapi

import (
	"fmt"
	"math"
	"testing"

	"housing/internal/drift"
	"housing/internal/house"
)

// compared gives an API a monitor of drift.
func compared(s *setup) { s.valuer.Drift = drift.New(s.Metrics) }

func TestModelInfoSaysHowTheHousesDiffer(t *testing.T) {
	a := newAPI(t, compared)
	about := func(query string) *Drift {
		t.Helper()
		return read[ModelInfo](t, ask(a, "GET", "/v1/model-info"+query, "")).Drift
	}
	if about("") != nil || about("?drift=false") != nil {
		t.Error("it is answered unasked")
	}
	for _, query := range []string{"?drift=yes", "?drift=", "?drift=true&drift=true", "?drift=%zz"} {
		wantProblem(t, ask(a, "GET", "/v1/model-info"+query, ""), 400)
	}
	d := about("?drift=true")
	if d.Status != "waiting" || d.Reason == "" || d.Houses != 0 || d.Population != nil || len(d.Features) != house.NumFields+1 || d.Features[0].PSI != nil || d.Features[0].UnknownShare != nil {
		t.Errorf("before a request: %+v", d)
	}
	// Houses that differ in their land alone are not what it was trained on.
	for part := range 3 {
		body, h := []byte(`{"records":[`), house.Example()
		for i := range 1000 {
			h.Values[house.SqftLot] = float64(1000 + 1000*part + i)
			body = append(house.AppendJSON(body, &h), ',')
		}
		if w := ask(a, "POST", "/v1/predict", string(body[:len(body)-1])+"]}"); w.Code != 200 {
			t.Fatal(w.Body)
		}
	}
	if w := ask(a, "POST", "/v1/predict-minimal", minimalBody); w.Code != 200 {
		t.Fatal(w.Body)
	}
	if w := ask(a, "POST", "/v1/predict?model_version=none", fullBody(1)); w.Code != 404 {
		t.Fatal(w.Body)
	}
	d = about("?drift=true")
	grade := d.Features[house.Grade]
	if d.Status != "on" || d.Reason != "" || d.Houses != 3001 || d.Since == nil || math.Abs(*d.Different-3001) > 30 || d.Population == nil || !d.Population.Shifted || d.Population.Features != house.NumFields+1 || d.Population.Tolerance != 0.1 {
		t.Errorf("after 3001 houses: %+v, population %+v", d, d.Population)
	}
	if grade.Feature != "grade" || grade.Values != 3000 || *grade.PSI < 1 || *grade.UnknownShare != 1./3001 || *grade.OutsideShare != 0 || *grade.Min != 1 || *grade.Max != 13 || len(grade.Bins) < 3 || grade.Bins[0].From != nil || *grade.Bins[0].To > 7 {
		t.Errorf("grade: %+v", grade)
	}
	if last := d.Features[house.NumFields]; last.Feature != "price" || last.Values != 3001 {
		t.Errorf("price: %+v", last)
	}
}

func TestModelInfoSaysWhyNothingIsCompared(t *testing.T) {
	for want, change := range map[string]func(*setup){
		"the model carries no statistics of its training: train it again": func(s *setup) { compared(s); s.model.Reference = nil },
		"this service compares nothing":                                   nil,
	} {
		d := read[ModelInfo](t, ask(newAPI(t, change), "GET", "/v1/model-info?drift=true", "")).Drift
		if d.Status != "off" || d.Reason != want || len(d.Features) != 0 {
			t.Errorf("%+v, want it off as %s", d, want)
		}
	}
}

func TestAPredictionThatIsComparedAllocatesNoMore(t *testing.T) {
	send := repeated(t, newAPI(t, compared).Handler(), fullBody(1))
	const most = 4 // as without
	if n := testing.AllocsPerRun(500, send); n > most && !raceEnabled {
		t.Errorf("%v allocations a request, want at most %d", n, most)
	}
}

// BenchmarkDrift measures requests with and without a comparison by turns, as
// BenchmarkJournal does, and shows the median of each.
func BenchmarkDrift(b *testing.B) {
	for _, houses := range []int{1, 100} {
		b.Run(fmt.Sprintf("houses=%d", houses), func(b *testing.B) {
			byTurns(b, houses, compared)
		})
	}
}
