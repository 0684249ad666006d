package httpapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"housing/internal/auth"
	"housing/internal/house"
)

// tensorsBody is the example with an id, grades and another zipcode.
func tensorsBody(t *testing.T, zipcode string) string {
	t.Helper()
	var request InferenceRequest
	if err := json.Unmarshal(exampleTensors(), &request); err != nil {
		t.Fatal(err)
	}
	request.ID = new("order-17")
	for i := range request.Inputs {
		if request.Inputs[i].Name == "zipcode" {
			request.Inputs[i].Data = []any{zipcode}
		}
	}
	request.Inputs = append(request.Inputs, InputTensor{Name: "grade", Shape: []int{1, 1}, Datatype: "INT64", Data: []any{[]any{8}}})
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// recordBody is the same house for /v1/predict.
func recordBody(zipcode string) string {
	h := house.Unknown()
	example := house.Example()
	for _, s := range house.Fields() {
		if s.Required || s.Field == house.Grade {
			h.Values[s.Field] = example.Values[s.Field]
		}
	}
	return strings.Replace(`{"records":[`+string(house.AppendJSON(nil, &h))+`]}`, "98115", zipcode, 1)
}

func TestEveryProtocolGivesTheSamePrice(t *testing.T) {
	a := newAPI(t, nil)
	want := read[Prediction](t, ask(a, "POST", "/v1/predict", recordBody("98115")))
	record := strings.TrimSuffix(strings.TrimPrefix(recordBody("98115"), `{"records":[`), "]}")
	var fields map[string]any
	if err := json.Unmarshal([]byte(record), &fields); err != nil {
		t.Fatal(err)
	}
	names := slices.Sorted(maps.Keys(fields))
	var row []any
	var cells []string
	columns := map[string][]any{}
	for _, name := range names {
		row = append(row, fields[name])
		cell, err := json.Marshal(fields[name])
		if err != nil {
			t.Fatal(err)
		}
		cells = append(cells, strings.Trim(string(cell), `"`))
		columns[name] = []any{fields[name]}
	}
	for _, c := range []struct {
		name string
		body any
	}{
		{"dataframe_split", Invocation{DataframeSplit: &Frame{Columns: names, Data: [][]any{row}}}},
		{"dataframe_records", Invocation{DataframeRecords: []map[string]any{fields}}},
		{"instances", Invocation{Instances: []map[string]any{fields}}},
		{"inputs, by record", Invocation{Inputs: []any{fields}}},
		{"inputs, by column", Invocation{Inputs: columns}},
	} {
		body, err := json.Marshal(c.body)
		if err != nil {
			t.Fatal(err)
		}
		w := ask(a, "POST", "/invocations", string(body))
		if got := read[Prediction](t, w); w.Code != 200 || !slices.Equal(got.Predictions, want.Predictions) || got.ModelVersion != want.ModelVersion {
			t.Errorf("%s: %d %s, /v1/predict says %v", c.name, w.Code, w.Body, want.Predictions)
		}
	}
	text := strings.Join(names, ",") + "\n" + strings.Join(cells, ",") + "\n"
	w := ask(a, "POST", "/invocations", text, "Content-Type", "text/csv; charset=utf-8")
	if got := read[Prediction](t, w); w.Code != 200 || !slices.Equal(got.Predictions, want.Predictions) {
		t.Errorf("CSV: %d %s, /v1/predict says %v", w.Code, w.Body, want.Predictions)
	}
	for _, path := range []string{modelPath + "/infer", strings.ReplaceAll(versionPath, "{version}", "kc-1") + "/infer"} {
		w := ask(a, "POST", path, tensorsBody(t, "98115"))
		got := read[InferenceResponse](t, w)
		got.Parameters.ProcessingTimeMS = 0
		wantTensors := InferenceResponse{ModelName: "housing", ModelVersion: want.ModelVersion, ID: "order-17",
			Outputs: []PriceTensor{{Name: "price", Shape: []int{1}, Datatype: "FP64", Data: want.Predictions}}}
		if diff := cmp.Diff(wantTensors, got); w.Code != 200 || diff != "" {
			t.Errorf("%s: %d\n%s", path, w.Code, diff)
		}
		if version := w.Header().Get("X-Model-Version"); version != want.ModelVersion {
			t.Errorf("%s: X-Model-Version is %q", path, version)
		}
	}
}

func TestWhatAnInferenceSaysBesidePrices(t *testing.T) {
	journal := new(noted)
	a := newAPI(t, func(s *setup) { s.Journal = journal })
	w := ask(a, "POST", modelPath+"/infer", tensorsBody(t, "00501"))
	p := read[InferenceResponse](t, w).Parameters
	if len(journal.predictions) != 1 || p.PredictionID != string(journal.predictions[0].ID.Append(nil)) || p.UnknownZipcodes != "0" || p.ProcessingTimeMS <= 0 {
		t.Errorf("%s, noted %d", w.Body, len(journal.predictions))
	}
}

// TestErrorsOfInferenceAreForItsClients reads them as a client of the protocol
// does, which knows the member error alone, and as one of problems.
func TestErrorsOfInferenceAreForItsClients(t *testing.T) {
	a := newAPI(t, nil)
	without := newAPI(t, func(s *setup) { s.noModel = true })
	draining := newAPI(t, nil)
	draining.Drain()
	body := tensorsBody(t, "98115")
	for _, c := range []struct {
		name         string
		api          *API
		method, path string
		body         string
		status       int
		want         string
	}{
		{"fault", a, "POST", modelPath + "/infer", strings.Replace(body, "2220", "12", 1), 422, "the body has 1 fault: body.inputs[2].data[0]: sqft_living must be at least 100, is 12"},
		{"many faults", a, "POST", modelPath + "/infer", `{"inputs":[` + strings.Repeat("7,", 299) + `7]}`, 422, "the body has 300 faults: body.inputs[0]: must be an object with name, shape, datatype and data, is 7; " +
			"body.inputs[1]: must be an object with name, shape, datatype and data, is 7; body.inputs[2]: must be an object with name, shape, datatype and data, is 7; and 297 more"},
		{"syntax", a, "POST", modelPath + "/infer", "{", 400, "not JSON at byte 1: it ends too early"},
		{"version", a, "POST", modelPath + "/versions/none/infer", body, 404, "there is no such model version; /v1/models lists those there are"},
		{"version's readiness", a, "GET", modelPath + "/versions/none/ready", "", 404, "there is no such model version; /v1/models lists those there are"},
		{"model", a, "GET", inferencePath + "/models/flats", "", 404, "the only model is housing, at /v2/models/housing"},
		{"path", a, "GET", inferencePath + "/repository", "", 404, "there is nothing at this path; /docs lists what there is"},
		{"method", a, "GET", modelPath + "/infer", "", 405, "this path does not take this method; the Allow header lists those it takes"},
		{"no model", without, "POST", modelPath + "/infer", body, 503, "no model is running"},
		{"no model's readiness", without, "GET", modelPath + "/ready", "", 503, "no model is running"},
		{"no model at all", without, "GET", inferencePath + "/health/ready", "", 503, "no model is running"},
		{"stopping", draining, "GET", inferencePath + "/health/ready", "", 503, "the service is stopping"},
	} {
		w := ask(c.api, c.method, c.path, c.body)
		p := read[struct {
			Error, Detail string
			Status        int
		}](t, w)
		if w.Code != c.status || p.Error != c.want || p.Status != c.status || p.Detail == "" {
			t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
		}
		if kind := w.Header().Get("Content-Type"); kind != "application/problem+json" {
			t.Errorf("%s: %s", c.name, kind)
		}
	}
	w := ask(a, "POST", modelPath+"/infer", body+"\x00", "Inference-Header-Content-Length", fmt.Sprint(len(body)))
	if w.Code != 415 || !strings.Contains(w.Body.String(), `"error":"tensors in binary are not read`) {
		t.Errorf("binary: %d %s", w.Code, w.Body)
	}
	if w := ask(a, "POST", "/v1/predict", "{"); strings.Contains(w.Body.String(), `"error":`) {
		t.Errorf("/v1/predict: %s", w.Body)
	}
}

func TestFaultsOfInvocations(t *testing.T) {
	a := newAPI(t, nil)
	for _, c := range []struct {
		name, body, media string
		status            int
		want              string
	}{
		{"frame", `{"instances":[{"bedrooms":3}]}`, mediaJSON, 422, `"location":"body.instances[0].zipcode","message":"is required"`},
		{"no frame", "[1,2]", mediaJSON, 422, "must be an object with one of dataframe_split, dataframe_records, instances and inputs"},
		{"columns in CSV", "bedrooms,grade\n3,8\n", mediaCSV, 422, `"location":"body:1: column zipcode","message":"is required"`},
		{"CSV without a header", "3,2.5,98115\n", mediaCSV, 400, "body:1: the first line must name the columns, such as bedrooms"},
		{"a house in CSV", "bedrooms,bathrooms,sqft_living,sqft_lot,floors,sqft_above,sqft_basement,zipcode\n3,2.5,12,6380,1.5,1660,560,98115\n", mediaCSV, 422,
			`"location":"body:2: column sqft_living","message":"must be at least 100","value":12`},
		{"JSON said to be CSV", `{"instances":[]}`, mediaCSV, 400, "body:1: not CSV"},
		{"CSV of another charset", "bedrooms\n3\n", "text/csv; charset=latin1", 415, "the body must be in UTF-8"},
		{"another type", "3", "application/x-npy", 415, "the body must be application/json or text/csv"},
	} {
		w := ask(a, "POST", "/invocations", c.body, "Content-Type", c.media)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
		}
	}
	if w := ask(a, "POST", "/v1/predict", "bedrooms\n3\n", "Content-Type", mediaCSV); w.Code != 415 {
		t.Errorf("/v1/predict takes CSV: %d %s", w.Code, w.Body)
	}
}

