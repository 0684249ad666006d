package httpapi

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"housing/internal/house"
)

const formType = "application/x-www-form-urlencoded"

// knownForm is the form of a house of which the required fields are known.
const knownForm = "bedrooms=3&bathrooms=2.5&sqft_living=2220&sqft_lot=6380&floors=1.5&sqft_above=1660&sqft_basement=560&zipcode=98115"

func TestTheFormAnswersWhatTheAPIAnswers(t *testing.T) {
	a := newAPI(t, nil)
	record := house.AppendJSON(nil, &[]house.House{exampleOf(house.RequiredFields)}[0])
	v := read[Valuations](t, ask(a, "POST", "/v1/valuations", `{"records":[`+string(record)+`]}`)).Valuations[0]
	for target, whole := range map[string]bool{"/": true, "/?part=answer": false} {
		w := ask(a, "POST", target, knownForm, "Content-Type", formType)
		page := w.Body.String()
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != mediaHTML || w.Header().Get("X-Model-Version") == "" {
			t.Fatalf("%s: %d %v", target, w.Code, w.Header())
		}
		if want := fmt.Sprintf(`data-price="%s"`, strconv.FormatFloat(v.Price, 'f', -1, 64)); !strings.Contains(page, want) {
			t.Errorf("%s: no %s", target, want)
		}
		if got := strings.Contains(page, "<!doctype html>"); got != whole {
			t.Errorf("%s: a whole page: %v", target, got)
		}
		if policy := w.Header().Get("Content-Security-Policy"); strings.Contains(policy, "unsafe") || !strings.Contains(policy, "script-src 'self'") {
			t.Errorf("%s: policy %q", target, policy)
		}
	}
}

// exampleOf returns the example house with some fields known.
func exampleOf(known house.Set) house.House {
	h := house.Example()
	for f := range house.Field(house.NumFields) {
		if !known.Has(f) {
			h.Values[f] = math.NaN()
		}
	}
	return h
}

func TestWhatIsWrongWithAFormStandsBesideIt(t *testing.T) {
	a := newAPI(t, nil)
	for _, c := range []struct {
		form, content string
		status        int
		want          string
	}{
		{strings.Replace(knownForm, "sqft_living=2220", "sqft_living=12", 1), formType, 422, `<a href="#sqft_living">Living space</a> must be at least 100`},
		{strings.Replace(knownForm, "bedrooms=3", "bedrooms=three", 1), formType, 422, `<a href="#bedrooms">Bedrooms</a> must be a`},
		{"", formType, 422, `<a href="#zipcode">Zipcode</a> is required`},
		{knownForm + "&valuation_date=yesterday", formType, 422, `<a href="#valuation_date">As of</a> must be a day`},
		{knownForm + "&yr_built=" + strings.Repeat("9", 400), formType, 422, `href="#yr_built"`},
		{knownForm, "application/json", 415, "must be application/x-www-form-urlencoded"},
		{"a=%zz", formType, 400, "cannot be read"},
		{strings.Repeat("a", maxForm+1), formType, 413, "larger than"},
	} {
		w := ask(a, "POST", "/", c.form, "Content-Type", c.content)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%.60q: %d, want %d and %q", c.form, w.Code, c.status, c.want)
		}
	}
}

