package housing

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"housing/internal/telemetry"
)

// TestTheMetricsAreDocumented compares docs/metrics.md with what the table of
// metrics makes of it; -update writes it.
func TestTheMetricsAreDocumented(t *testing.T) {
	var b strings.Builder
	b.WriteString(`# Metrics

Every metric of the service but those of Go (` + "`go_`" + `) and the process (` + "`process_`" + `). Made from the table in
internal/telemetry by ` + "`go test -run TestTheMetricsAreDocumented -update .`" + `; a test compares.

Labels hold no value that a client chooses: versions are those of the registry, routes those of the service, and what is
neither is ` + "`unmatched` or `other`" + `. Series of a version go when it is let go of. Histograms have classic buckets
and are native too, for a Prometheus that asks for those.

| metric | type | unit | labels | |
|---|---|---|---|---|
`)
	for _, s := range telemetry.Table() {
		labels := "-"
		if len(s.Labels) > 0 {
			labels = "`" + strings.Join(s.Labels, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", s.Name, s.Type, s.Unit(), labels, s.Help)
	}
	const path = "docs/metrics.md"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, path) != b.String() {
		t.Errorf("%s is not what the metrics are: run go test -run TestTheMetricsAreDocumented -update .", path)
	}
}
