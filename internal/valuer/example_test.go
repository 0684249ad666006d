package valuer_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"housing/internal/bundle"
	"housing/internal/house"
	"housing/internal/telemetry"
	"housing/internal/valuer"
)

func Example() {
	start := time.Now()
	b, err := bundle.Builtin()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	v := valuer.New(valuer.Options{
		Metrics: telemetry.NewMetrics(prometheus.NewRegistry()),
		Log:     slog.Default(),
	})
	if err := v.Use(valuer.FromBundle(b), time.Since(start)); err != nil {
		fmt.Println(err)
		return
	}
	answer, err := v.Value(context.Background(), nil, []house.House{house.Example()}, valuer.Choice{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(answer.Prices), answer.Type)
	// Output: 1 GradientBoostedTrees
}
