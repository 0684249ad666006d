package browser_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// typed is what an agent knows of a house, in the order of the form.
var typed = []struct{ name, value string }{
	{"sqft_living", "2220"}, {"bedrooms", "3"}, {"bathrooms", "2.5"}, {"floors", "1.5"}, {"sqft_above", "1660"},
	{"sqft_basement", "560"}, {"sqft_lot", "6380"}, {"zipcode", "98115"},
}

const typedRecord = `{"sqft_living":2220,"bedrooms":3,"bathrooms":2.5,"floors":1.5,"sqft_above":1660,"sqft_basement":560,"sqft_lot":6380,"zipcode":"98115"}`

// dollars reads $706,431.
func dollars(t testing.TB, shown string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(strings.NewReplacer("$", "", ",", "").Replace(strings.TrimSpace(shown)), 64)
	if err != nil {
		t.Fatalf("%q is no price", shown)
	}
	return v
}

// wantPrice compares the price on the page with that of the API.
func wantPrice(t testing.TB, shown string, want float64) {
	t.Helper()
	if got := dollars(t, shown); got != math.Round(want) {
		t.Errorf("the page says %s, the API %.2f", shown, want)
	}
}

// TestAnAgentValuesAHouseByKeyboard types what is known, and presses Enter.
func TestAnAgentValuesAHouseByKeyboard(t *testing.T) {
	s := start(t)
	for _, v := range views {
		t.Run(v.name, func(t *testing.T) {
			ctx := open(t, v)
			run(t, ctx, chromedp.Navigate(s.base+"/"), chromedp.WaitVisible("#house", chromedp.ByID), chromedp.Focus("#sqft_living", chromedp.ByID))
			picture(t, ctx, "house-empty-"+v.name)
			for i, f := range typed {
				if i > 0 {
					run(t, ctx, chromedp.KeyEvent(kb.Tab))
				}
				var at string
				run(t, ctx, chromedp.Evaluate("document.activeElement.id", &at))
				if at != f.name {
					t.Fatalf("Tab leads to %s, want %s", at, f.name)
				}
				run(t, ctx, chromedp.KeyEvent(f.value))
			}
			run(t, ctx, chromedp.KeyEvent(kb.Enter))
			until(t, ctx, "the price", `document.querySelector("[data-price]")`)
			price := text(t, ctx, ".price")
			wantPrice(t, price, s.priced(typedRecord))
			if rows := text(t, ctx, ".waterfall"); !strings.Contains(rows, "Living space") || !strings.Contains(rows, price) {
				t.Errorf("the reasons are %q", rows)
			}
			picture(t, ctx, "house-answer-"+v.name)

			// What if it were larger?
			run(t, ctx, chromedp.Focus("#what-sqft_living", chromedp.ByID), chromedp.KeyEvent(kb.End))
			until(t, ctx, "another price", `document.querySelector("#what-if-answer b")`)
			if said := text(t, ctx, "#what-if-answer"); !strings.Contains(said, "more than as it is") {
				t.Errorf("a larger house: %q", said)
			}

			// The last house is there again.
			run(t, ctx, chromedp.Navigate(s.base+"/model"), chromedp.Navigate(s.base+"/"))
			until(t, ctx, "the last house", `document.getElementById("sqft_living").value === "2220"`)
		})
	}
}

// TestEachExampleIsValued by a click.
func TestEachExampleIsValued(t *testing.T) {
	s := start(t)
	ctx := open(t, views[0])
	for n := 1; n <= 3; n++ {
		run(t, ctx, chromedp.Navigate(s.base+"/"), chromedp.Click(fmt.Sprintf("[data-example]:nth-of-type(%d)", n), chromedp.ByQuery))
		until(t, ctx, "the price", `document.querySelector("[data-price]")`)
		picture(t, ctx, fmt.Sprintf("example-%d", n))
	}
	wantSnippets(t, ctx)
	var loaded float64
	run(t, ctx, chromedp.Navigate(s.base+"/"), chromedp.Evaluate(`performance.getEntriesByType("navigation")[0].loadEventEnd`, &loaded))
	t.Logf("the page is there after %.0f ms", loaded)
}

