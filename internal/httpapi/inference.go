package httpapi

import (
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"housing/internal/auth"
	"housing/internal/buildinfo"
	"housing/internal/house"
	"housing/internal/journal"
	"housing/internal/valuer"
)

// The Open Inference Protocol, version 2 over HTTP
// (github.com/kserve/open-inference-protocol), as KServe, Seldon, Triton and
// their clients speak it: another way of writing what /v1/predict takes and
// answers. Houses come as a tensor for each field; see [house.Decoder.Tensors].

// inferencePath is where its routes lie, and inferenceModel is the name of the
// one model that there is, of which versions differ.
const (
	inferencePath  = "/v2"
	inferenceModel = "housing"
	modelsPath     = inferencePath + "/models/"
	modelPath      = modelsPath + inferenceModel
	versionPath    = modelPath + "/versions/{version}"
)

// underInference says whether a path is of the Open Inference Protocol.
func underInference(path string) bool {
	rest, ok := strings.CutPrefix(path, inferencePath)
	return ok && (rest == "" || rest[0] == '/')
}

// inferenceRoutes returns the routes of the Open Inference Protocol.
func (a *API) inferenceRoutes() []route {
	const tag = "Open Inference Protocol"
	gone := []int{http.StatusNotFound, http.StatusServiceUnavailable}
	infer := operation{
		tag: tag, summary: "Price houses",
		description: "Prices the houses whose fields the tensors hold: one of shape [n] or [n, 1] for each field, under its name, data as JSON, null for a value that is unknown. The fields, and what is required, are those of /v1/predict.",
		request:     reflect.TypeFor[InferenceRequest](), example: string(exampleTensors()),
		status: http.StatusOK, media: mediaJSON, answer: reflect.TypeFor[InferenceResponse](), errors: predictErrors,
	}
	inferVersion := infer
	infer.id, inferVersion.id = "infer", "inferVersion"
	inferVersion.summary = "Price houses with one version"
	metadata := operation{
		id: "inferenceModel", tag: tag, summary: "The model", description: "Which tensors it takes and answers, and which version does.",
		status: http.StatusOK, media: mediaJSON, answer: reflect.TypeFor[InferenceModel](), errors: []int{http.StatusServiceUnavailable},
	}
	version := metadata
	version.id, version.summary, version.errors = "inferenceVersion", "One version", gone
	return []route{
		{method: "GET", path: inferencePath, scope: auth.Predict, handle: a.inferenceServer, operation: operation{
			id: "inferenceServer", tag: tag, summary: "The server", status: http.StatusOK, media: mediaJSON, answer: reflect.TypeFor[InferenceServer](),
		}},
		{method: "GET", path: inferencePath + "/health/live", handle: a.inferenceLive, operation: operation{
			id: "inferenceLive", tag: tag, summary: "Whether the process is alive", status: http.StatusOK, media: mediaJSON, answer: reflect.TypeFor[InferenceLive](), probe: true,
		}},
		{method: "GET", path: inferencePath + "/health/ready", handle: a.inferenceReady, operation: operation{
			id: "inferenceReady", tag: tag, summary: "Whether to send requests here", status: http.StatusOK, media: mediaJSON, answer: reflect.TypeFor[InferenceReady](),
			errors: []int{http.StatusServiceUnavailable}, probe: true,
		}},
		{method: "GET", path: modelPath, scope: auth.Predict, handle: a.inferenceModel, operation: metadata},
		{method: "GET", path: modelPath + "/ready", scope: auth.Predict, handle: a.inferenceModelReady, operation: operation{
			id: "inferenceModelReady", tag: tag, summary: "Whether the model answers", status: http.StatusOK, media: mediaJSON, answer: reflect.TypeFor[InferenceModelReady](),
			errors: []int{http.StatusServiceUnavailable},
		}},
		{method: "POST", path: modelPath + "/infer", scope: auth.Predict, handle: a.infer, operation: infer},
		{method: "GET", path: versionPath, scope: auth.Predict, handle: a.inferenceModel, operation: version},
		{method: "GET", path: versionPath + "/ready", scope: auth.Predict, handle: a.inferenceModelReady, operation: operation{
			id: "inferenceVersionReady", tag: tag, summary: "Whether one version answers",
			description: "One of the registry that does not run here is loaded for it, as for a request that names it.",
			status:      http.StatusOK, media: mediaJSON, answer: reflect.TypeFor[InferenceModelReady](), errors: gone,
		}},
		{method: "POST", path: versionPath + "/infer", scope: auth.Predict, handle: a.infer, operation: inferVersion},
	}
}

// InferenceServer is the answer of GET /v2.
type InferenceServer struct {
	Name       string   `json:"name" doc:"Name of the program."`
	Version    string   `json:"version" doc:"Version of the program."`
	Extensions []string `json:"extensions" nullable:"false" doc:"Extensions of the protocol: none. Tensors in binary are not read."`
}

// InferenceLive is the answer of GET /v2/health/live.
type InferenceLive struct {
	Live bool `json:"live" doc:"true."`
}

