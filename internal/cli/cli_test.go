package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rogpeppe/go-internal/testscript"

	"housing/internal/bundle"
	"housing/internal/bundle/bundletest"
	"housing/internal/config"
	"housing/internal/registry/registrytest"
	"housing/internal/telemetry"
	"housing/internal/valuer"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"housing": func() {
			os.Exit(Run(context.Background(), os.Args[1:], os.LookupEnv, os.Stdin, os.Stdout, os.Stderr))
		},
	})
}

func TestScripts(t *testing.T) {
	b, err := bundle.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("BUILTIN", b.Manifest.Version)
			env.Setenv("DIGEST", b.Digest)
			env.Values[served{}] = new(served)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start":  start,
			"stop":   stop,
			"status": status,
		},
	})
}

// served is the service that a script has started; its zero value is the key
// to it among the script's values.
type served struct {
	command *exec.Cmd
	log     *bufio.Reader
}

// start runs "housing serve" with more arguments, waits until it says where
// it listens and sets $ADDRESS and $OPS_ADDRESS.
func start(ts *testscript.TestScript, _ bool, args []string) {
	command := exec.Command("housing", append([]string{"serve"}, args...)...)
	path, err := exec.LookPath("housing")
	ts.Check(err)
	command.Path = path
	command.Env = []string{"PATH=" + ts.Getenv("PATH"), "HOME=" + ts.Getenv("HOME")}
	errors, err := command.StderrPipe()
	ts.Check(err)
	ts.Check(command.Start())
	ts.Defer(func() { _ = command.Process.Kill() })
	s := ts.Value(served{}).(*served)
	*s = served{command, bufio.NewReader(errors)}
	line, err := s.log.ReadBytes('\n')
	ts.Check(err)
	var event map[string]string
	if err := json.Unmarshal(line, &event); err != nil || event["msg"] != "serving" {
		ts.Fatalf("the first line is %s", line)
	}
	if event["model_version"] != ts.Getenv("BUILTIN") || event["sha256"] != ts.Getenv("DIGEST") {
		ts.Fatalf("the first line does not name the model: %s", line)
	}
	ts.Setenv("ADDRESS", event["address"])
	ts.Setenv("OPS_ADDRESS", event["ops_address"])
}

// stop sends SIGTERM and waits for the end, which must be a good one.
func stop(ts *testscript.TestScript, _ bool, _ []string) {
	running := ts.Value(served{}).(*served)
	ts.Check(running.command.Process.Signal(syscall.SIGTERM))
	rest, err := io.ReadAll(running.log)
	ts.Check(err)
	ts.Check(running.command.Wait())
	if !bytes.Contains(rest, []byte(`"msg":"stopped"`)) {
		ts.Fatalf("the log ends with %s", rest)
	}
}

// status asks an address for a path, with the token in a file if one is
// named: status 200 http://… token
func status(ts *testscript.TestScript, _ bool, args []string) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	request, err := http.NewRequest(http.MethodGet, args[1], nil)
	ts.Check(err)
	if len(args) > 2 {
		request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(ts.ReadFile(args[2])))
	}
	answer, err := client.Do(request)
	ts.Check(err)
	defer answer.Body.Close()
	if got := strings.Fields(answer.Status)[0]; got != args[0] {
		ts.Fatalf("%s: status %s, want %s", args[1], got, args[0])
	}
}

