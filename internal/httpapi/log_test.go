package httpapi

import (
	"bytes"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"housing/internal/house"
	"housing/internal/ratelimit"
	"housing/internal/telemetry"
)

// logging lets an API write its log to a buffer at a level, with a clock that
// stands still until it is set.
func logging(t testing.TB, level slog.Leveler, change func(*setup)) (a *API, log *bytes.Buffer, now *time.Time) {
	t.Helper()
	log, now = new(bytes.Buffer), new(time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC))
	return newAPI(t, func(s *setup) {
		s.Log = telemetry.NewLogger(log, level, telemetry.JSON)
		s.Now = func() time.Time { return *now }
		if change != nil {
			change(s)
		}
	}), log, now
}

func TestEventsOfPredictionsAreSampledAndErrorsAreNot(t *testing.T) {
	a, log, now := logging(t, slog.LevelInfo, nil)
	for range 300 {
		ask(a, "POST", "/v1/predict", fullBody(2))
	}
	for i := range 300 {
		ask(a, "POST", "/v1/predict", "no JSON", "X-Request-ID", fmt.Sprint("bad-", i))
	}
	count, ids := map[any]int{}, map[any]bool{}
	for _, event := range lines(t, log) {
		count[event["msg"]]++
		if id, _ := event["trace_id"].(string); event["request_id"] == "" || len(id) != 32 {
			t.Errorf("event %v", event)
		}
		if event["msg"] == "prediction_error" {
			ids[event["request_id"]] = true
		} else if event["n_records"] != 2. {
			t.Errorf("event %v", event)
		}
	}
	if count["prediction_request"] != 100 || count["prediction_success"] != 100 || len(ids) != 300 {
		t.Errorf("%v, want 100 requests, 100 successes and 300 errors", count)
	}
	log.Reset()
	*now = now.Add(time.Second)
	ask(a, "POST", "/v1/predict", fullBody(1))
	if events := lines(t, log); len(events) != 2 {
		t.Errorf("in the next second %v", events)
	}
}

func TestOurOwnErrorsAreAllKept(t *testing.T) {
	a, log, _ := logging(t, slog.LevelWarn, func(s *setup) {
		s.model.Pricer = pricer(func(dst []float64, _ []house.House) []float64 { return append(dst[:0], math.NaN()) })
	})
	for range 250 {
		ask(a, "POST", "/v1/predict", fullBody(1))
	}
	errors := 0
	for _, event := range lines(t, log) {
		if event["msg"] == "prediction_error" && event["level"] == "ERROR" && event["error_type"] == "internal_server_error" {
			errors++
		}
	}
	if errors != 250 {
		t.Errorf("%d errors of 250 are in the log", errors)
	}
}

func TestRefusalsAreSampledApart(t *testing.T) {
	a, log, _ := logging(t, slog.LevelInfo, func(s *setup) {
		l, err := ratelimit.New("test", ratelimit.Limit{Requests: 1, Period: time.Hour}, nil, s.Metrics)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(l.Close)
		s.Limiter = l
	})
	for range 400 {
		ask(a, "POST", "/v1/predict", fullBody(1))
	}
	refused := 0
	for _, event := range lines(t, log) {
		if event["error_type"] == "too_many_requests" {
			refused++
		}
	}
	if refused != eventsPerSecond {
		t.Errorf("%d of 399 refusals are in the log, want %d", refused, eventsPerSecond)
	}
}

func TestLinesOfARequestHaveTheTraceOfItsCaller(t *testing.T) {
	a, log, _ := logging(t, slog.LevelDebug, nil)
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	for _, c := range []struct{ traceparent, request, want string }{
		{"00-" + id + "-00f067aa0ba902b7-01", "", id},
		{"00-" + id + "-00f067aa0ba902b7-00", "mine", id},
		{"nonsense", "mine", ""},
		{"", "", ""},
	} {
		log.Reset()
		header := []string{"traceparent", c.traceparent}
		if c.request != "" {
			header = append(header, "X-Request-ID", c.request)
		}
		ask(a, "POST", "/v1/predict", fullBody(1), header...)
		seen := map[any]bool{}
		events := lines(t, log)
		for _, event := range events {
			seen[event["trace_id"]] = true
			if got, _ := event["trace_id"].(string); len(got) != 32 || c.want != "" && got != c.want {
				t.Errorf("%+v: line %v", c, event)
			}
		}
		if len(events) != 3 || len(seen) != 1 {
			t.Errorf("%+v: %d lines, traces %v", c, len(events), seen)
		}
	}
}