// InferenceReady is the answer of GET /v2/health/ready.
type InferenceReady struct {
	Ready bool `json:"ready" doc:"true; where it is not, the answer is a problem."`
}

// InferenceModelReady says that a model, or a version of it, answers.
type InferenceModelReady struct {
	Name  string `json:"name" doc:"Name of the model."`
	Ready bool   `json:"ready" doc:"true; where it does not, the answer is a problem."`
}

// InferenceModel describes the model.
type InferenceModel struct {
	Name     string          `json:"name" doc:"Name of the model."`
	Versions []string        `json:"versions" nullable:"false" doc:"The version that answers, or that the path names. /v1/models lists all."`
	Platform string          `json:"platform" doc:"Kind of model."`
	Inputs   []TensorOfModel `json:"inputs" nullable:"false" doc:"Tensors that a request may have. Which it must have are the required fields of /v1/predict."`
	Outputs  []TensorOfModel `json:"outputs" nullable:"false" doc:"Tensors that are answered."`
}

// TensorOfModel describes a tensor.
type TensorOfModel struct {
	Name     string `json:"name" doc:"Field of a house, or price."`
	Datatype string `json:"datatype" doc:"How its values are typed."`
	Shape    []int  `json:"shape" nullable:"false" doc:"-1 stands for the number of houses."`
}

// InferenceRequest is the body of POST …/infer. It is read by
// [house.Decoder.Tensors]; clients and tests write it.
type InferenceRequest struct {
	ID         *string           `json:"id,omitempty" nullable:"true" doc:"Is answered again."`
	Model      *string           `json:"model_name,omitempty" nullable:"true" doc:"Is not heeded: the path names the model."`
	Version    *string           `json:"model_version,omitempty" nullable:"true" doc:"Is not heeded: the path may name a version."`
	Parameters map[string]any    `json:"parameters,omitempty" doc:"None is heeded."`
	Inputs     []InputTensor     `json:"inputs" nullable:"false" doc:"A tensor for each field."`
	Outputs    []RequestedOutput `json:"outputs,omitempty" nullable:"true" doc:"Outputs that are wanted: price, the only one."`
}

// InputTensor is one field of every house.
type InputTensor struct {
	Name       string         `json:"name" doc:"Field of a house, or valuation_date."`
	Shape      []int          `json:"shape" nullable:"false" minItems:"1" maxItems:"2" doc:"[n] or [n, 1] for n houses."`
	Datatype   string         `json:"datatype" enum:"BOOL,UINT8,UINT16,UINT32,UINT64,INT8,INT16,INT32,INT64,FP16,FP32,FP64,BYTES" doc:"Datatype of the protocol."`
	Parameters map[string]any `json:"parameters,omitempty" doc:"None is heeded."`
	Data       []any          `json:"data" nullable:"false" doc:"A value for each house, as the field has it in /v1/predict."`
}

// RequestedOutput names an output.
type RequestedOutput struct {
	Name       string         `json:"name" enum:"price"`
	Parameters map[string]any `json:"parameters,omitempty" doc:"None is heeded."`
}

// InferenceResponse is the answer of POST …/infer. It is written by
// appendInference; clients and tests read it.
type InferenceResponse struct {
	ModelName    string              `json:"model_name" doc:"Name of the model."`
	ModelVersion string              `json:"model_version" doc:"Version of the model that answered, as in the header X-Model-Version."`
	ID           string              `json:"id,omitempty" doc:"That of the request."`
	Outputs      []PriceTensor       `json:"outputs" nullable:"false" doc:"The tensor price."`
	Parameters   InferenceParameters `json:"parameters" doc:"What else is to be known."`
}

// PriceTensor holds prices.
type PriceTensor struct {
	Name     string    `json:"name" enum:"price"`
	Shape    []int     `json:"shape" nullable:"false" doc:"[n] for n houses."`
	Datatype string    `json:"datatype" enum:"FP64"`
	Data     []float64 `json:"data" nullable:"false" doc:"Price of each house in US dollars, in the order of the request."`
}

// InferenceParameters are what an answer says beside the prices.
type InferenceParameters struct {
	ProcessingTimeMS float64 `json:"processing_time_ms" doc:"Time from the end of the request's header to the answer, in milliseconds."`
	UnknownZipcodes  string  `json:"unknown_zipcodes,omitempty" doc:"Indexes, parted by commas, of houses that are valued with the medians of the zipcodes that are known; absent when there are none."`
	PredictionID     string  `json:"prediction_id,omitempty" doc:"Names the prediction, to tell by POST /v1/outcomes what its houses sold for; absent where no journal is kept."`
}

func (a *API) inferenceServer(x *exchange, _ *http.Request) error {
	return x.answerJSON(http.StatusOK, InferenceServer{Name: "housing", Version: buildinfo.Version, Extensions: []string{}})
}

func (a *API) inferenceLive(x *exchange, _ *http.Request) error {
	return x.answerJSON(http.StatusOK, InferenceLive{true})
}

