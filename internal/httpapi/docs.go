package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"housing/internal/house"
)

//go:embed docs.css
var pageStyle string

// page is the page at /docs with the policy that lets its style in and
// nothing else.
type page struct {
	body   []byte
	policy string
}

var valueHTML = []string{mediaHTML}

// addressOfDocs stands in the page where the address of the service comes.
const addressOfDocs = "http://address.invalid"

func (a *API) docs(x *exchange, r *http.Request) error {
	d, err := a.documents()
	if err != nil {
		return err
	}
	x.setPageHeaders(d.page.policy)
	x.answer(http.StatusOK, valueHTML, bytes.ReplaceAll(d.page.body, []byte(addressOfDocs), []byte(address(r))))
	return nil
}

// pageContent is what docs.templ shows.
type pageContent struct {
	Tags         []string
	Operations   []pageOperation
	MaxRecords   int
	MaxBodyBytes int64
}

// pageOperation is one route on the page.
type pageOperation struct {
	ID, Method, Path, Tag, Summary, Description string

	Scope string // that a token must have; "" asks for none

	Fields    []pageField
	Body, Out string
	Members   []pageMember
	Errors    []pageError
}

// curl returns a command to try the route with.
func (op *pageOperation) curl() string {
	command := "curl -s " + addressOfDocs + op.Path
	if op.Method == http.MethodPut {
		command = "curl -s -X PUT " + addressOfDocs + op.Path
	}
	header := ` -H "Authorization: Bearer $TOKEN"`
	switch {
	case op.Body == "" && op.Scope == "":
		return command
	case op.Body == "":
		return command + header
	case op.Scope != "":
		command += " \\\n " + header
	}
	return command + " \\\n  -H 'Content-Type: application/json' \\\n  -d '" + op.Body + "'"
}

type pageField struct {
	Name, Unit, Range, Help, Example string
	Required                         bool
}

type pageMember struct{ Name, Help string }

type pageError struct {
	Status     int
	Text, Help string
}

// renderPage makes the page from the table of routes.
func (a *API) renderPage(answers map[*bodyDoc][]byte) (page, error) {
	year := a.Now().UTC().Year()
	var operations []pageOperation
	var tags []string
	for i := range a.routes {
		r := &a.routes[i]
		if r.page || r.tag == "Documents" {
			continue
		}
		if len(tags) == 0 || tags[len(tags)-1] != r.tag {
			tags = append(tags, r.tag)
		}
		op := pageOperation{ID: r.id, Method: r.method, Path: r.path, Tag: r.tag, Summary: r.summary, Description: r.description}
		if a.guarded(r) {
			op.Scope = r.scope.String()
		}
		if r.body != nil {
			op.Fields = pageFields(r.body, year)
			var err error
			if op.Body, err = spaced(exampleBody(r.body)); err != nil {
				return page{}, err
			}
			if op.Out, err = indented(answers[r.body]); err != nil {
				return page{}, err
			}
		}
		if r.example != "" {
			var err error
			if op.Body, err = spaced([]byte(r.example)); err != nil {
				return page{}, err
			}
		}
		if r.answer != nil {
			for i := range r.answer.NumField() {
				field := r.answer.Field(i)
				op.Members = append(op.Members, pageMember{jsonName(field.Tag.Get("json")), field.Tag.Get("doc")})
			}
		}
		for _, status := range a.problems(r) {
			op.Errors = append(op.Errors, pageError{status, http.StatusText(status), errorHelp(status, r.csv != "")})
		}
		operations = append(operations, op)
	}
	var body bytes.Buffer
	content := &pageContent{Tags: tags, Operations: operations, MaxRecords: a.MaxRecords, MaxBodyBytes: a.MaxBodyBytes}
	if err := docsPage(content).Render(context.Background(), &body); err != nil {
		return page{}, err
	}
	digest := sha256.Sum256([]byte(pageStyle))
	policy := fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		base64.StdEncoding.EncodeToString(digest[:]))
	return page{body.Bytes(), policy}, nil
}

const problemSample = `{
  "type": "about:blank",
  "title": "Unprocessable Entity",
  "status": 422,
  "detail": "the body has 1 fault",
  "errors": [
    {
      "location": "body.records[3].sqft_living",
      "message": "must be at least 100",
      "value": 12
    }
  ]
}`

func pageFields(b *bodyDoc, year int) []pageField {
	if b.outcomes {
		return outcomeFieldsOfPage()
	}
	var fields []pageField
	for _, s := range house.Fields() {
		if !b.allowed.Has(s.Field) {
			continue
		}
		least, greatest := s.Range(year)
		f := pageField{
			Name: s.Name, Unit: s.Unit, Help: s.Help, Required: b.required.Has(s.Field),
			Range: number(least) + " to " + number(greatest), Example: strconv.FormatFloat(s.Example, 'f', -1, 64),
		}
		switch s.Kind {
		case house.ZIP:
			f.Range = "five digits"
		case house.Year, house.YearOrZero:
			f.Range, f.Unit = fmt.Sprintf("%.0f to %.0f", least, greatest), ""
			if s.Kind == house.YearOrZero {
				f.Range = "0, or " + f.Range
			}
		}
		fields = append(fields, f)
	}
	return append(fields, pageField{
		Name: house.DateField, Range: "1900 to 2199", Example: "2015-05-27",
		Help: "Day as of which the house is valued; without it, that of the newest sale the model was trained on.",
	})
}

// number writes a bound with commas between thousands.
func number(v float64) string {
	digits := strconv.FormatFloat(math.Abs(v), 'f', -1, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	if v < 0 {
		return "−" + digits
	}
	return digits
}

func indented(text []byte) (string, error) {
	v := jsontext.Value(bytes.Clone(text))
	if err := v.Indent(jsontext.WithIndent("  ")); err != nil {
		return "", err
	}
	return string(v), nil
}

// spaced breaks into lines where there is no room, unlike JSON without spaces.
func spaced(text []byte) (string, error) {
	v := jsontext.Value(bytes.Clone(text))
	if err := v.Format(jsontext.SpaceAfterComma(true), jsontext.SpaceAfterColon(true)); err != nil {
		return "", err
	}
	return string(v), nil
}

// jsonName returns the name in a json tag.
func jsonName(tag string) string {
	name, _, _ := strings.Cut(tag, ",")
	return name
}

// ExampleCurl returns a command that asks the service at an address for the
// price of a house, to be pasted into a shell.
func ExampleCurl(address string) string {
	body := exampleBody(&bodyDoc{allowed: house.MinimalFields})
	return fmt.Sprintf("curl -s http://%s/v1/predict-minimal -H 'Content-Type: application/json' -d '%s'", address, body)
}
