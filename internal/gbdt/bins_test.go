package gbdt

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestCodesAgreeWithThresholds holds what lets a tree in codes and one in
// thresholds go the same way, for any values.
func TestCodesAgreeWithThresholds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.OneOf(
			rapid.Float32Range(-10, 10),
			rapid.Float32Range(-math.MaxFloat32, math.MaxFloat32),
			rapid.SampledFrom([]float32{0, 1, 2, 3, float32(math.NaN()), math.MaxFloat32, math.SmallestNonzeroFloat32}),
		), 1, 400).Draw(t, "values")
		maxBins := rapid.IntRange(2, MaxBins).Draw(t, "maxBins")
		x := Matrix{Data: values, Rows: len(values), Cols: 1}
		bins, err := NewBins(x, maxBins, 2)
		if err != nil {
			t.Fatal(err)
		}
		d, err := bins.encode(x, 1)
		if err != nil {
			t.Fatal(err)
		}
		if d.values[0] > maxBins {
			t.Fatalf("%d bins, at most %d asked for", d.values[0], maxBins)
		}
		for r, v := range values {
			code := d.codes[0][r]
			if v != v {
				if int(code) != d.values[0] {
					t.Fatalf("unknown has code %d", code)
				}
				continue
			}
			for c := range d.values[0] {
				if left, below := int(code) <= c, v < bins.threshold(0, uint8(c)); left != below {
					t.Fatalf("%g has code %d: left of code %d is %v, below its threshold %g is %v", v, code, c, left, bins.threshold(0, uint8(c)), below)
				}
			}
		}
	})
}

func TestBinsHoldAboutAsManyRowsEach(t *testing.T) {
	random := testRandom(t)
	x := NewMatrix(100_000, 1)
	for i := range x.Data {
		x.Data[i] = float32(random.ExpFloat64())
		if i%4 == 0 {
			x.Data[i] = 1 // one value that is a quarter of all
		}
	}
	bins, err := NewBins(x, 100, 2)
	if err != nil {
		t.Fatal(err)
	}
	d, err := bins.encode(x, 2)
	if err != nil {
		t.Fatal(err)
	}
	counts := make([]int, d.values[0])
	for _, c := range d.codes[0] {
		counts[c]++
	}
	if len(counts) < 95 {
		t.Errorf("%d bins of 100", len(counts))
	}
	large := 0
	for _, n := range counts {
		if n > 2500 {
			large++
		}
	}
	if large != 1 {
		t.Errorf("%d bins hold over 2500 rows, want the one of the common value: %v", large, counts)
	}
}

func TestFloatsAreSorted(t *testing.T) {
	random := &splitmix{3}
	for _, n := range []int{1, 100, 1 << 10, 50_000} {
		values := make([]float32, n)
		for i := range values {
			values[i] = oddFloat(random)
		}
		want := slices.Clone(values)
		slices.Sort(want)
		got := sortFloats(values, make([]float32, n))
		for i := range want {
			if got[i] != want[i] { // 0 and -0 are alike
				t.Fatalf("of %d: number %d is %g, want %g", n, i, got[i], want[i])
			}
		}
	}
}
