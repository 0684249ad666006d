package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"housing/internal/bundle"
	"housing/internal/house"
	"housing/internal/model"
	"housing/internal/valuer"
)

// openAPI is as much of a document as the tests look at.
type openAPI struct {
	OpenAPI string
	Info    struct{ Title, Version string }
	Paths   map[string]map[string]struct {
		OperationID, Summary string
		Parameters           []struct{ Name, In string }
		RequestBody          *struct {
			Required bool
			Content  map[string]struct {
				Schema  map[string]any
				Example json.RawMessage
			}
		}
		Responses map[string]struct {
			Description string
			Content     map[string]struct {
				Schema  map[string]any
				Example json.RawMessage
			}
		}
	}
	Components struct{ Schemas map[string]map[string]any }
}

func TestTheDocumentsAreWhole(t *testing.T) {
	a := newAPI(t, nil)
	for path, version := range map[string]string{"/openapi.json": "3.1.0", "/openapi-3.0.json": "3.0.3"} {
		w := ask(a, "GET", path, "")
		d := read[openAPI](t, w)
		if d.OpenAPI != version || d.Info.Title == "" || d.Info.Version == "" {
			t.Errorf("%s: %s %+v", path, d.OpenAPI, d.Info)
		}
		var whole any
		if err := json.Unmarshal(w.Body.Bytes(), &whole); err != nil {
			t.Fatal(err)
		}
		walk(whole, func(m map[string]any) {
			if ref, ok := m["$ref"].(string); ok {
				name, found := strings.CutPrefix(ref, "#/components/schemas/")
				if _, ok := d.Components.Schemas[name]; !found || !ok {
					t.Errorf("%s: %s leads nowhere", path, ref)
				}
			}
			if required, ok := m["required"].([]any); ok {
				for _, name := range required {
					if properties, _ := m["properties"].(map[string]any); properties[fmt.Sprint(name)] == nil {
						t.Errorf("%s: %v is required and not described", path, name)
					}
				}
			}
			if pattern, ok := m["pattern"].(string); ok {
				if _, err := regexp.Compile(pattern); err != nil {
					t.Errorf("%s: %v", path, err)
				}
			}
			if version == "3.0.3" {
				if _, ok := m["const"]; ok || m["type"] == "null" {
					t.Errorf("%s: %v is not of OpenAPI 3.0", path, m)
				}
				if _, list := m["type"].([]any); list {
					t.Errorf("%s: a list of types is not of OpenAPI 3.0: %v", path, m)
				}
			}
		})
		ids := map[string]bool{}
		for route, item := range d.Paths {
			for method, op := range item {
				if op.OperationID == "" || ids[op.OperationID] || op.Summary == "" || len(op.Responses) == 0 {
					t.Errorf("%s: %s %s is not whole", path, method, route)
				}
				ids[op.OperationID] = true
				for status, answer := range op.Responses {
					if answer.Description == "" {
						t.Errorf("%s: %s %s: %s has no description", path, method, route, status)
					}
					if _, ok := answer.Content["application/problem+json"]; !ok && status >= "400" && route != "/health" && route != "/ping" {
						t.Errorf("%s: %s %s: %s is no problem", path, method, route, status)
					}
				}
			}
		}
	}
}

func walk(v any, visit func(map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		visit(v)
		for _, member := range v {
			walk(member, visit)
		}
	case []any:
		for _, member := range v {
			walk(member, visit)
		}
	}
}

func TestEveryRouteIsDescribedAndEveryDescriptionIsServed(t *testing.T) {
	a := newAPI(t, nil)
	d := read[openAPI](t, ask(a, "GET", "/openapi.json", ""))
	var served, described []string
	for _, r := range a.routes {
		if !r.page { // pages are for people
			served = append(served, strings.ToLower(r.method)+" "+r.path)
		}
	}
	for path, item := range d.Paths {
		for method := range item {
			described = append(described, method+" "+path)
		}
	}
	slices.Sort(served)
	slices.Sort(described)
	if !slices.Equal(served, described) {
		t.Errorf("served %q, described %q", served, described)
	}
	for _, route := range served {
		method, path, _ := strings.Cut(route, " ")
		path = strings.ReplaceAll(path, "{version}", a.Valuer.Model().Manifest.Version)
		if w := ask(a, strings.ToUpper(method), path, ""); w.Code == 404 || w.Code == 405 {
			t.Errorf("%s: %d", route, w.Code)
		}
	}
}

