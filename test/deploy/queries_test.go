package deploy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestAutoscalersGetFigures asks a real Prometheus, which scrapes two services
// as pods, what the autoscalers would ask it.
func TestAutoscalersGetFigures(t *testing.T) {
	if testing.Short() {
		t.Skip("half a minute, in which rates rise")
	}
	if _, err := exec.LookPath("prometheus"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("there is no prometheus on PATH")
	}
	busy, idle := startService(t), startService(t)
	prometheus := startPrometheus(t, map[string]string{"housing-api-busy": busy, "housing-api-idle": idle})
	stop := Load{URL: "http://" + busy, Rate: 20}.Start(t)

	ask := func(query string) map[string]float64 {
		var answer struct {
			Data struct {
				Result []struct {
					Metric map[string]string `json:"metric"`
					Value  [2]any            `json:"value"`
				} `json:"result"`
			} `json:"data"`
			Error string `json:"error"`
		}
		response, err := http.Get(prometheus + "/api/v1/query?query=" + url.QueryEscape(query))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Error != "" {
			t.Fatalf("%s: %v %s", query, err, answer.Error)
		}
		values := map[string]float64{}
		for _, r := range answer.Data.Result {
			text, _ := r.Value[1].(string)
			v, err := strconv.ParseFloat(text, 64)
			if err != nil {
				t.Fatalf("%s: %q", query, text)
			}
			values[r.Metric["pod"]] = v
		}
		return values
	}
	adapter := queriesOf(t, "autoscaling-prometheus-adapter/adapter-rules.yaml", `(?m)^    metricsQuery: '(.*)'$`, 2)
	for i, q := range adapter {
		adapter[i] = strings.NewReplacer("<<.GroupBy>>", "pod", "<<.LabelMatchers>>", `namespace="housing",pod=~"housing-api-busy|housing-api-idle"`).Replace(q)
	}
	keda := queriesOf(t, "autoscaling-keda/scaledobject.yaml", `(?m)^        query: (.*)$`, 2)

	// Rates rise while the window fills: 20 a second over a minute.
	eventually(t, "requests a second by pod", func() (string, bool) {
		v := ask(adapter[0])
		return fmt.Sprint(v), v["housing-api-busy"] > 5 && v["housing-api-busy"] < 40
	})
	eventually(t, "p95 by pod, 0 of one that nobody asks", func() (string, bool) {
		v := ask(adapter[1])
		quiet, there := v["housing-api-idle"]
		return fmt.Sprint(v), v["housing-api-busy"] > 0 && v["housing-api-busy"] < 10_000 && there && quiet == 0
	})
	eventually(t, "requests a second of all pods", func() (string, bool) {
		v := ask(keda[0])
		return fmt.Sprint(v), v[""] > 5 && v[""] < 40
	})
	eventually(t, "p95 of all pods", func() (string, bool) {
		v := ask(keda[1])
		return fmt.Sprint(v), v[""] > 0 && v[""] < 10_000
	})
	mustBeWhole(t, stop(), 20)
}

// TestAllCountTheSameRequests holds that the rules, the dashboards and what the
// autoscalers ask take the same for requests for prices. Times are those of
// prices alone, as one call for valuations may ask for a thousand.
func TestAllCountTheSameRequests(t *testing.T) {
	const (
		all    = `method="POST",route=~"/|/invocations|/v1/(predict|predict-minimal|valuations)|/v2/.+/infer"`
		prices = `method="POST",route=~"/|/invocations|/v1/(predict|predict-minimal)|/v2/.+/infer"`
	)
	series := regexp.MustCompile(`http_request(?:s_total|_duration_seconds_bucket)\{[^}]*route=~[^}]*\}`)
	for _, pattern := range []string{
		"prometheus/rules/housing.yml", "grafana/dashboards/*.json",
		"kubernetes/components/autoscaling-keda/*.yaml", "kubernetes/components/autoscaling-prometheus-adapter/*.yaml",
	} {
		files, err := filepath.Glob(filepath.Join("../../deploy", pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		found := 0
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range series.FindAllString(strings.ReplaceAll(string(text), `\"`, `"`), -1) {
				found++
				want := all
				if strings.HasPrefix(s, "http_request_duration") {
					want = prices
				}
				if !strings.Contains(s, want) {
					t.Errorf("%s asks for %s, want %s", file, s, want)
				}
			}
		}
		if found == 0 {
			t.Errorf("%s asks for no requests for prices", pattern)
		}
	}
}

// queriesOf returns the queries of a component.
func queriesOf(t *testing.T, file, pattern string, want int) []string {
	t.Helper()
	text, err := os.ReadFile("../../deploy/kubernetes/components/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var queries []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
		queries = append(queries, m[1])
	}
	if len(queries) != want {
		t.Fatalf("%s has %d queries, want %d", file, len(queries), want)
	}
	return queries
}

// freeAddress returns an address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startProgram starts a program that is stopped with the test, and waits until
// an address answers 200.
func startProgram(t *testing.T, ready, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, name, args...)
	log := &lockedBuffer{}
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = command.Wait() // killed
	})
	eventually(t, name+" is ready", func() (string, bool) {
		answer, err := http.Get(ready)
		if err != nil {
			return err.Error() + log.String(), false
		}
		_ = answer.Body.Close() // not read
		return answer.Status, answer.StatusCode == http.StatusOK
	})
}

// startService starts a service with the built-in model.
func startService(t *testing.T) (address string) {
	t.Helper()
	address = freeAddress(t)
	startProgram(t, "http://"+address+"/readyz", program(t), "serve", "--listen", address)
	return address
}

// startPrometheus starts a Prometheus that scrapes services, by the names of
// pods in the namespace housing.
func startPrometheus(t *testing.T, pods map[string]string) (base string) {
	t.Helper()
	dir, address := t.TempDir(), freeAddress(t)
	var b strings.Builder
	b.WriteString("global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n- job_name: housing\n  static_configs:\n")
	for pod, target := range pods {
		fmt.Fprintf(&b, "  - {targets: ['%s'], labels: {namespace: housing, pod: %s}}\n", target, pod)
	}
	config := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(config, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	startProgram(t, "http://"+address+"/-/ready", "prometheus", "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--log.level=error")
	return "http://" + address
}
