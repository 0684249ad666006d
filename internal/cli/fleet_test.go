package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"housing/deploy/nginx/nginxtest"
	"housing/internal/bundle"
	"housing/internal/bundle/bundletest"
	"housing/internal/gbdt"
	"housing/internal/house"
	"housing/internal/model"
	"housing/internal/registry"
	"housing/internal/registry/registrytest"
	"housing/internal/store/storetest"
)

// pushed says who pushes the models of a test.
var pushed = registry.Change{When: time.Unix(1_400_000_000, 0), Who: "ann", What: "push"}

// server is a program of another that a test runs.
type server struct {
	t       testing.TB
	command *exec.Cmd
	log     bytes.Buffer
}

// startServer starts a program that ends with the test. Where it is not
// installed the test is skipped, or fails where CI=true.
func startServer(t testing.TB, ready, name string, args ...string) *server {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		message := fmt.Sprintf("%s is not installed: %v", name, err)
		if os.Getenv("CI") == "true" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	s := &server{t: t, command: exec.Command(path, args...)}
	s.command.Stdout, s.command.Stderr = &s.log, &s.log
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.command.Process.Kill()
		_ = s.command.Wait() // it was killed
	})
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if answer, err := client.Get(ready); err == nil {
			_ = answer.Body.Close()
			return s
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not answer at %s: %s", name, ready, &s.log)
		}
	}
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startNginx starts nginx, as we ship it, before services.
func startNginx(t testing.TB, services []*process) (base string) {
	t.Helper()
	var replicas []string
	for _, s := range services {
		replicas = append(replicas, strings.TrimPrefix(s.base, "http://"))
	}
	return "http://" + nginxtest.Start(t, nginxtest.Options{Replicas: replicas}).Address
}

// startPrometheus starts a Prometheus that scrapes services twice a second,
// and evaluates files of rules as often.
func startPrometheus(t testing.TB, services []*process, rules ...string) (url string) {
	t.Helper()
	dir, address := t.TempDir(), freePort(t)
	var targets []string
	for _, s := range services {
		targets = append(targets, "'"+strings.TrimPrefix(s.base, "http://")+"'")
	}
	files, err := json.Marshal(rules)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "prometheus.yml")
	err = os.WriteFile(config, []byte("global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}\nrule_files: "+string(files)+"\nscrape_configs:\n- job_name: housing\n  static_configs: [{targets: ["+strings.Join(targets, ", ")+"]}]\n"), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	startServer(t, "http://"+address+"/-/ready", "prometheus", "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--log.level=error")
	return "http://" + address
}

// Versions of a fleet's registry beside the primary, which is base.
const (
	goodVersion    = "good"    // half a percent above base
	dearVersion    = "dear"    // 15 % above base
	slowVersion    = "slow"    // many times slower than base
	failingVersion = "failing" // gives no price for large houses
)

// largeHouse is a living space beyond that of any golden house.
const largeHouse = 9500

// fleetBundles makes the versions.
func fleetBundles(t testing.TB) map[string][]byte {
	t.Helper()
	made := map[string][]byte{"base": bundletest.Bytes(t, "base", 1)}
	for version, change := range map[string]func(f *gbdt.Forest, names []string){
		goodVersion: func(f *gbdt.Forest, _ []string) { f.Base += math.Log(1.005) },
		dearVersion: func(f *gbdt.Forest, _ []string) { f.Base += math.Log(1.15) },
		slowVersion: func(f *gbdt.Forest, _ []string) {
			f.Leaves, f.LeafCover = append(f.Leaves, 0), append(f.LeafCover, 0)
			f.Roots = append(f.Roots, slices.Repeat([]int32{int32(^(len(f.Leaves) - 1))}, 500_000)...)
		},
		failingVersion: func(f *gbdt.Forest, names []string) {
			column := slices.Index(names, "sqft_living")
			n := int32(len(f.Leaves))
			f.Leaves, f.LeafCover = append(f.Leaves, 0, math.MaxFloat32), append(f.LeafCover, 0, 0)
			f.Roots = append(f.Roots, int32(len(f.Nodes)))
			f.Nodes = append(f.Nodes, gbdt.Node{Threshold: largeHouse - 100, Feature: uint32(column), Left: ^n, Right: ^(n + 1)})
		},
	} {
		made[version] = changedBundle(t, version, change)
	}
	return made
}