// wantSnippets runs the requests to copy of the house on the page, for a
// shell, Python and Go, and wants each to print its price.
func wantSnippets(t *testing.T, ctx context.Context) {
	t.Helper()
	var snippets []string
	var price string
	run(t, ctx, chromedp.Evaluate(`[...document.querySelectorAll("#request code")].map((code) => code.textContent)`, &snippets),
		chromedp.Evaluate(`document.querySelector("[data-price]").dataset.price`, &price))
	if len(snippets) != 3 {
		t.Fatalf("%d requests to copy", len(snippets))
	}
	program := "package main\n\nimport (\n\"encoding/json\"\n\"fmt\"\n\"log\"\n\"net/http\"\n\"strings\"\n)\n\nfunc main() {\n" + snippets[2] + "\n}\n"
	for _, command := range [][]string{
		{"sh", writeFile(t, "ask.sh", snippets[0])}, {"python3", writeFile(t, "ask.py", snippets[1])}, {"go", "run", writeFile(t, "ask.go", program)},
	} {
		if _, err := exec.LookPath(command[0]); err != nil && os.Getenv("CI") != "true" {
			t.Logf("not run: %v", err)
			continue
		}
		out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), price) {
			t.Errorf("%s: %v: %s, want %s", command[0], err, out, price)
		}
	}
}

// TestARowIsPasted as JSON and as CSV, by keyboard.
func TestARowIsPasted(t *testing.T) {
	s := start(t)
	ctx := open(t, views[0])
	csv := "id,date,price,bedrooms,bathrooms,sqft_living,sqft_lot,floors,sqft_above,sqft_basement,zipcode\n" +
		`"7129300520","20141013T000000",221900,3,2.5,2220,6380,"1.5",1660,560,"98115"`
	for _, row := range []string{typedRecord, `{"records":[` + typedRecord + `]}`, csv} {
		run(t, ctx, chromedp.Navigate(s.base+"/"), chromedp.WaitVisible("#paste-open", chromedp.ByID), chromedp.Focus("#paste-open", chromedp.ByID), chromedp.KeyEvent(kb.Enter))
		until(t, ctx, "the dialog", `document.activeElement.id === "paste-text"`)
		run(t, ctx, chromedp.SetValue("#paste-text", row, chromedp.ByID), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Enter))
		until(t, ctx, "the price", `document.querySelector("[data-price]")`)
		wantPrice(t, text(t, ctx, ".price"), s.priced(typedRecord))
	}
}

// TestARowOfWholeNumbersWithAPoint is pasted as pandas writes it, and stands in
// the lists of the form, as it does from an address.
func TestARowOfWholeNumbersWithAPoint(t *testing.T) {
	s := start(t)
	const chosen = `["grade", "condition", "view", "waterfront"].map((id) => document.getElementById(id).value).join(" ")`
	paste := func(ctx context.Context, grade string) {
		t.Helper()
		row := "bedrooms,bathrooms,sqft_living,sqft_lot,floors,sqft_above,sqft_basement,zipcode,grade,condition,view,waterfront\n" +
			"3.0,2.5,2220,6380,1.5,1660,560,98115," + grade + ",4.0,2.0,0.0"
		run(t, ctx, chromedp.Navigate(s.base+"/"))
		until(t, ctx, "the script", `document.getElementById("sqft_living").value || document.querySelector("[type=date]")`)
		run(t, ctx, chromedp.Click("#paste-open", chromedp.ByID), chromedp.SetValue("#paste-text", row, chromedp.ByID), chromedp.Click("#paste-fill", chromedp.ByID))
	}
	ctx := open(t, views[1])
	paste(ctx, "8.5")
	until(t, ctx, "what is wrong with the row", `document.getElementById("paste-fault").textContent === 'grade must be one of its list, is "8.5".'`)
	picture(t, ctx, "paste-fault")
	paste(ctx, "8.0")
	until(t, ctx, "the price", `document.querySelector("[data-price]")`)
	var got string
	run(t, ctx, chromedp.Evaluate(chosen, &got))
	if got != "8 4 2 0" {
		t.Errorf("a row that is pasted chooses %q", got)
	}
	wantPrice(t, text(t, ctx, ".price"), s.priced(strings.TrimSuffix(typedRecord, "}")+`,"grade":8,"condition":4,"view":2,"waterfront":0}`))

	ctx = open(t, view{width: 1280, noScript: true})
	run(t, ctx, chromedp.Navigate(s.base+"/?grade=8.0&condition=4.0&view=2.0&waterfront=0.0"), chromedp.Evaluate(chosen, &got))
	if got != "8 4 2 0" {
		t.Errorf("an address chooses %q", got)
	}
}

