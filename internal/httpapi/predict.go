package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"housing/internal/house"
	"housing/internal/journal"
	"housing/internal/telemetry"
	"housing/internal/valuer"
)

// workspace is the memory of one prediction, used again by the next.
type workspace struct {
	body   []byte
	houses []house.House
	prices []float64
	answer valuer.Answer
	out    []byte
	noted  journal.Prediction
}

var workspaces = sync.Pool{New: func() any { return new(workspace) }}

// Memory beyond these is given back rather than kept for the next request. A
// body of [house.DefaultMaxRecords] houses of [house.WrittenBytes] each is kept.
const (
	keptBytes  = 512 << 10
	keptHouses = 2000
)

func (w *workspace) release() {
	w.answer = valuer.Answer{} // lets go of the model
	if cap(w.body) > keptBytes || cap(w.out) > keptBytes || cap(w.houses) > keptHouses {
		return
	}
	workspaces.Put(w)
}

// asking has the model of a choice value houses.
type asking func(ctx context.Context, w *workspace, choice valuer.Choice) (valuer.Answer, error)

// reading reads the houses of a body.
type reading func(dst []house.House, body []byte) ([]house.House, error)

// readings are those of the forms that a body may have.
type readings struct {
	json reading
	csv  reading // nil takes none
}

// predict returns the handler that prices the houses of a body that d reads.
func (a *API) predict(d *house.Decoder) func(x *exchange, r *http.Request) error {
	read, ask := readings{json: d.Records}, a.price
	return func(x *exchange, r *http.Request) error { return a.value(x, r, read, ask, inJSON(appendAnswer)) }
}

// price has the model of a choice price houses.
func (a *API) price(ctx context.Context, w *workspace, choice valuer.Choice) (valuer.Answer, error) {
	answer, err := a.Valuer.Value(ctx, w.prices, w.houses, choice)
	if err == nil {
		w.prices = answer.Prices
	}
	return answer, err
}

// writer writes an answer.
type writer struct {
	media []string // shared header value
	write func(b []byte, answer *valuer.Answer, took time.Duration) []byte
	// name adds the ID by which the journal knows the answer.
	name func(written []byte, id journal.ID) []byte
}

// inJSON writes an answer as the JSON object that write makes of it.
func inJSON(write func(b []byte, answer *valuer.Answer, took time.Duration) []byte) writer {
	return writer{valueJSON, write, appendPredictionID}
}

// value answers a request with what ask says of the houses of its body.
func (a *API) value(x *exchange, r *http.Request, read readings, ask asking, out writer) error {
	w := workspaces.Get().(*workspace)
	defer w.release()
	x.predict = true
	var err error
	if w.answer, err = a.asked(w, x, r, read, ask); err != nil {
		return err
	}
	a.Tracer.Answered(r.Context(), w.answer.Version, string(w.answer.Role), len(w.answer.Prices))
	took := a.Now().Sub(x.started)
	a.logPrediction(x, &w.answer, took)
	_, span := a.Tracer.Step(r.Context(), telemetry.StepEncode)
	defer span.End()
	w.out = out.write(w.out[:0], &w.answer, took)
	if a.note(w, x, r, &w.answer) {
		w.out = out.name(w.out, w.noted.ID)
	}
	x.Header()["X-Model-Version"] = []string{w.answer.Version}
	x.answer(http.StatusOK, out.media, w.out)
	if a.Traffic != nil {
		a.Traffic.Aside(x.id, w.houses, &w.answer, &w.noted)
	}
	return nil
}

// asked reads a request and asks the model that it is sent to.
func (a *API) asked(w *workspace, x *exchange, r *http.Request, read readings, ask asking) (answer valuer.Answer, err error) {
	w.houses = w.houses[:0]
	version, err := askedVersion(r)
	if err != nil {
		return answer, err
	}
	if !a.LimitRecords {
		if err := a.limit(x, r, 1); err != nil {
			return answer, err
		}
	}
	choice, err := a.choose(x, r, version)
	if err != nil {
		return answer, err
	}
	if err := a.decode(w, read, x, r, choice); err != nil {
		return answer, err
	}
	if a.LimitRecords {
		if err := a.limit(x, r, len(w.houses)); err != nil {
			return answer, err
		}
	}
	answer, err = ask(r.Context(), w, choice)
	if version != "" && a.Traffic != nil && errors.Is(err, valuer.ErrUnknownVersion) {
		// It was let go of for another one while the body was read.
		if choice, err = a.choose(x, r, version); err == nil {
			answer, err = ask(r.Context(), w, choice)
		}
	}
	return answer, err
}

// decode reads the houses of a request.
func (a *API) decode(w *workspace, read readings, x *exchange, r *http.Request, choice valuer.Choice) (err error) {
	_, span := a.Tracer.Step(r.Context(), telemetry.StepDecode)
	defer span.End()
	isCSV, err := checkContent(r.Header, read.csv != nil)
	if err != nil {
		return err
	}
	if w.body, err = a.readBody(w.body, x, r); err != nil {
		return err
	}
	houses := read.json
	if isCSV {
		houses = read.csv
	}
	if w.houses, err = houses(w.houses, w.body); err != nil {
		a.Valuer.Refuse(choice)
		return err
	}
	x.records = len(w.houses)
	return nil
}