// changedBundle makes the bundle of base with its forest changed.
func changedBundle(t testing.TB, version string, change func(f *gbdt.Forest, names []string)) []byte {
	t.Helper()
	c := bundletest.Contents(t, version, 1)
	f := *c.Model.Forest
	f.Leaves, f.LeafCover, f.Roots, f.Nodes = slices.Clone(f.Leaves), slices.Clone(f.LeafCover), slices.Clone(f.Roots), slices.Clone(f.Nodes)
	change(&f, c.Model.FeatureNames())
	changed, err := model.New(c.Model.Encoder, &f, c.Model.Market, c.Model.Smooth)
	if err != nil {
		t.Fatal(err)
	}
	c.Model = changed
	var out bytes.Buffer
	if err := bundle.Write(&out, c); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// fleet is three replicas behind nginx, on a registry in S3, scraped by
// Prometheus, and asked all the while by many clients.
type fleet struct {
	*testing.T
	env        map[string]string
	s3         *registrytest.S3
	services   []*process
	nginx      *process
	prometheus string
	houses     *pricedHouses
	load       *load
}

// startFleet starts a fleet, with settings beside those that it needs, and
// its load. With each body comes the address of one of 2,000 clients.
func startFleet(t *testing.T, perSecond int, settings map[string]string) *fleet {
	t.Helper()
	f := &fleet{T: t, s3: registrytest.NewS3(t)}
	f.env = f.s3.Env()
	f.env["MODEL_DIR"], f.env["MODEL_POLL"], f.env["TRUSTED_PROXIES"], f.env["RATE_LIMIT"] = f.s3.Location("kc"), "500ms", "127.0.0.0/8", "off"
	for name, value := range settings {
		f.env[name] = value
	}
	r, err := registry.Open(t.Context(), f.env["MODEL_DIR"])
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	bundles := fleetBundles(t)
	for version, data := range bundles {
		if _, err := r.Push(t.Context(), version, bytes.NewReader(data), nil, pushed); err != nil {
			t.Fatal(err)
		}
	}
	// One in fifty is larger than the failing version can bear.
	f.houses = priceHouses(t, bundles, func(i int, h *house.House) {
		if i == 7 {
			h.Values[house.SqftLiving] = largeHouse
		}
	})
	f.rollout("set", "--primary", "base")
	for range 3 {
		f.services = append(f.services, startService(t, f.env))
	}
	f.nginx = &process{t: t, base: startNginx(t, f.services), client: client}
	f.prometheus = startPrometheus(t, f.services)
	for end := time.Now().Add(patience); strings.Count(f.rollout("status", "--json", "--prometheus-url", f.prometheus), `"address"`) < len(f.services); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("Prometheus does not see the replicas")
		}
	}
	f.load = startLoad([]*process{f.nginx}, nil, perSecond, func(s *process, i int) error {
		_, err := f.houses.ask(s, i, "X-Forwarded-For", fmt.Sprintf("198.51.%d.%d", 100+i%2000/250, i%250))
		return err
	})
	return f
}

// rollout runs a command of the traffic plan.
func (f *fleet) rollout(args ...string) (out string) {
	f.Helper()
	code, stdout, stderr := run(f.T, f.env, append([]string{"rollout"}, args...)...)
	if code != success {
		f.Fatalf("rollout %q: %s", args, stderr)
	}
	return stdout
}

// guard runs a guard to its end.
func (f *fleet) guard(version string, args ...string) (code int, stdout, stderr string) {
	f.Helper()
	return run(f.T, f.env, append([]string{"rollout", "start", version, "--prometheus-url", f.prometheus}, args...)...)
}

// TestTheGuardOfAFleet lets bad candidates go before they answer half of the
// callers, and a good one be promoted. With FLEET=long it goes through every
// kind of bad candidate and five steps.
func TestTheGuardOfAFleet(t *testing.T) {
	if testing.Short() {
		t.Skip("rolls models out for a minute")
	}
	long := os.Getenv("FLEET") == "long"
	steps := []string{"--steps", "10,40,50,100", "--every", "4s", "--min-requests", "60"}
	bad := []string{dearVersion, slowVersion}
	if long {
		steps = []string{"--steps", "1,5,25,50,100", "--every", "20s", "--min-requests", "100"}
		bad = append(bad, failingVersion)
	}
	f := startFleet(t, 150, nil)
	defer f.load.end(t)
	for _, version := range bad {
		code, stdout, stderr := f.guard(version, steps...)
		t.Logf("%s: %s\n%s%s", version, f.load.lap(), stdout, stderr)
		if code != failure || !strings.Contains(stderr, version+" is rolled back: ") {
			t.Errorf("%s: code %d: %s", version, code, stderr)
		}
		if strings.Contains(stdout, "at 50 %") {
			t.Errorf("%s reached half of the callers:\n%s", version, stdout)
		}
		if status := f.rollout("status"); strings.Contains(status, "candidate") && !strings.Contains(status, "guard: roll back "+version) {
			t.Errorf("%s: the plan is\n%s", version, status)
		}
	}
	code, stdout, stderr := f.guard(goodVersion, steps...)
	t.Logf("%s: %s\n%s%s", goodVersion, f.load.lap(), stdout, stderr)
	if code != success || !strings.Contains(stdout, "good is promoted") {
		t.Errorf("%s: code %d: %s", goodVersion, code, stderr)
	}
	for _, s := range f.services {
		f.houses.untilAnswers(s, "promoted", goodVersion)
	}
	if status := f.rollout("status", "--prometheus-url", f.prometheus); strings.Count(status, "good 100 %") != 3 {
		t.Errorf("status:\n%s", status)
	}
}

