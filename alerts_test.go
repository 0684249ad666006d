package housing

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"housing/internal/telemetry"
)

// The rules, and beside each file the tests of it by the same name.
const (
	rulesFolder = "deploy/prometheus/rules"
	testsFolder = "deploy/prometheus/tests"
)

// ruleFiles returns the names of the files with rules.
func ruleFiles(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob(rulesFolder + "/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no rules in %s: %v", rulesFolder, err)
	}
	for _, file := range files {
		names = append(names, filepath.Base(file))
	}
	return names
}

// allRules returns the text of all rules.
func allRules(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, name := range ruleFiles(t) {
		all.WriteString(read(t, rulesFolder+"/"+name))
	}
	return all.String()
}

// TestAlertsFireWhenTheyShould runs the tests of the alerts by promtool.
func TestAlertsFireWhenTheyShould(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		message := "promtool, which comes with Prometheus, is not installed: " + err.Error()
		if os.Getenv("CI") == "true" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	for _, name := range ruleFiles(t) {
		for _, args := range [][]string{{"check", "rules", rulesFolder + "/" + name}, {"test", "rules", testsFolder + "/" + name}} {
			if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
				t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
			}
		}
	}
}

// TestEachAlertIsTestedAndHasASectionOfTheRunbook reads the rules: each alert
// must be held to fire and not to fire, and say what to do.
func TestEachAlertIsTestedAndHasASectionOfTheRunbook(t *testing.T) {
	rules, runbook := allRules(t), read(t, "docs/runbook.md")
	tests := ""
	for _, name := range ruleFiles(t) {
		tests += read(t, testsFolder+"/"+name)
	}
	sections := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^## (.*)$`).FindAllStringSubmatch(runbook, -1) {
		sections[strings.ReplaceAll(strings.ToLower(m[1]), " ", "-")] = true
	}
	alerts := strings.Split(rules, "- alert: ")[1:]
	if len(alerts) < 10 {
		t.Fatalf("only %d alerts were found", len(alerts))
	}
	for _, a := range alerts {
		name, rule, _ := strings.Cut(a, "\n")
		for _, wanted := range []string{"severity: ", "summary: ", "description: "} {
			if !strings.Contains(rule, wanted) {
				t.Errorf("%s has no %s", name, wanted)
			}
		}
		url := regexp.MustCompile(`runbook_url: docs/runbook.md#([a-z-]+)`).FindStringSubmatch(rule)
		if url == nil || !sections[url[1]] {
			t.Errorf("%s names no section of docs/runbook.md", name)
		}
		if !strings.Contains(tests, "alertname: "+name+"\n        exp_alerts: [{") {
			t.Errorf("%s is never held to fire", name)
		}
		if !strings.Contains(tests, "alertname: "+name+"}") {
			t.Errorf("%s is never held not to fire", name)
		}
	}
}

// TestRulesAndDashboardsAskForMetricsThatThereAre compares with the table of
// metrics, and with what the rules record.
func TestRulesAndDashboardsAskForMetricsThatThereAre(t *testing.T) {
	rules := allRules(t)
	asked := regexp.MustCompile(`(?m)expr: (.*)$`).FindAllStringSubmatch(rules, -1)
	for _, panel := range panels(t) {
		for _, target := range panel.Targets {
			asked = append(asked, []string{"", target.Expr})
		}
	}
	known := map[string]bool{"up": true, "scrape_duration_seconds": true}
	for _, s := range telemetry.Table() {
		known[s.Name] = true
		for _, part := range []string{"_bucket", "_count", "_sum"} {
			known[s.Name+part] = s.Type == telemetry.Histogram
		}
	}
	for _, m := range regexp.MustCompile(`(?m)record: (.*)$`).FindAllStringSubmatch(rules, -1) {
		known[m[1]] = true
	}
	labels := regexp.MustCompile(`\{[^}]*\}|\[[^\]]*\]|\b(by|on|ignoring|without|group_left|group_right) \([^)]*\)|"[^"]*"`)
	for _, m := range asked {
		for _, name := range regexp.MustCompile(`[a-z_][a-z0-9_]*(?::[a-z0-9_]+)*\b\(?`).FindAllString(labels.ReplaceAllString(m[1], " "), -1) {
			if !strings.ContainsAny(name, "_:") || strings.HasSuffix(name, "(") || strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_") || strings.HasPrefix(name, "__") {
				continue
			}
			if !known[name] && name != "histogram_quantile" {
				t.Errorf("%s is asked for, which is no metric: %s", name, m[1])
			}
		}
	}
}

// panel is a panel of a dashboard, as far as the tests read it.
type panel struct {
	ID                       int
	Type, Title, Description string
	FieldConfig              struct{ Defaults struct{ Unit string } }
	Targets                  []struct{ Expr string }
	dashboard                string
}

// panels returns the panels of all dashboards, without those that are
// headings.
func panels(t *testing.T) (all []panel) {
	t.Helper()
	files, err := filepath.Glob("deploy/grafana/dashboards/*.json")
	if err != nil || len(files) != 4 {
		t.Fatalf("%d dashboards, want 4: %v", len(files), err)
	}
	uids := map[string]bool{}
	for _, file := range files {
		var d struct {
			UID, Title string
			Panels     []panel
		}
		if err := json.Unmarshal([]byte(read(t, file)), &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if d.UID == "" || uids[d.UID] || !strings.HasPrefix(d.Title, "housing / ") {
			t.Errorf("%s has the uid %q and the title %q", file, d.UID, d.Title)
		}
		uids[d.UID] = true
		ids := map[int]bool{}
		for _, p := range d.Panels {
			if ids[p.ID] {
				t.Errorf("%s has two panels %d", file, p.ID)
			}
			ids[p.ID] = true
			if p.dashboard = file; p.Type != "row" {
				all = append(all, p)
			}
		}
	}
	return all
}

func TestEachPanelSaysWhatItShows(t *testing.T) {
	for _, p := range panels(t) {
		if p.Title == "" || !strings.HasSuffix(p.Description, ".") || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
			t.Errorf("%s: panel %d %q has no description, unit or query", p.dashboard, p.ID, p.Title)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
