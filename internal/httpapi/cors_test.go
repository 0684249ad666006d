package httpapi

import "testing"

func TestPagesOfOtherOrigins(t *testing.T) {
	const ours, theirs = "https://app.example", "https://evil.example"
	a, good, _ := newGuarded(t, func(s *setup) { s.CORSOrigins = []string{ours, "http://localhost:3000"} })
	for _, c := range []struct {
		name, method, origin, asks string
		status                     int
		allowed                    string
	}{
		{"a preflight of ours", "OPTIONS", ours, "POST", 204, ours},
		{"a preflight of another", "OPTIONS", theirs, "POST", 405, ""},
		{"a preflight of a longer name", "OPTIONS", ours + ".evil.example", "POST", 405, ""},
		{"a preflight of null", "OPTIONS", "null", "POST", 405, ""},
		{"OPTIONS that is no preflight", "OPTIONS", ours, "", 405, ours},
		{"a request of ours", "POST", ours, "", 200, ours},
		{"a request of another", "POST", theirs, "", 200, ""},
	} {
		header := []string{"Origin", c.origin, "Authorization", good}
		if c.asks != "" {
			header = append(header, "Access-Control-Request-Method", c.asks)
		}
		w := ask(a, c.method, "/v1/predict", fullBody(1), header...)
		if got := w.Header().Get("Access-Control-Allow-Origin"); w.Code != c.status || got != c.allowed || w.Header().Get("Vary") != "Origin" {
			t.Errorf("%s: %d, allowed %q, Vary %q", c.name, w.Code, got, w.Header().Get("Vary"))
		}
		if w.Header().Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: credentials are allowed", c.name)
		}
	}
	// A refusal can be read by the page too.
	if w := ask(a, "POST", "/v1/predict", fullBody(1), "Origin", ours); w.Code != 401 || w.Header().Get("Access-Control-Allow-Origin") != ours {
		t.Errorf("a refusal: %d %v", w.Code, w.Header())
	}
	closed := newAPI(t, nil)
	if w := ask(closed, "GET", "/health", "", "Origin", ours); w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Error("without a list an origin is allowed")
	}
}

func TestPagesAreNotFramed(t *testing.T) {
	guarded, _, _ := newGuarded(t, nil)
	for _, a := range []*API{newAPI(t, nil), guarded} {
		for _, path := range []string{"/", "/operations", "/docs"} {
			header := ask(a, "GET", path, "").Header()
			for name, want := range map[string]string{"X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin", "Permissions-Policy": "camera=(), geolocation=(), microphone=()"} {
				if got := header.Get(name); got != want {
					t.Errorf("%s: %s is %q, want %q", path, name, got, want)
				}
			}
		}
	}
}
