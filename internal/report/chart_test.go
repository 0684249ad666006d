package report

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"housing/internal/house"
	"housing/internal/model"
)

func TestTicksAreRoundAndFew(t *testing.T) {
	for _, test := range []struct {
		name string
		got  []float64
		want []float64
	}{
		{"King County's prices", logTicks(70e3, 8e6), []float64{1e5, 2e5, 5e5, 1e6, 2e6, 5e6}},
		{"one decade", logTicks(95e3, 1.05e6), []float64{1e5, 1.5e5, 2e5, 3e5, 5e5, 7e5, 1e6}},
		{"a narrow range", logTicks(410e3, 480e3), []float64{420e3, 440e3, 460e3, 480e3}},
		{"absurdly many decades", logTicks(1, 1e12), []float64{1, 1e2, 1e4, 1e6, 1e8, 1e10, 1e12}},
		{"shares", linearTicks(0, 9.3, 5), []float64{0, 2, 4, 6, 8}},
		{"no range", linearTicks(3, 3, 5), []float64{3}},
	} {
		if diff := cmp.Diff(test.want, test.got, cmp.Comparer(func(a, b float64) bool { return round(a, 6) == round(b, 6) })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestNumbersAreWrittenForPeople(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{dollars(1234567.4), "$1,234,567"},
		{dollars(999), "$999"},
		{dollars(1e18), "$1e+18"},
		{shortDollars(452_500, 4), "$452.5k"},
		{shortDollars(452_499, 3), "$452k"},
		{shortDollars(999_999, 3), "$1M"},
		{shortDollars(7_700_000, 3), "$7.7M"},
		{shortDollars(1e9, 3), "$1B"},
		{shortDollars(0.5, 3), "$0.5"},
		{shortDollars(1e-9, 3), "$0"},
		{decimal(-0.0351, 3), "−0.035"},
		{decimal(-0.0001, 3), "0.000"},
		{count(18348), "18,348"},
		{count(12), "12"},
		{plural(1, "row", "rows"), "1 row"},
		{plural(2000, "row", "rows"), "2,000 rows"},
	} {
		if test.got != test.want {
			t.Errorf("got %s, want %s", test.got, test.want)
		}
	}
}

func TestFairnessIsJudgedInWords(t *testing.T) {
	for _, test := range []struct {
		name    string
		metrics model.Metrics
		want    []string // of median ratio, COD, PRD, PRB
	}{
		{"all good", model.Metrics{MedianRatio: 1, COD: 10, PRD: 1, PRB: 0}, []string{"Met", "Met", "Met", "Met"}},
		{"just good", model.Metrics{MedianRatio: 0.9, COD: 15, PRD: 1.03, PRB: -0.05}, []string{"Met", "Met", "Met", "Met"}},
		{"all high", model.Metrics{MedianRatio: 1.11, COD: 15.1, PRD: 1.04, PRB: 0.06}, slices.Repeat([]string{"Not met: above"}, 4)},
		{"all low", model.Metrics{MedianRatio: 0.89, COD: 4.9, PRD: 0.97, PRB: -0.06}, slices.Repeat([]string{"Not met: below"}, 4)},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, s := range fairness(&test.metrics) {
				got = append(got, s.Verdict)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestManySalesAreDrawnAsASample(t *testing.T) {
	s := newScatter(full(t, 4100))
	if len(s.Dots) != maxDots || !s.DrawnAreSample {
		t.Errorf("drew %d dots, a sample: %v", len(s.Dots), s.DrawnAreSample)
	}
	if s := newScatter(full(t, maxDots)); len(s.Dots) != maxDots || s.DrawnAreSample {
		t.Errorf("drew %d dots of as many, a sample: %v", len(s.Dots), s.DrawnAreSample)
	}
}

func TestGroupsWithFewSalesAreNotShown(t *testing.T) {
	r := full(t, 30)
	for i := range r.Sales {
		h := &r.Sales[i].House
		h.Values[house.Grade] = 7
		if i < minGroup-1 {
			h.Values[house.Grade] = 12
		}
	}
	overall, err := r.overall()
	if err != nil {
		t.Fatal(err)
	}
	groupings, err := newGroupings(r, overall)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(groupings, func(g grouping) bool { return g.Title == "By grade" })
	g := groupings[at]
	if len(g.Rows) != 1 || g.Rows[0].Label != "7" || g.Rows[0].Sales != "26" {
		t.Errorf("got the grades %+v", g.Rows)
	}
	if want := "Not shown, having fewer than 5 sales: 12."; g.Left != want {
		t.Errorf("got %q, want %q", g.Left, want)
	}
}

func TestTiersOfPriceHoldEverySaleOnce(t *testing.T) {
	for _, n := range []int{9, 10, 49, 50, 503} {
		seen, groups := map[int]bool{}, byPrice(full(t, n))
		for _, g := range groups {
			if len(g.indices) < minGroup {
				t.Errorf("of %d sales, a tier has %d", n, len(g.indices))
			}
			for _, i := range g.indices {
				seen[i] = true
			}
		}
		if groups != nil && len(seen) != n {
			t.Errorf("tiers hold %d of %d sales", len(seen), n)
		}
		if (n < 2*minGroup) != (groups == nil) {
			t.Errorf("%d sales gave %d tiers", n, len(groups))
		}
	}
}

func TestReasonsAreCountedWithoutRows(t *testing.T) {
	want := []reason{{"column price: must be more than 0", 2}, {"column grade: must be at most 13", 1}}
	if diff := cmp.Diff(want, reasons(full(t, 2).Faults)); diff != "" {
		t.Error(diff)
	}
}