// choose returns who answers a request: the version that it names, else the
// candidate where it asks for that, else whom the traffic plan sends the
// caller to.
func (a *API) choose(x *exchange, r *http.Request, version string) (valuer.Choice, error) {
	_, span := a.Tracer.Step(r.Context(), telemetry.StepRollout)
	defer span.End()
	switch {
	case a.Traffic == nil && version == "":
		return valuer.Choice{}, nil
	case a.Traffic == nil:
		return valuer.Choice{Version: version, Role: valuer.Asked}, nil
	case version != "":
		return a.Traffic.Ask(r.Context(), version)
	}
	header := r.Header["Canary"]
	return a.Traffic.Choose(func() string { return a.caller(x, r) }, len(header) == 1 && header[0] == "true"), nil
}

// askedVersion returns the version that the path or the query asks for, "" if
// none. Other members of the query are not looked at.
func askedVersion(r *http.Request) (string, error) {
	if version := r.PathValue("version"); version != "" {
		return version, nil
	}
	if r.URL.RawQuery == "" {
		return "", nil
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return "", problem(http.StatusBadRequest, "the query of the address cannot be read")
	}
	asked, ok := values["model_version"]
	if !ok {
		return "", nil
	}
	if len(asked) != 1 || asked[0] == "" {
		return "", valuer.ErrUnknownVersion
	}
	return asked[0], nil
}

// logRequest logs what was asked for.
func (a *API) logRequest(x *exchange) {
	a.Log.LogAttrs(x.request.Context(), slog.LevelInfo, "prediction_request", x.requestAttr(), x.traceAttr(), slog.Int("n_records", x.records), a.userID(x))
}

// logPrediction logs the events of a prediction that went well, at most
// eventsPerSecond.
func (a *API) logPrediction(x *exchange, answer *valuer.Answer, took time.Duration) {
	ctx := x.request.Context()
	if !a.Log.Enabled(ctx, slog.LevelInfo) || !a.sampler.Allow(x.started) {
		return
	}
	a.logRequest(x)
	a.Log.LogAttrs(ctx, slog.LevelInfo, "prediction_success", x.requestAttr(), x.traceAttr(), slog.Int("n_records", len(answer.Prices)),
		slog.String("model_version", answer.Version), slog.Float64("processing_time_ms", milliseconds(took)))
}

// appendAnswer appends the JSON of an answer, a [Prediction].
func appendAnswer(b []byte, answer *valuer.Answer, took time.Duration) []byte {
	b = append(b, `{"predictions":[`...)
	b = appendPrices(b, answer.Prices)
	b = append(b, ']')
	b = appendModel(b, answer)
	return appendEnd(b, answer, took)
}

// appendPrices appends prices, parted by commas.
func appendPrices(b []byte, prices []float64) []byte {
	for i, price := range prices {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendCents(b, price)
	}
	return b
}

// appendModel appends who answers, as members behind others.
func appendModel(b []byte, answer *valuer.Answer) []byte {
	b = append(b, `,"model_version":`...)
	b, _ = jsontext.AppendQuote(b, answer.Version) // its error is broken UTF-8, mended
	b = append(b, `,"model_type":`...)
	b, _ = jsontext.AppendQuote(b, answer.Type)
	return b
}

// appendEnd appends the members that every answer ends with.
func appendEnd(b []byte, answer *valuer.Answer, took time.Duration) []byte {
	b = append(b, `,"n_records":`...)
	b = strconv.AppendInt(b, int64(len(answer.Prices)), 10)
	b = append(b, `,"feature_count":`...)
	b = strconv.AppendInt(b, int64(answer.FeatureCount), 10)
	b = append(b, `,"processing_time_ms":`...)
	b = strconv.AppendFloat(b, milliseconds(took), 'f', -1, 64)
	for i, record := range answer.UnknownZipcodes {
		if i == 0 {
			b = append(b, `,"warnings":[`...)
		} else {
			b = append(b, ',')
		}
		b = append(b, `{"record":`...)
		b = strconv.AppendInt(b, int64(record), 10)
		b = append(b, `,"field":"zipcode","message":"`+unknownZipcode+`"}`...)
	}
	if len(answer.UnknownZipcodes) > 0 {
		b = append(b, ']')
	}
	return append(b, "}\n"...)
}

const unknownZipcode = "no demographics are known for this zipcode, so it is valued with the medians of the zipcodes that are"

// appendCents appends a price that is rounded to cents in its shortest form:
// 706431.2, not 706431.20.
func appendCents(b []byte, price float64) []byte {
	const exact = 1 << 53 // cents beyond are no longer whole numbers
	cents := math.Round(price * 100)
	if !(cents >= 0 && cents < exact) {
		return strconv.AppendFloat(b, price, 'f', -1, 64)
	}
	whole := uint64(cents)
	b = strconv.AppendUint(b, whole/100, 10)
	if rest := whole % 100; rest != 0 {
		b = append(b, '.', byte('0'+rest/10))
		if rest%10 != 0 {
			b = append(b, byte('0'+rest%10))
		}
	}
	return b
}
