package browser_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"housing/internal/bundle"
	"housing/internal/bundle/bundletest"
	"housing/internal/model"
	"housing/internal/registry"
)

// TestAnOperatorSeesEveryReplica has two behind one address that answer by
// turns.
func TestAnOperatorSeesEveryReplica(t *testing.T) {
	services := []*service{start(t), start(t)}
	var turn atomic.Int64
	front := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		to, err := url.Parse(services[turn.Add(1)%2].base)
		if err != nil {
			t.Error(err)
		}
		r.SetURL(to)
	}})
	defer front.Close()
	ctx := open(t, views[0])
	run(t, ctx, chromedp.Navigate(front.URL+"/operations"))
	until(t, ctx, "both replicas", `document.querySelectorAll("[aria-label=Replicas] tbody tr").length === 2`)
	for _, s := range services {
		at, err := url.Parse(s.base)
		if err != nil {
			t.Fatal(err)
		}
		if said := text(t, ctx, "[aria-label=Replicas]"); !strings.Contains(said, ":"+at.Port()) {
			t.Errorf("the replica at %s is not among %q", s.base, said)
		}
	}
}

// TestAnOperatorMovesTraffic starts a candidate where the registry never had a
// plan, promotes it, and goes back.
func TestAnOperatorMovesTraffic(t *testing.T) {
	dir := t.TempDir()
	r, err := registry.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	push := func(version string, seed int) {
		by := registry.Change{When: time.Unix(1_400_000_000, 0), Who: "ann", What: "push"}
		if _, err := r.Push(t.Context(), version, bytes.NewReader(measured(t, version, seed)), nil, by); err != nil {
			t.Fatal(err)
		}
	}
	push("spring", 0)
	s := start(t, "MODEL_DIR="+dir, "MODEL_POLL=500ms")
	push("summer", 1)
	ctx := open(t, views[0])
	run(t, ctx, chromedp.Navigate(s.base+"/operations"))
	until(t, ctx, "the plan", `document.getElementById("plan-candidate")`)
	picture(t, ctx, "operations-1280")

	confirmed := func(title string) {
		t.Helper()
		until(t, ctx, "a confirmation", `document.getElementById("confirm").open`)
		if said := text(t, ctx, "#confirm-title"); said != title {
			t.Fatalf("the confirmation asks %q, want %q", said, title)
		}
		picture(t, ctx, "operations-confirm")
		run(t, ctx, chromedp.SendKeys("#confirm-why", "a browser asks"+kb.Enter, chromedp.ByID))
		until(t, ctx, "the end of the confirmation", `!document.getElementById("confirm").open`)
	}
	press := func(label string) {
		t.Helper()
		button := `[...document.querySelectorAll("#operations button")].find((b) => b.textContent === "` + label + `")`
		until(t, ctx, label, button)
		run(t, ctx, chromedp.Evaluate(button+".click()", nil))
	}
	plan := func(want string) {
		t.Helper()
		until(t, ctx, want, `document.querySelector("#operations .card").textContent.includes("`+want+`")`)
	}
	// By keyboard; and Escape changes nothing.
	run(t, ctx, chromedp.SetValue("#plan-percent", "25", chromedp.ByID), chromedp.SendKeys("#plan-percent", kb.Enter, chromedp.ByID))
	until(t, ctx, "a confirmation", `document.getElementById("confirm").open`)
	run(t, ctx, chromedp.KeyEvent(kb.Escape))
	until(t, ctx, "its end", `!document.getElementById("confirm").open`)
	run(t, ctx, chromedp.SetValue("#plan-percent", "25", chromedp.ByID), chromedp.SendKeys("#plan-percent", kb.Enter, chromedp.ByID))
	confirmed("summer beside spring?")
	plan("summer is its candidate: canary, 25 % of the callers")
	picture(t, ctx, "operations-canary")
	press("Promote")
	confirmed("Promote summer?")
	plan("summer answers every caller")
	press("Back to spring")
	confirmed("Back to spring?")
	plan("spring answers every caller")
	until(t, ctx, "the history", `document.querySelectorAll("#operations .card:last-of-type tbody tr").length >= 3`)
	if said := text(t, ctx, "#operations .card:last-of-type"); !strings.Contains(said, "a browser asks") {
		t.Errorf("the history is %q", said)
	}

	// Who stands on a button by keyboard stays there while the page refreshes.
	run(t, ctx, chromedp.Evaluate(`(() => { const b = [...document.querySelectorAll("#operations button")].find((b) => b.textContent === "Back to summer"); b.focus(); b.stale = true; })()`, nil))
	until(t, ctx, "the focus on the same button of a newer page", `document.activeElement.textContent === "Back to summer" && !document.activeElement.stale`)

	// Both versions side by side, of which one does not run.
	run(t, ctx, chromedp.Navigate(s.base+"/model"))
	until(t, ctx, "the versions side by side", `document.getElementById("version-left") && document.querySelector('[aria-label="Segments side by side"]')`)
	picture(t, ctx, "model-versions")
	for _, want := range []string{"MdAPE\t10.00 %\t8.00 %\t−2.00, better", "98115\t9.00 %\t9.50 %\t+0.50, worse", "Median ratio\t1.000\t1.000\tthe same"} {
		if said := text(t, ctx, "#model"); !strings.Contains(said, want) {
			t.Errorf("no %q in %q", want, said)
		}
	}

	ctx = open(t, views[1])
	run(t, ctx, chromedp.Navigate(s.base+"/operations"))
	until(t, ctx, "the plan", `document.getElementById("plan-candidate")`)
	picture(t, ctx, "operations-390-dark")
}

