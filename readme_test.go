package housing

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// TestCurlOfTheReadme builds the program, starts it as the README says, but
// on a free port, and runs the README's curl as it stands.
func TestCurlOfTheReadme(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	address := serve(t, build(t))
	command := block(t, readme(t), "curl ")
	out, err := exec.Command("sh", "-c", strings.ReplaceAll(command, "127.0.0.1:8000", address)).Output()
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Predictions  []float64 `json:"predictions"`
		ModelVersion string    `json:"model_version"`
	}
	if err := json.Unmarshal(out, &answer); err != nil || len(answer.Predictions) != 1 || answer.Predictions[0] < 75_000 {
		t.Errorf("answered %s", out)
	}
}

// TestReadmeSaysWhatWasMeasured compares the table of accuracy, and what other
// pages say of it, with the bundle that is built in.
func TestReadmeSaysWhatWasMeasured(t *testing.T) {
	out, err := exec.Command(build(t), "model", "show", "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		Accuracy []struct {
			Protocol, Part, Fields                                               string
			R2, RMSE, MAE, MAPE, MdAPE, PPE10, PPE20, MedianRatio, COD, PRD, PRB float64
		}
	}
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(out), "median_ratio", "MedianRatio")), &manifest); err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(readme(t), "<!-- accuracy")
	table, _, _ = strings.Cut(table, "<!-- /accuracy -->")
	rows := regexp.MustCompile(`(?m)^\| .*\.\d{3} \|$`).FindAllString(table, -1)
	shown := map[int]string{0: "all 18", 1: "all 18", 2: "the 8 required", 4: "the 4 minimal", 6: "all 18"} // by place in the manifest
	if len(manifest.Accuracy) != 7 || len(rows) != len(shown) {
		t.Fatalf("%d measures, %d rows in the README", len(manifest.Accuracy), len(rows))
	}
	row := 0
	for i, a := range manifest.Accuracy {
		fields, ok := shown[i]
		if !ok {
			continue
		}
		if a.Fields != fields {
			t.Errorf("measure %d is of %s, the README's row of %s", i, a.Fields, fields)
		}
		want := fmt.Sprintf("| %s | %.4f | $%s | $%s | %.2f %% | %.2f %% | %.1f %% | %.1f %% | %.3f | %.2f | %.3f | −%.3f |", a.Fields,
			a.R2, thousands(a.RMSE), thousands(a.MAE), a.MAPE, a.MdAPE, a.PPE10, a.PPE20, a.MedianRatio, a.COD, a.PRD, -a.PRB)
		if !strings.HasSuffix(rows[row], want) {
			t.Errorf("the README has\n%s\nmeasured was, %s, %s\n%s", rows[row], a.Protocol, a.Part, want)
		}
		row++
	}
	all, required, minimal := manifest.Accuracy[0], manifest.Accuracy[2], manifest.Accuracy[4]
	for page, said := range map[string][]string{
		"docs/faq.md": {fmt.Sprintf("within %.1f %% of the sale, with the eight required ones within %.1f %%, with four within %.1f %%", all.MdAPE, required.MdAPE, minimal.MdAPE)},
		"docs/training.md": {
			fmt.Sprintf("R² of %.2f and MdAPE of %.1f %%", all.R2, all.MdAPE),
			fmt.Sprintf("With the eight required ones they are %.2f and %.1f %%", required.R2, required.MdAPE),
		},
		"docs/runbook.md": {fmt.Sprintf("has PRB %.2f and PRD %.2f at training already, from all 18 %.2f and %.2f", minimal.PRB, minimal.PRD, all.PRB, all.PRD)},
	} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range said {
			if !strings.Contains(strings.Join(strings.Fields(string(text)), " "), s) {
				t.Errorf("%s does not say %q", page, s)
			}
		}
	}
}

// folder is where the program is, once it was built.
var folder string

// built is the program, built once.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "housing-")
	if err != nil {
		return "", err
	}
	folder = dir
	path := filepath.Join(dir, "housing")
	if out, err := exec.Command("go", "build", "-o", path, "./cmd/housing").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if folder != "" {
		_ = os.RemoveAll(folder)
	}
	os.Exit(code)
}

// build builds the program, unless that was done, and returns its path.
func build(t *testing.T) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// serve starts the service on a free port, with no other settings than those
// given, and returns its address.
func serve(t *testing.T, program string, env ...string) string {
	t.Helper()
	service := exec.Command(program, "serve")
	service.Env = append(env, "LISTEN=127.0.0.1:0")
	stderr, err := service.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	t.Cleanup(func() {
		if err := service.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		for lines.Scan() { // so that it never waits for its log
		}
		if err := service.Wait(); err != nil {
			t.Errorf("the service ended with %v", err)
		}
	})
	for lines.Scan() {
		var event struct{ Msg, Address string }
		if err := json.Unmarshal(lines.Bytes(), &event); err == nil && event.Msg == "serving" {
			return event.Address
		}
	}
	t.Fatal("the service did not start")
	return ""
}

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// block returns the first block of shell in text that starts with prefix.
func block(t *testing.T, text, prefix string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, "```sh\n"+prefix)
	if !found {
		t.Fatalf("no block of shell starts with %q", prefix)
	}
	body, _, _ := strings.Cut(rest, "```")
	return prefix + body
}

// thousands writes a whole number with commas.
func thousands(v float64) string {
	digits := fmt.Sprintf("%.0f", v)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
