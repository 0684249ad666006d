package httpapi_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"housing/internal/bundle"
	"housing/internal/httpapi"
	"housing/internal/telemetry"
	"housing/internal/valuer"
)

func Example() {
	b, err := bundle.Builtin()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	metrics, log := prometheus.NewRegistry(), slog.New(slog.DiscardHandler)
	named := telemetry.NewMetrics(metrics)
	v := valuer.New(valuer.Options{Metrics: named, Log: log})
	if err := v.Use(valuer.FromBundle(b), 0); err != nil {
		fmt.Println(err)
		return
	}
	api := httpapi.New(httpapi.Options{
		Valuer: v, Metrics: named, Gatherer: metrics, Log: log, MaxBodyBytes: 1 << 20, MaxRecords: 1000,
	})
	w := httptest.NewRecorder()
	api.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/predict-minimal",
		strings.NewReader(`{"records": [{"bedrooms": 3, "bathrooms": 2.5, "sqft_living": 12, "zipcode": "98115"}]}`)))
	fmt.Println(w.Code, w.Body)
	// Output: 422 {"type":"about:blank","title":"Unprocessable Entity","status":422,"detail":"the body has 1 fault","errors":[{"location":"body.records[0].sqft_living","message":"must be at least 100","value":12}]}
}
