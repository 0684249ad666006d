package report_test

import (
	"encoding/json"
	"fmt"
	"log"

	"housing/internal/bundle"
	"housing/internal/model"
	"housing/internal/report"
)

func Example() {
	r := report.Report{
		Title:    "Model kc-1",
		Manifest: bundle.Manifest{Version: "kc-1"},
		Accuracy: []model.Accuracy{{Protocol: "5-fold cross-validation by house", Part: model.AllSales, Metrics: model.Metrics{Sales: 18348, MdAPE: 7.5}}},
	}
	text, err := r.JSON() // and r.HTML() is the page
	if err != nil {
		log.Fatal(err)
	}
	var metrics struct {
		Accuracy []struct{ MdAPE float64 }
	}
	if err := json.Unmarshal(text, &metrics); err != nil {
		log.Fatal(err)
	}
	fmt.Println(metrics.Accuracy[0].MdAPE)
	// Output: 7.5
}