// registryOf writes bundles of small models to a folder, as DIR/VERSION/bundle.
func registryOf(t *testing.T, made map[string]uint64) string {
	t.Helper()
	dir := t.TempDir()
	for version, seed := range made {
		if err := os.Mkdir(filepath.Join(dir, version), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := bundle.WriteFile(filepath.Join(dir, version, "bundle"), bundletest.Contents(t, version, seed)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// firstModel returns the version that a service would begin with, and its log.
func firstModel(t *testing.T, c *serveCommand) (version, logged string, err error) {
	t.Helper()
	var lines bytes.Buffer
	defer func() { logged = lines.String() }()
	metrics, log := telemetry.NewMetrics(prometheus.NewRegistry()), slog.New(slog.NewJSONHandler(&lines, nil))
	v := valuer.New(valuer.Options{Metrics: metrics, Log: log})
	models, err := c.openModels(t.Context(), v, nil, nil, &followed{metrics: metrics, log: log}, metrics, log)
	if err != nil {
		return "", "", err
	}
	defer func() { err = errors.Join(err, models.stop()) }()
	if err := models.start(t.Context()); err != nil {
		return "", "", err
	}
	if m := v.Model(); m != nil {
		version = m.Manifest.Version
	}
	return version, "", nil
}

func TestTheNewestVersionOfAFolderIsServed(t *testing.T) {
	// The later the seed, the later the model was made.
	dir := registryOf(t, map[string]uint64{"a": 2, "b": 3, "c": 1})
	for pinned, want := range map[string]string{"": "b", "c": "c"} {
		command := serveCommand{config.Serve{Registry: config.Registry{ModelDir: dir}, DefaultModelVersion: pinned}}
		got, _, err := firstModel(t, &command)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("pinned %q: serves %s, want %s", pinned, got, want)
		}
	}
}

// TestADamagedVersionOfAFolder starts a service without a plan on a folder in
// which one of two versions is damaged.
func TestADamagedVersionOfAFolder(t *testing.T) {
	header := func(whole []byte) []byte { return append([]byte("\xff\xff"), whole[2:]...) }
	body := func(whole []byte) []byte { return append(whole[:len(whole)-1], whole[len(whole)-1]^1) }
	cut := func(whole []byte) []byte { return whole[:100] }
	empty := func([]byte) []byte { return nil }
	dir := registryOf(t, map[string]uint64{"old": 1, "new": 2})
	for name, c := range map[string]struct {
		version string
		damage  func(whole []byte) []byte
		serves  string // "" for a start that ends
		says    string // the log or the error
	}{
		"the manifest of the old one":         {"old", header, "new", `"msg":"model_passed_over","model_version":"old"`},
		"all but the manifest of the old one": {"old", body, "new", ""},
		"an old one that was cut":             {"old", cut, "new", `"msg":"model_passed_over","model_version":"old"`},
		"an old one that is empty":            {"old", empty, "new", `"msg":"model_passed_over","model_version":"old"`},
		"the manifest of the new one":         {"new", header, "old", `"msg":"model_passed_over","model_version":"new"`},
		"all but the manifest of the new one": {"new", body, "", "version new is the newest and cannot be loaded"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, c.version, "bundle")
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, c.damage(bytes.Clone(whole)), 0o600); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := os.WriteFile(path, whole, 0o600); err != nil {
					t.Error(err)
				}
			}()
			command := serveCommand{config.Serve{Registry: config.Registry{ModelDir: dir}}}
			got, log, err := firstModel(t, &command)
			if got != c.serves || (err != nil) != (c.serves == "") || !strings.Contains(log+fmt.Sprint(err), c.says) {
				t.Errorf("serves %q, want %q: %v\n%s", got, c.serves, err, log)
			}
		})
	}
}

// TestTheNewestVersionOfABucket asks a bucket for no more of the old version
// than its manifest, and takes no old one for the newest while the bucket
// cannot say how old the new one is.
func TestTheNewestVersionOfABucket(t *testing.T) {
	dir, gs := registryOf(t, map[string]uint64{"old": 1, "new": 2}), registrytest.NewGS(t)
	for _, version := range []string{"old", "new"} {
		data, err := os.ReadFile(filepath.Join(dir, version, "bundle"))
		if err != nil {
			t.Fatal(err)
		}
		gs.Put("kc/"+version+"/bundle", data)
	}
	location, endpoint, _ := strings.Cut(gs.Location("kc"), "?endpoint=")
	target, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	var away atomic.Bool
	var ofOld atomic.Int64
	through := httputil.NewSingleHostReverseProxy(target)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch media := r.FormValue("alt") == "media"; {
		case away.Load() && media && strings.HasSuffix(r.URL.Path, "/new/bundle"):
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		case media && strings.HasSuffix(r.URL.Path, "/old/bundle"):
			ofOld.Add(1)
		}
		through.ServeHTTP(w, r)
	}))
	defer proxy.Close()
	command := serveCommand{config.Serve{Registry: config.Registry{ModelDir: location + "?endpoint=" + proxy.URL}}}
	if got, log, err := firstModel(t, &command); got != "new" || err != nil || ofOld.Load() != 1 {
		t.Errorf("serves %q after %d reads of the old one: %v\n%s", got, ofOld.Load(), err, log)
	}
	away.Store(true)
	if got, log, err := firstModel(t, &command); got != "" || err != nil || !strings.Contains(log, `"msg":"dependency_down","dependency":"registry"`) {
		t.Errorf("serves %q while the new one cannot be asked: %v\n%s", got, err, log)
	}
}

func TestAFolderOfDamagedVersions(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "a"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a", "bundle"), []byte("no bundle at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	command := serveCommand{config.Serve{Registry: config.Registry{ModelDir: dir}}}
	if _, _, err := firstModel(t, &command); err == nil || !strings.Contains(err.Error(), "no model that can be used") {
		t.Errorf("got %v", err)
	}
}

