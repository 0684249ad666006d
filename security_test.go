package housing

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEachTestThatTheThreatModelNamesExists keeps docs/security.md honest.
func TestEachTestThatTheThreatModelNamesExists(t *testing.T) {
	doc, err := os.ReadFile("docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	exists := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
	err = filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range function.FindAllSubmatch(text, -1) {
			exists[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test\\w+)`").FindAllSubmatch(doc, -1)
	if len(named) < 30 {
		t.Fatalf("docs/security.md names only %d tests", len(named))
	}
	for _, m := range named {
		if !exists[string(m[1])] {
			t.Errorf("docs/security.md names %s, which does not exist", m[1])
		}
	}
	threats, _, _ := strings.Cut(string(doc), "## Who changed what")
	for _, row := range regexp.MustCompile(`(?m)^\| [^-].*\|$`).FindAllString(threats, -1) {
		if strings.HasSuffix(row, "| test |") {
			continue // the head of a table
		}
		if !strings.Contains(row, "`Test") {
			t.Errorf("docs/security.md: no test holds %q", row)
		}
	}
}
