package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"housing/internal/house"
	"housing/internal/journal"
	"housing/internal/store"
)

// Recorded is the answer of /v1/outcomes.
type Recorded struct {
	Recorded  int                `json:"recorded" doc:"How many outcomes are new."`
	Known     int                `json:"known" doc:"How many were known already, with the same price and day."`
	Corrected int                `json:"corrected" doc:"How many replace another price or day of the same house."`
	Unmatched int                `json:"unmatched" doc:"How many are of predictions that are not there, or not yet. They are kept, and count when the prediction comes."`
	First     []UnmatchedOutcome `json:"first_unmatched,omitempty" nullable:"false" doc:"The first 100 of those; absent when there are none."`
}

// UnmatchedOutcome is an outcome whose prediction is not there.
type UnmatchedOutcome struct {
	Outcome      int    `json:"outcome" doc:"Index in the request, from 0."`
	PredictionID string `json:"prediction_id"`
	Record       int    `json:"record"`
}

// Bounds of an outcome.
const (
	maxRecordIndex = 99_999 // as MAX_RECORDS is 100,000 at most
	maxSalePrice   = 1e9
)

// outcomeFields are the fields of an outcome with what each must be.
var outcomeFields = []struct{ name, must string }{
	{"prediction_id", "must be the prediction_id of an answer, 8-4-4-4-12 hexadecimal digits"},
	{"record", "must be the index of a house in the prediction, a whole number from 0 to 99,999"},
	{"sale_price", "must be a price in US dollars, above 0 and at most 1,000,000,000"},
	{"sale_date", "must be a day such as 2015-05-27, from 1900 to today"},
}

// errNoJournal is the answer where nothing is kept.
var errNoJournal = problem(http.StatusConflict, "this service keeps no outcomes: it is run without DATABASE_URL")

// retryOutcomes is when to come again, in seconds, while PostgreSQL is away.
const retryOutcomes = "5"

func (a *API) outcomes(x *exchange, r *http.Request) error {
	if a.Journal == nil {
		return errNoJournal
	}
	w := workspaces.Get().(*workspace)
	defer w.release()
	var err error
	if w.body, err = a.readJSON(w.body, x, r); err != nil {
		return err
	}
	outcomes, err := readOutcomes(w.body, x.started)
	if err != nil {
		return err
	}
	result, err := a.Journal.Outcomes(r.Context(), outcomes)
	if err != nil {
		return notKept(r, err)
	}
	answer := Recorded{Recorded: result.Recorded, Known: result.Known, Corrected: result.Corrected, Unmatched: result.Unmatched}
	for _, i := range result.FirstUnmatched {
		answer.First = append(answer.First, UnmatchedOutcome{i, outcomes[i].ID.String(), outcomes[i].Record})
	}
	return x.answerJSON(http.StatusOK, answer)
}

// notKept says that the outcomes of a request are not kept, and why.
func notKept(r *http.Request, err error) error {
	reason := store.ReasonOf(err)
	if reason == store.Other || r.Context().Err() != nil {
		return err
	}
	p := problem(http.StatusServiceUnavailable, fmt.Sprintf("none of the outcomes is kept, as PostgreSQL cannot be used now (%s): send them again", reason))
	p.retryAfter = retryOutcomes
	return p
}

// outcomesReader is one reading of a body of outcomes.
type outcomesReader struct {
	json   *jsontext.Decoder
	latest house.Date
	faults house.InvalidError
}

// errTooManyOutcomes ends the reading of a body with too many.
var errTooManyOutcomes = errors.New("too many outcomes")

// readOutcomes reads a body {"outcomes": [{…}, …]}. The error is that of
// [house.Decoder.Records].
func readOutcomes(body []byte, now time.Time) ([]journal.Outcome, error) {
	body, skipped := house.WithoutMark(body)
	r := outcomesReader{json: jsontext.NewDecoder(bytes.NewBuffer(body)), latest: house.DateOf(now.UTC()) + 1} // it may be tomorrow elsewhere
	outcomes, err := r.body()
	if err == nil {
		err = house.CheckEnd(r.json, skipped)
	}
	switch {
	case err != nil && !errors.Is(err, errTooManyOutcomes):
		return nil, house.NewSyntaxError(err, skipped, "the body is empty")
	case r.faults.Total > 0:
		return nil, &r.faults
	}
	return outcomes, nil
}

// body reads the whole body. Its error is of the syntax.
func (r *outcomesReader) body() (outcomes []journal.Outcome, err error) {
	found := false
	err = r.object("body", "must be an object with the member outcomes", func(name string) error {
		if name != "outcomes" {
			return r.misfit("body."+name, "is not a member of the body, which is only outcomes")
		}
		found = true
		outcomes, err = r.array()
		return err
	})
	if err == nil && !found && r.faults.Total == 0 {
		r.faults.Add(house.Fault{Location: "body.outcomes", Message: "is required"})
	}
	return outcomes, err
}

