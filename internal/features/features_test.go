package features

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"housing/internal/demographics"
	"housing/internal/house"
	"housing/internal/model/modeltest"
)

func TestRowOfOneHouse(t *testing.T) {
	e := fitted(t)
	e.Centres[2] = Place{47.6974, -122.413}
	h := house.Example()
	h.Date, _ = house.ParseDate("2015-01-02")
	row := make([]float32, NumColumns())
	area := demographics.Area{5: 81000}
	e.Row(row, &h, &area)
	for name, want := range map[string]float64{
		"bedrooms": 3, "sqft_living": 2220, "zipcode": 98115, "lat": 47.6974, "yr_renovated": 0,
		demographics.Columns()[5].Name: 81000,
		"day":                          5480, // from 2000-01-01, four of whose fifteen years are leap years
		"month":                        1,
		"age":                          2015 + 1./365 - 1931, "years_since_work": 2015 + 1./365 - 1931, "renovated": 0,
		"living_per_lot": 2220. / 6380, "living_per_bedroom": 2220. / 4, "bathrooms_per_bedroom": 2.5 / 4,
		"share_above_ground": 1660. / 2220, "living_vs_neighbours": 2220. / 950, "lot_vs_neighbours": 1,
		"grade_times_living": 8 * 2220, "luxury": 8 + 4./2,
		"distance_to_centre_3": 0.1 * longitudeScale,
	} {
		if got := row[columnOf(t, name)]; math.Abs(float64(got)-want) > 1e-6*math.Max(1, math.Abs(want)) {
			t.Errorf("%s is %g, want %g", name, got, want)
		}
	}
}

// TestUnknownStaysUnknown holds that a column is unknown just where a field
// that it is made of is.
func TestUnknownStaysUnknown(t *testing.T) {
	e := fitted(t)
	whole := house.Example()
	known, partial := make([]float32, NumColumns()), make([]float32, NumColumns())
	e.Row(known, &whole, &demographics.Area{})
	for i, v := range known {
		if v != v {
			t.Errorf("%s of a whole house is unknown", columns[i].Name)
		}
	}
	for _, c := range []struct {
		field   house.Field
		unknown []string
	}{
		{house.YrBuilt, []string{"yr_built", "age", "years_since_work"}},
		{house.YrRenovated, []string{"yr_renovated", "years_since_work", "renovated"}},
		{house.Grade, []string{"grade", "grade_times_living", "luxury", "grade_vs_zip", "grade_vs_near"}},
		{house.SqftLot, []string{"sqft_lot", "living_per_lot", "lot_vs_neighbours"}},
		{house.Waterfront, []string{"waterfront", "luxury"}},
	} {
		h := whole
		h.Values[c.field] = math.NaN()
		e.Row(partial, &h, &demographics.Area{})
		var got []string
		for i, v := range partial {
			if v != v {
				got = append(got, columns[i].Name)
			} else if v != known[i] {
				t.Errorf("%s changes from %g to %g without %s", columns[i].Name, known[i], v, c.field)
			}
		}
		if !slices.Equal(got, c.unknown) {
			t.Errorf("without %s, unknown are %v, want %v", c.field, got, c.unknown)
		}
	}
}

// TestMonotoneFieldsMoveOnlyMonotoneColumns holds what the promise "more
// living space, better grade or condition is never cheaper" rests on: each
// column that such a field moves is one in which the trees may only rise.
func TestMonotoneFieldsMoveOnlyMonotoneColumns(t *testing.T) {
	e := fitted(t)
	before, after := make([]float32, NumColumns()), make([]float32, NumColumns())
	for _, h := range modeltest.Houses(300) {
		for _, f := range []house.Field{house.SqftLiving, house.Grade, house.Condition} {
			better := h
			better.Values[f]++
			e.Row(before, &h, &demographics.Area{})
			e.Row(after, &better, &demographics.Area{})
			for i, c := range columns {
				if before[i] != after[i] && (c.Monotone != 1 || after[i] < before[i]) {
					t.Fatalf("%s moves %s from %g to %g, which is constrained by %d", f, c.Name, before[i], after[i], c.Monotone)
				}
			}
		}
	}
}

func TestRowsAreFiniteOrUnknown(t *testing.T) {
	e := fitted(t)
	random := rand.New(rand.NewPCG(3, 3))
	row := make([]float32, NumColumns())
	for range 3000 {
		h := house.Unknown()
		for f := range house.Field(house.NumFields) {
			h.Values[f] = []float64{0, 1, -1, math.NaN(), 1e9, random.NormFloat64() * 1e4}[random.IntN(6)]
		}
		h.Values[house.ZipcodeField] = float64(random.IntN(100_000))
		e.Row(row, &h, &demographics.Area{})
		for i, v := range row {
			if math.IsInf(float64(v), 0) {
				t.Fatalf("%s is %g for %v", columns[i].Name, v, h.Values)
			}
		}
	}
}

