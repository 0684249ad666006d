package housing

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// rooms are the packages of internal/, top to bottom: each may import only
// those below it. A package in a room's folder belongs to that room.
var rooms = []struct{ name, job string }{
	{"cli", "one file a command"},
	{"httpapi", "routes, JSON in and out, problem errors, OpenAPI"},
	{"web", "the pages and their assets"},
	{"auth", "who asks: bearer tokens"},
	{"certificate", "the TLS certificate, loaded again when it changes"},
	{"follow", "reads again what may change: secrets, certificates"},
	{"batch", "values a file of houses"},
	{"report", "the evaluation report"},
	{"backup", "copies of what must not be lost, and their way back"},
	{"rollout", "the traffic plan"},
	{"journal", "what was predicted and what it then sold for"},
	{"valuer", "the models that are running"},
	{"drift", "what is asked and answered, against the training"},
	{"ratelimit", "how often a client may ask"},
	{"cache", "prices and bundles that were had before"},
	{"registry", "versions, aliases and the traffic plan, and where they lie"},
	{"objects", "bytes by key in a folder or a bucket"},
	{"bundle", "a model as bytes"},
	{"model", "train, value, evaluate"},
	{"gbdt", "gradient-boosted trees"},
	{"gp", "Gaussian processes"},
	{"network", "small neural networks"},
	{"capacity", "how many replicas a load needs, and what they cost"},
	{"sequential", "differences that are real while they are watched"},
	{"features", "house and area to row"},
	{"demographics", "census figures by zipcode"},
	{"house", "the fields of a house"},
	{"store", "connections to PostgreSQL and Redis that recover by themselves"},
	{"telemetry", "metrics, logs and traces"},
	{"config", "settings"},
	{"buildinfo", "which build this is"},
}

// alone are rooms that know nothing of any other.
var alone = []string{"auth", "capacity", "certificate", "follow", "gbdt", "gp", "house", "network", "objects", "sequential", "telemetry", "buildinfo"}

func TestRoomsImportOnlyRoomsBelow(t *testing.T) {
	height := map[string]int{}
	for i, r := range rooms {
		height[r.name] = len(rooms) - i
	}
	seen := map[string]bool{}
	for path, imports := range packages(t, "{{join .Imports \" \"}}") {
		from, inside := room(path)
		if !inside {
			continue
		}
		seen[from] = true
		if height[from] == 0 {
			t.Errorf("%s is no room: give it a place in the table of imports_test.go and in docs/architecture.md", path)
			continue
		}
		for _, imported := range strings.Fields(imports) {
			to, inside := room(imported)
			switch {
			case !inside || to == from:
			case slices.Contains(alone, from):
				t.Errorf("%s imports %s: room %s knows nothing of any other", path, imported, from)
			case height[to] > height[from]:
				t.Errorf("%s imports %s: room %s stands above %s", path, imported, to, from)
			}
		}
	}
	for _, r := range rooms {
		if !seen[r.name] {
			t.Errorf("room %s stands in the table and has no package", r.name)
		}
	}
}

// TestTheClientNeedsTheStandardLibraryAlone, as programs of others import it.
func TestTheClientNeedsTheStandardLibraryAlone(t *testing.T) {
	const path = "housing/client"
	imports, found := packages(t, "{{join .Imports \" \"}}")[path]
	if !found || imports == "" {
		t.Fatalf("there is no %s", path)
	}
	for _, imported := range strings.Fields(imports) {
		if first, _, _ := strings.Cut(imported, "/"); first == "housing" || strings.Contains(first, ".") {
			t.Errorf("%s imports %s", path, imported)
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for path, doc := range packages(t, "{{.Doc}}") {
		if _, inside := room(path); inside && len(doc) < 20 {
			t.Errorf("%s has no doc comment", path)
		}
	}
}

// room returns the room of a package of internal/.
func room(path string) (name string, inside bool) {
	rest, inside := strings.CutPrefix(path, "housing/internal/")
	name, _, _ = strings.Cut(rest, "/")
	return name, inside
}

// packages returns what a format of `go list` says of each package.
func packages(t *testing.T, format string) map[string]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}}\t"+format, "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	found := map[string]string{}
	for line := range strings.Lines(string(out)) {
		path, said, _ := strings.Cut(strings.TrimSpace(line), "\t")
		found[path] = said
	}
	if len(found) < len(rooms) {
		t.Fatalf("go list found only %d packages", len(found))
	}
	return found
}
