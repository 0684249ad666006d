package deploy_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"housing/internal/buildinfo"
)

// composeDir is where compose.yaml is.
const composeDir = "../../deploy/compose"

// healthyWithin bounds how long a container may take to be well.
const healthyWithin = 4 * time.Minute

// needsEngine skips the test unless it is asked for by E2E=compose.
func needsEngine(t *testing.T) {
	t.Helper()
	if os.Getenv("E2E") != "compose" {
		t.Skip("make e2e-compose runs this, with a Docker engine")
	}
	docker(t, "version")
}

// docker runs docker and returns what it prints.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	return command(t, "", "docker", args...)
}

// command runs a program in a folder and returns what it prints.
func command(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	out, err := try(dir, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func try(dir, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 25*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	c.Dir = dir
	out, err := c.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// compose runs docker compose, or docker-compose where that is what there is.
func compose(t *testing.T, args ...string) string {
	t.Helper()
	if _, err := try("", "docker", "compose", "version"); err == nil {
		return command(t, composeDir, "docker", append([]string{"compose"}, args...)...)
	}
	return command(t, composeDir, "docker-compose", args...)
}

// containerOf returns the ID of a service's container.
func containerOf(t *testing.T, service string) string {
	t.Helper()
	id := docker(t, "ps", "-aq", "--filter", "label=com.docker.compose.project=housing", "--filter", "label=com.docker.compose.service="+service)
	if id == "" || strings.Contains(id, "\n") {
		t.Fatalf("%s has the containers %q, want one", service, id)
	}
	return id
}

// untilHealthy waits until a container is well.
func untilHealthy(t *testing.T, container string) {
	t.Helper()
	for end := time.Now().Add(healthyWithin); ; time.Sleep(500 * time.Millisecond) {
		state := docker(t, "inspect", "-f", "{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{end}}", container)
		if state == "running healthy" {
			return
		}
		if time.Now().After(end) {
			logs, _ := try("", "docker", "logs", "--tail", "30", container)
			t.Fatalf("%s is %s:\n%s", container, state, logs)
		}
	}
}

// runnable returns the services whose images are here or can be had.
func runnable(t *testing.T, services ...string) (there []string) {
	t.Helper()
	for _, service := range services {
		image := setting(t, strings.ToUpper(service)+"_IMAGE")
		if _, err := try("", "docker", "image", "inspect", image); err != nil {
			if out, err := try("", "docker", "pull", "-q", image); err != nil {
				t.Logf("NOT RUN: %s, as its image cannot be had here: %s", service, out)
				continue
			}
		}
		there = append(there, service)
	}
	return there
}

// setting returns a setting of the file .env, or of the environment, which
// wins.
func setting(t *testing.T, name string) string {
	t.Helper()
	if value := os.Getenv(name); value != "" {
		return value
	}
	text, err := os.ReadFile(filepath.Join(composeDir, ".env"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+"="); ok {
			return value
		}
	}
	t.Fatalf(".env has no %s", name)
	return ""
}

// trusted returns TLS settings that trust the certificate of nginx.
func trusted(t *testing.T) *tls.Config {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(composeDir, "secrets", "tls_certificate"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		t.Fatal("secrets/tls_certificate holds no certificate")
	}
	return &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS13}
}

// TestCompose brings the whole system up and asks it 300 prices a second by
// nginx for three minutes. Meanwhile one replica is killed, one is stopped,
// Redis and PostgreSQL are started anew, and the replicas are replaced one by
// one. No request fails, and the journal has each answer once.
func TestCompose(t *testing.T) {
	needsEngine(t)
	command(t, composeDir, "./secrets.sh")
	t.Setenv("RATE_LIMIT", "1000/second")
	down := func() { compose(t, "down", "-v", "--remove-orphans") }
	down()
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(compose(t, "ps"))
			for _, service := range []string{"nginx", "api1", "api2", "api3"} {
				logs, _ := try("", "docker", "logs", "--tail", "15", containerOf(t, service))
				t.Logf("%s:\n%s", service, logs)
			}
		}
		down()
	})
	replicas := []string{"api1", "api2", "api3"}
	services := append([]string{"nginx", "redis", "postgres"}, replicas...)
	services = append(services, runnable(t, "prometheus", "alertmanager", "grafana")...)
	began := time.Now()
	compose(t, append([]string{"up", "-d"}, services...)...)
	for _, service := range services {
		untilHealthy(t, containerOf(t, service))
	}
	t.Logf("all of %v are healthy after %.0f s", services, time.Since(began).Seconds())

	asTheGuideSays(t)
	token := docker(t, "exec", containerOf(t, "api1"), "/housing", "token", "--sub", "e2e")
	load := Load{URL: "https://127.0.0.1:8443", Token: token, Rate: 300, TLS: trusted(t), Fresh: 5}
	began = time.Now()
	stop := load.Start(t)
	step := func(what string, do func()) {
		t.Logf("%4.0f s: %s", time.Since(began).Seconds(), what)
		do()
	}
	pause := func() { time.Sleep(5 * time.Second) }
	pause()
	step("api1 is killed", func() { docker(t, "kill", containerOf(t, "api1")) })
	pause()
	step("api1 starts", func() { docker(t, "start", containerOf(t, "api1")); untilHealthy(t, containerOf(t, "api1")) })
	step("api2 is stopped", func() { docker(t, "stop", "-t", "40", containerOf(t, "api2")) })
	pause()
	step("api2 starts", func() { docker(t, "start", containerOf(t, "api2")); untilHealthy(t, containerOf(t, "api2")) })
	for _, service := range []string{"redis", "postgres"} {
		step(service+" is started anew", func() { compose(t, "restart", service); untilHealthy(t, containerOf(t, service)) })
		pause()
	}
	for _, service := range replicas {
		before := containerOf(t, service)
		step(service+" is replaced", func() {
			compose(t, "up", "-d", "--no-deps", "--force-recreate", service)
			if containerOf(t, service) == before {
				t.Errorf("%s is the same container as before", service)
			}
			untilHealthy(t, containerOf(t, service))
		})
	}
	if left := 3*time.Minute - time.Since(began); left > 0 {
		step("all is well, for the rest of three minutes", func() { time.Sleep(left) })
	}
	report := stop()
	mustBeWhole(t, report, 300*180*9/10)

	// Each answer is in the journal, once. What waits is written within seconds.
	count := func() int {
		out := docker(t, "exec", containerOf(t, "postgres"), "psql", "-h", "127.0.0.1", "-U", "postgres", "-d", "housing", "-tAc", "SELECT count(*) FROM predictions")
		n, err := strconv.Atoi(out)
		if err != nil {
			t.Fatalf("psql says %s", out)
		}
		return n
	}
	answered, noted := report.Requests-report.Failed, 0
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(time.Second) {
		if noted = count(); noted >= answered {
			break
		}
	}
	t.Logf("%d were answered, %d are in the journal", answered, noted)
	if noted != answered {
		t.Errorf("%d predictions were answered, %d are in the journal", answered, noted)
	}
	if slices.Contains(services, "prometheus") {
		checkTargets(t)
	}
}

