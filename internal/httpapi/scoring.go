package httpapi

import (
	"errors"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"housing/internal/auth"
	"housing/internal/house"
)

// The scoring protocol of MLflow's server, which SageMaker's containers speak
// too: /ping and /invocations. It takes what /v1/predict takes as pandas
// writes it, and answers the same.

// scoringRoutes returns the routes of MLflow's and SageMaker's protocol.
func (a *API) scoringRoutes() []route {
	const tag = "MLflow and SageMaker"
	return []route{
		{method: "GET", path: "/ping", handle: a.health, operation: operation{
			id: "ping", tag: tag, summary: "How the service is", description: "The same as /health.",
			status: http.StatusOK, media: mediaJSON, answer: reflect.TypeFor[Health](), answers: []int{http.StatusServiceUnavailable}, probe: true,
		}},
		{method: "POST", path: "/invocations", scope: auth.Predict, handle: a.invocations, operation: operation{
			id: "invocations", tag: tag, summary: "Price houses",
			description: "Prices the houses of one of dataframe_split, dataframe_records, instances and inputs, or of CSV with a header. The fields, and what is required, are those of /v1/predict, and so is the answer.",
			request:     reflect.TypeFor[Invocation](), example: `{"dataframe_records":[` + string(exampleRecord()) + `]}`, csv: exampleTable,
			status: http.StatusOK, media: mediaJSON, answer: reflect.TypeFor[Prediction](), errors: predictErrors,
		}},
	}
}

// Invocation is the body of POST /invocations as JSON. It is read by
// [house.Decoder.Frame]; clients and tests write it.
type Invocation struct {
	DataframeSplit   *Frame           `json:"dataframe_split,omitempty" doc:"A table as pandas writes it with orient=\"split\"."`
	DataframeRecords []map[string]any `json:"dataframe_records,omitempty" nullable:"false" doc:"An object with the fields of each house, as /v1/predict has them in records."`
	Instances        []map[string]any `json:"instances,omitempty" nullable:"false" doc:"The same."`
	Inputs           any              `json:"inputs,omitempty" doc:"The same, or an object with an array for each field."`
	Params           map[string]any   `json:"params,omitempty" doc:"None is heeded."`
}

// TransformSchema lets the schema ask for one of the tables.
func (Invocation) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	least, most := 1, 2 // params beside it
	s.MinProperties, s.MaxProperties = &least, &most
	return s
}

// Frame is a table by rows.
type Frame struct {
	Index   []any    `json:"index,omitempty" nullable:"false" doc:"Is not heeded."`
	Columns []string `json:"columns" nullable:"false" doc:"Fields of a house."`
	Data    [][]any  `json:"data" nullable:"false" doc:"An array for each house, with a value for each column."`
}

// TransformSchema says that no row may be null.
func (Frame) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.Properties["data"].Items.Nullable = false
	return s
}

const exampleTable = "bedrooms,bathrooms,sqft_living,sqft_lot,floors,sqft_above,sqft_basement,zipcode,grade\n3,2.5,2220,6380,1.5,1660,560,98115,8\n"

// invocations prices the houses of a table.
func (a *API) invocations(x *exchange, r *http.Request) error {
	return a.value(x, r, readings{json: a.full.Frame, csv: a.readCSV}, a.price, inJSON(appendAnswer))
}

// readCSV reads the houses of a body in CSV.
func (a *API) readCSV(dst []house.House, body []byte) ([]house.House, error) {
	houses, err := a.full.CSV(dst, body)
	var invalid *house.InvalidError
	if err != nil && !errors.As(err, &invalid) {
		return houses, problem(http.StatusBadRequest, err.Error())
	}
	return houses, err
}

func exampleRecord() []byte {
	h := house.Example()
	return house.AppendJSON(nil, &h)
}
