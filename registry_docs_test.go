package housing

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"housing/internal/bundle"
	"housing/internal/bundle/bundletest"
)

// TestTheCommandsOfTheRegistryRun runs the commands of docs/registry.md as
// they stand, on a folder.
func TestTheCommandsOfTheRegistryRun(t *testing.T) {
	for _, tool := range []string{"sh", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	text, err := os.ReadFile("docs/registry.md")
	if err != nil {
		t.Fatal(err)
	}
	script := block(t, string(text), "export MODEL_DIR")
	program, dir := build(t), t.TempDir()
	for i, version := range []string{"kc-2", "kc-3"} {
		if err := os.MkdirAll(filepath.Join(dir, "models", version), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := bundle.WriteFile(filepath.Join(dir, "models", version, "bundle"), bundletest.Contents(t, version, uint64(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "registry"), 0o755); err != nil {
		t.Fatal(err)
	}
	var sales strings.Builder
	sales.WriteString("price,bedrooms,bathrooms,sqft_living,sqft_lot,floors,sqft_above,sqft_basement,zipcode\n")
	for i := range 20 {
		fmt.Fprintf(&sales, "%d,3,2,%d,5000,1,%d,0,98115\n", 400_000+10_000*i, 1000+50*i, 1000+50*i)
	}
	if err := os.WriteFile(filepath.Join(dir, "new-sales.csv"), []byte(sales.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("sh", "-e", "-c", script)
	command.Dir = dir
	command.Env = []string{"PATH=" + filepath.Dir(program) + ":" + os.Getenv("PATH"), "HOME=" + dir}
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{"valid      good", "Alias next stands for kc-3", "on 20 sales", "percent    25", "prices in 98039 are off", "kc-2     ", "yes     primary", "start kc-3 as canary at 1 %", "rollback to kc-2"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is not in what the commands said:\n%s", want, out)
		}
	}
}
