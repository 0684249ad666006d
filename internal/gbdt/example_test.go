package gbdt_test

import (
	"context"
	"fmt"

	"housing/internal/gbdt"
)

func Example() {
	// Four houses by living space and number of bathrooms, and their prices.
	x := gbdt.Matrix{Data: []float32{800, 1, 1200, 1, 2000, 2, 2600, 3}, Rows: 4, Cols: 2}
	prices := []float64{210, 260, 420, 530}

	p := gbdt.DefaultParams()
	p.LearningRate, p.Rounds = 0.3, 60
	result, err := gbdt.Train(context.Background(), gbdt.Dataset{X: x, Label: prices}, nil, gbdt.Squared{}, p, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.0f\n", result.Forest.Predict([]float32{2500, 3}))
	// Output: 530
}
