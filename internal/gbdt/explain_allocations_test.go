//go:build !race

package gbdt

import (
	"math/rand/v2"
	"testing"
)

// With the race detector a sync.Pool drops what it is given at random.
func TestExplainAllocatesNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	f := randomForest(random, 20, 31, 10)
	e, err := NewExplainer(f)
	if err != nil {
		t.Fatal(err)
	}
	row, dst := randomRow(random, 10), make([]float64, 10)
	if n := testing.AllocsPerRun(200, func() { e.Explain(dst, row) }); n > 0.5 {
		t.Errorf("allocates %g times", n)
	}
}