func TestWhoMayInfer(t *testing.T) {
	a, good, sign := newGuarded(t, nil)
	other := "Bearer " + sign(goodClaims(auth.ModelsRead))
	body := tensorsBody(t, "98115")
	for _, c := range []struct{ method, path, body string }{
		{"GET", inferencePath, ""}, {"GET", modelPath, ""}, {"GET", modelPath + "/ready", ""},
		{"GET", modelPath + "/versions/kc-1", ""}, {"GET", modelPath + "/versions/kc-1/ready", ""},
		{"POST", modelPath + "/infer", body}, {"POST", modelPath + "/versions/kc-1/infer", body},
		{"POST", "/invocations", `{"dataframe_records":[` + string(exampleRecord()) + `]}`},
	} {
		for bearer, status := range map[string]int{"": 401, other: 403, good: 200} {
			if w := ask(a, c.method, c.path, c.body, "Authorization", bearer); w.Code != status {
				t.Errorf("%s %s: %d, want %d: %s", c.method, c.path, w.Code, status, w.Body)
			}
		}
	}
	for _, path := range []string{inferencePath + "/health/live", inferencePath + "/health/ready", "/ping"} {
		if w := ask(a, "GET", path, ""); w.Code != 200 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestEveryProtocolCountsAgainstTheLimit(t *testing.T) {
	for path, body := range map[string]string{modelPath + "/infer": tensorsBody(t, "98115"), "/invocations": `{"instances":[` + string(exampleRecord()) + `]}`} {
		a := limited(t, 1, nil)
		var got [2]*httptest.ResponseRecorder
		for i := range got {
			got[i] = ask(a, "POST", path, body)
		}
		if got[0].Code != 200 || got[1].Code != 429 || got[1].Header().Get("Retry-After") == "" {
			t.Errorf("%s: %d and %d %s", path, got[0].Code, got[1].Code, got[1].Body)
		}
	}
}

// TestWhatCannotBeReadCountsToo, as it costs a body all the same.
func TestWhatCannotBeReadCountsToo(t *testing.T) {
	a := limited(t, 1, nil)
	for _, status := range []int{415, 429} {
		if w := ask(a, "POST", modelPath+"/infer", "binary", "Inference-Header-Content-Length", "3"); w.Code != status {
			t.Errorf("%d %s, want %d", w.Code, w.Body, status)
		}
	}
}

func TestTheInferenceModelIsDescribed(t *testing.T) {
	a := newAPI(t, nil)
	m := read[InferenceModel](t, ask(a, "GET", modelPath, ""))
	types := map[string]string{}
	for _, tensor := range m.Inputs {
		types[tensor.Name] = tensor.Datatype
	}
	if m.Name != "housing" || !slices.Equal(m.Versions, []string{"kc-1"}) || len(m.Inputs) != house.NumFields+1 ||
		types["bedrooms"] != "INT64" || types["lat"] != "FP64" || types["zipcode"] != "BYTES" || types[house.DateField] != "BYTES" {
		t.Errorf("%+v", m)
	}
}

// TestTheRulesCountEveryRequestForPrices compares the routes that the rules for
// Prometheus take for requests for prices with those that are; the dashboards
// and autoscalers take the same, see TestAllCountTheSameRequests.
func TestTheRulesCountEveryRequestForPrices(t *testing.T) {
	rules, err := os.ReadFile("../../deploy/prometheus/rules/housing.yml")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`expr: sum\(rate\(http_requests_total\{method="POST",route=~"([^"]*)"`).FindSubmatch(rules)
	if found == nil {
		t.Fatal("the rules count no requests")
	}
	counted := regexp.MustCompile("^(" + string(found[1]) + ")$") // Prometheus matches the whole
	for _, r := range newAPI(t, nil).routes {
		if want := r.prices() || r.form; r.method == "POST" && counted.MatchString(r.path) != want {
			t.Errorf("%s: counted is %v, want %v", r.path, !want, want)
		}
	}
}
