package browser_test

import (
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// BenchmarkFirstView opens the page in new tabs of one browser, which keeps
// nothing, and reports in the median when it was painted first, when it was
// loaded, and how many bytes that took.
func BenchmarkFirstView(b *testing.B) {
	s := start(b)
	ctx := open(b, views[0])
	var painted, loaded, sizes []float64
	for b.Loop() {
		tab, done := chromedp.NewContext(ctx)
		if err := chromedp.Run(tab); err != nil { // the first of a tab must not have a deadline that ends
			b.Fatal(err)
		}
		var at []float64
		run(b, tab, network.Enable(), network.SetCacheDisabled(true), chromedp.EmulateViewport(1280, 900), chromedp.Navigate(s.base+"/"))
		until(b, tab, "the first paint, and the script after it", `performance.getEntriesByName("first-contentful-paint").length && document.querySelector(".js")`)
		run(b, tab, chromedp.Evaluate(`(() => {
			const page = performance.getEntriesByType("navigation")[0];
			const size = performance.getEntriesByType("resource").reduce((n, r) => n + r.transferSize, page.transferSize);
			return [performance.getEntriesByName("first-contentful-paint")[0].startTime, page.loadEventEnd, size];
		})()`, &at))
		done()
		painted, loaded, sizes = append(painted, at[0]), append(loaded, at[1]), append(sizes, at[2])
		time.Sleep(100 * time.Millisecond) // the tab before is closed
	}
	for unit, values := range map[string][]float64{"ms-painted": painted, "ms-loaded": loaded, "bytes": sizes} {
		slices.Sort(values)
		b.ReportMetric(values[len(values)/2], unit)
	}
}
