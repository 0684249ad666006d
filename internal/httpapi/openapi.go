package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json/jsontext"

	"housing/internal/buildinfo"
	"housing/internal/house"
	"housing/internal/journal"
	"housing/internal/model"
	"housing/internal/valuer"
)

// documents are the descriptions of the service.
type documents struct {
	v31, v30 []byte // OpenAPI
	page     page

	year   int    // by which they bound years
	digest string // of the model that gave the examples; "" is none
	whole  bool   // it gave them all
	made   time.Time
}

// examplesAgain is when documents without all of their examples are made anew.
const examplesAgain = 10 * time.Second

func (a *API) openAPI31(x *exchange, _ *http.Request) error {
	d, err := a.documents()
	if err == nil {
		x.answer(http.StatusOK, valueJSON, d.v31)
	}
	return err
}

func (a *API) openAPI30(x *exchange, _ *http.Request) error {
	d, err := a.documents()
	if err == nil {
		x.answer(http.StatusOK, valueJSON, d.v30)
	}
	return err
}

// documents returns the descriptions of the service. They are made when they
// are first asked for, and anew where they have become untrue: in another year,
// with another model, and after one that could not give the examples.
func (a *API) documents() (*documents, error) {
	now, digest := a.Now().UTC(), ""
	if m := a.Valuer.Model(); m != nil {
		digest = m.Digest
	}
	a.described.Lock()
	defer a.described.Unlock()
	d := a.described.documents
	if d != nil && d.year == now.Year() && d.digest == digest && (d.whole || now.Sub(d.made) < examplesAgain) {
		return d, nil
	}
	d = &documents{year: now.Year(), digest: digest, made: now}
	if err := a.document(d); err != nil {
		return nil, err
	}
	a.described.documents = d
	return d, nil
}

// document writes the documents from the table of routes.
func (a *API) document(d *documents) (err error) {
	var answers map[*bodyDoc][]byte
	answers, d.whole = a.exampleAnswers()
	open := a.describe(answers)
	if d.v31, err = json.Marshal(open); err != nil {
		return fmt.Errorf("write OpenAPI 3.1: %w", err)
	}
	if d.v30, err = open.Downgrade(); err != nil {
		return fmt.Errorf("write OpenAPI 3.0: %w", err)
	}
	if d.v30, err = downgradeSchemas(d.v30); err != nil {
		return fmt.Errorf("write OpenAPI 3.0: %w", err)
	}
	if d.page, err = a.renderPage(answers); err != nil {
		return fmt.Errorf("write page of documents: %w", err)
	}
	return nil
}

// describe returns the OpenAPI 3.1 document.
func (a *API) describe(answers map[*bodyDoc][]byte) *huma.OpenAPI {
	const prefix = "#/components/schemas/"
	registry := huma.NewMapRegistry(prefix, huma.DefaultSchemaNamer)
	registry.RegisterTypeAlias(reflect.TypeFor[jsontext.Value](), reflect.TypeFor[any]())
	schemas := registry.Map()
	open := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title: "housing", Version: buildinfo.Version,
			Description: "Values houses with a model trained on real sales.",
			License:     &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
		},
		Paths:      map[string]*huma.PathItem{},
		Components: &huma.Components{Schemas: registry},
	}
	if a.Auth != nil {
		open.Components.SecuritySchemes = securitySchemes()
	}
	problemSchema := registry.Schema(reflect.TypeFor[Problem](), true, "")
	year := a.Now().UTC().Year()
	for i := range a.routes {
		r := &a.routes[i]
		if r.page {
			continue
		}
		op := &huma.Operation{
			OperationID: r.id, Summary: r.summary, Description: r.description, Tags: []string{r.tag},
			Parameters: []*huma.Param{{
				Name: "X-Request-ID", In: "header", Description: "Names the request in answers and logs; made if it is missing or not of this form.",
				Schema: &huma.Schema{Type: "string"},
			}},
			Responses: map[string]*huma.Response{},
		}
		if r.body != nil {
			a.describeBody(op, schemas, r.body, year)
		}
		if r.request != nil {
			op.RequestBody = &huma.RequestBody{
				Required: true, Description: fmt.Sprintf("At most %d bytes.", a.MaxBodyBytes),
				Content: map[string]*huma.MediaType{mediaJSON: {Schema: registry.Schema(r.request, true, ""), Example: json.RawMessage(r.example)}},
			}
			if r.prices() && len(pathParameters(r.path)) == 0 {
				op.Parameters = append(op.Parameters, choiceParameters()...)
			}
			if r.csv != "" {
				op.RequestBody.Content[mediaCSV] = &huma.MediaType{Example: r.csv,
					Schema: &huma.Schema{Type: "string", Description: "A table whose first line names the columns: fields of a house. An empty cell is an unknown value."}}
			}
		}
		for _, name := range pathParameters(r.path) {
			op.Parameters = append(op.Parameters, &huma.Param{Name: name, In: "path", Required: true, Schema: &huma.Schema{Type: "string"}})
		}
		for _, h := range r.headers {
			op.Parameters = append(op.Parameters, &huma.Param{Name: h.name, In: "header", Description: h.description, Schema: &huma.Schema{Type: "string"}})
		}
		for _, q := range r.queries {
			op.Parameters = append(op.Parameters, &huma.Param{Name: q.name, In: "query", Description: q.description, Schema: &huma.Schema{Type: "boolean"}})
		}
		good := &huma.Response{Description: http.StatusText(r.status), Headers: answerHeaders(r)}
		if r.media != "" {
			media := &huma.MediaType{Schema: &huma.Schema{Type: "string"}}
			switch {
			case r.answer != nil:
				media.Schema = registry.Schema(r.answer, true, "")
			case r.media == mediaJSON:
				media.Schema = &huma.Schema{Type: "object"}
			}
			if r.body != nil {
				media.Example = json.RawMessage(answers[r.body])
			}
			good.Content = map[string]*huma.MediaType{r.media: media}
		}
		op.Responses[strconv.Itoa(r.status)] = good
		for _, status := range r.answers {
			op.Responses[strconv.Itoa(status)] = &huma.Response{Description: http.StatusText(status), Headers: answerHeaders(nil), Content: good.Content}
		}
		if a.guarded(r) {
			op.Security = []map[string][]string{{securityScheme: {}}}
			op.Description += " The token needs the scope " + r.scope.String() + "."
		}
		for _, status := range a.problems(r) {
			op.Responses[strconv.Itoa(status)] = &huma.Response{
				Description: errorHelp(status, r.csv != ""), Headers: problemHeaders(status),
				Content: map[string]*huma.MediaType{"application/problem+json": {Schema: problemSchema}},
			}
		}
		item := open.Paths[r.path]
		if item == nil {
			item = &huma.PathItem{}
			open.Paths[r.path] = item
		}
		switch r.method {
		case http.MethodPost:
			item.Post = op
		case http.MethodPut:
			item.Put = op
		default:
			item.Get = op
		}
		if !slices.ContainsFunc(open.Tags, func(t *huma.Tag) bool { return t.Name == r.tag }) {
			open.Tags = append(open.Tags, &huma.Tag{Name: r.tag})
		}
	}
	return open
}

