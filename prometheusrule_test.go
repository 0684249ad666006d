package housing

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestThePrometheusRuleIsMadeOfTheRules compares the object for the Prometheus
// Operator with the files of rules.
func TestThePrometheusRuleIsMadeOfTheRules(t *testing.T) {
	files, err := filepath.Glob("deploy/prometheus/rules/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files of rules, %v", len(files), err)
	}
	var b strings.Builder
	b.WriteString("# Made from deploy/prometheus/rules by `go test -run PrometheusRule -update .`\n" +
		"apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: housing\n  labels: {app.kubernetes.io/name: housing-api}\nspec:\n  groups:\n")
	groups := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, rules, found := strings.Cut("\n"+string(text), "\ngroups:\n")
		if !found {
			t.Fatalf("%s has no groups", file)
		}
		for line := range strings.Lines(rules) {
			if strings.HasPrefix(line, "  - name: ") {
				groups++
			}
			if strings.TrimSpace(line) != "" {
				line = "  " + line
			}
			b.WriteString(line)
		}
	}
	if groups < 2 {
		t.Fatalf("only %d groups were found", groups)
	}
	const object = "deploy/kubernetes/components/monitoring/prometheusrule.yaml"
	if *update {
		if err := os.WriteFile(object, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(object); err != nil || string(got) != b.String() {
		t.Errorf("%s is not what the rules are (%v): go test -run PrometheusRule -update .", object, err)
	}
}
