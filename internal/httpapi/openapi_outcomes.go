package httpapi

import (
	"encoding/json"
	"fmt"

	"github.com/danielgtaylor/huma/v2"

	"housing/internal/journal"
)

// Examples of outcomes.
const (
	exampleTime     = 1431129600 // 2015-05-09
	exampleOutcomes = `{"outcomes":[{"prediction_id":"014d3625-6000-7abc-9def-0123456789ab","record":0,"sale_price":512000,"sale_date":"2015-05-01"}]}`
	exampleRecorded = `{"recorded":1,"known":0,"corrected":0,"unmatched":0}`
)

// outcomeHelp says what the fields of an outcome are, in their order, and what
// stands in each.
var outcomeHelp = []struct{ help, allowed, unit, example string }{
	{"prediction_id of the answer with the price.", "8-4-4-4-12 hexadecimal digits", "", "014d3625-6000-7abc-9def-0123456789ab"},
	{"Index of the house in that request, from 0.", "0 to 99,999", "", "0"},
	{"What the house sold for.", "above 0, to 1,000,000,000", "US dollars", "512000"},
	{"Day of the sale.", "1900 to today", "", "2015-05-01"},
}

// describeOutcomes describes the body of /v1/outcomes.
func (a *API) describeOutcomes(op *huma.Operation, schemas map[string]*huma.Schema) {
	const prefix = "#/components/schemas/"
	one, most, zero, record, price := 1, journal.MaxOutcomes, 0.0, float64(maxRecordIndex), float64(maxSalePrice)
	fields := []*huma.Schema{
		{Type: huma.TypeString, Pattern: "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[78][0-9A-Fa-f]{3}-[89ABab][0-9A-Fa-f]{3}-[0-9A-Fa-f]{12}$"},
		{Type: huma.TypeInteger, Minimum: &zero, Maximum: &record},
		{Type: huma.TypeNumber, ExclusiveMinimum: &zero, Maximum: &price},
		{Type: huma.TypeString, Format: "date"},
	}
	outcome := &huma.Schema{Type: huma.TypeObject, AdditionalProperties: false, Properties: map[string]*huma.Schema{}}
	for i, field := range outcomeFields {
		fields[i].Description = outcomeHelp[i].help
		outcome.Properties[field.name] = fields[i]
		outcome.Required = append(outcome.Required, field.name)
	}
	schemas["Outcome"] = outcome
	schemas["OutcomesRequest"] = &huma.Schema{
		Type: huma.TypeObject, Required: []string{"outcomes"}, AdditionalProperties: false,
		Properties: map[string]*huma.Schema{"outcomes": {
			Type: huma.TypeArray, MinItems: &one, MaxItems: &most, Items: &huma.Schema{Ref: prefix + "Outcome"}, Description: "The sales.",
		}},
	}
	op.RequestBody = &huma.RequestBody{
		Required: true, Description: fmt.Sprintf("At most %d bytes.", a.MaxBodyBytes),
		Content: map[string]*huma.MediaType{mediaJSON: {
			Schema: &huma.Schema{Ref: prefix + "OutcomesRequest"}, Example: json.RawMessage(exampleOutcomes),
		}},
	}
}

// outcomeFieldsOfPage returns the fields of an outcome for the page.
func outcomeFieldsOfPage() (fields []pageField) {
	for i, field := range outcomeFields {
		h := outcomeHelp[i]
		fields = append(fields, pageField{Name: field.name, Unit: h.unit, Range: h.allowed, Help: h.help, Example: h.example, Required: true})
	}
	return fields
}