// TestWhateverIsKilledNoRequestFails kills the guard, a replica, the S3 server
// and PostgreSQL with kill -9 while the guard rolls a model out: no request
// fails, the model is promoted, and the journal has every prediction that was
// answered just once.
func TestWhateverIsKilledNoRequestFails(t *testing.T) {
	if testing.Short() {
		t.Skip("rolls a model out for half a minute")
	}
	postgres := storetest.NewPostgres(t)
	f := startFleet(t, 100, map[string]string{"DATABASE_URL": postgres.URL, "JOURNAL_DIR": t.TempDir()})
	end := sync.OnceFunc(func() { f.load.end(t) })
	defer end()
	var addresses []string
	for _, s := range f.services {
		s.until("journal", "journal", "up", "")
		addresses = append(addresses, s.base)
	}
	f.env["REPLICAS"] = strings.Join(addresses, ",")
	arguments := []string{"rollout", "start", goodVersion, "--steps", "10,50,100", "--every", "6s", "--min-requests", "40"}

	guard := exec.Command("housing", arguments...)
	guard.Env = []string{"PATH=" + os.Getenv("PATH")}
	for name, value := range f.env {
		guard.Env = append(guard.Env, name+"="+value)
	}
	if err := guard.Start(); err != nil {
		t.Fatal(err)
	}
	f.untilStatus("the guard", "percent    10")
	if err := guard.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = guard.Wait() // it was killed
	f.untilStatus("without a guard", "percent    10")

	promoted := make(chan string)
	go func() {
		code, stdout, stderr := run(t, f.env, arguments...)
		promoted <- fmt.Sprintf("%d\n%s%s", code, stdout, stderr)
	}()
	first := f.services[0]
	first.kill()
	time.Sleep(2 * time.Second)
	again := map[string]string{"LISTEN": strings.TrimPrefix(first.base, "http://")}
	for name, value := range f.env {
		again[name] = value
	}
	f.services[0] = startService(t, again)
	f.s3.Kill()
	for _, s := range f.services {
		s.until("no S3", "registry", "down", "unreachable")
	}
	postgres.Kill()
	f.services[1].until("no database", "journal", "down", "unreachable")
	f.s3.Start()
	postgres.Start()
	outcome := <-promoted
	if !strings.HasPrefix(outcome, "0\n") || !strings.Contains(outcome, "good is promoted") {
		t.Errorf("the guard that went on: %s", outcome)
	}
	for _, s := range f.services {
		f.houses.untilAnswers(s, "promoted", goodVersion)
	}
	t.Logf("%s\n%s", f.load.lap(), outcome)
	end()
	for _, s := range f.services {
		s.settled()
	}
	found := rows(t, openPool(t, postgres.URL))
	f.houses.mu.Lock()
	defer f.houses.mu.Unlock()
	if len(f.houses.answered) == 0 {
		t.Fatal("nothing was answered under an ID")
	}
	for id := range f.houses.answered {
		if found[id] != 2 {
			t.Errorf("%s was answered and is there %d times, want its 2 houses", id, found[id])
		}
	}
	t.Logf("%d predictions were answered, %d are in the journal", len(f.houses.answered), len(found))
	if status := f.rollout("status"); !strings.Contains(status, "PREDICTIONS") {
		t.Errorf("status without accuracy:\n%s", status)
	}
}

// untilStatus waits until the status of the plan has a text.
func (f *fleet) untilStatus(what, text string) {
	f.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		status := f.rollout("status")
		if strings.Contains(status, text) {
			return
		}
		if time.Now().After(end) {
			f.Fatalf("%s: no %q in\n%s", what, text, status)
		}
	}
}