// TestNothingOfAClientIsLogged asks in every way, with marks in all that a
// client sends, at the lowest level.
func TestNothingOfAClientIsLogged(t *testing.T) {
	a, log, _ := logging(t, slog.LevelDebug, nil)
	const mark = "7361"
	full := strings.Replace(fullBody(1), `"sqft_living":2220`, `"sqft_living":`+mark, 1)
	if !strings.Contains(full, mark) {
		t.Fatal("the mark is not in the body")
	}
	var answers strings.Builder
	for _, body := range []string{
		full,
		strings.Replace(full, mark, `"`+mark+`"`, 1),
		strings.Replace(full, `"sqft_living"`, `"`+mark+`"`, 1),
		strings.Replace(full, "98115", mark+"0", 1),
		full[:len(full)/2],
		full + mark,
		`{"records":` + mark + `}`,
		`{"records":[{"bedrooms":-` + mark + `}]}`,
		mark,
		`"\u` + mark,
	} {
		for _, path := range []string{"/v1/predict", "/v1/predict-minimal", "/v1/predict?model_version=" + mark, "/v1/" + mark, "/v1/outcomes", "/v1/predict?%" + mark} {
			w := ask(a, "POST", path, body, "Authorization", "Bearer "+mark, "X-Forwarded-For", "7.3.6.1", "User-Agent", mark, "canary", mark, "Cookie", mark)
			answers.WriteString(w.Body.String())
		}
	}
	ask(a, "M"+mark, "/v1/predict", "")
	var price float64
	for _, p := range read[Prediction](t, ask(a, "POST", "/v1/predict", full)).Predictions {
		price = p
	}
	text := log.String()
	if len(lines(t, log)) < 100 {
		t.Fatalf("only %d lines", len(lines(t, log)))
	}
	for _, secret := range []string{mark, "7.3.6.1", "192.0.2.1", "98115", fmt.Sprint(price), fmt.Sprintf("%.0f", price), "Bearer"} {
		for line := range strings.Lines(text) {
			// Times and IDs are ours, and may hold any digits.
			event := lines(t, bytes.NewBufferString(line))[0]
			for _, ours := range []string{"time", "request_id", "trace_id", "took_ms", "processing_time_ms"} {
				delete(event, ours)
			}
			if strings.Contains(fmt.Sprint(event), secret) {
				t.Errorf("%q is in the log: %s", secret, line)
			}
		}
	}
}

func TestTheLevelOfTheLogIsChangedWhileItRuns(t *testing.T) {
	level := new(slog.LevelVar)
	for name, ownOps := range map[string]bool{"on the ops address": true, "on that of the API": false} {
		level.Set(slog.LevelInfo)
		a, log, _ := logging(t, level, func(s *setup) { s.LogLevel, s.OwnOps = level, ownOps })
		h := a.Handler()
		if ownOps {
			if w := local(a, "PUT", logLevelPath, "debug"); w.Code != http.StatusNotFound {
				t.Errorf("%s: the address of the API answers %d", name, w.Code)
			}
			h = a.OpsHandler()
		}
		here := func(method, body string) (int, string) {
			w := askOf(h, "127.0.0.1:50000", "127.0.0.1:8000", method, logLevelPath, body)
			return w.Code, strings.TrimSpace(w.Body.String())
		}
		debug := func() bool {
			log.Reset()
			ask(a, "GET", "/health", "")
			return strings.Contains(log.String(), "http_request")
		}
		if debug() {
			t.Errorf("%s: details before they were asked for", name)
		}
		if code, now := here("PUT", "debug\n"); code != 200 || now != "debug" || !strings.Contains(log.String(), `"before":"info","after":"debug"`) {
			t.Errorf("%s: %d %s, log %s", name, code, now, log)
		}
		if !debug() {
			t.Errorf("%s: no details", name)
		}
		if code, now := here("PUT", "ERROR"); code != 200 || now != "error" || !strings.Contains(log.String(), `"after":"error"`) {
			t.Errorf("%s: %d %s, log %s", name, code, now, log)
		}
		if code, _ := here("PUT", "loud"); code != http.StatusUnprocessableEntity {
			t.Errorf("%s: a level that there is not: %d", name, code)
		}
		if code, now := here("GET", ""); code != 200 || now != "error" {
			t.Errorf("%s: %d %s", name, code, now)
		}
		for what, w := range map[string]int{
			"from elsewhere":    askOf(h, "192.0.2.1:1234", "127.0.0.1:8000", "PUT", logLevelPath, "debug").Code,
			"by a proxy here":   askOf(h, "127.0.0.1:1234", "127.0.0.1:8000", "PUT", logLevelPath, "debug", "X-Forwarded-For", "192.0.2.1").Code,
			"by a foreign name": askOf(h, "127.0.0.1:1234", "evil.example", "PUT", logLevelPath, "debug").Code,
			"by a foreign page": askOf(h, "127.0.0.1:1234", "127.0.0.1:8000", "PUT", logLevelPath, "debug", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site").Code,
		} {
			if w != http.StatusForbidden || level.Level() != slog.LevelError {
				t.Errorf("%s, %s: %d", name, what, w)
			}
		}
	}
}