func (r *outcomesReader) array() (outcomes []journal.Outcome, err error) {
	const location = "body.outcomes"
	if r.json.PeekKind() != jsontext.KindBeginArray {
		return nil, r.misfit(location, "must be an array of outcomes")
	}
	if _, err := r.json.ReadToken(); err != nil {
		return nil, err
	}
	for i := 0; r.json.PeekKind() != jsontext.KindEndArray; i++ {
		if i == journal.MaxOutcomes {
			r.faults = house.InvalidError{}
			r.faults.Add(house.Fault{Location: location, Message: "must have at most " + strconv.Itoa(journal.MaxOutcomes) + " outcomes"})
			return nil, errTooManyOutcomes
		}
		o, err := r.outcome(location + "[" + strconv.Itoa(i) + "]")
		if err != nil {
			return nil, err
		}
		outcomes = append(outcomes, o)
	}
	if len(outcomes) == 0 {
		r.faults.Add(house.Fault{Location: location, Message: "must have at least 1 outcome"})
	}
	_, err = r.json.ReadToken()
	return outcomes, err
}

// object reads an object, whose members member reads.
func (r *outcomesReader) object(location, must string, member func(name string) error) error {
	if r.json.PeekKind() != jsontext.KindBeginObject {
		return r.misfit(location, must)
	}
	if _, err := r.json.ReadToken(); err != nil {
		return err
	}
	for r.json.PeekKind() != jsontext.KindEndObject {
		name, err := r.json.ReadToken()
		if err != nil {
			return err
		}
		const longest = 100
		if err := member(fmt.Sprintf("%.*s", longest, name.String())); err != nil {
			return err
		}
	}
	_, err := r.json.ReadToken()
	return err
}

// outcome reads one outcome.
func (r *outcomesReader) outcome(location string) (o journal.Outcome, err error) {
	var seen [4]bool
	before, named := r.faults.Total, false
	err = r.object(location, "must be an object with the fields of an outcome", func(name string) error {
		named = true
		for i, field := range outcomeFields {
			if field.name != name {
				continue
			}
			seen[i] = true
			raw, err := r.json.ReadValue()
			if err == nil && !r.field(&o, i, raw) {
				r.fault(location+"."+name, field.must, raw)
			}
			return err
		}
		return r.misfit(location+"."+name, "is not a field of an outcome")
	})
	if err != nil || r.faults.Total > before && !named { // it is no object
		return o, err
	}
	for i, field := range outcomeFields {
		if !seen[i] {
			r.faults.Add(house.Fault{Location: location + "." + field.name, Message: "is required"})
		}
	}
	return o, nil
}

// field reads a value into field i of an outcome, and says whether it is one.
func (r *outcomesReader) field(o *journal.Outcome, i int, raw jsontext.Value) (good bool) {
	kind, text := raw.Kind(), string(raw)
	if kind == jsontext.KindString {
		unquoted, err := jsontext.AppendUnquote(nil, raw)
		if err != nil {
			return false
		}
		text = string(unquoted)
	}
	switch wantsText := i == 0 || i == 3; {
	case wantsText != (kind == jsontext.KindString), !wantsText && kind != jsontext.KindNumber:
		return false
	}
	var err error
	var number float64
	switch i {
	case 0:
		o.ID, err = journal.ParseID(text)
	case 1:
		number, err = strconv.ParseFloat(text, 64)
		o.Record = int(number)
		good = number >= 0 && number <= maxRecordIndex && float64(o.Record) == number
		return good && err == nil
	case 2:
		o.Price, err = strconv.ParseFloat(text, 64)
		return err == nil && o.Price > 0 && o.Price <= maxSalePrice
	case 3:
		var day house.Date
		day, err = house.ParseDate(text)
		o.Sold = day.Time()
		return err == nil && day <= r.latest
	}
	return err == nil
}

// misfit reads past a value that is not what it must be.
func (r *outcomesReader) misfit(location, message string) error {
	raw, err := r.json.ReadValue()
	if err == nil {
		r.fault(location, message, raw)
	}
	return err
}

// fault notes a fault; a value that is long or no scalar is left out.
func (r *outcomesReader) fault(location, message string, raw jsontext.Value) {
	f := house.Fault{Location: location, Message: message}
	if len(raw) <= 100 && raw.Kind() != jsontext.KindBeginObject && raw.Kind() != jsontext.KindBeginArray {
		f.Value = raw.Clone()
	}
	r.faults.Add(f)
}