// TestAHouseIsValuedWithoutJavaScript, and its faults are named.
func TestAHouseIsValuedWithoutJavaScript(t *testing.T) {
	s := start(t)
	ctx := open(t, view{width: 1280, noScript: true})
	run(t, ctx, chromedp.Navigate(s.base+"/"))
	for _, f := range typed {
		run(t, ctx, chromedp.SendKeys("#"+f.name, f.value, chromedp.ByID))
	}
	run(t, ctx, chromedp.Click("#house button[type=submit]", chromedp.ByQuery), chromedp.WaitVisible(".price", chromedp.ByQuery))
	wantPrice(t, text(t, ctx, ".price"), s.priced(typedRecord))
	picture(t, ctx, "house-no-script")

	run(t, ctx, chromedp.SetValue("#sqft_living", "12", chromedp.ByID), chromedp.Click("#house button[type=submit]", chromedp.ByQuery), chromedp.WaitVisible("#faults-list", chromedp.ByID))
	if said := text(t, ctx, "#faults-list"); !strings.Contains(said, "Living space must be at least 100") {
		t.Errorf("the fault is %q", said)
	}
	picture(t, ctx, "house-fault")
}

// besideFields is what stands beside the fields that are wrong: the name of
// each, and its fault.
const besideFields = `[...document.querySelectorAll("#house .field.wrong")].map((field) => {
	const input = field.querySelector("[aria-invalid=true]");
	return input.id + " " + document.getElementById(input.getAttribute("aria-describedby")).querySelector(".fault").textContent;
}).join(" ")`

// TestWhatIsWrongStandsBesideTheField, with JavaScript as without, and goes
// when it is mended.
func TestWhatIsWrongStandsBesideTheField(t *testing.T) {
	s := start(t)
	const want = "sqft_living must be at least 100. zipcode must be a string of five digits or a whole number."
	for _, v := range []view{views[0], views[1], {name: "no-script", width: 1280, noScript: true}} {
		t.Run(v.name, func(t *testing.T) {
			ctx := open(t, v)
			run(t, ctx, chromedp.Navigate(s.base+"/?example=1"))
			if !v.noScript {
				until(t, ctx, "the price of the example, by the script", `document.querySelector("[data-price]")`)
			}
			run(t, ctx, chromedp.SetValue("#sqft_living", "12", chromedp.ByID), chromedp.SetValue("#zipcode", "9", chromedp.ByID),
				chromedp.Click("#house button[type=submit]", chromedp.ByQuery), chromedp.WaitVisible("#faults-list", chromedp.ByID))
			wantBeside(t, ctx, want)
			picture(t, ctx, "house-faults-"+v.name)
			run(t, ctx, chromedp.SetValue("#sqft_living", "2220", chromedp.ByID), chromedp.SetValue("#zipcode", "98115", chromedp.ByID),
				chromedp.Click("#house button[type=submit]", chromedp.ByQuery), chromedp.WaitVisible(".price", chromedp.ByQuery))
			wantBeside(t, ctx, "")
			if v.noScript {
				return
			}
			run(t, ctx, chromedp.SetValue("#sqft_living", "12", chromedp.ByID), chromedp.SetValue("#zipcode", "9", chromedp.ByID),
				chromedp.Click("#house button[type=submit]", chromedp.ByQuery), chromedp.WaitVisible("#faults-list", chromedp.ByID))
			run(t, ctx, chromedp.Click("#house button[type=reset]", chromedp.ByQuery), chromedp.WaitNotPresent("#faults-list", chromedp.ByID))
			wantBeside(t, ctx, "")
		})
	}
}

func wantBeside(t testing.TB, ctx context.Context, want string) {
	t.Helper()
	var got string
	run(t, ctx, chromedp.Evaluate(besideFields, &got))
	if got != want {
		t.Errorf("beside the fields stands %q, want %q", got, want)
	}
}
