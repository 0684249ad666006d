package housing

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"housing/internal/telemetry"
)

const (
	rulesFile = "deploy/prometheus/rules/housing.yml"
	rulesTest = "deploy/prometheus/tests/housing.yml"
)

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
	for _, args := range [][]string{{"check", "rules", rulesFile}, {"test", "rules", rulesTest}} {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// TestEachAlertIsTestedAndHasASectionOfTheRunbook reads the rules: each alert
// must be held to fire and not to fire, and say what to do.
func TestEachAlertIsTestedAndHasASectionOfTheRunbook(t *testing.T) {
	rules, tests, runbook := read(t, rulesFile), read(t, rulesTest), read(t, "docs/runbook.md")
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

// TestTheRulesAskForMetricsThatThereAre compares with the table of metrics.
func TestTheRulesAskForMetricsThatThereAre(t *testing.T) {
	known := map[string]bool{}
	for _, s := range telemetry.Table() {
		known[s.Name], known[s.Name+"_bucket"] = true, true
	}
	for _, m := range regexp.MustCompile(`\b([a-z]+(?:_[a-z]+)+)(?:\{|\[| |$)`).FindAllStringSubmatch(expressions(read(t, rulesFile)), -1) {
		if name := m[1]; !known[name] && name != "histogram_quantile" {
			t.Errorf("the rules ask for %s, which is no metric", name)
		}
	}
}

// expressions returns the expressions of rules, a line each.
func expressions(rules string) string {
	var lines []string
	for _, m := range regexp.MustCompile(`(?m)expr: (.*)$`).FindAllStringSubmatch(rules, -1) {
		lines = append(lines, m[1])
	}
	return strings.Join(lines, "\n")
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
