package housing

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"housing/internal/demographics"
	"housing/internal/house"
)

// TestEverySettingIsDocumented compares docs/configuration.md with the help
// of serve: neither may name a setting that the other lacks.
func TestEverySettingIsDocumented(t *testing.T) {
	help, err := exec.Command(build(t), "serve", "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	inHelp := regexp.MustCompile(`\(\$([A-Z][A-Z0-9_]+)\)`).FindAllStringSubmatch(strings.Join(strings.Fields(string(help)), " "), -1)
	if len(inHelp) < 10 {
		t.Fatalf("the help names only %d settings:\n%s", len(inHelp), help)
	}
	known := map[string]bool{}
	for _, m := range inHelp {
		known[m[1]] = true
		if !strings.Contains(string(doc), "| `"+m[1]+"` |") {
			t.Errorf("docs/configuration.md has no row for %s", m[1])
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Z0-9_]+)` \\|").FindAllStringSubmatch(string(doc), -1) {
		if !known[m[1]] {
			t.Errorf("docs/configuration.md has a row for %s, which serve does not take", m[1])
		}
	}
}

// TestLinksOfTheDocsLeadSomewhere follows the links between our own files.
func TestLinksOfTheDocsLeadSomewhere(t *testing.T) {
	files, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	decisions, err := filepath.Glob("docs/decisions/*.md")
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`\]\(([^)#]*)(?:#([^)]*))?\)`)
	for _, file := range append(append(files, decisions...), "README.md", "CHANGELOG.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			to := file
			if m[1] != "" {
				to = filepath.Join(filepath.Dir(file), m[1])
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s links to %s: %v", file, m[1], err)
			} else if m[2] != "" && strings.HasSuffix(to, ".md") && !slices.Contains(anchors(t, to), m[2]) {
				t.Errorf("%s links to %s, which has no heading #%s", file, to, m[2])
			}
		}
	}
}

// anchors returns the names of a page's headings, as GitHub makes them.
func anchors(t *testing.T, file string) (names []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	code := regexp.MustCompile("(?ms)^```.*?^```")
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(code.ReplaceAllString(string(text), ""), -1) {
		name := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}

// TestTheTrainingGuideNamesEveryColumn that the two files may or must have.
func TestTheTrainingGuideNamesEveryColumn(t *testing.T) {
	text, err := os.ReadFile("docs/training.md")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"id", "date", "price", "zipcode"}
	for _, s := range house.Fields() {
		names = append(names, s.Name)
	}
	for _, c := range demographics.Columns() {
		names = append(names, c.Name)
	}
	for _, name := range names {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("docs/training.md does not name the column %s", name)
		}
	}
}
