package httpapi

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"housing/internal/auth"
	"housing/internal/telemetry"
)

const testSecret = "the-secret-of-these-tests-is-long-enough"

// tokens sign for a verifier.
func tokens(t testing.TB) (*auth.Verifier, func(c auth.Claims) string) {
	t.Helper()
	secrets, err := auth.ParseSecrets(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	return auth.New(auth.Options{Secrets: secrets}), func(c auth.Claims) string {
		token, err := secrets.Sign(c)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
}

func goodClaims(scopes auth.Scopes) auth.Claims {
	return auth.Claims{User: "ann", Scopes: scopes, IssuedAt: time.Now(), Expires: time.Now().Add(time.Hour)}
}

// newGuarded returns an API that asks for tokens, one that is good for
// predictions and what signs others.
func newGuarded(t testing.TB, change func(*setup)) (a *API, bearer string, sign func(auth.Claims) string) {
	t.Helper()
	verifier, sign := tokens(t)
	a = newAPI(t, func(s *setup) {
		s.Auth = verifier
		if change != nil {
			change(s)
		}
	})
	return a, "Bearer " + sign(goodClaims(auth.Predict)), sign
}

func TestWhoMayAskWhat(t *testing.T) {
	a, good, sign := newGuarded(t, nil)
	expired := goodClaims(auth.Predict)
	expired.Expires = time.Now().Add(-time.Hour)
	for _, c := range []struct {
		name, authorization string
		status              int
		challenge           string
	}{
		{"none", "", 401, `Bearer realm="housing"`},
		{"basic", "Basic dTpw", 401, `Bearer realm="housing"`},
		{"nonsense", "Bearer nonsense", 401, `error="invalid_token", error_description="the token cannot be read"`},
		{"expired", "Bearer " + sign(expired), 401, `error_description="the token has expired"`},
		{"another scope", "Bearer " + sign(goodClaims(auth.Outcomes|auth.ModelsWrite)), 403, `Bearer realm="housing", error="insufficient_scope", scope="predict"`},
		{"no scope", "Bearer " + sign(goodClaims(0)), 403, `insufficient_scope`},
		{"good", good, 200, ""},
	} {
		for _, r := range [][3]string{{"POST", "/v1/predict", fullBody(1)}, {"POST", "/v1/predict-minimal", minimalBody}, {"GET", "/v1/model-info", ""}} {
			var header []string
			if c.authorization != "" {
				header = []string{"Authorization", c.authorization}
			}
			w := ask(a, r[0], r[1], r[2], header...)
			if c.status != 200 {
				wantProblem(t, w, c.status)
			}
			if got := w.Header().Get("WWW-Authenticate"); w.Code != c.status || !strings.HasSuffix(got, c.challenge) && !strings.Contains(got, c.challenge) || (c.challenge == "") != (got == "") {
				t.Errorf("%s, %s: %d, %q", c.name, r[1], w.Code, got)
			}
		}
		for _, path := range []string{"/health", "/livez", "/readyz", "/metrics", "/docs", "/openapi.json", "/openapi-3.0.json"} {
			if w := ask(a, "GET", path, "", "Authorization", c.authorization); w.Code != 200 {
				t.Errorf("%s, %s: %d", c.name, path, w.Code)
			}
		}
	}
	for reason, want := range map[auth.Reason]float64{auth.Missing: 6, auth.Malformed: 3, auth.Expired: 3, auth.NoScope: 6} {
		if n := testutil.ToFloat64(a.Metrics.AuthFailures(string(reason))); n != want {
			t.Errorf("%s: counted %v times, want %v", reason, n, want)
		}
	}
}

func TestARefusalReadsNothingOfTheBody(t *testing.T) {
	a, _, _ := newGuarded(t, nil)
	for _, length := range []int64{-1, 1 << 20} {
		r := httptest.NewRequest("POST", "/v1/predict", readsNothing{t})
		r.ContentLength = length
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, r)
		if w.Code != 401 || w.Header().Get("Connection") != "close" {
			t.Errorf("%d bytes: %d, Connection %q", length, w.Code, w.Header().Get("Connection"))
		}
	}
}

type readsNothing struct{ t *testing.T }

func (r readsNothing) Read([]byte) (int, error) { r.t.Error("the body is read"); return 0, io.EOF }

func TestNoTokenIsLoggedNorTheUser(t *testing.T) {
	var log bytes.Buffer
	a, good, sign := newGuarded(t, func(s *setup) {
		s.Log = telemetry.NewLogger(&log, slog.LevelDebug, telemetry.JSON)
		s.UserKey = []byte("key")
	})
	c := goodClaims(auth.Predict)
	c.User = "bob"
	for _, authorization := range []string{good, "Bearer " + sign(c), "Bearer " + sign(goodClaims(0)), good + "AAAA", "Bearer nonsense-nonsense"} {
		ask(a, "POST", "/v1/predict", fullBody(1), "Authorization", authorization)
		ask(a, "POST", "/v1/predict", "{", "Authorization", authorization)
	}
	text := log.String()
	for _, told := range []string{good[7:40], "ann", "bob", "nonsense", testSecret} {
		if strings.Contains(text, told) {
			t.Errorf("the log tells %q: %s", told, text)
		}
	}
	hashes := map[any]int{}
	for _, event := range lines(t, &log) {
		if event["user_id"] != nil {
			hashes[event["user_id"]]++
		}
	}
	if len(hashes) != 2 || hashes[auth.UserHash([]byte("key"), "ann")] != 2 || hashes[auth.UserHash([]byte("key"), "bob")] != 2 {
		t.Errorf("logged users %v in %s", hashes, text)
	}
}

// guardedDocument is what a document says of who may ask.
type guardedDocument struct {
	Paths map[string]map[string]struct {
		Security  []map[string][]string
		Responses map[string]any
	}
	Components struct{ SecuritySchemes map[string]map[string]string }
}

func TestTheDocumentsSayWhoMayAsk(t *testing.T) {
	a, good, _ := newGuarded(t, nil)
	for _, path := range []string{"/openapi.json", "/openapi-3.0.json"} {
		d := read[guardedDocument](t, ask(a, "GET", path, ""))
		if s := d.Components.SecuritySchemes["bearer"]; s["type"] != "http" || s["scheme"] != "bearer" {
			t.Errorf("%s: scheme %v", path, s)
		}
		for i := range a.routes {
			r := &a.routes[i]
			op := d.Paths[r.path][strings.ToLower(r.method)]
			guarded := r.scope != 0
			if (len(op.Security) == 1) != guarded || (op.Responses["401"] != nil) != guarded || (op.Responses["403"] != nil) != guarded {
				t.Errorf("%s: %s: %+v", path, r.path, op)
			}
		}
	}
	if page := ask(a, "GET", "/docs", "").Body.String(); !strings.Contains(page, "Authorization: Bearer") || !strings.Contains(page, "lacks the scope") {
		t.Error("the page does not say that a token is needed")
	}
	open := newAPI(t, nil)
	if text := ask(open, "GET", "/openapi.json", "").Body.String(); strings.Contains(text, "ecurity") || strings.Contains(text, `"401"`) {
		t.Error("without authentication the document asks for it")
	}
	if w := ask(a, "HEAD", "/v1/model-info", "", "Authorization", good); w.Code != 200 {
		t.Errorf("HEAD: %d", w.Code)
	}
	if w := ask(a, "HEAD", "/v1/model-info", ""); w.Code != 401 {
		t.Errorf("HEAD without a token: %d", w.Code)
	}
}

func TestKeysThatAreNotKnownYetAre503(t *testing.T) {
	a := newAPI(t, func(s *setup) {
		s.Auth = auth.New(auth.Options{Issuer: auth.NewIssuer("https://issuer.example", nil, nil)})
	})
	w := ask(a, "GET", "/v1/model-info", "", "Authorization", "Bearer eyJhbGciOiJFZERTQSJ9.e30.AAAA")
	wantProblem(t, w, 503)
	if w.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

// BenchmarkAuthorized measures the whole chain without a network, with and
// without a token.
func BenchmarkAuthorized(b *testing.B) {
	guarded, good, _ := newGuarded(b, nil)
	for _, c := range []struct {
		name          string
		api           *API
		authorization string
	}{{"anyone", newAPI(b, nil), ""}, {"HS256", guarded, good}} {
		b.Run(c.name, func(b *testing.B) {
			r := httptest.NewRequest("POST", "/v1/predict", nil)
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", c.authorization)
			text := fullBody(1)
			content := body{strings.NewReader(text)}
			r.Body, r.ContentLength = content, int64(len(text))
			w := &nowhere{header: map[string][]string{}}
			b.ReportAllocs()
			for b.Loop() {
				content.Reset(text)
				clear(w.header)
				c.api.Handler().ServeHTTP(w, r)
				if w.status != 200 {
					b.Fatal(fmt.Sprint("status ", w.status))
				}
			}
		})
	}
}
