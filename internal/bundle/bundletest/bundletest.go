// Package bundletest makes bundles of small models for tests.
package bundletest

import (
	"bytes"
	"context"
	"testing"
	"time"

	"housing/internal/bundle"
	"housing/internal/model"
	"housing/internal/model/modeltest"
)

// Contents returns the contents of a bundle of a small model trained on
// made-up sales. Another seed gives another model.
func Contents(t testing.TB, version string, seed uint64) bundle.Contents {
	t.Helper()
	o := model.DefaultOptions()
	o.Boosting.Rounds, o.Boosting.LearningRate, o.Boosting.Seed, o.Threads = 40, 0.2, seed, 2
	o.Smooth.Share = 0
	sales, table := modeltest.Sales(500), modeltest.Table(t)
	trained, err := model.Train(context.Background(), sales, table, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	return bundle.Contents{
		Manifest: bundle.Manifest{
			Version:    version,
			Created:    time.Unix(1_400_000_000+int64(seed), 0).UTC(),
			Program:    "housing test",
			ModelType:  model.Type,
			Sources:    []bundle.Source{{Name: "sales.csv", SHA256: "00", Rows: len(sales)}},
			NewestSale: trained.Model.Encoder.Newest.String(),
			Sales:      len(sales),
			Options:    o,
			Trees:      trained.Rounds,
			Features:   trained.Model.FeatureNames(),
			Importance: trained.Importance,
			Accuracy:   []model.Accuracy{{Protocol: "made up", Part: model.AllSales, Metrics: model.Metrics{Sales: len(sales), R2: 0.5}}},
		},
		Model:        trained.Model,
		Demographics: table,
		Golden:       bundle.Golden(modeltest.Houses(100), seed),
	}
}

// Full is Contents with an interval and comparables, and how often the
// interval covers. What the sales are, Comparables in the model says.
func Full(t testing.TB, version string, seed uint64) bundle.Contents {
	t.Helper()
	c := Contents(t, version, seed)
	o := c.Manifest.Options
	o.Threads = 2
	sales := modeltest.Sales(500)
	v, err := model.CrossValidate(context.Background(), sales, c.Demographics, o, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	calibrated, err := model.Calibrate(context.Background(), c.Model, sales, v, c.Demographics, o)
	if err != nil {
		t.Fatal(err)
	}
	c.Manifest.Coverage = calibrated.Coverage
	if c.Model, err = calibrated.Model.WithComparables(model.NewComparables(calibrated.Model, sales, v, c.Demographics)); err != nil {
		t.Fatal(err)
	}
	return c
}

// Bytes returns the bytes of the bundle of Contents.
func Bytes(t testing.TB, version string, seed uint64) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := bundle.Write(&b, Contents(t, version, seed)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