func TestHousesWithoutADayAreValuedAsOfTheNewest(t *testing.T) {
	e := fitted(t)
	h := house.Example()
	without, with := make([]float32, NumColumns()), make([]float32, NumColumns())
	e.Row(without, &h, &demographics.Area{})
	h.Date = e.Newest
	e.Row(with, &h, &demographics.Area{})
	if !slices.Equal(without, with) {
		t.Error("a house without a day has another row than one of the newest day")
	}
	var newest house.Date
	for _, h := range modeltest.Houses(500) {
		newest = max(newest, h.Date)
	}
	if e.Newest != newest {
		t.Errorf("newest is %s, want %s", e.Newest, newest)
	}
}

func TestZipcodeMeans(t *testing.T) {
	e := fitted(t)
	var sum, n float64
	for _, h := range modeltest.Houses(500) {
		if h.Zipcode() == 98003 {
			sum += h.Values[house.Grade]
			n++
		}
	}
	row := make([]float32, NumColumns())
	h := house.Example()
	h.Values[house.ZipcodeField] = 98003
	e.Row(row, &h, &demographics.Area{})
	if got := row[columnOf(t, "zip_mean_grade")]; math.Abs(float64(got)-sum/n) > 1e-5 {
		t.Errorf("mean grade of 98003 is %g, want %g", got, sum/n)
	}
	h.Values[house.ZipcodeField] = 10001
	e.Row(row, &h, &demographics.Area{})
	if got := row[columnOf(t, "zip_mean_grade")]; got != float32(e.Overall[zipGrade]) {
		t.Errorf("mean grade of a zipcode that was not seen is %g, want that of all", got)
	}
}

func TestFitIsTheSameEachTime(t *testing.T) {
	if a, b := fitted(t), fitted(t); !reflect.DeepEqual(a, b) {
		t.Error("two encoders fitted on the same houses differ")
	}
}

func TestFitRefuses(t *testing.T) {
	if _, err := Fit(nil, 1); err == nil || !strings.Contains(err.Error(), "no houses") {
		t.Errorf("error %v", err)
	}
	if _, err := Fit([]house.House{house.Example()}, 1); err == nil || !strings.Contains(err.Error(), "no house has a date") {
		t.Errorf("error %v", err)
	}
}

func TestFitWithoutPlaces(t *testing.T) {
	houses := modeltest.Houses(50)
	for i := range houses {
		houses[i].Values[house.Lat] = math.NaN()
	}
	e, err := Fit(houses, 1)
	if err != nil {
		t.Fatal(err)
	}
	row := make([]float32, NumColumns())
	h := house.Example()
	e.Row(row, &h, &demographics.Area{})
	if v := row[columnOf(t, "distance_to_centre_1")]; v == v {
		t.Errorf("distance to a centre that was never learned is %g", v)
	}
}

func TestCheckRefuses(t *testing.T) {
	for want, spoil := range map[string]func(e *Encoder){
		"newest day":   func(e *Encoder) { e.Newest = house.NoDate },
		"centres":      func(e *Encoder) { e.Centres = make([]Place, Centres+1) },
		"means for":    func(e *Encoder) { e.Means = e.Means[1:] },
		"not in order": func(e *Encoder) { slices.Reverse(e.Zipcodes) },
	} {
		e := fitted(t)
		if err := e.Check(); err != nil {
			t.Fatal(err)
		}
		spoil(e)
		if err := e.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func TestColumnsAreNamedOnceAndFit(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Columns() {
		if seen[c.Name] || c.Name == "" {
			t.Errorf("column %q is named twice or not at all", c.Name)
		}
		seen[c.Name] = true
	}
	if NumColumns() > MaxColumns {
		t.Errorf("%d columns do not fit MaxColumns", NumColumns())
	}
}

func fitted(t testing.TB) *Encoder {
	t.Helper()
	e, err := Fit(modeltest.Houses(500), 1)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// columnOf returns where the column of a name stands.
func columnOf(t *testing.T, name string) int {
	t.Helper()
	i := slices.IndexFunc(columns, func(c column) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("no column %s", name)
	}
	return i
}

func BenchmarkRow(b *testing.B) {
	e := fitted(b)
	h := house.Example()
	row := make([]float32, NumColumns())
	var area demographics.Area
	b.ReportAllocs()
	for b.Loop() {
		e.Row(row, &h, &area)
	}
}
