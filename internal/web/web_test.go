package web

import (
	"bytes"
	"context"
	"errors"
	"math"
	"net/url"
	"strings"
	"testing"
	"time"

	"housing/internal/features"
	"housing/internal/house"
	"housing/internal/model"
)

func decoder() *house.Decoder {
	return &house.Decoder{Required: house.RequiredFields, Allowed: house.AllFields, MaxRecords: 1, Now: time.Now}
}

func TestTheFormHasEveryFieldOnce(t *testing.T) {
	seen := map[string]int{}
	for _, g := range NewForm(url.Values{}, 2026).Groups {
		for _, i := range g.Inputs {
			seen[i.Name]++
			f, ok := house.Lookup(i.Name)
			if !ok || i.Required != f.Spec().Required || i.Help == "" || i.Title == "" {
				t.Errorf("%+v is not the field", i)
			}
			for _, c := range i.Choices {
				if h, err := decoder().Records(nil, Body(url.Values{i.Name: {c.Value}})); strings.Contains(errorText(err), i.Name+": must") {
					t.Errorf("choice %q of %s cannot be made: %v %v", c.Text, i.Name, h, err)
				}
			}
		}
	}
	for _, s := range house.Fields() {
		if seen[s.Name] != 1 {
			t.Errorf("%s stands %d times in the form", s.Name, seen[s.Name])
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestNumbersOfAFormAreThoseOfThePage(t *testing.T) {
	for text, want := range map[string]string{
		"2220": "2220", "2,220": "2220", "10,000,000": "10000000", "1,234.5": "1234.5", "2.5": "2.5", "-122.313": "-122.313",
		"2,5": `"2,5"`, "22,20": `"22,20"`, "1234,567": `"1234,567"`, ",220": `",220"`, "many": `"many"`,
	} {
		if got := string(Body(url.Values{"sqft_lot": {text}})); got != `{"records":[{"sqft_lot":`+want+`}]}` {
			t.Errorf("%s becomes %s", text, got)
		}
	}
}

func TestAListTakesWholeNumbersAsTheyAreWritten(t *testing.T) {
	for value, want := range map[string][2]string{
		"8": {"8", ""}, "8.0": {"8", ""}, " 8.00 ": {"8", ""}, "": {"", ""},
		"8.5": {"8.5", `must be one of its list, is "8.5"`}, "14": {"14", `must be one of its list, is "14"`}, "good": {"good", `must be one of its list, is "good"`},
	} {
		form := NewForm(url.Values{"grade": {value}}, 2026)
		if in := form.input("grade"); in.Value != want[0] || in.Fault != want[1] {
			t.Errorf("%q becomes %q with the fault %q", value, in.Value, in.Fault)
		}
	}
}

func TestExamplesAreHouses(t *testing.T) {
	for _, e := range examples {
		if _, err := decoder().Records(nil, Body(e.Values)); err != nil {
			t.Errorf("%s: %v", e.Title, err)
		}
	}
}

// FuzzBody makes requests of forms: whatever stands in them, the request is
// JSON, and what is wrong is a fault of a field.
func FuzzBody(f *testing.F) {
	f.Add("bedrooms=3&sqft_living=2220&zipcode=98115&valuation_date=2015-05-27")
	f.Add("bedrooms=1e999&lat=NaN&long=-Inf&zipcode=\"}]}")
	f.Add("grade=%ff%fe&view=0x1p-2&condition=1_0&token=x")
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Skip("no form: ", err)
		}
		var invalid *house.InvalidError
		if _, err := decoder().Records(nil, Body(values)); err != nil && !errors.As(err, &invalid) {
			t.Errorf("%q becomes %s: %v", query, Body(values), err)
		}
		form := NewForm(values, 2026)
		if invalid != nil {
			form.Fault(invalid.Faults)
			if len(form.Faulty()) == 0 && len(form.General) == 0 {
				t.Errorf("%q: no input shows %v", query, invalid)
			}
		}
		var page bytes.Buffer
		if err := HousePage(&House{Form: form}).Render(context.Background(), &page); err != nil {
			t.Error(err)
		}
	})
}