// asTheGuideSays runs the command of docs/deploy.md that asks the system.
func asTheGuideSays(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile("../../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(text), "```sh\ntoken=")
	block, _, _ = strings.Cut(block, "```")
	if !found {
		t.Fatal("docs/deploy.md has no block that begins with token=")
	}
	block = "token=" + block
	if _, err := try("", "docker", "compose", "version"); err != nil {
		block = strings.ReplaceAll(block, "docker compose", "docker-compose")
	}
	if out := command(t, composeDir, "sh", "-c", block); !strings.Contains(out, `"model_version"`) {
		t.Errorf("the guide's command answers %s", out)
	}
}

// checkTargets holds that Prometheus scrapes every replica and has read the
// rules.
func checkTargets(t *testing.T) {
	t.Helper()
	var targets struct {
		Data struct {
			ActiveTargets []struct {
				Labels map[string]string
				Health string
			}
		}
	}
	var rules struct {
		Data struct{ Groups []struct{ Name string } }
	}
	get := func(path string, into any) {
		answer, err := http.Get("http://127.0.0.1:9090" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if err := json.NewDecoder(answer.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
	up := 0
	for end := time.Now().Add(time.Minute); up < 3 && time.Now().Before(end); time.Sleep(time.Second) {
		get("/api/v1/targets", &targets)
		up = 0
		for _, target := range targets.Data.ActiveTargets {
			if target.Labels["job"] == "housing" && target.Health == "up" {
				up++
			}
		}
	}
	get("/api/v1/rules", &rules)
	if up != 3 || len(rules.Data.Groups) < 2 {
		t.Errorf("Prometheus sees %d replicas and %d groups of rules", up, len(rules.Data.Groups))
	}
}

// TestComposeSmall brings the API up alone.
func TestComposeSmall(t *testing.T) {
	needsEngine(t)
	down := func() { compose(t, "--profile", "small", "--profile", "full", "down", "-v", "--remove-orphans") }
	down()
	t.Cleanup(down)
	compose(t, "--profile", "small", "up", "-d")
	if names := docker(t, "ps", "--filter", "label=com.docker.compose.project=housing", "--format", "{{.Label \"com.docker.compose.service\"}}"); names != "api" {
		t.Errorf("the profile small starts %q", names)
	}
	untilHealthy(t, containerOf(t, "api"))
	version, err := (Load{URL: "http://127.0.0.1:8000", Body: oneHouse}).ask(http.DefaultClient)
	if err != nil {
		t.Fatal(err)
	}
	t.Log("answered by ", version)
}

// TestComposeNamesThisVersion holds that the image that compose starts is that
// which `make images` makes.
func TestComposeNamesThisVersion(t *testing.T) {
	if got := setting(t, "VERSION"); got != buildinfo.Version {
		t.Errorf("deploy/compose/.env has VERSION=%s, the program is %s", got, buildinfo.Version)
	}
}

// TestGrafanaIsToldWhereTheDataIs holds that Grafana gets each variable that its
// provisioning asks for, and the address at which Prometheus is inside.
func TestGrafanaIsToldWhereTheDataIs(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(composeDir, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct{ Environment map[string]string }
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	environment := file.Services["grafana"].Environment
	provisioning, err := filepath.Glob("../../deploy/grafana/provisioning/*/*.yml")
	if err != nil || len(provisioning) == 0 {
		t.Fatalf("%d files, %v", len(provisioning), err)
	}
	for _, name := range provisioning {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\$\{?(\w+)`).FindAllStringSubmatch(string(text), -1) {
			if _, set := environment[m[1]]; !set {
				t.Errorf("%s asks for %s, which Grafana is not given", name, m[1])
			}
		}
	}
	host, _, _ := strings.Cut(strings.TrimPrefix(environment["PROMETHEUS_URL"], "http://"), ":")
	if _, there := file.Services[host]; !there {
		t.Errorf("Grafana asks %q, which is no service", environment["PROMETHEUS_URL"])
	}
}

// TestSecretsAreMadeOnce holds that secrets.sh keeps what is there, and that
// nobody else on the machine can read it.
func TestSecretsAreMadeOnce(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dir := t.TempDir()
	command(t, "", "cp", filepath.Join(composeDir, "secrets.sh"), dir)
	read := func() map[string]string {
		command(t, dir, "./secrets.sh")
		files := map[string]string{}
		entries, err := os.ReadDir(filepath.Join(dir, "secrets"))
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			text, err := os.ReadFile(filepath.Join(dir, "secrets", entry.Name()))
			if err != nil {
				t.Fatal(err)
			}
			if info, err := entry.Info(); err != nil || info.Mode().Perm() != 0o444 || len(text) < 32 {
				t.Errorf("%s: %v, %d bytes, %v", entry.Name(), info.Mode(), len(text), err)
			}
			files[entry.Name()] = string(text)
		}
		return files
	}
	first := read()
	if info, err := os.Stat(filepath.Join(dir, "secrets")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v, %v", info.Mode(), err)
	}
	again := read()
	if len(first) != 11 || fmt.Sprint(first) != fmt.Sprint(again) {
		t.Errorf("%d secrets, then %d others", len(first), len(again))
	}
	if _, err := tls.X509KeyPair([]byte(first["tls_certificate"]), []byte(first["tls_key"])); err != nil {
		t.Error(err)
	}
}
