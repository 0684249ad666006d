package features

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"housing/internal/demographics"
	"housing/internal/house"
	"housing/internal/model/modeltest"
)

// TestNearestVicinitiesAreThose compares with a look at all of them.
func TestNearestVicinitiesAreThose(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	for _, n := range []int{1, 2, 3, 4, 50, 500} {
		all := make([]Vicinity, n)
		for i := range all {
			all[i] = Vicinity{Lat: 47 + random.Float32(), Long: -122 - random.Float32(), Houses: 5}
		}
		slices.SortFunc(all, func(a, b Vicinity) int { return cmp.Compare(a.Lat, b.Lat) })
		for range 200 {
			lat, long := 46.9+1.2*random.Float64(), -123.1+1.2*random.Float64()
			var memory [nearVicinities]neighbour
			got := nearestVicinities(memory[:0], all, lat, long)
			squares := make([]float64, n)
			for i, v := range all {
				d := distance(lat, long, float64(v.Lat), float64(v.Long))
				squares[i] = d * d
			}
			slices.Sort(squares)
			if len(got) != min(n, nearVicinities) {
				t.Fatalf("of %d vicinities, %d are near", n, len(got))
			}
			for i, g := range got {
				if math.Abs(g.square-squares[i]) > 1e-12 {
					t.Fatalf("of %d vicinities, number %d from (%g, %g) is %g away squared, want %g", n, i, lat, long, g.square, squares[i])
				}
			}
		}
	}
}

// TestAVicinityTellsOfNoHouse holds that each is of several houses, and all
// together of all.
func TestAVicinityTellsOfNoHouse(t *testing.T) {
	houses := modeltest.Houses(2000)
	houses[0].Values[house.Lat] = math.NaN()
	// One far out, alone.
	houses[1].Values[house.Lat], houses[1].Values[house.Long] = 48.9, -117.1
	e, err := Fit(houses, 1)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(e.Vicinities); n < 50 || n > 2000/housesPerVicinity {
		t.Errorf("%d vicinities of 2,000 houses", n)
	}
	var total float32
	for i, v := range e.Vicinities {
		total += v.Houses
		if v.Houses < minVicinityHouses {
			t.Errorf("vicinity %d is of %g houses", i, v.Houses)
		}
	}
	if total != 1999 {
		t.Errorf("vicinities are of %g houses, want the 1,999 whose place is known", total)
	}
}

func TestSurroundings(t *testing.T) {
	e := fitted(t)
	e.Vicinities = []Vicinity{
		{47.5, -122.3, 10, VicinityMeans{7, 7.5, 9, 1950}},
		{47.6, -122.3, 30, VicinityMeans{9, 8, 8, 1990}},
	}
	row := make([]float32, NumColumns())
	h := house.Example()
	h.Values[house.Lat], h.Values[house.Long] = 47.55, -122.3
	e.Row(row, &h, &demographics.Area{})
	for name, want := range map[string]float64{
		"near_grade": 8.5, "near_log_living": 7.875, "near_log_lot": 8.25, "near_yr_built": 1980,
		"near_distance": 0.05, "grade_vs_near": -0.5,
	} {
		if got := float64(row[columnOf(t, name)]); math.Abs(got-want) > 1e-4*math.Max(1, math.Abs(want)) {
			t.Errorf("half way, %s is %g, want %g", name, got, want)
		}
	}
	h.Values[house.Long] = math.NaN()
	e.Row(row, &h, &demographics.Area{})
	if v := row[columnOf(t, "near_grade")]; v == v {
		t.Errorf("the grade around a house without a place is %g", v)
	}
}

func TestCheckRefusesVicinities(t *testing.T) {
	for want, vicinities := range map[string][]Vicinity{
		"at most":          make([]Vicinity, maxVicinities+1),
		"not on the earth": {{Lat: 91, Houses: 5}},
		"of NaN houses":    {{Houses: float32(math.NaN())}},
		"not in order":     {{Lat: 2, Houses: 5}, {Lat: 1, Houses: 5}},
	} {
		e := fitted(t)
		e.Vicinities = vicinities
		if err := e.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

// TestARowHoldsWhatIsAround to the bit, also where the place is unknown.
func TestARowHoldsWhatIsAround(t *testing.T) {
	houses := modeltest.Houses(500)
	e, err := Fit(houses, 1)
	if err != nil {
		t.Fatal(err)
	}
	houses[1].Values[house.Lat] = math.NaN()
	for i := range houses {
		row := make([]float32, NumColumns())
		e.Row(row, &houses[i], new(demographics.Area))
		got, want := AroundInRow(row), e.Around(houses[i].Values[house.Lat], houses[i].Values[house.Long])
		for k := range want {
			if math.Float32bits(got[k]) != math.Float32bits(want[k]) && !(got[k] != got[k] && want[k] != want[k]) {
				t.Fatalf("house %d: %v in its row, %v around it", i, got, want)
			}
		}
	}
}