// measured returns the bundle of a version whose figures are known.
func measured(t testing.TB, version string, i int) []byte {
	t.Helper()
	c := bundletest.Contents(t, version, uint64(i+1))
	c.Manifest.Accuracy = []model.Accuracy{{Protocol: "made up", Part: model.AllSales, Fields: "all 18", Metrics: model.Metrics{Sales: 500, MdAPE: 10 - 2*float64(i), MedianRatio: 1}}}
	c.Manifest.Segments = []model.Segment{
		{By: model.ByPrice, Name: "$100K to $300K", Sales: 300, MdAPE: 11, MedianRatio: 1},
		{By: model.ByZipcode, Name: "98115", Sales: 40, MdAPE: 9 + 0.5*float64(i), MedianRatio: 1},
	}
	var b bytes.Buffer
	if err := bundle.Write(&b, c); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// signInAbove is what a page says of a token that is missing.
const signInAbove = "sign in above, as this needs a token"

// TestSigningIn shows the prices of a service that wants a token, and keeps
// the token in no cookie and no storage.
func TestSigningIn(t *testing.T) {
	env := []string{"JWT_SECRET=" + strings.Repeat("s3cret-", 8)}
	token := strings.TrimSpace(housing(t, env, "token", "--sub", "ann", "--scope", "predict models:read"))
	s := start(t, env...)
	ctx := open(t, views[0])
	run(t, ctx, chromedp.Navigate(s.base+"/?example=1"), chromedp.Click("#house button[type=submit]", chromedp.ByQuery))
	until(t, ctx, "a refusal", `document.querySelector("#answer .notice")`)
	if said := text(t, ctx, "#answer"); !strings.Contains(said, signInAbove) {
		t.Errorf("without a token: %q", said)
	}
	picture(t, ctx, "signed-out")
	choose(t, ctx, s, writeFile(t, "one.csv", "bedrooms,bathrooms,sqft_living,sqft_lot,floors,sqft_above,sqft_basement,zipcode\n3,2.5,2220,6380,1.5,1660,560,98115\n"))
	until(t, ctx, "a refusal of a file", `document.querySelector("#file-result .notice")`)
	if said := text(t, ctx, "#file-result"); !strings.Contains(said, signInAbove) {
		t.Errorf("a file without a token: %q", said)
	}
	run(t, ctx, chromedp.Navigate(s.base+"/?example=1"))
	until(t, ctx, "a refusal", `document.querySelector("#answer .notice")`)
	run(t, ctx, chromedp.SendKeys("#token", token+kb.Enter, chromedp.ByID))
	until(t, ctx, "the price", `document.querySelector("[data-price]")`)
	picture(t, ctx, "signed-in")
	var kept string
	run(t, ctx, chromedp.Evaluate(`document.cookie + JSON.stringify({...localStorage}) + JSON.stringify({...sessionStorage})`, &kept))
	if strings.Contains(kept, token[:20]) {
		t.Errorf("the token is kept: %s", kept)
	}

	// Without JavaScript it goes with the form.
	ctx = open(t, view{width: 1280, noScript: true})
	run(t, ctx, chromedp.Navigate(s.base+"/?example=1"), chromedp.Click("#house button[type=submit]", chromedp.ByQuery), chromedp.WaitVisible("#answer .notice", chromedp.ByQuery))
	if said := text(t, ctx, "#answer"); !strings.Contains(said, signInAbove) {
		t.Errorf("without JavaScript and a token: %q", said)
	}
	run(t, ctx, chromedp.SendKeys("#form-token", token, chromedp.ByID),
		chromedp.Click("#house button[type=submit]", chromedp.ByQuery), chromedp.WaitVisible(".price", chromedp.ByQuery))
}

// cardOf is the text of the card of a title on the page of operations.
func cardOf(title string) string {
	return `[...document.querySelectorAll("#operations .card")].find((c) => c.querySelector("h2").textContent === "` + title + `")?.textContent`
}

// TestWhatCannotBeAskedIsNotShown as if it were answered: each card of the page
// of operations stands by itself.
func TestWhatCannotBeAskedIsNotShown(t *testing.T) {
	s := start(t)
	ctx := open(t, views[1])
	for _, tt := range []struct{ away, card, want string }{
		{"/v1/rollout", "Traffic plan", "This cannot be shown: it is away"},
		{"/v1/models", "Traffic plan", "The versions cannot be shown: it is away"},
		{"/v1/errors", "Recent errors", "This cannot be shown: it is away"},
		{"/v1/model-info", "What is asked, against the training", "This cannot be shown: it is away"},
	} {
		base := s.front(func(r *http.Request) *refusal {
			if r.URL.Path != tt.away {
				return nil
			}
			return &refusal{http.StatusInternalServerError, "application/problem+json", `{"detail":"it is away"}`}
		})
		run(t, ctx, chromedp.Navigate(base+"/operations"))
		until(t, ctx, tt.away+" that is away", cardOf(tt.card)+`.includes("`+tt.want+`")`)
		picture(t, ctx, "operations-without"+tt.away)
		var said string
		run(t, ctx, chromedp.Text("#operations", &said, chromedp.ByID))
		for path, want := range map[string]string{"/v1/rollout": "answers every caller", "/v1/errors": "This replica has answered every request", "/v1/model-info": "houses were compared"} {
			if strings.Contains(said, want) != (path != tt.away) {
				t.Errorf("without %s the page says %q", tt.away, said)
			}
		}
		if n := strings.Count(said, "cannot be shown"); n != 1 {
			t.Errorf("without %s %d things cannot be shown", tt.away, n)
		}
	}
}

// TestATokenThatIsNotEnoughIsAskedForOnce: who closes the panel to sign in is
// left in peace by a page that asks again and again.
func TestATokenThatIsNotEnoughIsAskedForOnce(t *testing.T) {
	env := []string{"JWT_SECRET=" + strings.Repeat("s3cret-", 8)}
	token := strings.TrimSpace(housing(t, env, "token", "--sub", "ann", "--scope", "predict"))
	s := start(t, env...)
	ctx := open(t, views[0])
	run(t, ctx, chromedp.Navigate(s.base+"/operations"))
	until(t, ctx, "a refusal", cardOf("Recent errors")+`.includes("This cannot be shown: `+signInAbove+`")`)
	picture(t, ctx, "operations-signed-out")
	run(t, ctx, chromedp.SendKeys("#token", token+kb.Enter, chromedp.ByID))
	until(t, ctx, "what the token lacks", cardOf("Recent errors")+`.includes("the token lacks the scope")`)
	until(t, ctx, "the panel", `document.getElementById("signin").open && document.getElementById("signin-state").textContent.includes("lacks the scope")`)
	picture(t, ctx, "operations-lacking")
	run(t, ctx, chromedp.Click("#signin summary", chromedp.ByQuery))
	for range 2 {
		run(t, ctx, chromedp.Evaluate(`document.querySelector("#operations .card").stale = true`, nil))
		until(t, ctx, "a newer page", `!document.querySelector("#operations .card").stale`)
	}
	var again bool
	run(t, ctx, chromedp.Evaluate(`document.getElementById("signin").open`, &again))
	if again {
		t.Error("the panel to sign in is opened again")
	}
}

// TestMarkupIsText puts markup wherever a caller can put text.
func TestMarkupIsText(t *testing.T) {
	s := start(t)
	const markup = `<img src=x onerror="window.broken=1"><script>window.broken=1</script>'"&`
	ctx := open(t, views[0])
	run(t, ctx, chromedp.Navigate(s.base+"/"))
	for _, f := range typed {
		run(t, ctx, chromedp.Evaluate(`(() => { const i = document.getElementById("`+f.name+`"); i.type = "text"; i.removeAttribute("maxlength"); })()`, nil),
			chromedp.SetValue("#"+f.name, markup, chromedp.ByID))
	}
	run(t, ctx, chromedp.Click("#house button[type=submit]", chromedp.ByQuery))
	until(t, ctx, "faults", `document.getElementById("faults-list")`)
	wantUnbroken := func(where string) {
		t.Helper()
		var broken bool
		run(t, ctx, chromedp.Evaluate("window.broken === 1 || document.querySelector('img') !== null", &broken))
		if broken {
			t.Errorf("%s: markup is markup", where)
		}
	}
	wantUnbroken("fields")

	ctx = open(t, view{width: 1280, noScript: true})
	run(t, ctx, chromedp.Navigate(s.base+"/"), chromedp.SendKeys("#zipcode", "<b>x", chromedp.ByID), chromedp.Click("#house button[type=submit]", chromedp.ByQuery), chromedp.WaitVisible("#faults-list", chromedp.ByID))
	var value string
	run(t, ctx, chromedp.Value("#zipcode", &value, chromedp.ByID))
	if value != "<b>x" {
		t.Errorf("the zipcode comes back as %q", value)
	}

	ctx = open(t, views[0])
	run(t, ctx, chromedp.Navigate(s.base+"/?sqft_living="+`"><script>window.broken=1</script>`))
	wantUnbroken("address")
	cell := `"` + strings.ReplaceAll(markup, `"`, `""`) + `"`
	path := writeFile(t, "bad.csv", "bedrooms,bathrooms,sqft_living,sqft_lot,floors,sqft_above,sqft_basement,zipcode,"+cell+"\n"+strings.Repeat(cell+",", 8)+cell+"\n")
	choose(t, ctx, s, path)
	until(t, ctx, "faults", `document.getElementById("file-faults")`)
	wantUnbroken("file")

	for _, page := range []string{"/", "/file", "/model", "/operations", "/docs"} {
		answer, err := http.Get(s.base + page)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		policy := answer.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", page, policy)
		}
	}
}
