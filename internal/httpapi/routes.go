package httpapi

import (
	"net/http"
	"reflect"

	"housing/internal/auth"
	"housing/internal/house"
)

const healthPath = "/health"

// operation is what the documents say of a route.
type operation struct {
	id, tag, summary, description string
	body                          *bodyDoc
	request                       reflect.Type // of another JSON body
	example                       string       // of it
	headers                       []headerDoc  // that the request may have
	queries                       []headerDoc  // members of the query that it may have
	status                        int          // of a good answer
	media                         string       // of a good answer; "" has no body
	answer                        reflect.Type // of a JSON answer; nil for others
	answers                       []int        // other statuses that answer too
	errors                        []int        // statuses of problems
	page                          bool         // for people: the documents do not name it
	probe                         bool         // is asked again and again, and not traced
	csv                           string       // example of a body that is CSV; "" takes none
	form                          bool         // a page that takes a form
}

// headerDoc describes a header of a request, or a member of its query.
type headerDoc struct{ name, description string }

// bodyDoc describes a body of houses, or of outcomes.
type bodyDoc struct {
	schema            string // name of the record's schema
	required, allowed house.Set
	outcomes          bool
	valuations        bool // are asked for, not prices alone
}

const (
	mediaJSON = "application/json"
	mediaCSV  = "text/csv"
	mediaText = "text/plain; charset=utf-8"
	mediaHTML = "text/html; charset=utf-8"
)

// predictErrors are the statuses with which a prediction can fail.
var predictErrors = []int{
	http.StatusBadRequest, http.StatusNotFound, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge,
	http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable,
}

// registryErrors are the statuses of what asks the registry.
var registryErrors = []int{http.StatusServiceUnavailable}

// outcomesErrors are the statuses with which outcomes can fail.
var outcomesErrors = []int{
	http.StatusBadRequest, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
	http.StatusUnprocessableEntity, http.StatusInternalServerError, http.StatusConflict, http.StatusServiceUnavailable,
}