func (a *API) inferenceReady(x *exchange, _ *http.Request) error {
	if err := a.notReady(); err != nil {
		return err
	}
	return x.answerJSON(http.StatusOK, InferenceReady{true})
}

func (a *API) inferenceModelReady(x *exchange, r *http.Request) error {
	if _, err := a.named(x, r); err != nil {
		return err
	}
	return x.answerJSON(http.StatusOK, InferenceModelReady{inferenceModel, true})
}

// named returns the model of the version that a path names, or the one that
// answers where it names none.
func (a *API) named(x *exchange, r *http.Request) (*valuer.Model, error) {
	running, version := a.Valuer.Model(), r.PathValue("version")
	switch {
	case running == nil:
		return nil, valuer.ErrNoModel
	case version == "":
		return running, nil
	}
	choice, err := a.choose(x, r, version)
	if err != nil {
		return nil, err
	}
	if m := a.Valuer.Find(choice.Version); m != nil {
		return m, nil
	}
	return nil, valuer.ErrUnknownVersion
}

func (a *API) inferenceModel(x *exchange, r *http.Request) error {
	m, err := a.named(x, r)
	if err != nil {
		return err
	}
	answer := InferenceModel{Name: inferenceModel, Platform: m.Type, Versions: []string{m.Manifest.Version},
		Outputs: []TensorOfModel{{house.PriceTensor, "FP64", []int{-1}}}}
	for _, s := range house.Fields() {
		answer.Inputs = append(answer.Inputs, TensorOfModel{s.Name, tensorType(s.Kind), []int{-1}})
	}
	answer.Inputs = append(answer.Inputs, TensorOfModel{house.DateField, "BYTES", []int{-1}})
	return x.answerJSON(http.StatusOK, answer)
}

// tensorType returns the datatype of the values of a field.
func tensorType(k house.Kind) string {
	switch k {
	case house.Number:
		return "FP64"
	case house.ZIP:
		return "BYTES"
	}
	return "INT64"
}

// infer prices the houses that tensors hold.
func (a *API) infer(x *exchange, r *http.Request) error {
	var id string
	read := func(dst []house.House, body []byte) (houses []house.House, err error) {
		if r.Header.Get("Inference-Header-Content-Length") != "" {
			return dst[:0], problem(http.StatusUnsupportedMediaType, "tensors in binary are not read: send their data as JSON, as with binary_data=False")
		}
		houses, id, err = a.full.Tensors(dst, body)
		return houses, err
	}
	write := func(b []byte, answer *valuer.Answer, took time.Duration) []byte {
		return appendInference(b, id, answer, took)
	}
	return a.value(x, r, readings{json: read}, a.price, writer{valueJSON, write, appendInferenceID})
}

// appendInference appends the JSON of an answer, an [InferenceResponse].
func appendInference(b []byte, id string, answer *valuer.Answer, took time.Duration) []byte {
	b = append(b, `{"model_name":"`+inferenceModel+`","model_version":`...)
	b, _ = jsontext.AppendQuote(b, answer.Version) // its error is broken UTF-8, mended
	if id != "" {
		b = append(b, `,"id":`...)
		b, _ = jsontext.AppendQuote(b, id)
	}
	b = append(b, `,"outputs":[{"name":"`+house.PriceTensor+`","shape":[`...)
	b = strconv.AppendInt(b, int64(len(answer.Prices)), 10)
	b = append(b, `],"datatype":"FP64","data":[`...)
	b = appendPrices(b, answer.Prices)
	b = append(b, `]}],"parameters":{"processing_time_ms":`...)
	b = strconv.AppendFloat(b, milliseconds(took), 'f', -1, 64)
	for i, record := range answer.UnknownZipcodes {
		if i == 0 {
			b = append(b, `,"unknown_zipcodes":"`...)
		} else {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(record), 10)
	}
	if len(answer.UnknownZipcodes) > 0 {
		b = append(b, '"')
	}
	return append(b, "}}\n"...)
}

// appendInferenceID adds the ID of a prediction to the JSON of an answer.
func appendInferenceID(answer []byte, id journal.ID) []byte {
	answer = append(answer[:len(answer)-len("}}\n")], `,"prediction_id":"`...)
	return append(id.Append(answer), "\"}}\n"...)
}

// exampleTensors returns a body of the required fields that can be sent as it
// is.
func exampleTensors() []byte {
	var request InferenceRequest
	example := house.Example()
	for _, s := range house.Fields() {
		if !s.Required {
			continue
		}
		var value any = example.Values[s.Field]
		if s.Kind == house.ZIP {
			value = example.Zipcode().String()
		}
		request.Inputs = append(request.Inputs, InputTensor{Name: s.Name, Shape: []int{1}, Datatype: tensorType(s.Kind), Data: []any{value}})
	}
	body, err := json.Marshal(request)
	if err != nil { // only a mistake in the program
		return []byte("null")
	}
	return body
}
