package housing

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"housing/internal/house"
	"housing/internal/model/modeltest"
	"housing/test/docrun"
)

// documented is the address that the documents have the service at.
const documented = "127.0.0.1:8000"

// runAll runs blocks of a document, of which some ask the service.
func runAll(d *docrun.Document, address string, blocks ...string) {
	d.Helper()
	for _, name := range blocks {
		d.Run(name, d.Among(name, documented, address)...)
	}
}

// TestTheCommandsOfTheAPIGuide are run as docs/api.md has them.
func TestTheCommandsOfTheAPIGuide(t *testing.T) {
	address := serve(t, build(t))
	d := docrun.Open(t, "docs/api.md", nil, "curl")
	if len(d.Names()) < 6 {
		t.Fatalf("docs/api.md has only the examples %q", d.Names())
	}
	runAll(d, address, d.Names()...)
}

// TestTheCommandsOfTheQuickStart are run as docs/quickstart.md has them, on
// made-up sales and with fewer trees.
func TestTheCommandsOfTheQuickStart(t *testing.T) {
	program := build(t)
	d := docrun.Open(t, "docs/quickstart.md", map[string]string{"PATH": filepath.Dir(program) + ":" + os.Getenv("PATH")}, "curl")
	writeSales(t, d.Dir)
	const out, small = "--demographics demographics.csv", "--demographics demographics.csv --rounds 40 --folds 2 --smooth-share 0"
	d.Run("train", out, small)
	runAll(d, "", "look", "use")
	d.Run("next", out, small)
	runAll(d, "", "plan")
	address := serve(t, program, "MODEL_DIR="+filepath.Join(d.Dir, "models"), "MODEL_POLL=500ms")
	if said := d.Run("watch", documented, address); !strings.Contains(said, `"status":"healthy"`) || !strings.Contains(said, `"model_version":"v1"`) {
		t.Errorf("the service is not as it should be: %s", said)
	}
	if said := d.Run("rollout"); !strings.Contains(said, "rollback to v1") {
		t.Errorf("the history is %s", said)
	}
	for _, made := range []string{"models/v1/report.html", "card.md", "evaluation/metrics.json", "prices.csv"} {
		if info, err := os.Stat(filepath.Join(d.Dir, made)); err != nil || info.Size() == 0 {
			t.Errorf("%s was not made: %v", made, err)
		}
	}
}

// TestThePlanOfTheDocs makes the plan of docs/capacity.md, whose prices and
// measurements are those of the program.
func TestThePlanOfTheDocs(t *testing.T) {
	d := docrun.Open(t, "docs/capacity.md", map[string]string{"PATH": filepath.Dir(build(t)) + ":" + os.Getenv("PATH")})
	runAll(d, "", d.Names()...)
}

// writeSales writes what the quick start begins with: sales, newer sales,
// houses without a price, and figures of their zipcodes.
func writeSales(t *testing.T, dir string) {
	t.Helper()
	head := "id,date,price"
	for _, s := range house.Fields() {
		head += "," + s.Name
	}
	sales := []string{head}
	for _, s := range modeltest.Sales(700) {
		row := fmt.Sprintf("%s,%s,%.0f", s.ID, s.House.Date, s.Price)
		for _, v := range s.House.Values {
			row += "," + strconv.FormatFloat(v, 'f', -1, 64)
		}
		sales = append(sales, row)
	}
	var figures strings.Builder
	if err := modeltest.Table(t).Write(&figures); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"sales.csv": strings.Join(sales[:601], "\n"), "new-sales.csv": head + "\n" + strings.Join(sales[601:], "\n"),
		"houses.csv": head + "\n" + strings.Join(sales[601:651], "\n"), "demographics.csv": figures.String(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTheGoOfTheClients runs the program of docs/clients.md.
func TestTheGoOfTheClients(t *testing.T) {
	address := serve(t, build(t))
	text, err := os.ReadFile("docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "<!-- a test runs it -->\n```go\n")
	program, _, ended := strings.Cut(rest, "```\n")
	if !found || !ended || !strings.Contains(program, documented) {
		t.Fatal("docs/clients.md has no program")
	}
	path := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(program, documented, address)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "run", path).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "dollars by kc-") || !strings.Contains(string(out), "in 90 of 100 cases") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestThePythonOfTheClients generates a client and asks with it, as
// docs/clients.md says.
func TestThePythonOfTheClients(t *testing.T) {
	if os.Getenv("CLIENTS") != "long" {
		t.Skip("installs a generator from PyPI: make python-client")
	}
	address := serve(t, build(t))
	d := docrun.Open(t, "docs/clients.md", nil, "python3")
	runAll(d, address, d.Names()...)
}
