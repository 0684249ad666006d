package browser_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// refusal is what answers in place of the service.
type refusal struct {
	status     int
	kind, body string
}

// front stands before a service as a proxy does, and answers for it where
// instead returns a refusal.
func (s *service) front(instead func(r *http.Request) *refusal) string {
	s.t.Helper()
	to, err := url.Parse(s.base)
	if err != nil {
		s.t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		no := instead(r)
		if no == nil {
			proxy.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", no.kind)
		w.WriteHeader(no.status)
		_, _ = w.Write([]byte(no.body)) // the browser may have gone
	}))
	s.t.Cleanup(front.Close)
	return front.URL
}

// TestAnAnswerThatIsNoPageIsTold in place of the price: the page says why, and
// shows no older price.
func TestAnAnswerThatIsNoPageIsTold(t *testing.T) {
	var now atomic.Pointer[refusal]
	base := start(t).front(func(r *http.Request) *refusal {
		if r.Method == http.MethodPost || r.URL.RawQuery != "" {
			return now.Load()
		}
		return nil
	})
	ctx := open(t, views[1])
	run(t, ctx, chromedp.Navigate(base+"/"))
	for _, tt := range []struct {
		no   refusal
		want string
	}{
		{refusal{http.StatusBadGateway, "text/html", "<h1>502 Bad Gateway</h1>"}, "The service answered with 502."},
		{refusal{http.StatusTooManyRequests, "text/plain", "slow down"}, "The service answered with 429."},
		{refusal{http.StatusRequestEntityTooLarge, "application/problem+json", `{"status":413,"detail":"the form is too large"}`}, "the form is too large"},
		{refusal{http.StatusServiceUnavailable, "application/json", `null`}, "The service answered with 503."},
	} {
		now.Store(nil)
		run(t, ctx, chromedp.Click("[data-example]", chromedp.ByQuery))
		until(t, ctx, "the price", `document.querySelector("[data-price]")`)
		now.Store(&tt.no)
		run(t, ctx, chromedp.Click("#house button[type=submit]", chromedp.ByQuery))
		until(t, ctx, "why there is none", `!document.querySelector("[data-price]")`)
		if said := text(t, ctx, "#answer"); said != "There is no price\n\n"+tt.want {
			t.Errorf("%v: the page says %q, want %q", tt.no, said, tt.want)
		}
	}
	picture(t, ctx, "house-away")
	until(t, ctx, "the answer in the window", `document.getElementById("answer").getBoundingClientRect().bottom < innerHeight`)

	// An example that is chosen then is told in the same way.
	run(t, ctx, chromedp.Evaluate(`document.getElementById("answer").replaceChildren()`, nil), chromedp.Click("[data-example]", chromedp.ByQuery))
	until(t, ctx, "why there is no example", `document.getElementById("answer").textContent.includes("The service answered with 503.")`)
}

// TestWhatCannotBeCopiedHasNoButton: a browser lets no page over plain HTTP
// from another machine write to the clipboard.
func TestWhatCannotBeCopiedHasNoButton(t *testing.T) {
	s := start(t)
	ctx := open(t, views[0])
	run(t, ctx, chromedp.Navigate(s.base+"/"), chromedp.Click("[data-example]", chromedp.ByQuery))
	until(t, ctx, "a button to copy", `document.querySelector(".copy")?.checkVisibility()`)
	run(t, ctx, chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := page.AddScriptToEvaluateOnNewDocument(`Object.defineProperty(navigator, "clipboard", { value: undefined })`).Do(ctx)
		return err
	}), chromedp.Navigate(s.base+"/"), chromedp.Click("[data-example]", chromedp.ByQuery))
	until(t, ctx, "no button to copy", `document.querySelector(".copy") && !document.querySelector(".copy").checkVisibility()`)
	if said := text(t, ctx, "#request"); !strings.Contains(said, "curl") {
		t.Errorf("the request to copy is %q", said)
	}
	picture(t, ctx, "house-no-copy")
}