func TestABundleThatIsAnotherVersion(t *testing.T) {
	dir := registryOf(t, map[string]uint64{"a": 1})
	if err := os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "z")); err != nil {
		t.Fatal(err)
	}
	command := serveCommand{config.Serve{Registry: config.Registry{ModelDir: dir}}}
	if _, _, err := firstModel(t, &command); err == nil || !strings.Contains(err.Error(), `holds version "a", not "z"`) {
		t.Errorf("got %v", err)
	}
}

// run runs a command in this process.
func run(t *testing.T, env map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	getenv := func(name string) (string, bool) { value, ok := env[name]; return value, ok }
	code = Run(t.Context(), args, getenv, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	for _, command := range []string{"serve", "predict", "plan", "token", "healthcheck", "version"} {
		code, stdout, _ := run(t, nil, command, "--help")
		if code != success || !strings.Contains(stdout, "Example:") || !strings.Contains(stdout, "housing "+command) {
			t.Errorf("%s: code %d\n%s", command, code, stdout)
		}
	}
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		args []string
		env  map[string]string
		code int
	}{
		{[]string{"--help"}, nil, success},
		{[]string{"version"}, nil, success},
		{nil, nil, badUsage},
		{[]string{"conquer"}, nil, badUsage},
		{[]string{"serve", "--bogus"}, nil, badUsage},
		{[]string{"serve", "--max-records=0"}, nil, badUsage},
		{[]string{"serve"}, map[string]string{"MAX_RECORDS": "0"}, badUsage},
		{[]string{"serve"}, map[string]string{"LISTEN": "0.0.0.0:0"}, badUsage},
		{[]string{"serve"}, map[string]string{"REDIS_URL": "http://x"}, badUsage},
		{[]string{"predict", "--in", "houses.csv"}, nil, badUsage},
		{[]string{"predict", "--in", "houses.orc", "--out", "prices.csv"}, nil, badUsage},
		{[]string{"predict", "--in", "none.csv", "--out", "prices.csv"}, nil, failure},
		{[]string{"healthcheck", "--listen", "127.0.0.1:1"}, nil, failure},
	} {
		code, _, stderr := run(t, c.env, c.args...)
		if code != c.code || c.env != nil && strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q %v: code %d, want %d: %s", c.args, c.env, code, c.code, stderr)
		}
	}
}

func TestHealthcheckOfWhatIsNotWell(t *testing.T) {
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		code    int
		says    string
	}{
		{"healthy", answer(200, `{"status":"healthy","version":"1"}`), success, ""},
		{"degraded", answer(200, `{"status":"degraded"}`), success, ""},
		{"unhealthy", answer(503, `{"status":"unhealthy"}`), failure, "is unhealthy"},
		{"healthy with a bad status", answer(500, `{"status":"healthy"}`), failure, "healthy"},
		{"another service", answer(200, `<html>`), failure, "not this service"},
		{"without end", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, failure, "no answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(c.handler)
			defer server.Close()
			address := strings.TrimPrefix(server.URL, "http://")
			timeout := "10s"
			if c.name == "without end" {
				timeout = "50ms"
			}
			code, _, stderr := run(t, map[string]string{"LISTEN": address}, "healthcheck", "--timeout", timeout)
			if code != c.code || !strings.Contains(stderr, c.says) {
				t.Errorf("code %d: %s", code, stderr)
			}
		})
	}
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestAddressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	code, _, stderr := run(t, nil, "serve", "--listen", l.Addr().String())
	if code != failure || !strings.Contains(stderr, "LISTEN") || !strings.Contains(stderr, l.Addr().String()) {
		t.Errorf("code %d: %s", code, stderr)
	}
}

func TestTheEndOfTheContextStopsTheService(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	lines, w := io.Pipe()
	done := make(chan int, 1)
	go func() {
		done <- Run(ctx, []string{"serve", "--listen", "127.0.0.1:0"}, func(string) (string, bool) { return "", false }, nil, io.Discard, w)
		w.Close()
	}()
	reader := bufio.NewReader(lines)
	line, err := reader.ReadString('\n')
	if err != nil || !strings.Contains(line, `"address":"127.0.0.1:`) {
		t.Errorf("%q, %v", line, err)
	}
	cancel()
	if _, err := io.ReadAll(reader); err != nil {
		t.Error(err)
	}
	if code := <-done; code != success {
		t.Errorf("code %d", code)
	}
}