// TestASlowFormIsToldSo has one that does not arrive in time: the connection is
// closed, and there is time left to say why.
func TestASlowFormIsToldSo(t *testing.T) {
	a := newAPI(t, nil)
	slow := httptest.NewRequest("POST", "/", iotest.ErrReader(os.ErrDeadlineExceeded))
	slow.Header.Set("Content-Type", formType)
	w := &deadlined{httptest.NewRecorder()}
	a.Handler().ServeHTTP(w, slow)
	if w.Code != 408 || w.Header().Get("Connection") != "close" || !strings.Contains(w.Body.String(), "did not arrive in time") {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

func TestMarkupInAFormIsText(t *testing.T) {
	a := newAPI(t, nil)
	for _, s := range house.Fields() {
		for _, ask := range []func() string{
			func() string {
				return ask(a, "POST", "/", s.Name+"=%22%3E%3Cscript%3Ex%3C/script%3E", "Content-Type", formType).Body.String()
			},
			func() string { return ask(a, "GET", "/?"+s.Name+"=%22%3E%3Cscript%3Ex%3C/script%3E", "").Body.String() },
		} {
			if page := ask(); strings.Contains(page, "<script>x") || !strings.Contains(page, s.Name) {
				t.Errorf("%s: markup is markup", s.Name)
			}
		}
	}
	w := askFrom(a, "192.0.2.1:1234", `evil"><script>`, "POST", "/", knownForm, "Content-Type", formType)
	if strings.Contains(w.Body.String(), "evil") {
		t.Error("the host of a request stands in the page")
	}
}

// TestCommandsToCopyHaveTheAddressOfTheCaller behind a proxy that ends TLS, and
// without one.
func TestCommandsToCopyHaveTheAddressOfTheCaller(t *testing.T) {
	a := newAPI(t, nil)
	for _, c := range []struct{ host, scheme, want string }{
		{"prices.example.com:8443", "https", "https://prices.example.com:8443/"},
		{"prices.example.com", "http", "http://prices.example.com/"},
		{"[::1]:8000", "", "http://[::1]:8000/"},
		{"evil\" onload=x", "https", "https://localhost:8000/"},
	} {
		for path, page := range map[string]*httptest.ResponseRecorder{
			"/":     askFrom(a, "192.0.2.1:1234", c.host, "POST", "/", knownForm, "Content-Type", formType, "X-Forwarded-Proto", c.scheme),
			"/docs": askFrom(a, "192.0.2.1:1234", c.host, "GET", "/docs", "", "X-Forwarded-Proto", c.scheme),
		} {
			if text := page.Body.String(); !strings.Contains(text, c.want+"v1/valuations") || strings.Contains(text, addressOfDocs) {
				t.Errorf("%s asked by %s does not show %s", path, c.host, c.want)
			}
		}
	}
}

// TestTheFormWantsAToken where the API does, in a header or in the form.
func TestTheFormWantsAToken(t *testing.T) {
	a, bearer, _ := newGuarded(t, nil)
	token := strings.TrimPrefix(bearer, "Bearer ")
	for _, path := range []string{"/", "/file", "/model", "/operations", "/assets/house.js"} {
		if w := ask(a, "GET", path, ""); w.Code != http.StatusOK {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := ask(a, "POST", "/", knownForm, "Content-Type", formType); w.Code != http.StatusUnauthorized || w.Header().Get("WWW-Authenticate") == "" || strings.Contains(w.Body.String(), "data-price") {
		t.Errorf("without a token: %d", w.Code)
	} else if said := w.Body.String(); !strings.Contains(said, "sign in above") || strings.Contains(said, "Authorization") {
		t.Error("without a token the page does not say where to sign in")
	}
	if w := ask(a, "POST", "/", knownForm, "Content-Type", formType, "Authorization", bearer); w.Code != http.StatusOK {
		t.Errorf("with a token: %d", w.Code)
	}
	if w := ask(a, "POST", "/", knownForm+"&token="+token, "Content-Type", formType); w.Code != http.StatusOK || strings.Contains(w.Body.String(), token[:30]) {
		t.Errorf("with a token in the form: %d", w.Code)
	}
}

func TestAssetsAreAskedForOnce(t *testing.T) {
	a := newAPI(t, nil)
	w := ask(a, "GET", "/assets/house.js", "")
	if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/javascript") {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	if w = ask(a, "GET", "/assets/house.js", "", "If-None-Match", w.Header().Get("ETag")); w.Code != http.StatusNotModified || w.Body.Len() > 0 {
		t.Errorf("again: %d", w.Code)
	}
	for _, path := range []string{"/assets/none.js", "/assets/..%2fpages.go", "/assets/"} {
		wantProblem(t, ask(a, "GET", path, ""), http.StatusNotFound)
	}
}

// firstView is what a browser asks for to show a page: the page, and what it
// and its scripts name.
func firstView(t testing.TB, a *API, path string) (paths []string, bytes int) {
	t.Helper()
	paths = []string{path}
	for i := 0; i < len(paths); i++ {
		w := ask(a, "GET", paths[i], "")
		if w.Code != http.StatusOK {
			t.Fatalf("%s names %s: %d", path, paths[i], w.Code)
		}
		bytes += w.Body.Len()
		for _, m := range named.FindAllStringSubmatch(w.Body.String(), -1) {
			if next := "/assets/" + m[1]; !slices.Contains(paths, next) {
				paths = append(paths, next)
			}
		}
	}
	return paths, bytes
}

var named = regexp.MustCompile(`(?:"/assets/|from "\./)([a-z]+\.[a-z]+)"`)

// TestTheFirstViewIsSmall counts what a browser loads for each page.
func TestTheFirstViewIsSmall(t *testing.T) {
	a := newAPI(t, nil)
	for _, page := range []string{"/", "/file", "/model", "/operations"} {
		paths, total := firstView(t, a, page)
		if total > 100_000 || len(paths) < 3 {
			t.Errorf("%s: %d bytes in %q", page, total, paths)
		}
		t.Logf("%s: %d bytes in %d answers", page, total, len(paths))
	}
}

// BenchmarkTheFirstView answers all that a browser asks for to show the page
// of a house, without a network: of the 100 ms that it may take, our part.
func BenchmarkTheFirstView(b *testing.B) {
	a := newAPI(b, nil)
	paths, _ := firstView(b, a, "/")
	for b.Loop() {
		for _, path := range paths {
			ask(a, "GET", path, "")
		}
	}
}

// TestRecentErrorsAreTheLatest of those that are our own.
func TestRecentErrorsAreTheLatest(t *testing.T) {
	a := newAPI(t, func(s *setup) { s.noModel = true })
	for range keptErrors + 5 {
		ask(a, "POST", "/v1/predict", fullBody(1))
		ask(a, "GET", "/nothing", "")
	}
	got := read[RecentErrors](t, ask(a, "GET", "/v1/errors", "")).Errors
	if len(got) != keptErrors {
		t.Fatalf("%d errors", len(got))
	}
	for _, e := range got {
		if e.Status != http.StatusServiceUnavailable || e.Route != "/v1/predict" || e.RequestID == "" || e.Time.IsZero() {
			t.Errorf("%+v", e)
		}
	}
}
