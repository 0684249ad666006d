// Package model_test trains the built-in model anew, as `make model` does. It
// stands apart so that the minutes it takes are its own.
package model_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"housing/internal/bundle"
	"housing/internal/cli"
	"housing/internal/model"
)

// TestBuiltinModelIsMadeFromTheData trains as `make model` does, and compares
// to the byte. That the bundle carries its accuracy makes this also the test
// of the accuracy that is promised.
func TestBuiltinModelIsMadeFromTheData(t *testing.T) {
	if testing.Short() {
		t.Skip("trains seven models of full size; run without -short")
	}
	const data = "../../../shared/data"
	if _, err := os.Stat(data); err != nil {
		t.Skipf("the sales are not beside the project: %v", err)
	}
	builtin, err := bundle.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), builtin.Manifest.Version)
	environment := func(name string) (string, bool) {
		return map[string]string{"SOURCE_DATE_EPOCH": epoch(builtin)}[name], name == "SOURCE_DATE_EPOCH"
	}
	var stdout, stderr bytes.Buffer
	args := []string{"train", "--out", out, "--sales", data + "/king_county_sales.csv", "--demographics", data + "/zipcode_demographics.csv"}
	if code := cli.Run(t.Context(), args, environment, nil, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	made, err := bundle.Open(filepath.Join(out, "bundle"))
	if err != nil {
		t.Fatal(err)
	}
	defer made.Close()
	if made.Digest != builtin.Digest {
		t.Errorf("training made %s, built in is %s: run `make model`", made.Digest, builtin.Digest)
	}
	for _, a := range made.Manifest.Accuracy[:1] {
		if a.Part != model.AllSales || a.R2 < 0.905 || a.MAPE > 10.9 || a.MdAPE > 7.6 {
			t.Errorf("%s: R² %.4f, MAPE %.2f, MdAPE %.2f; promised are 0.905, 10.9 and 7.6", a.Protocol, a.R2, a.MAPE, a.MdAPE)
		}
	}
}

func epoch(b *bundle.Bundle) string { return strconv.FormatInt(b.Manifest.Created.Unix(), 10) }