// anAnswer is one whose effects go up and down.
func anAnswer() *Answer {
	a := &Answer{Valuation: model.Valuation{Price: 500_000, BasePrice: 540_000, Interval: 0.9, Low: 420_000, High: 600_000}, House: house.Example()}
	sum := a.BasePrice
	for i := range features.Reasons() {
		a.Effects[i] = []float64{90_000, -150_000, 3000, -20}[i%4] / float64(1+i)
		sum += a.Effects[i]
	}
	a.Price = sum
	return a
}

// TestTheWaterfallLeadsToThePrice checks amounts and places of the bars.
func TestTheWaterfallLeadsToThePrice(t *testing.T) {
	a := anAnswer()
	bars := a.waterfall()
	if len(bars) != shownReasons+3 {
		t.Fatalf("%d bars", len(bars))
	}
	sum := bars[0].Amount
	for i, b := range bars {
		if b.X < -1e-9 || b.X+b.Width > 100.5 || b.Width <= 0 {
			t.Errorf("bar %q runs from %g for %g", b.Title, b.X, b.Width)
		}
		if i > 0 && i < len(bars)-1 {
			sum += b.Amount
			if (b.Amount < 0) != (b.Class == "down") {
				t.Errorf("bar %q of %g is %s", b.Title, b.Amount, b.Class)
			}
			if i > 1 && i <= shownReasons && math.Abs(b.Amount) > math.Abs(bars[i-1].Amount) {
				t.Errorf("bar %q is stronger than the one before", b.Title)
			}
		}
	}
	if last := bars[len(bars)-1]; math.Abs(sum-a.Price) > 0.01 || last.Amount != a.Price {
		t.Errorf("the bars lead to %g, the price is %g", sum, a.Price)
	}
	if i := a.interval(); i.X <= 0 || i.X+i.Width >= 100 || i.PriceX <= i.X {
		t.Errorf("the interval is drawn as %+v", i)
	}
}

func TestTheMapShowsWhatIsNorthAbove(t *testing.T) {
	a := anAnswer()
	if a.comparablesMap() != nil {
		t.Error("a map of nothing")
	}
	at := func(north, east float64) model.Comparable {
		h := house.Example()
		h.Values[house.Lat] += north
		h.Values[house.Long] += east
		return model.Comparable{House: h}
	}
	nowhere := at(math.NaN(), math.NaN())
	a.Comparables = []model.Comparable{at(0.01, 0), nowhere, at(0, 0.01)}
	c := a.comparablesMap()
	if len(c.Points) != 2 || c.Points[0].Number != "1" || c.Points[1].Number != "3" || c.Points[0].Y >= c.Y || c.Points[1].X <= c.X || c.Bar <= 0 || c.Bar > mapWidth/2 {
		t.Errorf("%+v", c)
	}
	for _, p := range c.Points {
		if p.X < 0 || p.X > mapWidth || p.Y < 0 || p.Y > mapHeight {
			t.Errorf("%+v is outside", p)
		}
	}
}

func TestAmountsAreWrittenForPeople(t *testing.T) {
	for _, c := range []struct {
		v            float64
		money, signs string
	}{
		{706431.2, "$706,431", "+$706,431"}, {-12345, "−$12,345", "−$12,345"}, {0.2, "$0", "$0"}, {999.5, "$1,000", "+$1,000"}, {1e7, "$10,000,000", "+$10,000,000"},
	} {
		if money(c.v) != c.money || signedMoney(c.v) != c.signs {
			t.Errorf("%g is %s and %s", c.v, money(c.v), signedMoney(c.v))
		}
	}
	if count(2.25) != "2.25" || count(-1234.5) != "−1,234.5" {
		t.Error(count(2.25), count(-1234.5))
	}
}
