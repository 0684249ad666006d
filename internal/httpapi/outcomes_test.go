package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"housing/internal/auth"
	"housing/internal/house"
	"housing/internal/journal"
	"housing/internal/sequential"
)

// noted is a journal that keeps what it is given in memory.
type noted struct {
	mu          sync.Mutex
	predictions []journal.Prediction
	outcomes    []journal.Outcome
	unmatched   []int
	fails       error
}

func (n *noted) Record(p *journal.Prediction) {
	n.mu.Lock()
	defer n.mu.Unlock()
	kept := *p
	kept.Prices = append([]float64(nil), p.Prices...)
	n.predictions = append(n.predictions, kept)
}

func (n *noted) Outcomes(_ context.Context, outcomes []journal.Outcome) (journal.Result, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.outcomes = outcomes
	return journal.Result{Recorded: len(outcomes), Unmatched: len(n.unmatched), FirstUnmatched: n.unmatched}, n.fails
}

func (n *noted) Arms(context.Context, time.Time) ([]journal.Arm, journal.Difference, error) {
	nan := math.NaN()
	arms := []journal.Arm{
		{Version: "kc-2", Role: "candidate", Predictions: 7, MdAPE: journal.Estimate{Value: nan, Low: nan, High: nan}},
		{Version: "kc-1", Role: "primary", Predictions: 90, Outcomes: 60, MdAPE: journal.Estimate{Value: 11.1, Low: 9, High: 13}},
	}
	return arms, journal.Difference{Primary: "kc-1", Candidate: "kc-2", LogError: sequential.Interval{Low: math.Inf(-1), High: math.Inf(1)}}, n.fails
}

