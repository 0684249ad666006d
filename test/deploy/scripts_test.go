package deploy_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTheScriptsAreClean has shellcheck look at the scripts for operators.
func TestTheScriptsAreClean(t *testing.T) {
	if _, err := exec.LookPath("shellcheck"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("there is no shellcheck on PATH")
	}
	scripts, err := filepath.Glob("../../deploy/bin/*.sh")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("%d scripts, %v", len(scripts), err)
	}
	if out, err := exec.Command("shellcheck", scripts...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestDeployModelHelps holds that wrong use is told from failure, without a
// cluster.
func TestDeployModelHelps(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"--help"}, 0},
		{nil, 2},
		{[]string{"--bogus"}, 2},
		{[]string{"v1", "production", "more"}, 2},
		{[]string{"../v1"}, 2},
		{[]string{"v1", "Production!"}, 2},
	} {
		command := exec.Command("../../deploy/bin/deploy-model.sh", c.args...)
		out, _ := command.CombinedOutput()
		if code := command.ProcessState.ExitCode(); code != c.code {
			t.Errorf("%q: code %d, want %d: %s", c.args, code, c.code, out)
		}
	}
}

// watched returns what the watch of deploy-model.sh makes of the metrics of a
// pod before and after: requests and percent bad, prices alone and their p95,
// valuations and their p95.
func watched(t *testing.T, before, after string) string {
	t.Helper()
	script, err := os.ReadFile("../../deploy/bin/deploy-model.sh")
	if err != nil {
		t.Fatal(err)
	}
	functions := regexp.MustCompile(`(?ms)^(counts|between)\(\) \{.*?^\}$`).FindAllString(string(script), -1)
	if len(functions) != 2 {
		t.Fatalf("%d functions were found", len(functions))
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"before": before, "after": after} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, err := run(t.Context(), "", "bash", "-euo", "pipefail", "-c", strings.Join(functions, "\n")+`
TMP=$1
pods() { echo pod; }
for at in before after; do
  ask() { cat "$TMP/$at"; }
  counts blue "$TMP/$at.counts"
done
between "$TMP/before.counts" "$TMP/after.counts"`, "bash", dir)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// TestTheWatchSeesEachRequestForPrices asks a service for prices in every way,
// and for other things.
func TestTheWatchSeesEachRequestForPrices(t *testing.T) {
	address := startService(t)
	post := func(path, kind, body string) {
		answer, err := http.Post("http://"+address+path, kind, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if text, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s: %s", path, answer.Status, text)
		}
	}
	get := func(path string) string {
		answer, err := http.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	post("/v1/predict", "application/json", oneHouse)
	before := get("/metrics")
	form := url.Values{"bedrooms": {"3"}, "bathrooms": {"2.5"}, "sqft_living": {"2220"}, "sqft_lot": {"6380"}, "floors": {"1.5"}, "sqft_above": {"1660"}, "sqft_basement": {"560"}, "zipcode": {"98115"}}
	for range 2 {
		post("/v1/predict", "application/json", oneHouse)
		post("/v1/predict-minimal", "application/json", `{"records": [{"bedrooms": 3, "bathrooms": 2, "sqft_living": 1800, "zipcode": "98042"}]}`)
		post("/", "application/x-www-form-urlencoded", form.Encode())
		post("/v1/valuations", "application/json", oneHouse)
		get("/")
		get("/v1/model-info")
	}
	got := watched(t, before, get("/metrics"))
	var all, prices, valuations int
	var bad, p95, slow float64
	if _, err := fmt.Sscan(got, &all, &bad, &prices, &p95, &valuations, &slow); err != nil || all != 8 || bad != 0 || prices != 6 || valuations != 2 || p95 <= 0 || slow <= 0 {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestTheWatchSeesValuationsFailAndCrawl holds that what valuations and the page
// do badly is seen beside many prices that are well.
func TestTheWatchSeesValuationsFailAndCrawl(t *testing.T) {
	const well = `http_requests_total{method="POST",route="/v1/predict",status="200"} 100
http_request_duration_seconds_bucket{method="POST",route="/v1/predict",le="0.01"} 100
http_request_duration_seconds_bucket{method="POST",route="/v1/predict",le="10"} 100
http_request_duration_seconds_bucket{method="POST",route="/v1/predict",le="+Inf"} 100
`
	for _, c := range []struct{ name, after, want string }{
		{"all is well", "", "100 0.000 100 10 0 0"},
		{"valuations fail", `http_requests_total{method="POST",route="/v1/valuations",status="500"} 100`, "200 50.000 100 10 0 0"},
		{"the page fails", `http_requests_total{method="POST",route="/",status="503"} 300`, "400 75.000 100 10 0 0"},
		{"the page is shown", `http_requests_total{method="GET",route="/",status="200"} 300`, "100 0.000 100 10 0 0"},
		{"valuations crawl", `http_requests_total{method="POST",route="/v1/valuations",status="200"} 2
http_request_duration_seconds_bucket{method="POST",route="/v1/valuations",le="0.01"} 1
http_request_duration_seconds_bucket{method="POST",route="/v1/valuations",le="10"} 2
http_request_duration_seconds_bucket{method="POST",route="/v1/valuations",le="+Inf"} 2`, "102 0.000 100 10 2 10000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := watched(t, "", well+c.after+"\n"); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
