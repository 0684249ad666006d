package batch_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"housing/internal/batch"
	"housing/internal/bundle"
	"housing/internal/house"
	"housing/internal/telemetry"
	"housing/internal/valuer"
)

func Example() {
	model, err := bundle.Builtin()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer model.Close()
	v := valuer.New(valuer.Options{
		Metrics: telemetry.NewMetrics(prometheus.NewRegistry()),
		Log:     slog.Default(),
	})
	if err := v.Use(valuer.FromBundle(model), 0); err != nil {
		fmt.Println(err)
		return
	}
	dir, err := os.MkdirTemp("", "houses-*")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	in, typical := filepath.Join(dir, "houses.ndjson"), house.Example()
	if err := os.WriteFile(in, house.AppendJSON(nil, &typical), 0o644); err != nil {
		fmt.Println(err)
		return
	}
	job, err := batch.Plan(in, filepath.Join(dir, "prices.csv"))
	if err != nil {
		fmt.Println(err)
		return
	}
	summary, err := job.Run(context.Background(), os.Stdout, batch.Options{Valuer: v})
	fmt.Println(summary.Houses, err)
	// Output: 1 <nil>
}
