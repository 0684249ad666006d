package sequential_test

import (
	"fmt"

	"housing/internal/sequential"
)

// A canary of 5 % has errors, the primary has none. It is looked at after
// every 200 requests, and stopped as soon as there is evidence.
func ExampleProportions() {
	const alpha = 0.05
	test, err := sequential.NewProportions(sequential.Worse, 0.005)
	for look := 1; err == nil; look++ {
		failed := 0.0
		if look%5 == 0 { // 2 % of the canary's
			failed = 1
		}
		test, err = test.Add(sequential.Counts{N: 190}, sequential.Counts{N: 10, K: failed})
		if test.E() >= 1/alpha {
			fmt.Printf("worse, after %v requests of the canary\n", test.B.N)
			return
		}
	}
	// Output: worse, after 350 requests of the canary
}

// The logarithms of prices of two versions.
func ExampleMeans() {
	var primary, candidate sequential.Moments
	for i := range 400 {
		spread := 0.5 * float64(i%21-10) / 10
		primary, candidate = primary.Add(13+spread), candidate.Add(13.2+spread)
	}
	i := sequential.Means(primary, candidate, 0.05, 0)
	fmt.Printf("%.2f, between %.2f and %.2f: real %t\n", i.Estimate, i.Low, i.High, i.Real())
	// Output: 0.20, between 0.13 and 0.27: real true
}
