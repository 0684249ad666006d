package bundle_test

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"housing/internal/bundle"
	"housing/internal/bundle/bundletest"
	"housing/internal/model"
	"housing/internal/model/modeltest"
)

func TestIntervalAndComparablesAreWrittenAndRead(t *testing.T) {
	c := bundletest.Full(t, "t-1", 1)
	var data bytes.Buffer
	if err := bundle.Write(&data, c); err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Parse(data.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	houses := modeltest.Houses(60)
	want := c.Model.Value(nil, houses, c.Demographics, 0.8)
	got := b.Model.Value(nil, houses, b.Demographics, 0.8)
	if diff := cmp.Diff(want, got, cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("(-written +read):\n%s", diff)
	}
	if len(got[0].Comparables) == 0 || got[0].Interval != 0.8 {
		t.Errorf("valued as %+v", got[0])
	}
	if diff := cmp.Diff(c.Manifest.Coverage, b.Manifest.Coverage); diff != "" {
		t.Error(diff)
	}
}

// TestIntervalsAndComparablesThatCannotBe writes bundles whose parts are well
// formed and make no sense.
func TestIntervalsAndComparablesThatCannotBe(t *testing.T) {
	nan := math.NaN()
	for name, c := range map[string]struct {
		harm func(i *model.Interval, c *model.Comparables)
		want string
	}{
		"scores out of order": {func(i *model.Interval, _ *model.Comparables) { i.Scores[0] = []float64{2, 1} }, "scores are not in order"},
		"a score of NaN":      {func(i *model.Interval, _ *model.Comparables) { i.Scores[1] = []float64{nan, 1} }, "score is no number"},
		"one score":           {func(i *model.Interval, _ *model.Comparables) { i.Scores[1] = []float64{1} }, "scores are not in order"},
		"a sale for nothing":  {func(_ *model.Interval, c *model.Comparables) { c.Sales[3].Price = 0 }, "sale 3 has no price"},
		"nothing expected":    {func(_ *model.Interval, c *model.Comparables) { c.Sales[3].Expected = nan }, "sale 3 has no price"},
		"leaves of more trees": {func(_ *model.Interval, c *model.Comparables) {
			c.Trees, c.Leaves = 999, make([]uint8, 999*len(c.Sales))
		}, "leaves do not fit"},
		"no sales": {func(_ *model.Interval, c *model.Comparables) { c.Sales, c.Leaves = nil, nil }, "0 sales"},
	} {
		t.Run(name, func(t *testing.T) {
			contents := bundletest.Full(t, "t-1", 1)
			interval, comparables := *contents.Model.Interval, *contents.Model.Comparables
			comparables.Sales = append([]model.ComparableSale(nil), comparables.Sales...)
			c.harm(&interval, &comparables)
			harmed := *contents.Model
			harmed.Interval, harmed.Comparables = &interval, &comparables
			contents.Model = &harmed
			var data bytes.Buffer
			if err := bundle.Write(&data, contents); err != nil {
				t.Fatal(err)
			}
			if _, err := bundle.Parse(data.Bytes()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
