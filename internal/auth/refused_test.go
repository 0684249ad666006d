package auth_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"housing/internal/auth"
	"housing/internal/httpapi"
	"housing/internal/telemetry"
	"housing/internal/valuer"
)

// TestHostileTokensAreRefusedAndNotLogged sends each of them to the service:
// all are answered 401, and neither the answer, nor the log, nor the metrics
// hold one or a large part of it.
func TestHostileTokensAreRefusedAndNotLogged(t *testing.T) {
	var out bytes.Buffer
	registry := prometheus.NewRegistry()
	metrics, log := telemetry.NewMetrics(registry), slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	api := httpapi.New(httpapi.Options{
		Valuer:  valuer.New(valuer.Options{Workers: 1, Metrics: metrics, Log: log}),
		Metrics: metrics, Gatherer: registry, Log: log, MaxBodyBytes: 1 << 20, MaxRecords: 10,
		Auth: auth.NewTestVerifier(t),
	})
	ask := func(path, token string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader("{}"))
		if path == "/v1/model-info" || path == "/metrics" {
			r = httptest.NewRequest(http.MethodGet, path, nil)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		api.Handler().ServeHTTP(w, r)
		return w
	}
	shows := func(what, text, token string) {
		t.Helper()
		for _, part := range strings.Split(token, ".") {
			if len(part) > 40 && strings.Contains(text, part[:40]) {
				t.Errorf("%s tells the token", what)
			}
		}
		if strings.Contains(text, auth.SharedSecret) {
			t.Errorf("%s tells the secret", what)
		}
	}
	hostile := auth.HostileTokens()
	if len(hostile) < 60 {
		t.Fatalf("only %d hostile tokens", len(hostile))
	}
	for name, token := range hostile {
		for _, path := range []string{"/v1/predict", "/v1/predict-minimal", "/v1/model-info"} {
			w := ask(path, token)
			if w.Code != http.StatusUnauthorized || !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("%s: %s answers %d, %q", name, path, w.Code, w.Header().Get("WWW-Authenticate"))
			}
			shows(name+": "+path, w.Body.String(), token)
		}
	}
	logged, measured := out.String(), ask("/metrics", "").Body.String()
	for name, token := range hostile {
		shows(name+": the log", logged, token)
		shows(name+": /metrics", measured, token)
	}
}
