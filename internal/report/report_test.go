package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"housing/internal/bundle"
	"housing/internal/demographics"
	"housing/internal/gbdt"
	"housing/internal/house"
	"housing/internal/model"
	"housing/internal/model/modeltest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// full is a report with something in every part, on made-up sales.
func full(t *testing.T, n int) *Report {
	t.Helper()
	sales := modeltest.Sales(n)
	predicted := make([]float64, n)
	for i := range sales {
		sales[i].ID = fmt.Sprintf("parcel-%d", i)
		predicted[i] = sales[i].Price * (0.8 + 0.05*float64(i%9))
	}
	metrics := model.Metrics{
		Sales: n, R2: 0.91, RMSE: 110_000, MAE: 60_000.5, MAPE: 11.25, MdAPE: 7.5, PPE10: 60, PPE20: 85.5,
		MedianRatio: 1.001, COD: 11.5, PRD: 1.02, PRB: -0.03,
	}
	return &Report{
		Title:  "Model made-up-1",
		Digest: strings.Repeat("ab", 32),
		Manifest: bundle.Manifest{
			Version: "made-up-1", Created: time.Date(2015, 6, 1, 12, 0, 0, 0, time.UTC), Program: "housing test", ModelType: model.Type,
			Sources:    []bundle.Source{{Name: "sales.csv", SHA256: strings.Repeat("cd", 32), Rows: n}},
			NewestSale: "2015-05-27", Sales: n, Options: model.Options{Boosting: gbdt.Params{Rounds: 40, LearningRate: 0.1, Seed: 1}, ValidationShare: 0.1}, Trees: 40,
			Features: []string{"sqft_living", "grade", "idle"}, Importance: []float64{0.75, 0.25, 0},
		},
		Sources: []bundle.Source{{Name: "new_sales.csv", SHA256: strings.Repeat("ef", 32), Rows: n}},
		Accuracy: []model.Accuracy{
			{Protocol: "made up", Part: model.AllSales, Fields: "all 18", Metrics: metrics},
			{Protocol: "made up", Part: model.NewestSales, Fields: "all 18", Metrics: metrics},
		},
		Sales: sales, Predicted: predicted,
		Notes:   []string{"These sales are <made up> & prove nothing."},
		Dropped: 3,
		Faults: []house.Fault{
			{Location: "sales.csv:7: column price", Message: "must be more than 0", Value: []byte("-4711")},
			{Location: "sales.csv:9: column grade", Message: "must be at most 13"},
			{Location: "sales.csv:12: column price", Message: "must be more than 0"},
		},
		Coverage:      []model.Coverage{{Fields: "all 18", Sales: n, Level: 0.9, Covered: 90.1, Width: 43.25, ByPrice: []float64{88, 92, 91.5, 88.9}}},
		Bounds:        bounds(predicted),
		Demographics:  neighbours(t),
		WithoutCensus: predicted,
		Shuffled:      []model.Shuffled{{Feature: "location", MAPE: 12.5, RMSE: 90_000}, {Feature: "date", MAPE: -0.01, RMSE: 12}},
		Learning:      []model.Learning{{Sales: 1000, Metrics: metrics}, {Sales: 9000, Metrics: metrics}},
	}
}

// bounds are of intervals that some of the sales lie outside of.
func bounds(predicted []float64) []model.Bounds {
	b := make([]model.Bounds, len(predicted))
	for i, p := range predicted {
		b[i] = model.Bounds{Low: p * 0.82, High: p * (1.1 + 0.01*float64(i%7))}
	}
	return b
}

