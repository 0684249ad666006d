package browser_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

func writeFile(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// violation is one broken rule of axe-core.
type violation struct {
	ID, Help string
	Nodes    []struct{ HTML, FailureSummary string }
}

// TestThePagesAreAccessible runs the rules of axe-core, which include those of
// WCAG 2.2 AA (that of the size of targets is off by default), on every page, wide and narrow, light and dark.
func TestThePagesAreAccessible(t *testing.T) {
	axe, err := os.ReadFile("../axe/node_modules/axe-core/axe.min.js")
	if err != nil {
		message := "axe-core is not installed: run npm ci in test/axe"
		if os.Getenv("CI") == "true" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	s := start(t)
	for _, v := range []view{{name: "1280", width: 1280}, {name: "1280-dark", width: 1280, dark: true}, {name: "320", width: 320}, {name: "360-dark", width: 360, dark: true}} {
		ctx := open(t, v)
		for _, page := range []struct{ path, ready string }{
			{"/?example=1", `document.getElementById("house")`},
			{"/#valued", `document.querySelector("[data-price]")`},
			{"/#faulty", `document.getElementById("faults-list")`},
			{"/file", `document.getElementById("drop")`},
			{"/model", `document.querySelector("#model table")`},
			{"/operations", `document.querySelector("#operations table")`},
			{"/docs", `document.getElementById("content")`},
		} {
			run(t, ctx, chromedp.Navigate("about:blank"), chromedp.Navigate(s.base+page.path))
			switch page.path {
			case "/#valued":
				run(t, ctx, chromedp.Click("[data-example]", chromedp.ByQuery))
			case "/#faulty":
				run(t, ctx, chromedp.SetValue("#sqft_living", "1", chromedp.ByID), chromedp.Click("#house button[type=submit]", chromedp.ByQuery))
			}
			until(t, ctx, page.path, page.ready)
			var found []violation
			run(t, ctx, chromedp.Evaluate(string(axe)+"; true", nil),
				chromedp.Evaluate(`axe.run(document, { rules: { "target-size": { enabled: true } } }).then((r) => r.violations)`, &found, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
			for _, f := range found {
				t.Errorf("%s at %s: %s: %s: %+v", page.path, v.name, f.ID, f.Help, f.Nodes[0])
			}
			var wide bool
			run(t, ctx, chromedp.Evaluate("document.documentElement.scrollWidth > innerWidth", &wide))
			if wide {
				t.Errorf("%s at %s is wider than its window", page.path, v.name)
			}
		}
	}
}
