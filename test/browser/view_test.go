package browser_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// BenchmarkFirstView opens the page in new tabs of one browser, which keeps
// nothing, and reports in the median when it was painted first, when it was
// loaded, and how many bytes that took. For a new tab this browser starts a
// process first, and so another tab shows a bare text of the service before.
// By turns it opens a page of one word, cut off from
// windows of others too, which tells how fast the machine is then.
func BenchmarkFirstView(b *testing.B) {
	s := start(b)
	word := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cross-Origin-Opener-Policy", "same-origin")
		_, _ = w.Write([]byte(`<!doctype html><html lang="en" class="js"><title>word</title><link rel="icon" href="data:,"><p>word`))
	}))
	defer word.Close()
	ctx := open(b, views[0])
	view := func(before, address string) (at []float64) {
		tab, done := chromedp.NewContext(ctx)
		defer done()
		if err := chromedp.Run(tab); err != nil { // the first of a tab must not have a deadline that ends
			b.Fatal(err)
		}
		run(b, tab, network.Enable(), network.SetCacheDisabled(true), chromedp.EmulateViewport(1280, 900))
		if before != "" {
			run(b, tab, chromedp.Navigate(before))
		}
		run(b, tab, chromedp.Navigate(address))
		until(b, tab, "the first paint, and the script after it", `performance.getEntriesByName("first-contentful-paint").length && document.querySelector(".js")`)
		run(b, tab, chromedp.Evaluate(`(() => {
			const page = performance.getEntriesByType("navigation")[0];
			const size = performance.getEntriesByType("resource").reduce((n, r) => n + r.transferSize, page.transferSize);
			return [performance.getEntriesByName("first-contentful-paint")[0].startTime, page.loadEventEnd, size];
		})()`, &at))
		return at
	}
	seen := map[string][]float64{}
	for b.Loop() {
		at, ready, of := view("", s.base+"/"), view(s.base+"/openapi.json", s.base+"/"), view("", word.URL)
		for unit, value := range map[string]float64{"ms-painted": at[0], "ms-loaded": at[1], "bytes": at[2], "ms-painted-ready": ready[0], "ms-painted-word": of[0]} {
			seen[unit] = append(seen[unit], value)
		}
		time.Sleep(100 * time.Millisecond) // the tabs before are closed
	}
	for unit, values := range seen {
		slices.Sort(values)
		b.ReportMetric(values[len(values)/2], unit)
	}
}
