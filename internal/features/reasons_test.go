package features

import (
	"math"
	"slices"
	"testing"

	"housing/internal/demographics"
	"housing/internal/house"
)

// TestColumnsMoveOnlyWithTheirReasons changes one thing of a house at a time:
// a column must not move with what is not among its reasons.
func TestColumnsMoveOnlyWithTheirReasons(t *testing.T) {
	e := fitted(t)
	base := house.Example()
	base.Values[house.YrRenovated] = 1990
	base.Date, _ = house.ParseDate("2014-07-01")
	area := demographics.Area{5: 70_000}
	row := func(h house.House, a demographics.Area) []float32 {
		dst := make([]float32, NumColumns())
		e.Row(dst, &h, &a)
		return dst
	}
	before := row(base, area)
	check := func(reason string, after []float32) {
		moved := false
		for i := range after {
			if after[i] == before[i] {
				continue
			}
			moved = true
			if !slices.Contains(ReasonsOf(columns[i].Name), reason) {
				t.Errorf("%s moves with %s, which is not among its reasons %v", columns[i].Name, reason, ReasonsOf(columns[i].Name))
			}
		}
		if !moved {
			t.Errorf("no column moves with %s", reason)
		}
	}
	for _, s := range house.Fields() {
		h := base
		h.Values[s.Field]--
		if s.Field == house.Waterfront || s.Field == house.View {
			h.Values[s.Field] += 2
		}
		reason := s.Name
		switch s.Field {
		case house.ZipcodeField:
			h.Values[s.Field] = float64(e.Zipcodes[0])
			fallthrough
		case house.Lat, house.Long:
			reason = Location
		}
		check(reason, row(h, area))
	}
	check(Neighbourhood, row(base, demographics.Area{5: 71_000}))
	later := base
	later.Date += 400
	for i, v := range row(later, area) {
		// The age of a house moves with the day too, and stays with its year.
		if v != before[i] && !slices.Contains([]string{"day", "month", "age", "years_since_work"}, columns[i].Name) {
			t.Errorf("%s moves with the day", columns[i].Name)
		}
	}
}

func TestFoldLosesNothing(t *testing.T) {
	effects, dst := make([]float64, NumColumns()), make([]float64, NumReasons())
	var want, got float64
	for i := range effects {
		effects[i] = float64(i) - 30.5
		want += effects[i]
	}
	Fold(dst, effects)
	for _, v := range dst {
		got += v
	}
	if math.Abs(got-want) > 1e-9 {
		t.Errorf("%d columns sum to %g, their reasons to %g", len(effects), want, got)
	}
	if NumReasons() > MaxReasons || slices.Contains(Reasons(), "lat") {
		t.Errorf("reasons are %v", Reasons())
	}
}