// TestEveryDescribedStatusIsReachable brings each status about that the
// document names, and none beside them.
func TestEveryDescribedStatusIsReachable(t *testing.T) {
	a := newAPI(t, nil)
	without := newAPI(t, func(s *setup) {
		s.noModel = true
		s.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	})
	broken := newAPI(t, func(s *setup) {
		s.model.Pricer = pricer(func([]float64, []house.House) []float64 { panic("a mistake") })
	})
	planned, away := newPlanned(t), newPlanned(t)
	if err := os.RemoveAll(away.folder); err != nil {
		t.Fatal(err)
	}
	damaged := newPlanned(t)
	for _, name := range []string{"rollout.json", "kc-1/bundle.sha256"} {
		if err := os.WriteFile(filepath.Join(damaged.folder, name), []byte("damaged"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	planned.Journal = new(noted)
	failing := newAPI(t, func(s *setup) { s.Journal = &noted{fails: errors.New("a mistake")} })
	cut := newAPI(t, func(s *setup) { s.Journal = &noted{fails: io.ErrUnexpectedEOF} })
	exhausted := limited(t, 1, nil)
	ask(exhausted, "POST", "/v1/predict", "{}")
	d := read[openAPI](t, ask(a, "GET", "/openapi.json", ""))
	for path, item := range d.Paths {
		for method, op := range item {
			var example, media string
			if op.RequestBody != nil {
				example, media = string(op.RequestBody.Content["application/json"].Example), "application/json"
			}
			method = strings.ToUpper(method)
			seen := map[string]bool{}
			reach := func(w *httptest.ResponseRecorder) {
				status := fmt.Sprint(w.Code)
				seen[status] = true
				answer, ok := op.Responses[status]
				if !ok {
					t.Errorf("%s %s answers %s, which is not described: %s", method, path, status, w.Body)
					return
				}
				kind, _, _ := strings.Cut(w.Header().Get("Content-Type"), ";")
				described := slices.Collect(maps.Keys(answer.Content))
				if len(described) > 0 && !slices.ContainsFunc(described, func(m string) bool { return strings.HasPrefix(m, kind) }) {
					t.Errorf("%s %s %s is %s, described is %s", method, path, status, kind, described)
				}
			}
			for _, api := range []*API{a, without, broken, exhausted, failing, cut} {
				reach(ask(api, method, path, example))
			}
			path := strings.ReplaceAll(path, "{version}", "kc-1")
			for _, api := range []*API{without, broken} {
				reach(ask(api, method, path, example))
			}
			reach(ask(a, method, path+"?drift=perhaps", example))
			for _, api := range []*API{planned.API, away.API, damaged.API} {
				reach(local(api, method, path, example))
			}
			if media != "" {
				reach(local(planned.API, method, path, "{"))
				reach(local(planned.API, method, path, "{}"))
				reach(local(planned.API, method, path, strings.Repeat(" ", 2<<20)))
				reach(local(planned.API, method, path, example, "Content-Type", "text/csv"))
				reach(local(planned.API, method, path, example, "Content-Type", "text/plain"))
				reach(local(planned.API, method, path, example, "If-Match", `"another"`))
				reach(local(without, method, path, example))
				reach(ask(a, method, path+"?model_version=none", example))
				slow := httptest.NewRequest(method, path, iotest.ErrReader(os.ErrDeadlineExceeded))
				slow.RemoteAddr, slow.Host = "127.0.0.1:1", "127.0.0.1:8000"
				w := &deadlined{httptest.NewRecorder()}
				planned.Handler().ServeHTTP(w, slow)
				reach(w.ResponseRecorder)
			}
			for status := range op.Responses {
				if !seen[status] {
					t.Errorf("%s %s: %s is described and was not reached", method, path, status)
				}
			}
		}
	}
}

// deadlined is a writer whose time can be set, as a connection's can.
type deadlined struct{ *httptest.ResponseRecorder }

func (d *deadlined) SetWriteDeadline(time.Time) error { return nil }

func TestTheExamplesAreTrue(t *testing.T) {
	a := newAPI(t, func(s *setup) { s.Journal = new(noted) })
	d := read[openAPI](t, ask(a, "GET", "/openapi.json", ""))
	for _, path := range []string{modelPath + "/infer", versionPath + "/infer", "/invocations"} {
		example := d.Paths[path]["post"].RequestBody.Content["application/json"].Example
		if w := ask(a, "POST", strings.ReplaceAll(path, "{version}", "kc-1"), string(example)); w.Code != 200 {
			t.Errorf("%s: the example is answered %d: %s", path, w.Code, w.Body)
		}
	}
	for _, path := range []string{"/v1/predict", "/v1/predict-minimal", "/v1/valuations", "/v1/outcomes"} {
		op := d.Paths[path]["post"]
		if w := ask(a, "POST", path, string(op.RequestBody.Content["application/json"].Example)); w.Code != 200 {
			t.Errorf("%s: the example is answered %d: %s", path, w.Code, w.Body)
		}
		var example, answer map[string]any
		if err := json.Unmarshal(op.Responses["200"].Content["application/json"].Example, &example); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(ask(a, "POST", path, string(op.RequestBody.Content["application/json"].Example)).Body.Bytes(), &answer); err != nil {
			t.Fatal(err)
		}
		if got, want := slices.Sorted(maps.Keys(example)), slices.Sorted(maps.Keys(answer)); !slices.Equal(got, want) {
			t.Errorf("%s: the example has %q, an answer %q", path, got, want)
		}
	}
}

// TestTheDocumentsStayTrue asks for them before there is a model, and in another
// year.
func TestTheDocumentsStayTrue(t *testing.T) {
	now := time.Date(2026, 12, 31, 23, 0, 0, 0, time.UTC)
	a := newAPI(t, func(s *setup) {
		s.noModel = true
		s.Now = func() time.Time { return now }
	})
	look := func(newest int) (example string) {
		w := ask(a, "GET", "/openapi.json", "")
		if want := fmt.Sprintf(`"maximum":%d`, newest); !strings.Contains(w.Body.String(), want) {
			t.Errorf("at %v nothing has %s", now, want)
		}
		op := read[openAPI](t, w).Paths["/v1/predict"]["post"]
		return string(op.Responses["200"].Content["application/json"].Example)
	}
	if example := look(2027); example != "null" {
		t.Errorf("without a model the example is %s", example)
	}
	b, err := bundle.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := a.Valuer.Use(valuer.FromBundle(b), time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if example := look(2027); !strings.Contains(example, "predictions") {
		t.Errorf("with a model the example is %s", example)
	}
	now = now.Add(2 * time.Hour)
	look(2028)
}

func TestAnswersHaveTheMembersThatAreDescribed(t *testing.T) {
	a := newAPI(t, func(s *setup) {
		s.Journal = &noted{unmatched: []int{0}}
		s.model.Manifest.Segments = []model.Segment{{By: model.ByZipcode, Name: "98115", Sales: 500}}
	})
	d := read[openAPI](t, ask(a, "GET", "/openapi.json", ""))
	for _, c := range []struct{ schema, method, path, body string }{
		{"Prediction", "POST", "/v1/predict-minimal", strings.Replace(minimalBody, "98115", "00501", 1)},
		{"Recorded", "POST", "/v1/outcomes", exampleOutcomes},
		{"ModelInfo", "GET", "/v1/model-info?drift=true", ""},
		{"Health", "GET", "/health", ""},
		{"Problem", "POST", modelPath + "/infer", `{"inputs":[]}`},
		{"InferenceServer", "GET", inferencePath, ""},
		{"InferenceLive", "GET", inferencePath + "/health/live", ""},
		{"InferenceReady", "GET", inferencePath + "/health/ready", ""},
		{"InferenceModel", "GET", modelPath, ""},
		{"InferenceModelReady", "GET", modelPath + "/ready", ""},
		{"InferenceResponse", "POST", modelPath + "/infer", `{"id":"a",` + string(exampleTensors()[1:])},
	} {
		answer := read[map[string]any](t, ask(a, c.method, c.path, c.body))
		properties, _ := d.Components.Schemas[c.schema]["properties"].(map[string]any)
		if got, want := slices.Sorted(maps.Keys(answer)), slices.Sorted(maps.Keys(properties)); !slices.Equal(got, want) {
			t.Errorf("%s has %q, described is %q", c.schema, got, want)
		}
	}
}

func TestThePageNeedsNothingFromOutside(t *testing.T) {
	a := newAPI(t, nil)
	w := ask(a, "GET", "/docs", "")
	policy, text := w.Header().Get("Content-Security-Policy"), w.Body.String()
	if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		t.Fatalf("%d %s", w.Code, w.Header())
	}
	if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
	for _, outside := range []string{"<script", "<link", "<img", "src=", "@import", "url(", "style=", "https://"} {
		if strings.Contains(text, outside) {
			t.Errorf("the page has %s", outside)
		}
	}
	for _, r := range a.routes {
		if !r.page && r.tag != "Documents" && !strings.Contains(text, `id="`+r.id+`"`) {
			t.Errorf("the page lacks %s", r.path)
		}
	}
	for _, s := range house.Fields() {
		if !strings.Contains(text, "<code>"+s.Name+"</code>") {
			t.Errorf("the page lacks the field %s", s.Name)
		}
	}
	if strings.Contains(text, "<dd></dd>") {
		t.Error("a member has no help")
	}
}

func TestTheCommandToTryWorksAsPasted(t *testing.T) {
	_, rest, _ := strings.Cut(ExampleCurl("127.0.0.1:8000"), "http://127.0.0.1:8000")
	path, rest, _ := strings.Cut(rest, " ")
	_, body, _ := strings.Cut(rest, "-d '")
	if w := ask(newAPI(t, nil), "POST", path, strings.TrimSuffix(body, "'")); w.Code != 200 {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
}