func (a *API) describeBody(op *huma.Operation, schemas map[string]*huma.Schema, b *bodyDoc, year int) {
	const prefix = "#/components/schemas/"
	if b.outcomes {
		a.describeOutcomes(op, schemas)
		return
	}
	schemas[b.schema] = &huma.Schema{Extensions: house.Schema(b.required, b.allowed, year)}
	one, most := 1, a.MaxRecords
	request := b.schema + "Request"
	schemas[request] = &huma.Schema{
		Type: huma.TypeObject, Required: []string{"records"}, AdditionalProperties: false,
		Properties: map[string]*huma.Schema{"records": {
			Type: huma.TypeArray, MinItems: &one, MaxItems: &most, Items: &huma.Schema{Ref: prefix + b.schema},
			Description: "The houses.",
		}},
	}
	op.RequestBody = &huma.RequestBody{
		Required: true, Description: fmt.Sprintf("At most %d bytes.", a.MaxBodyBytes),
		Content: map[string]*huma.MediaType{mediaJSON: {
			Schema: &huma.Schema{Ref: prefix + request}, Example: json.RawMessage(exampleBody(b)),
		}},
	}
	op.Parameters = append(op.Parameters, choiceParameters()...)
	if b.valuations {
		least, greatest := model.LeastLevel, model.GreatestLevel
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: "interval", In: "query", Description: "How often sale prices are to lie from low to high.",
			Schema: &huma.Schema{Type: "number", Minimum: &least, Maximum: &greatest, Default: model.DefaultLevel},
		})
	}
}

// choiceParameters describes how a request chooses who answers it.
func choiceParameters() []*huma.Param {
	text := &huma.Schema{Type: "string"}
	return []*huma.Param{
		{Name: "model_version", In: "query", Description: "Version, or alias of one, that must answer; 404 if there is no such version.", Schema: text},
		{Name: "canary", In: "header", Description: "true asks for the candidate of the traffic plan, if there is one.", Schema: text},
	}
}

// pathParameters returns the names that stand in braces in a path.
func pathParameters(path string) (names []string) {
	for part := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			names = append(names, strings.TrimSuffix(name, "}"))
		}
	}
	return names
}

// answerHeaders describes the headers of an answer.
func answerHeaders(r *route) map[string]*huma.Param {
	text := &huma.Schema{Type: "string"}
	headers := map[string]*huma.Param{"X-Request-ID": {Description: "Names the request.", Schema: text}}
	if r != nil && (r.prices() || r.id == "modelInfo") {
		headers["X-Model-Version"] = &huma.Param{Description: "Version of the model that answered.", Schema: text}
	}
	return headers
}

