package browser_test

import (
	"context"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// stop is where the focus stands, as the page has it.
type stop struct {
	What     string  // of the element
	Outline  float64 // width, in pixels
	Seen     bool    // it is in the window, with nothing over it
	W, H     float64
	Inline   bool // a link in text, whose size is that of the text
	Followed bool // it stands after the one before in the document
}

// whereFocusIs describes the element that has the focus.
const whereFocusIs = `(() => {
	const e = document.activeElement;
	if (e === document.body || e === document.documentElement) return { What: "" };
	const r = e.getBoundingClientRect(), style = getComputedStyle(e);
	const before = window.focusBefore;
	if (before === e) return { What: "within" }; // a part of a date, which the browser marks itself
	window.focusBefore = e;
	const x = Math.min(Math.max(r.x + r.width / 2, 0), innerWidth - 1), y = Math.min(Math.max(r.y + Math.min(r.height, innerHeight) / 2, 0), innerHeight - 1);
	const over = document.elementFromPoint(x, y);
	return {
		What: e.tagName + " " + (e.id || e.getAttribute("aria-label") || e.textContent.trim().slice(0, 30)),
		Outline: style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth),
		Seen: r.bottom > 0 && r.top < innerHeight && over !== null && (e.contains(over) || over.contains(e)),
		W: r.width, H: r.height, Inline: style.display === "inline",
		Followed: !before || Boolean(before.compareDocumentPosition(e) & Node.DOCUMENT_POSITION_FOLLOWING),
	};
})()`

// TestTheKeyboardReachesAllInOrder goes through pages by Tab: what has the
// focus is seen, is marked, follows in the document, and is 24 pixels or more
// each way (WCAG 2.2, 2.4.3, 2.4.7, 2.4.11, 2.5.8). Nothing moves for who
// asked for less motion.
func TestTheKeyboardReachesAllInOrder(t *testing.T) {
	s := start(t)
	ctx := open(t, view{width: 320})
	run(t, ctx, emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}}))
	for _, p := range []struct {
		path, ready string
		least       int // stops
	}{
		{"/", `document.querySelector("[data-price]")`, 35},
		{"/file", `document.getElementById("drop")`, 8},
		{"/model", `document.querySelectorAll("#model .card").length > 4`, 8},
		{"/operations", `document.querySelector("#operations table")`, 8},
	} {
		run(t, ctx, chromedp.Navigate(s.base+p.path))
		if p.path == "/" {
			run(t, ctx, chromedp.Click("[data-example]", chromedp.ByQuery))
		}
		until(t, ctx, p.path, p.ready)
		run(t, ctx, chromedp.Evaluate("document.activeElement.blur(); scrollTo(0, 0); getSelection().removeAllRanges(); window.focusBefore = undefined", nil))
		seen := 0
		for ; seen < 100; seen++ {
			var at stop
			run(t, ctx, chromedp.KeyEvent(kb.Tab), chromedp.Evaluate(whereFocusIs, &at))
			if at.What == "" {
				break
			}
			if seen == 0 && p.path != "/" && !strings.Contains(at.What, "Skip") {
				t.Errorf("%s: the first stop is %s, not the way past the head", p.path, at.What)
			}
			if at.What == "within" {
				continue
			}
			if at.Outline < 2 || !at.Seen || !at.Followed || !at.Inline && (at.W < 24 || at.H < 24) {
				t.Errorf("%s: stop %d: %+v", p.path, seen+1, at)
			}
		}
		if seen < p.least || seen == 100 {
			t.Errorf("%s has %d stops, want %d or more", p.path, seen, p.least)
		}
		var moving int
		run(t, ctx, chromedp.Evaluate(`document.getAnimations().length + [...document.querySelectorAll("*")].filter((e) => parseFloat(getComputedStyle(e).transitionDuration) > 0).length`, &moving))
		if moving > 0 {
			t.Errorf("%s: %d things move", p.path, moving)
		}
	}
}

// TestAValuationPrints on white, with price, reasons and the house, and
// without what cannot be pressed on paper.
func TestAValuationPrints(t *testing.T) {
	s := start(t)
	ctx := open(t, view{width: 1280, dark: true})
	run(t, ctx, chromedp.Navigate(s.base+"/"), chromedp.Click("[data-example]", chromedp.ByQuery))
	until(t, ctx, "the price", `document.querySelector("[data-price]")`)
	run(t, ctx, emulation.SetEmulatedMedia().WithMedia("print").WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}))
	picture(t, ctx, "print")
	for expression, want := range map[string]bool{
		`getComputedStyle(document.body).backgroundColor === "rgb(255, 255, 255)" && getComputedStyle(document.body).color === "rgb(0, 0, 0)"`:                               true,
		`document.querySelector(".price").checkVisibility() && document.querySelector(".waterfall").checkVisibility() && document.getElementById("grade").checkVisibility()`: true,
		`document.querySelector(".price").getBoundingClientRect().top < document.getElementById("sqft_living").getBoundingClientRect().top`:                                  true,
		`["nav", ".actions", "#what-if", "#request", ".skip"].some((e) => document.querySelector(e).checkVisibility())`:                                                      false,
	} {
		var is bool
		run(t, ctx, chromedp.Evaluate(expression, &is))
		if is != want {
			t.Errorf("on paper %s is %v", expression, is)
		}
	}
	var pdf []byte
	run(t, ctx, chromedp.ActionFunc(func(ctx context.Context) (err error) {
		pdf, _, err = page.PrintToPDF().WithPreferCSSPageSize(true).Do(ctx)
		return err
	}))
	if pages := strings.Count(string(pdf), "/Type /Page\n"); pages < 1 || pages > 2 {
		t.Errorf("it prints on %d pages, want one or two", pages)
	}
}
