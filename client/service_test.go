package client_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"housing/client"
	"housing/internal/bundle"
	"housing/internal/house"
	"housing/internal/httpapi"
	"housing/internal/telemetry"
	"housing/internal/valuer"
)

// newHandler returns a service with the built-in model.
func newHandler() (http.Handler, error) {
	b, err := bundle.Builtin()
	if err != nil {
		return nil, err
	}
	metrics, log := prometheus.NewRegistry(), slog.New(slog.DiscardHandler)
	named := telemetry.NewMetrics(metrics)
	v := valuer.New(valuer.Options{Metrics: named, Log: log})
	if err := v.Use(valuer.FromBundle(b), 0); err != nil {
		return nil, err
	}
	return httpapi.New(httpapi.Options{Valuer: v, Metrics: named, Gatherer: metrics, Log: log, MaxBodyBytes: 1 << 20, MaxRecords: 1000}).Handler(), nil
}

// service returns a client of a service, of whose requests those that spoil
// says something about are not answered, or not well.
func service(t *testing.T, spoil func(n int64, w http.ResponseWriter) (spoiled bool)) *client.Client {
	t.Helper()
	handler, err := newHandler()
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := asked.Add(1); spoil == nil || !spoil(n, w) {
			handler.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	c, err := client.New(server.URL, client.Options{Wait: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// example is a house of which all is known.
var example = client.House{
	Bedrooms: 3, Bathrooms: 2.5, SqftLiving: 2220, SqftLot: 6380, Floors: 1.5, SqftAbove: 1660, SqftBasement: 560, Zipcode: "98115",
	Waterfront: new(0.0), View: new(0.0), Condition: new(4.0), Grade: new(8.0), YrBuilt: new(1931.0), YrRenovated: new(0.0),
	Lat: new(47.6974), Long: new(-122.313), SqftLiving15: new(950.0), SqftLot15: new(6380.0), ValuationDate: "2015-05-01",
}

func TestEveryEndpoint(t *testing.T) {
	c := service(t, nil)
	ctx := t.Context()
	p, err := c.Predict(ctx, []client.House{example, example})
	if err != nil || len(p.Predictions) != 2 || p.Predictions[0] != p.Predictions[1] || p.ModelVersion == "" || p.RequestID == "" {
		t.Fatalf("%+v, %v", p, err)
	}
	v, err := c.Valuations(ctx, []client.House{example}, client.WithInterval(0.8))
	if err != nil || v.Valuations[0].Price != p.Predictions[0] || *v.Valuations[0].Interval != 0.8 || *v.Valuations[0].Low >= v.Valuations[0].Price || v.Valuations[0].ValuationDate != "2015-05-01" {
		t.Fatalf("%+v, %v", v, err)
	}
	sum := v.Valuations[0].BasePrice
	for _, d := range v.Valuations[0].Drivers {
		sum += d.Effect
	}
	if diff := sum - v.Valuations[0].Price; diff > 0.005 || diff < -0.005 {
		t.Errorf("the effects sum to %.2f, the price is %.2f", sum, v.Valuations[0].Price)
	}
	m, err := c.PredictMinimal(ctx, []client.MinimalHouse{{Bedrooms: 3, Bathrooms: 2, SqftLiving: 2000, Zipcode: "00000"}})
	if err != nil || len(m.Warnings) != 1 || m.Warnings[0].Field != "zipcode" {
		t.Errorf("%+v, %v", m, err)
	}
	info, err := c.ModelInfo(ctx)
	if err != nil || info.ModelVersion != p.ModelVersion || len(info.Features) != p.FeatureCount || len(info.Accuracy) == 0 || info.Accuracy[0].MdAPE <= 0 || info.Drift != nil {
		t.Errorf("%+v, %v", info, err)
	}
	if d, err := c.Drift(ctx); err != nil || d.Status == "" {
		t.Errorf("%+v, %v", d, err)
	}
	list, err := c.Models(ctx)
	if err != nil || len(list) != 1 || list[0].Role != "primary" {
		t.Errorf("%+v, %v", list, err)
	}
	if one, err := c.Model(ctx, list[0].Version); err != nil || one.SHA256 != v.ModelSHA256 || !one.Running {
		t.Errorf("%+v, %v", one, err)
	}
	if r, err := c.Rollout(ctx); err != nil || r.Plan.Primary != p.ModelVersion || r.ETag == "" || len(r.Replica.Running) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if h, err := c.Health(ctx); err != nil || h.Status != "healthy" || h.Components["model"].Status != "up" {
		t.Errorf("%+v, %v", h, err)
	}
	var said *client.Error
	if _, err := c.Outcomes(ctx, []client.Outcome{{PredictionID: "x"}}); !errors.As(err, &said) || said.Status != http.StatusConflict {
		t.Errorf("outcomes without a journal: %v", err)
	}
	if _, err := c.SetRollout(ctx, client.RolloutChange{Plan: client.RolloutPlan{Primary: "other"}}, ""); !errors.As(err, &said) || said.Status != http.StatusConflict {
		t.Errorf("a plan without a registry: %v", err)
	}
	if _, err := c.Predict(ctx, []client.House{example}, client.WithModelVersion("none")); !errors.As(err, &said) || said.Status != http.StatusNotFound {
		t.Errorf("a version that is not there: %v", err)
	}
	if _, err := c.Model(ctx, "a/b?c"); !errors.As(err, &said) || said.Status != http.StatusNotFound {
		t.Errorf("a version with a slash: %v", err)
	}
}

func TestFaultsAreOfFields(t *testing.T) {
	c := service(t, nil)
	bad := example
	bad.SqftLiving, bad.Grade = 12, new(99.0)
	_, err := c.Predict(t.Context(), []client.House{example, bad})
	var said *client.Error
	if !errors.As(err, &said) || said.Status != http.StatusUnprocessableEntity || said.RequestID == "" || said.Attempts != 1 || len(said.Faults) != 2 {
		t.Fatalf("%+v", err)
	}
	i, field, ok := said.Faults[0].Record()
	if i != 1 || field != "sqft_living" || !ok || string(said.Faults[0].Value) != "12" || said.Faults[0].Message != "must be at least 100" {
		t.Errorf("%d %s %v %+v", i, field, ok, said.Faults[0])
	}
	if _, err := c.Predict(t.Context(), nil); !errors.As(err, &said) || len(said.Faults) != 1 {
		t.Errorf("no house: %v", err)
	} else if _, _, ok := said.Faults[0].Record(); ok {
		t.Errorf("%s is of a record", said.Faults[0].Location)
	}
}

// TestPricesComeThroughFaults asks a service of which two requests in three
// fail: cut connections, half answers, and statuses of proxies.
func TestPricesComeThroughFaults(t *testing.T) {
	c := service(t, func(n int64, w http.ResponseWriter) bool {
		switch n % 6 {
		case 0, 3:
			return false
		case 1:
			panic(http.ErrAbortHandler) // cuts the connection
		case 2:
			w.Header().Set("Content-Length", "1000")
			w.Write([]byte(`{"predictions":[`)) // and then it ends
		case 4:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 5:
			w.WriteHeader(http.StatusBadGateway)
		}
		return true
	})
	var want float64
	for range 20 {
		p, err := c.Predict(t.Context(), []client.House{example})
		if err != nil {
			t.Fatal(err)
		}
		if want = cmp.Or(want, p.Predictions[0]); p.Predictions[0] != want {
			t.Errorf("%g, then %g", want, p.Predictions[0])
		}
	}
}

func TestAServiceThatIsNotThere(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	c, err := client.New(server.URL, client.Options{Wait: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Predict(t.Context(), []client.House{example}); err == nil || !strings.Contains(err.Error(), "4 attempts") || errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// TestTypesAreThoseOfTheService compares members and kinds of what the client
// reads and sends with what the service writes and reads.
func TestTypesAreThoseOfTheService(t *testing.T) {
	for _, pair := range [][2]reflect.Type{
		{reflect.TypeFor[client.Prediction](), reflect.TypeFor[httpapi.Prediction]()},
		{reflect.TypeFor[client.Valuations](), reflect.TypeFor[httpapi.Valuations]()},
		{reflect.TypeFor[client.Recorded](), reflect.TypeFor[httpapi.Recorded]()},
		{reflect.TypeFor[client.ModelInfo](), reflect.TypeFor[httpapi.ModelInfo]()},
		{reflect.TypeFor[client.ModelName](), reflect.TypeFor[httpapi.ModelName]()},
		{reflect.TypeFor[client.ModelVersion](), reflect.TypeFor[httpapi.ModelVersion]()},
		{reflect.TypeFor[client.Rollout](), reflect.TypeFor[httpapi.Rollout]()},
		{reflect.TypeFor[client.RolloutChange](), reflect.TypeFor[httpapi.RolloutChange]()},
		{reflect.TypeFor[client.Health](), reflect.TypeFor[httpapi.Health]()},
		{reflect.TypeFor[client.Fault](), reflect.TypeFor[house.Fault]()},
	} {
		compare(t, pair[0].Name(), pair[0], pair[1])
	}
	text, err := json.Marshal(example)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	for _, s := range house.Fields() {
		if _, ok := members[s.Name]; !ok {
			t.Errorf("a house has no %s", s.Name)
		}
		delete(members, s.Name)
	}
	if delete(members, house.DateField); len(members) > 0 {
		t.Errorf("a house has %v, which the service does not take", members)
	}
}

// compare compares two types as JSON has them.
func compare(t *testing.T, path string, ours, theirs reflect.Type) {
	t.Helper()
	if theirs.PkgPath() == "github.com/go-json-experiment/json/jsontext" || ours == theirs {
		return
	}
	if ours.Kind() != theirs.Kind() {
		t.Errorf("%s is %v here and %v there", path, ours, theirs)
		return
	}
	switch ours.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		compare(t, path, ours.Elem(), theirs.Elem())
	case reflect.Struct:
		a, b := members(ours), members(theirs)
		for _, name := range slices.Sorted(maps.Keys(b)) {
			if a[name] == nil {
				t.Errorf("%s has no %s", path, name)
				continue
			}
			compare(t, path+"."+name, a[name], b[name])
			delete(a, name)
		}
		for name := range a {
			t.Errorf("%s has %s, which the service does not have", path, name)
		}
	}
}

// members returns the members of a struct by their names in JSON.
func members(of reflect.Type) map[string]reflect.Type {
	found := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(of) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.IsExported() && !f.Anonymous && name != "" && name != "-" {
			found[name] = f.Type
		}
	}
	return found
}