// neighbours has figures of the zipcodes of the made-up sales.
func neighbours(t *testing.T) *demographics.Table {
	t.Helper()
	var zipcodes []house.Zipcode
	var areas []demographics.Area
	for i := range 9 {
		zipcodes = append(zipcodes, house.Zipcode(98000+i))
		areas = append(areas, demographics.Area{5: float32(40_000 + 7_000*i), 24: float32(5 * i), 25: float32(i)})
	}
	table, err := demographics.NewTable(zipcodes, areas)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// TestNeighbourhoodsAreParted holds that the sales of a zipcode stay together
// and every sale with figures is counted once for each figure.
func TestNeighbourhoodsAreParted(t *testing.T) {
	r := full(t, 600)
	all, err := r.neighbourhoods()
	if err != nil {
		t.Fatal(err)
	}
	known := 0
	for i := range r.Sales {
		if _, ok := r.Demographics.Lookup(r.Sales[i].House.Zipcode()); ok {
			known++
		}
	}
	count, last := map[string]int{}, map[string]float64{}
	for _, n := range all {
		if n.From <= last[n.By] && count[n.By] > 0 || n.To < n.From || n.WithoutCensus == nil || n.Covered <= 0 || n.Covered > 100 {
			t.Errorf("%s from %g to %g after %g: %+v", n.By, n.From, n.To, last[n.By], n)
		}
		count[n.By] += n.Sales
		last[n.By] = n.To
	}
	if len(all) != 2*quarters || count[censusFigures[0].name] != known || count[censusFigures[1].name] != known {
		t.Errorf("%d groups with %v of %d sales", len(all), count, known)
	}
	if got := neighbourhoodTable(all); len(got) != 2 || len(got[0].Rows) != quarters || len(got[0].Rows[0]) != len(neighbourhoodHead) {
		t.Errorf("table %+v", got)
	}
}

func html(t *testing.T, r *Report) string {
	t.Helper()
	b, err := r.HTML()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestSegmentsAreMeasured of enough sales for some.
func TestSegmentsAreMeasured(t *testing.T) {
	text, err := full(t, 500).JSON()
	if err != nil {
		t.Fatal(err)
	}
	var d document
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	sales := map[string]int{}
	for _, s := range d.Segments {
		sales[s.By] += s.Sales
	}
	if sales[model.ByPrice] != 500 || sales[model.ByZipcode] == 0 {
		t.Errorf("segments of %v sales", sales)
	}
}

func TestMetricsAreAsBefore(t *testing.T) {
	got, err := full(t, 50).JSON()
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/metrics.json"
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("metrics.json changed; -update if that is meant (-want +got):\n%s", diff)
	}
}

func TestMetricsOfAnEmptyReportHaveListsAndNoNull(t *testing.T) {
	got, err := (&Report{Title: "Model x"}).JSON()
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(got, []byte("null")) || bytes.Contains(got, []byte("0001-01-01")) {
		t.Errorf("got %s", got)
	}
}

// reports are those whose pages must hold to all the rules below.
func reports(t *testing.T) map[string]*Report {
	bare := full(t, 400)
	for i := range bare.Sales {
		h := &bare.Sales[i].House
		for f := range house.Field(house.NumFields) {
			if !house.RequiredFields.Has(f) {
				h.Values[f] = math.NaN()
			}
		}
		h.Date = house.NoDate
	}
	gainless := full(t, 20)
	gainless.Manifest.Importance = []float64{math.NaN(), math.NaN(), math.NaN()}
	alike := full(t, 2)
	for i := range alike.Sales {
		alike.Sales[i].Price, alike.Predicted[i] = 400_000, 400_000
	}
	extreme := full(t, 12)
	extreme.Sales[0].Price, extreme.Predicted[0] = minPrice, maxPrice
	extreme.Sales[1].Price, extreme.Predicted[1] = maxPrice, minPrice
	return map[string]*Report{
		"full":                    full(t, 600),
		"many sales":              full(t, 5000),
		"two sales":               full(t, 2),
		"one sale":                {Title: "Model x", Sales: full(t, 2).Sales[:1], Predicted: []float64{1e5}},
		"no sale":                 {Title: "Model x"},
		"no optional field":       bare,
		"forest that gained zero": gainless,
		"every price the same":    alike,
		"absurd prices":           extreme,
	}
}

var (
	notANumber = regexp.MustCompile(`\b(NaN|[+-]?Inf)\b`)
	outside    = regexp.MustCompile(`(?i)https?:|//[a-z]|\bsrc=|\bhref|url\(|@import|<script|<link|\bon[a-z]+=`)
)

func TestPageIsWellFormedAndStandsAlone(t *testing.T) {
	for name, r := range reports(t) {
		t.Run(name, func(t *testing.T) {
			page := html(t, r)
			d := xml.NewDecoder(strings.NewReader(page))
			for {
				if _, err := d.Token(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("not well-formed: %v", err)
				}
			}
			if found := notANumber.FindString(page); found != "" {
				t.Errorf("page says %s", found)
			}
			if strings.Contains(page, "ZgotmplZ") {
				t.Error("the template refused a value")
			}
			if found := outside.FindString(page); found != "" {
				t.Errorf("page refers to something outside: %s", found)
			}
			if again := html(t, r); again != page {
				t.Error("the same report gave another page")
			}
		})
	}
}

func TestPageNamesNoHouse(t *testing.T) {
	r := full(t, 600)
	metrics, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{html(t, r), string(metrics)} {
		for _, secret := range []string{"parcel-", "-4711", "sales.csv:7"} {
			if strings.Contains(text, secret) {
				t.Errorf("a report must not say %q", secret)
			}
		}
	}
}

func TestSectionsWithoutDataAreLeftOut(t *testing.T) {
	sections := []string{
		"How close are the prices?", "Are they fair?", "Each sale", "Predicted over actual price", "By price", "By month of sale",
		"By grade", "By zipcode", "All that was measured", "What it looks at", "Which it is", "What it was trained from",
		"What it was measured on", "What was left out", "How it was trained",
		"How sure are they?", "By width", "Are neighbourhoods treated alike?", "Without the census figures", "What each thing is worth", "Would more sales help?",
	}
	all := reports(t)
	for _, test := range []struct {
		report string
		absent []string
	}{
		{"full", nil},
		{"no sale", sections},
		{"one sale", []string{"How close are the prices?", "Predicted over actual price", "By price"}},
		{"two sales", []string{"By price", "By month of sale", "By grade", "By zipcode"}},
		{"no optional field", []string{"By month of sale", "By grade"}},
		{"forest that gained zero", []string{"What it looks at"}},
	} {
		t.Run(test.report, func(t *testing.T) {
			page := html(t, all[test.report])
			for _, s := range test.absent {
				if strings.Contains(page, s) {
					t.Errorf("page has the section %q", s)
				}
			}
			if test.absent == nil {
				for _, s := range sections {
					if !strings.Contains(page, s) {
						t.Errorf("page lacks the section %q", s)
					}
				}
			}
		})
	}
}

func TestTextIsEscaped(t *testing.T) {
	page := html(t, full(t, 2))
	if !strings.Contains(page, "&lt;made up&gt; &amp; prove nothing") {
		t.Error("a note is not shown as it was written")
	}
}

func TestReportThatCannotBeShownIsRefused(t *testing.T) {
	for _, test := range []struct {
		name, want string
		change     func(*Report)
	}{
		{"a price is missing", "2 sales and 1 predicted", func(r *Report) { r.Predicted = r.Predicted[:1] }},
		{"a price is NaN", "sale 2 has the price NaN", func(r *Report) { r.Predicted[1] = math.NaN() }},
		{"a price is negative", "sale 1 has the price -1", func(r *Report) { r.Sales[0].Price = -1 }},
		{"a figure is NaN", `a figure of "made up" is NaN`, func(r *Report) { r.Accuracy[1].PRB = math.NaN() }},
		{"an interval is missing", "intervals or prices are of other sales", func(r *Report) { r.Bounds = r.Bounds[:1] }},
		{"importance does not fit", "importance of 1 features, there are 3", func(r *Report) { r.Manifest.Importance = []float64{1} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := full(t, 2)
			test.change(r)
			_, errJSON := r.JSON()
			_, errHTML := r.HTML()
			for _, err := range []error{errJSON, errHTML} {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want it to say %q", err, test.want)
				}
			}
		})
	}
}
