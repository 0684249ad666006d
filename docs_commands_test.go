package housing

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"housing/test/docrun"
)

// documented is the address that the documents have the service at.
const documented = "127.0.0.1:8000"

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
	for _, name := range d.Names() {
		d.Run(name, documented, address)
	}
}