// errorHelp says when a problem with this status is the answer of a route, which
// may take CSV.
func errorHelp(status int, csv bool) string {
	switch {
	case !csv:
	case status == http.StatusBadRequest:
		return "The body is neither JSON nor CSV, whichever it is said to be, or the query cannot be read."
	case status == http.StatusUnsupportedMediaType:
		return "The body is neither application/json nor text/csv in UTF-8, or has a Content-Encoding."
	case status == http.StatusUnprocessableEntity:
		return "The body is a table that breaks the schema; errors lists every fault, the first 100 of them."
	}
	switch status {
	case http.StatusBadRequest:
		return "The body is not JSON, or the query cannot be read."
	case http.StatusUnauthorized:
		return "There is no token, or it is not good; WWW-Authenticate says which."
	case http.StatusForbidden:
		return "The token is good and lacks the scope."
	case http.StatusNotFound:
		return "There is no such model version."
	case http.StatusConflict:
		return "The service has no registry whose plan could be changed, or no journal that could take outcomes; or someone else changed the plan at the same moment."
	case http.StatusPreconditionFailed:
		return "The plan is another than If-Match names."
	case http.StatusRequestTimeout:
		return "The body did not arrive in time."
	case http.StatusRequestEntityTooLarge:
		return "The body is too large."
	case http.StatusUnsupportedMediaType:
		return "The body is not application/json in UTF-8, or has a Content-Encoding."
	case http.StatusUnprocessableEntity:
		return "The body is JSON but breaks the schema; errors lists every fault, the first 100 of them."
	case http.StatusServiceUnavailable:
		return "There is no model or no PostgreSQL that it needs, too much to do, or the service is stopping; Retry-After says when to try again."
	}
	return "Something went wrong here; the request ID finds it in the log."
}

// exampleHouse returns the house that examples ask for.
func exampleHouse(b *bodyDoc) house.House {
	h := house.Example()
	for f := range house.Field(house.NumFields) {
		if !b.allowed.Has(f) {
			h.Values[f] = house.Unknown().Values[f]
		}
	}
	return h
}

// exampleBody returns a body that can be sent as it is.
func exampleBody(b *bodyDoc) []byte {
	if b.outcomes {
		return []byte(exampleOutcomes)
	}
	h := exampleHouse(b)
	return append(house.AppendJSON([]byte(`{"records":[`), &h), "]}"...)
}

// exampleAnswers returns what is answered to the exampleBody of each route,
// and whether the running model could.
func (a *API) exampleAnswers() (answers map[*bodyDoc][]byte, whole bool) {
	answers, whole = map[*bodyDoc][]byte{}, true
	for i := range a.routes {
		body := a.routes[i].body
		if body == nil {
			continue
		}
		answer := a.exampleAnswer(body)
		if answer == nil {
			answer, whole = []byte("null"), false
		}
		answers[body] = answer
	}
	return answers, whole
}

// exampleAnswer returns what the running model answers to exampleBody, or nil
// where it cannot.
func (a *API) exampleAnswer(b *bodyDoc) []byte {
	if b.outcomes {
		return []byte(exampleRecorded)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	houses := []house.House{exampleHouse(b)}
	var text []byte
	if b.valuations {
		valuations, answer, err := a.Valuer.Appraise(ctx, nil, houses, valuer.Choice{}, model.DefaultLevel)
		if err != nil {
			return nil
		}
		text = appendValuations(nil, houses, valuations, &answer, time.Millisecond)
	} else {
		answer, err := a.Valuer.Value(ctx, nil, houses, valuer.Choice{})
		if err != nil {
			return nil
		}
		text = appendAnswer(nil, &answer, 200*time.Microsecond)
	}
	if a.Journal != nil {
		text = appendPredictionID(text, journal.NewID(time.Unix(exampleTime, 0)))
	}
	return bytes.TrimSpace(text)
}

// downgradeSchemas finishes what the library's step down to OpenAPI 3.0
// leaves: there, null is a property of a schema and const is unknown.
func downgradeSchemas(document []byte) ([]byte, error) {
	var v any
	if err := json.Unmarshal(document, &v); err != nil {
		return nil, err
	}
	downgradeSchema(v)
	return json.Marshal(v)
}

func downgradeSchema(v any) {
	switch v := v.(type) {
	case []any:
		for _, member := range v {
			downgradeSchema(member)
		}
	case map[string]any:
		if constant, ok := v["const"]; ok {
			v["enum"] = []any{constant}
			delete(v, "const")
		}
		if choices, ok := v["oneOf"].([]any); ok {
			rest := slices.DeleteFunc(choices, func(choice any) bool {
				schema, ok := choice.(map[string]any)
				return ok && schema["type"] == "null"
			})
			first, ok := rest[0].(map[string]any)
			if ok && len(rest) < len(choices) {
				first["nullable"] = true // counts only beside a type
			}
			v["oneOf"] = rest
			if ok && len(rest) == 1 {
				delete(v, "oneOf")
				maps.Copy(v, first)
			}
		}
		if license, ok := v["license"].(map[string]any); ok {
			delete(license, "identifier")
		}
		for _, member := range v {
			downgradeSchema(member)
		}
	}
}