// table returns every route of the service in the order of the documents.
func (a *API) table() []route {
	return []route{
		{method: "POST", path: "/v1/predict", scope: auth.Predict, handle: a.predict(&a.full), operation: operation{
			id: "predict", tag: "Prices", summary: "Price houses",
			description: "Prices one house or many. Eight fields are required; one of the others that is left out is unknown, not zero. All faults of a request are reported at once.",
			body:        &bodyDoc{schema: "House", required: house.RequiredFields, allowed: house.AllFields},
			status:      200, media: mediaJSON, answer: reflect.TypeFor[Prediction](), errors: predictErrors,
		}},
		{method: "POST", path: "/v1/predict-minimal", scope: auth.Predict, handle: a.predict(&a.minimal), operation: operation{
			id: "predictMinimal", tag: "Prices", summary: "Price houses from four fields",
			description: "The same from bedrooms, bathrooms, living space and zipcode alone. The rest is unknown to the model, so prices are less exact.",
			body:        &bodyDoc{schema: "MinimalHouse", required: house.MinimalFields, allowed: house.MinimalFields},
			status:      200, media: mediaJSON, answer: reflect.TypeFor[Prediction](), errors: predictErrors,
		}},
		{method: "POST", path: "/v1/valuations", scope: auth.Predict, handle: a.valuations, operation: operation{
			id: "valuations", tag: "Prices", summary: "Value houses: price, interval, reasons, comparables",
			description: "Takes what /v1/predict takes and answers the same prices, with how sure each is, what moved it, and the earlier sales that are most alike.",
			body:        &bodyDoc{schema: "House", required: house.RequiredFields, allowed: house.AllFields, valuations: true},
			status:      200, media: mediaJSON, answer: reflect.TypeFor[Valuations](), errors: predictErrors,
		}},
		{method: "POST", path: "/v1/outcomes", scope: auth.Outcomes, handle: a.outcomes, operation: operation{
			id: "outcomes", tag: "Outcomes", summary: "Tell what valued houses sold for",
			description: "Takes up to 10,000 sales, all or none. The same again changes nothing, so that a request that failed can be sent again; another price or day for the same house replaces the one before.",
			body:        &bodyDoc{outcomes: true},
			status:      200, media: mediaJSON, answer: reflect.TypeFor[Recorded](), errors: outcomesErrors,
		}},
		{method: "GET", path: "/v1/model-info", scope: auth.Predict, handle: a.modelInfo, operation: operation{
			id: "modelInfo", tag: "Model", summary: "The model that answers",
			description: "Version, digest, features and measured accuracy of the running model, and what it was trained on; on demand also how what it is asked differs from that.",
			queries:     []headerDoc{{"drift", "true adds how the houses that this replica is asked about, and their prices, differ from those of the training."}},
			status:      200, media: mediaJSON, answer: reflect.TypeFor[ModelInfo](), errors: []int{http.StatusBadRequest, http.StatusServiceUnavailable},
		}},
		{method: "GET", path: "/v1/models", scope: auth.ModelsRead, handle: a.models, operation: operation{
			id: "models", tag: "Model", summary: "The versions there are",
			description: "Every version of the registry, and which of them run here; without a registry the built-in model.",
			status:      200, media: mediaJSON, answer: reflect.TypeFor[Models](), errors: registryErrors,
		}},
		{method: "GET", path: "/v1/models/{version}", scope: auth.ModelsRead, handle: a.model, operation: operation{
			id: "model", tag: "Model", summary: "One version",
			description: "What is known of a version, or of the one that an alias stands for: how good it is, measured at its training, where it is from, and whether it runs here.",
			status:      200, media: mediaJSON, answer: reflect.TypeFor[ModelVersion](), errors: append([]int{http.StatusNotFound}, registryErrors...),
		}},
		{method: "GET", path: "/v1/rollout", scope: auth.ModelsRead, handle: a.rollout, operation: operation{
			id: "rollout", tag: "Model", summary: "The traffic plan",
			description: "Which version answers which caller, who changed that, and what this replica makes of it. The header ETag names the plan.",
			status:      200, media: mediaJSON, answer: reflect.TypeFor[Rollout](), errors: []int{http.StatusServiceUnavailable},
		}},
		{method: "PUT", path: "/v1/rollout", scope: auth.ModelsWrite, handle: a.setRollout, operation: operation{
			id: "setRollout", tag: "Model", summary: "Change the traffic plan",
			description: "Puts another plan in place of the one in the registry, from where every replica takes it within ten seconds. A salt that is left out stays with its candidate; the primary before is remembered.",
			request:     reflect.TypeFor[RolloutChange](), example: `{"plan":{"primary":"kc-1","candidate":"kc-2","mode":"canary","percent":5},"why":"first callers"}`,
			headers: []headerDoc{{"If-Match", "ETag of the plan that is to be replaced; 412 if it is another by now. Without it the plan is replaced whatever it is."}},
			status:  200, media: mediaJSON, answer: reflect.TypeFor[RolloutPlan](),
			errors: append([]int{http.StatusBadRequest, http.StatusForbidden, http.StatusRequestTimeout, http.StatusConflict, http.StatusPreconditionFailed,
				http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity}, registryErrors...),
		}},
		{method: "GET", path: "/v1/errors", scope: auth.ModelsRead, handle: a.recentErrors, operation: operation{
			id: "errors", tag: "Operation", summary: "Requests that failed lately",
			description: "The latest errors of the replica that answers whose status was 500 or more.",
			status:      200, media: mediaJSON, answer: reflect.TypeFor[RecentErrors](),
		}},
		{method: "GET", path: healthPath, handle: a.health, operation: operation{
			probe: true,
			id:    "health", tag: "Operation", summary: "How the service is",
			description: "healthy and degraded answer 200, unhealthy 503, all with the same members.",
			status:      200, media: mediaJSON, answer: reflect.TypeFor[Health](), answers: []int{http.StatusServiceUnavailable},
		}},
		{method: "GET", path: "/livez", ops: true, handle: a.live, operation: operation{
			id: "livez", tag: "Operation", summary: "Whether the process is alive", status: 200, media: mediaText,
		}},
		{method: "GET", path: "/readyz", ops: true, handle: a.ready, operation: operation{
			id: "readyz", tag: "Operation", summary: "Whether to send requests here",
			description: "503 when there is no model, and while the service stops.",
			status:      200, media: mediaText, errors: []int{http.StatusServiceUnavailable},
		}},
		{method: "GET", path: "/metrics", ops: true, handle: a.metricsHandler(), operation: operation{
			id: "metrics", tag: "Operation", summary: "Metrics for Prometheus", status: 200, media: "text/plain",
			description: "In Prometheus's text format, or OpenMetrics if the client asks for it.",
		}},
		{method: "GET", path: "/openapi.json", handle: a.openAPI31, operation: operation{
			id: "openapi", tag: "Documents", summary: "This description as OpenAPI 3.1", status: 200, media: mediaJSON,
		}},
		{method: "GET", path: "/openapi-3.0.json", handle: a.openAPI30, operation: operation{
			id: "openapi30", tag: "Documents", summary: "This description as OpenAPI 3.0", status: 200, media: mediaJSON,
		}},
		{method: "GET", path: "/docs", handle: a.docs, operation: operation{
			id: "docs", tag: "Documents", summary: "This description as a page", status: 200, media: mediaHTML,
		}},
	}
}
