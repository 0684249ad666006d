package httpapi

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"housing/internal/ratelimit"
)

// limited returns a service that lets clients send a few requests.
func limited(t *testing.T, requests int64, change func(*setup)) *API {
	t.Helper()
	return newAPI(t, func(s *setup) {
		l, err := ratelimit.New("test", ratelimit.Limit{Requests: requests, Period: time.Hour}, nil, s.Metrics)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(l.Close)
		s.Limiter = l
		if change != nil {
			change(s)
		}
	})
}

// from sends a request for prices from an address, by proxies.
func from(a *API, address, forwarded string, houses int) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/v1/predict", strings.NewReader(fullBody(houses)))
	r.Header.Set("Content-Type", "application/json")
	r.RemoteAddr = address
	if forwarded != "" {
		r.Header.Set("X-Forwarded-For", forwarded)
	}
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, r)
	return w
}

func TestAClientThatSendsTooManyIsTold(t *testing.T) {
	a := limited(t, 3, nil)
	for i := range 5 {
		w := from(a, "192.0.2.1:1000", "", 2)
		if got := w.Header().Get("RateLimit-Policy"); got != `"default";q=3;w=3600` {
			t.Errorf("RateLimit-Policy: %s", got)
		}
		if i < 3 {
			if want := fmt.Sprintf(`"default";r=%d;t=%d`, 2-i, (i+1)*1200); w.Code != http.StatusOK || w.Header().Get("RateLimit") != want {
				t.Errorf("request %d: %d, RateLimit %s, want %s", i, w.Code, w.Header().Get("RateLimit"), want)
			}
			continue
		}
		if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "1200" || !strings.Contains(w.Body.String(), "may send 3 in 1h0m0s; try again in 1200 s") {
			t.Errorf("request %d: %d %v %s", i, w.Code, w.Header(), w.Body)
		}
	}
	if w := from(a, "192.0.2.2:1000", "", 1); w.Code != http.StatusOK {
		t.Errorf("another client: %d", w.Code)
	}
	r := httptest.NewRequest("GET", "/v1/model-info", nil)
	r.RemoteAddr = "192.0.2.1:1000"
	w := httptest.NewRecorder()
	if a.Handler().ServeHTTP(w, r); w.Code != http.StatusOK {
		t.Errorf("what is no prediction: %d", w.Code)
	}
}

func TestARequestMayCountAsItsHouses(t *testing.T) {
	a := limited(t, 10, func(s *setup) { s.LimitRecords = true })
	for i, want := range []int{http.StatusOK, http.StatusOK, http.StatusTooManyRequests} {
		if w := from(a, "192.0.2.1:1000", "", 4); w.Code != want {
			t.Errorf("request %d: %d, want %d", i, w.Code, want)
		}
	}
}

func TestAForgedXForwardedForPassesNoLimit(t *testing.T) {
	trusted := func(s *setup) {
		s.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	}
	for name, change := range map[string]func(*setup){"no proxy is trusted": nil, "the client is none of the proxies": trusted} {
		a := limited(t, 3, change)
		for i := range 5 {
			if w := from(a, "192.0.2.1:1000", fmt.Sprintf("198.51.100.%d", i), 1); (w.Code == http.StatusOK) != (i < 3) {
				t.Errorf("%s, request %d: %d", name, i, w.Code)
			}
		}
	}
	a := limited(t, 3, trusted)
	for i := range 5 {
		// What the proxy adds is believed; what the client wrote before is not.
		if w := from(a, "10.0.0.7:1000", fmt.Sprintf("203.0.113.%d, 198.51.100.1, 10.1.1.1", i), 1); (w.Code == http.StatusOK) != (i < 3) {
			t.Errorf("behind proxies, request %d: %d", i, w.Code)
		}
	}
}

