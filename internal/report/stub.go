// Package report is a stub.
package report

import (
	"encoding/json"

	"housing/internal/bundle"
	"housing/internal/house"
	"housing/internal/model"
)

type Report struct {
	Title      string
	Manifest   bundle.Manifest
	Digest     string
	Sources    []bundle.Source
	Accuracy   []model.Accuracy
	Sales      []house.Sale
	Predicted  []float64
	Notes      []string
	Dropped    int
	DroppedFor []string
}

func (r *Report) JSON() ([]byte, error) { return json.Marshal(r.Accuracy) }
func (r *Report) HTML() ([]byte, error) { return nil, nil }