// TestTheAccuracyOfVersionsIsShown holds that what is no number is left out,
// and that a database which is away takes nothing else with it.
func TestTheAccuracyOfVersionsIsShown(t *testing.T) {
	a := newAPI(t, func(s *setup) { s.Journal = new(noted) })
	got := read[Rollout](t, ask(a, "GET", "/v1/rollout", ""))
	if got.Accuracy == nil || len(got.Accuracy.Arms) != 2 || got.Accuracy.Difference == nil {
		t.Fatalf("%+v", got.Accuracy)
	}
	if c := got.Accuracy.Arms[0]; c.Version != "kc-2" || c.MdAPE.Value != nil {
		t.Errorf("%+v", c)
	}
	if p := got.Accuracy.Arms[1]; p.Outcomes != 60 || *p.MdAPE.Value != 11.1 || *p.MdAPE.High != 13 {
		t.Errorf("%+v", p)
	}
	if d := got.Accuracy.Difference; d.Better != "" || d.LogError.Low != nil {
		t.Errorf("%+v", d)
	}
	a = newAPI(t, func(s *setup) { s.Journal = &noted{fails: io.ErrUnexpectedEOF} })
	if w := ask(a, "GET", "/v1/rollout", ""); w.Code != 200 || read[Rollout](t, w).Accuracy != nil {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
}

func TestPredictionsAreNoted(t *testing.T) {
	kept := new(noted)
	a := newAPI(t, func(s *setup) { s.Journal = kept })
	first := read[Prediction](t, ask(a, "POST", "/v1/predict", fullBody(3)))
	if len(kept.predictions) != 1 {
		t.Fatalf("%d are noted", len(kept.predictions))
	}
	p := kept.predictions[0]
	if p.ID.String() != first.PredictionID || p.Version != first.ModelVersion || p.Role != "primary" || fmt.Sprint(p.Prices) != fmt.Sprint(first.Predictions) || p.UserID != "" {
		t.Errorf("noted %+v of %+v", p, first)
	}
	id := func(header ...string) string {
		return read[Prediction](t, ask(a, "POST", "/v1/predict", fullBody(3), header...)).PredictionID
	}
	if again := id(); again == first.PredictionID {
		t.Error("two requests have one ID")
	}
	named := id("X-Request-ID", "one")
	if named != id("X-Request-ID", "one") || named == id("X-Request-ID", "two") || named == first.PredictionID {
		t.Error("the ID of a request that is named is not made of its name")
	}
	before := len(kept.predictions)
	for _, body := range []string{"{", "{}", fullBody(1001)} {
		if w := ask(a, "POST", "/v1/predict", body); w.Code == 200 || len(kept.predictions) > before {
			t.Errorf("%d was noted", w.Code)
		}
	}
	if w := ask(newAPI(t, nil), "POST", "/v1/predict", fullBody(1)); strings.Contains(w.Body.String(), "prediction_id") {
		t.Errorf("an ID without a journal: %s", w.Body)
	}
}

const goodID = "014d3625-6000-7abc-9def-0123456789ab"

func TestOutcomesAreRead(t *testing.T) {
	kept := new(noted)
	a := newAPI(t, func(s *setup) { s.Journal = kept })
	body := `{"outcomes":[{"prediction_id":"` + goodID + `","record":3.0,"sale_price":5.12e5,"sale_date":"20150501T000000"},
		{"sale_date":"2015-05-02","sale_price":1,"record":0,"prediction_id":"` + strings.ToUpper(goodID) + `"}]}`
	answer := read[Recorded](t, ask(a, "POST", "/v1/outcomes", "\xef\xbb\xbf"+body))
	id, err := journal.ParseID(goodID)
	if err != nil {
		t.Fatal(err)
	}
	want := []journal.Outcome{{ID: id, Record: 3, Price: 512000, Sold: time.Date(2015, 5, 1, 0, 0, 0, 0, time.UTC)}, {ID: id, Price: 1, Sold: time.Date(2015, 5, 2, 0, 0, 0, 0, time.UTC)}}
	if answer.Recorded != 2 || fmt.Sprint(kept.outcomes) != fmt.Sprint(want) {
		t.Errorf("%+v of %v, want %v", answer, kept.outcomes, want)
	}
	kept.unmatched = []int{1}
	if answer := read[Recorded](t, ask(a, "POST", "/v1/outcomes", body)); answer.Unmatched != 1 || len(answer.First) != 1 || answer.First[0] != (UnmatchedOutcome{1, goodID, 0}) {
		t.Errorf("%+v", answer)
	}
}

func TestEveryFaultOfOutcomesIsNamed(t *testing.T) {
	a := newAPI(t, func(s *setup) { s.Journal = new(noted) })
	one := func(change, to string) string { return strings.Replace(exampleOutcomes, change, to, 1) }
	for _, c := range []struct{ name, body, location, message string }{
		{"no outcomes", `{}`, "body.outcomes", "is required"},
		{"none", `{"outcomes":[]}`, "body.outcomes", "at least 1"},
		{"no array", `{"outcomes":{}}`, "body.outcomes", "array"},
		{"no object", `[]`, "body", "object"},
		{"another member", `{"outcome":1,` + exampleOutcomes[1:], "body.outcome", "not a member"},
		{"a number for an outcome", `{"outcomes":[1]}`, "body.outcomes[0]", "object"},
		{"an empty one", `{"outcomes":[{}]}`, "body.outcomes[0].prediction_id", "is required"},
		{"no price", one(`"sale_price":512000,`, ``), "body.outcomes[0].sale_price", "is required"},
		{"a member that is none", one(`"record"`, `"price":1,"record"`), "body.outcomes[0].price", "not a field"},
		{"a bad ID", one("014d3625", "x"), "body.outcomes[0].prediction_id", "hexadecimal"},
		{"a UUID of another kind", one("-7abc", "-4abc"), "body.outcomes[0].prediction_id", "prediction_id"},
		{"half a record", one(`"record":0`, `"record":0.5`), "body.outcomes[0].record", "whole"},
		{"a negative record", one(`"record":0`, `"record":-1`), "body.outcomes[0].record", "whole"},
		{"a record in a string", one(`"record":0`, `"record":"0"`), "body.outcomes[0].record", "whole"},
		{"a price of nothing", one("512000", "0"), "body.outcomes[0].sale_price", "above 0"},
		{"a price without end", one("512000", "1e999"), "body.outcomes[0].sale_price", "above 0"},
		{"null", one("512000", "null"), "body.outcomes[0].sale_price", "above 0"},
		{"a day of the future", one("2015-05-01", "2199-01-01"), "body.outcomes[0].sale_date", "today"},
		{"a day that is none", one("2015-05-01", "2015-02-30"), "body.outcomes[0].sale_date", "day"},
		{"too many", `{"outcomes":[` + strings.Repeat("{},", journal.MaxOutcomes) + `{}]}`, "body.outcomes", "at most 10000"},
	} {
		p := wantProblem(t, ask(a, "POST", "/v1/outcomes", c.body), 422)
		if len(p.Errors) == 0 || p.Errors[0].Location != c.location || !strings.Contains(p.Errors[0].Message, c.message) {
			t.Errorf("%s: %+v", c.name, p)
		}
	}
	all := wantProblem(t, ask(a, "POST", "/v1/outcomes", `{"outcomes":[`+strings.Repeat(`{"record":-1},`, 50)+`{"record":-1}]}`), 422)
	if len(all.Errors) != house.MaxFaults || !strings.Contains(all.Detail, "204 faults") {
		t.Errorf("%d faults are named: %s", len(all.Errors), all.Detail)
	}
	if p := wantProblem(t, ask(a, "POST", "/v1/outcomes", `{"outcomes":[{"price":1}]}`), 422); len(p.Errors) != 5 {
		t.Errorf("of a member that is none and four that are missing are named %+v", p.Errors)
	}
	for _, body := range []string{"", "{", exampleOutcomes + "x", `{"outcomes":[],"outcomes":[]}`, "\xff", strings.Repeat("[", 20_000)} {
		wantProblem(t, ask(a, "POST", "/v1/outcomes", body), 400)
	}
}

func TestOutcomesThatCannotBeKept(t *testing.T) {
	wantProblem(t, ask(newAPI(t, nil), "POST", "/v1/outcomes", exampleOutcomes), 409)
	for _, c := range []struct {
		err    error
		status int
	}{{io.ErrUnexpectedEOF, 503}, {context.DeadlineExceeded, 503}, {errors.New("a mistake"), 500}} {
		a := newAPI(t, func(s *setup) { s.Journal = &noted{fails: fmt.Errorf("write outcomes: %w", c.err)} })
		w := ask(a, "POST", "/v1/outcomes", exampleOutcomes)
		if wantProblem(t, w, c.status); c.status == 503 && w.Header().Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
}

func FuzzOutcomes(f *testing.F) {
	f.Add([]byte(exampleOutcomes))
	f.Add([]byte(`{"outcomes":[{},1,{"record":"x"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		outcomes, err := readOutcomes(body, now)
		if err != nil {
			var syntax *house.SyntaxError
			var invalid *house.InvalidError
			if !errors.As(err, &syntax) && !errors.As(err, &invalid) || len(outcomes) > 0 {
				t.Fatalf("%v, %T", err, err)
			}
			return
		}
		for _, o := range outcomes {
			if _, err := journal.ParseID(o.ID.String()); err != nil || o.Record < 0 || o.Record > maxRecordIndex || !(o.Price > 0 && o.Price <= maxSalePrice) || o.Sold.After(now.AddDate(0, 0, 2)) {
				t.Fatalf("%+v was read", o)
			}
		}
	})
}

func TestOutcomesNeedAScopeOfTheirOwn(t *testing.T) {
	kept := new(noted)
	a, _, sign := newGuarded(t, func(s *setup) { s.Journal = kept })
	for scopes, status := range map[auth.Scopes]int{auth.Predict | auth.ModelsWrite: 403, auth.Outcomes: 200} {
		if w := ask(a, "POST", "/v1/outcomes", exampleOutcomes, "Authorization", "Bearer "+sign(goodClaims(scopes))); w.Code != status {
			t.Errorf("%s: %d, want %d", scopes, w.Code, status)
		}
	}
	ask(a, "POST", "/v1/predict", fullBody(1), "Authorization", "Bearer "+sign(goodClaims(auth.Predict)))
	if len(kept.predictions) != 1 || len(kept.predictions[0].UserID) != 16 || kept.predictions[0].UserID != auth.UserHash(a.UserKey, goodClaims(0).User) {
		t.Errorf("noted %+v, want the user as a hash", kept.predictions)
	}
}