func TestClientAddress(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct {
		peer      string
		forwarded []string
		want      string
	}{
		{"192.0.2.1:5", nil, "192.0.2.1"},
		{"192.0.2.1:5", []string{"198.51.100.1"}, "192.0.2.1"},
		{"10.0.0.1:5", nil, "10.0.0.1"},
		{"10.0.0.1:5", []string{"198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1:5", []string{"203.0.113.1, 198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1:5", []string{"203.0.113.1", "198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1:5", []string{"198.51.100.1, 10.0.0.2, 10.0.0.3"}, "198.51.100.1"},
		{"10.0.0.1:5", []string{"198.51.100.1", "10.0.0.2"}, "198.51.100.1"},
		{"10.0.0.1:5", []string{"198.51.100.1:4711"}, "198.51.100.1"},
		{"10.0.0.1:5", []string{"[2001:db8:1:2:3::4]:4711"}, "2001:db8:1:2::/64"},
		{"10.0.0.1:5", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1:5", []string{"198.51.100.1, unknown"}, "10.0.0.1"},
		{"10.0.0.1:5", []string{", ,"}, "10.0.0.1"},
		{"10.0.0.1:5", []string{"10.0.0.2"}, "10.0.0.2"},
		{"[fd00::1]:5", []string{"2001:db8:1:2:3::4"}, "2001:db8:1:2::/64"},
		{"[2001:db8:1:2:ffff::]:5", nil, "2001:db8:1:2::/64"},
		{"[::ffff:192.0.2.1]:5", nil, "192.0.2.1"},
		{"10.0.0.1:5", []string{strings.Repeat("10.0.0.9, ", 1000) + "10.0.0.2"}, "10.0.0.9"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.peer
		r.Header["X-Forwarded-For"] = c.forwarded
		if got := network(clientAddress(r, trusted)); got != c.want {
			t.Errorf("%s %.60v: %s, want %s", c.peer, c.forwarded, got, c.want)
		}
	}
}

func FuzzClientAddress(f *testing.F) {
	f.Add("198.51.100.1, 10.0.0.2")
	f.Add("[2001:db8::1]:80,,")
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, forwarded string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["X-Forwarded-For"] = []string{forwarded}
		r.RemoteAddr = "192.0.2.1:5"
		if got := network(clientAddress(r, trusted)); got != "192.0.2.1" {
			t.Errorf("%q makes 192.0.2.1 %s", forwarded, got)
		}
		r.RemoteAddr = "10.0.0.1:5"
		if !clientAddress(r, trusted).IsValid() {
			t.Errorf("%q leaves no address", forwarded)
		}
	})
}

// TestBadTokensHaveALimitOfTheirOwn sends bad tokens until the address is told
// to wait; a good one passes all the same, and no token at all is no attempt.
func TestBadTokensHaveALimitOfTheirOwn(t *testing.T) {
	a, bearer, _ := newGuarded(t, func(s *setup) {
		l, err := ratelimit.New("auth", ratelimit.Limit{Requests: 3, Period: time.Hour}, nil, s.Metrics)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(l.Close)
		s.FailureLimiter = l
	})
	for i := range 6 {
		w := ask(a, "GET", "/v1/model-info", "", "Authorization", fmt.Sprintf("Bearer a.b.%d", i))
		want := http.StatusUnauthorized
		if i >= 3 {
			want = http.StatusTooManyRequests
		}
		if w.Code != want || (w.Header().Get("Retry-After") != "") != (i >= 3) {
			t.Errorf("bad token %d: %d, want %d", i, w.Code, want)
		}
	}
	if w := ask(a, "GET", "/v1/model-info", ""); w.Code != http.StatusUnauthorized {
		t.Errorf("no token: %d", w.Code)
	}
	if w := ask(a, "GET", "/v1/model-info", "", "Authorization", bearer); w.Code != http.StatusOK {
		t.Errorf("a good token: %d %s", w.Code, w.Body)
	}
}

func TestUsersAreLimitedByTheirToken(t *testing.T) {
	a := limited(t, 2, nil)
	x := &exchange{ResponseWriter: httptest.NewRecorder()}
	r := httptest.NewRequest("POST", "/v1/predict", nil)
	for i, user := range []string{"ann", "ann", "bob", "ann", ""} {
		x.user = user
		if err := a.limit(x, r, 1); (err != nil) != (i == 3) {
			t.Errorf("request %d of %q: %v", i, user, err)
		}
	}
}
