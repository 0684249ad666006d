package cli

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"housing/internal/auth"
	"housing/internal/bundle"
	"housing/internal/bundle/bundletest"
	"housing/internal/certificate/certificatetest"
	"housing/internal/house"
	"housing/internal/httpapi"
	"housing/internal/model"
	"housing/internal/registry"
	"housing/internal/store/storetest"
	"housing/internal/telemetry/telemetrytest"
)

// hurried returns the rules of a file with every time in them a sixtieth of
// what it is, so that what takes minutes takes seconds.
func hurried(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`(\[|for: |offset )(\d+)([mhd])`).ReplaceAllStringFunc(string(text), func(found string) string {
		m := regexp.MustCompile(`^(.*?)(\d+)([mhd])$`).FindStringSubmatch(found)
		n, err := strconv.Atoi(m[2])
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%s%d%s", m[1], n*map[string]int{"m": 1, "h": 1, "d": 24}[m[3]], map[string]string{"m": "s", "h": "m", "d": "m"}[m[3]])
	})
}

// unhurried returns the rules of a file as they are.
func unhurried(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// watcher is a real Prometheus that scrapes services.
type watcher struct {
	t   testing.TB
	url string
}

// watch starts a Prometheus that scrapes addresses of services for operators
// twice a second, with the rules of the project.
func watch(t testing.TB, addresses []string, rules func(t testing.TB, file string) string) *watcher {
	t.Helper()
	files, err := filepath.Glob("../../deploy/prometheus/rules/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no rules: %v", err)
	}
	dir, address := t.TempDir(), freePort(t)
	config := "global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}\nrule_files: [" + dir + "/*.rules]\n" +
		"scrape_configs:\n- job_name: housing\n  static_configs: [{targets: ['" + strings.Join(addresses, "', '") + "']}]\n"
	made := map[string]string{"prometheus.yml": config}
	for _, file := range files {
		made[filepath.Base(file)+".rules"] = rules(t, file)
	}
	for name, text := range made {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	startServer(t, "http://"+address+"/-/ready", "prometheus", "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--enable-feature=exemplar-storage", "--log.level=error")
	p := &watcher{t: t, url: "http://" + address}
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		up, err := p.values(`up{job="housing"} == 1`)
		if len(up) == len(addresses) {
			return p
		}
		if time.Now().After(end) {
			t.Fatalf("Prometheus reaches %d of %d services: %v", len(up), len(addresses), err)
		}
	}
}

// get asks the API of Prometheus.
func (p *watcher) get(path string, query url.Values, data any) error {
	answer, err := client.Get(p.url + "/api/v1/" + path + "?" + query.Encode())
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	var got struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.Unmarshal(text, &got); err != nil || got.Status != "success" {
		return fmt.Errorf("%s: %s: %s %w", path, answer.Status, text, err)
	}
	return json.Unmarshal(got.Data, data)
}

// values returns the finite values that an expression has now.
func (p *watcher) values(expr string) (values []float64, err error) {
	var data struct {
		Result []struct {
			Value [2]any
		}
	}
	if err := p.get("query", url.Values{"query": {expr}}, &data); err != nil {
		return nil, err
	}
	for _, r := range data.Result {
		text, _ := r.Value[1].(string)
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, err
		}
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			values = append(values, v)
		}
	}
	return values, nil
}

// firing returns the names of the alerts that fire.
func (p *watcher) firing() (names []string) {
	p.t.Helper()
	var data struct {
		Alerts []struct {
			State  string
			Labels map[string]string
		}
	}
	if err := p.get("alerts", nil, &data); err != nil {
		p.t.Fatal(err)
	}
	for _, a := range data.Alerts {
		if a.State == "firing" && !slices.Contains(names, a.Labels["alertname"]) {
			names = append(names, a.Labels["alertname"])
		}
	}
	slices.Sort(names)
	return names
}

// panelQueries returns the queries of every panel of the dashboards, by what
// they show, as Grafana would send them.
func panelQueries(t testing.TB) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../../deploy/grafana/dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	queries := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d struct {
			Title  string
			Panels []struct {
				ID      int
				Title   string
				Targets []struct{ RefID, Expr string }
			}
		}
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatal(err)
		}
		for _, panel := range d.Panels {
			for _, target := range panel.Targets {
				queries[fmt.Sprintf("%s / %d %s %s", d.Title, panel.ID, panel.Title, target.RefID)] =
					strings.NewReplacer("$__rate_interval", "30s", "$instance", ".*", "$version", ".*").Replace(target.Expr)
			}
		}
	}
	return queries
}

// seen is three replicas with all that they may have around them, watched by
// a Prometheus whose clock runs sixty times as fast, and asked in every way.
type seen struct {
	*testing.T
	env        map[string]string   // of the commands
	envs       []map[string]string // of the replicas
	bundles    map[string][]byte
	folder     string // of the registry
	secretFile string
	tokens     []string
	services   []*process
	ops        []string // addresses for operators
	redis      *storetest.Redis
	receiver   *telemetrytest.Receiver
	client     *http.Client

	mu    sync.Mutex
	ids   []string       // of predictions that were answered
	count map[string]int // answers by what was asked and the status
}

const seenSecret = "a-secret-of-thirty-two-bytes-or-so"

// startSeen starts the replicas. The third speaks TLS.
func startSeen(t *testing.T) *seen {
	t.Helper()
	dir := t.TempDir()
	s := &seen{T: t, folder: filepath.Join(dir, "registry"), secretFile: filepath.Join(dir, "secret"), bundles: fleetBundles(t),
		redis: storetest.NewRedis(t), receiver: telemetrytest.NewReceiver(t), count: map[string]int{}}
	s.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: 64}}
	t.Cleanup(s.client.CloseIdleConnections)
	postgres := storetest.NewPostgres(t)
	measured := bundletest.Contents(t, "base", 1)
	measured.Manifest.Accuracy = []model.Accuracy{{Protocol: "made up", Part: model.AllSales, Fields: "all 18", Metrics: model.Metrics{Sales: 100, MdAPE: 8, PPE10: 60}}}
	var base bytes.Buffer
	if err := bundle.Write(&base, measured); err != nil {
		t.Fatal(err)
	}
	s.bundles["base"] = base.Bytes()
	s.write(s.secretFile, seenSecret)
	if err := os.MkdirAll(s.folder, 0o755); err != nil {
		t.Fatal(err)
	}
	r, err := registry.Open(t.Context(), s.folder)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for version, data := range s.bundles {
		if _, err := r.Push(t.Context(), version, bytes.NewReader(data), nil, pushed); err != nil {
			t.Fatal(err)
		}
	}
	s.env = map[string]string{"MODEL_DIR": s.folder}
	s.rollout("set", "--primary", "base")
	s.rollout("start", goodVersion, "--percent", "30")
	for i := range 10 {
		code, token, stderr := run(t, map[string]string{"JWT_SECRET": seenSecret}, "token", "--sub", fmt.Sprint("user", i), "--scope", "predict,outcomes,models:read")
		if code != success {
			t.Fatal(stderr)
		}
		s.tokens = append(s.tokens, strings.TrimSpace(token))
	}
	pair := certificatetest.Write(t, dir, "tls", 1, time.Now().Add(90*24*time.Hour))
	s.envs = make([]map[string]string, 3)
	for i := range s.envs {
		env := map[string]string{
			"MODEL_DIR": s.folder, "MODEL_POLL": "500ms", "DATABASE_URL": postgres.URL, "REDIS_URL": s.redis.URL, "RESPONSE_CACHE": "on", "RESPONSE_CACHE_TTL": "2s",
			"JWT_SECRET_FILE": s.secretFile, "OPS_LISTEN": "127.0.0.1:0", "JOURNAL_DIR": t.TempDir(), "RATE_LIMIT": "600/minute",
			"OTEL_EXPORTER_OTLP_ENDPOINT": s.receiver.URL, "OTEL_BSP_SCHEDULE_DELAY": "500",
		}
		if i == 2 {
			env["TLS_CERT_FILE"], env["TLS_KEY_FILE"] = pair.Cert, pair.Key
		}
		s.envs[i] = env
		service := startService(t, env)
		var found []string
		s.until("an address for operators", patience, func() string { // its line is kept a moment after it was read
			if found = regexp.MustCompile(`"ops_address":"([^"]+)"`).FindStringSubmatch(service.logged()); found == nil {
				return service.logged()
			}
			return ""
		})
		if i == 2 {
			service.base = strings.Replace(service.base, "http://", "https://", 1)
		}
		s.services, s.ops = append(s.services, service), append(s.ops, found[1])
	}
	return s
}

func (s *seen) write(file, text string) {
	s.Helper()
	if err := os.WriteFile(file+".new", []byte(text+"\n"), 0o600); err != nil {
		s.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		s.Fatal(err)
	}
}

func (s *seen) rollout(args ...string) {
	s.Helper()
	if code, _, stderr := run(s.T, s.env, append([]string{"rollout"}, args...)...); code != success {
		s.Fatalf("rollout %q: %s", args, stderr)
	}
}

// seenHouses returns a body of n houses that are like those of the training.
func seenHouses(n, seed int) string {
	body := []byte(`{"records":[`)
	for i := range n {
		h := house.Example()
		h.Values[house.SqftLiving] = float64(800 + (seed*31+i*97)%3200)
		if i > 0 {
			body = append(body, ',')
		}
		body = house.AppendJSON(body, &h)
	}
	return string(append(body, "]}"...))
}

// send sends a request to the ith replica, and counts the answer.
func (s *seen) send(what string, i int, method, path string, body io.Reader, header ...string) ([]byte, error) {
	request, err := http.NewRequest(method, s.services[i%len(s.services)].base+path, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+s.tokens[i%len(s.tokens)])
	request.Header.Set("Content-Type", "application/json")
	for j := 0; j < len(header); j += 2 {
		request.Header.Set(header[j], header[j+1])
	}
	answer, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count[fmt.Sprint(what, " ", answer.StatusCode)]++
	return text, err
}

// ask asks in one of many ways, by turns.
func (s *seen) ask(_ *process, i int) error {
	const many = 40
	post := func(what, path, body string, header ...string) ([]byte, error) {
		return s.send(what, i, "POST", path, strings.NewReader(body), header...)
	}
	switch i % 16 {
	case 1:
		_, err := post("minimal", "/v1/predict-minimal", `{"records":[{"bedrooms":3,"bathrooms":2,"sqft_living":2000,"zipcode":"99999"}]}`)
		return err
	case 2, 3:
		_, err := post("again", "/v1/predict", seenHouses(1, 1))
		return err
	case 4:
		_, err := post("invalid", "/v1/predict", `{"records":[{"bedrooms":-1}]}`)
		return err
	case 5:
		_, err := post("canary", "/v1/predict", seenHouses(2, i), "canary", "true")
		return err
	case 10:
		_, err := post("valuations", "/v1/valuations", seenHouses(2, i))
		return err
	case 6:
		_, err := post("version", "/v1/predict?model_version=base", seenHouses(2, i))
		return err
	case 7:
		_, err := post("bad token", "/v1/predict", seenHouses(1, i), "Authorization", "Bearer x.y.z")
		return err
	case 8:
		path := []string{"/v1/model-info", "/v1/models", "/v1/rollout", "/health", fmt.Sprint("/no/", i), "/docs"}[i/16%6]
		_, err := s.send("get", i, "GET", path, nil)
		return err
	case 9:
		s.mu.Lock()
		var id string
		if n := len(s.ids); n > 0 {
			id, s.ids = s.ids[0], s.ids[1:]
		}
		s.mu.Unlock()
		if id == "" {
			return nil
		}
		_, err := post("outcome", "/v1/outcomes", fmt.Sprintf(`{"outcomes":[{"prediction_id":%q,"record":0,"sale_price":%d,"sale_date":"2015-05-27"}]}`, id, 400_000+i%100*3000))
		return err
	}
	text, err := post("houses", "/v1/predict", seenHouses(many, i))
	if err != nil {
		return err
	}
	var p httpapi.Prediction
	if json.Unmarshal(text, &p) == nil && p.PredictionID != "" {
		s.mu.Lock()
		if s.ids = append(s.ids, p.PredictionID); len(s.ids) > 1000 {
			s.ids = s.ids[500:]
		}
		s.mu.Unlock()
	}
	return nil
}

// until waits until something is as it should be, with patience for a slow
// machine; what says what is wrong.
func (s *seen) until(what string, most time.Duration, wrong func() string) {
	s.Helper()
	for end := time.Now().Add(most); ; time.Sleep(200 * time.Millisecond) {
		problem := wrong()
		if problem == "" {
			return
		}
		if time.Now().After(end) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.Fatalf("%s: %s\nanswers: %v", what, problem, s.count)
		}
	}
}

// TestEverythingIsSeen runs three replicas in front of a real Prometheus with
// the project's rules, sixty times as fast as they are, and asks in every way.
// While all is well no alert fires; then what is driven fires each of its own;
// at the end every panel of every dashboard has shown something.
func TestEverythingIsSeen(t *testing.T) {
	if testing.Short() {
		t.Skip("watches services for a minute")
	}
	s := startSeen(t)
	p := watch(t, s.ops, hurried)
	l := startLoad(s.services, nil, 60, s.ask)
	ended := sync.OnceFunc(func() { close(l.stop); l.running.Wait() })
	defer ended()

	queries, shown := panelQueries(t), map[string]bool{}
	look := func() (missing []string) {
		for panel, query := range queries {
			if shown[panel] {
				continue
			}
			values, err := p.values(query)
			if err != nil {
				t.Fatalf("%s: %v", panel, err)
			}
			if shown[panel] = len(values) > 0; !shown[panel] {
				missing = append(missing, panel)
			}
		}
		slices.Sort(missing)
		return missing
	}
	// In these windows all of what was said above would fire.
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		if firing := p.firing(); len(firing) > 0 {
			t.Fatalf("all is well, and these fire: %v", firing)
		}
	}
	look()
	s.guideNames(p)
	s.exemplars(p)
	s.promtool()
	s.flood(2000)

	// Faults, all at once.
	s.redis.Kill()
	gone := s.services[1]
	gone.kill()
	s.write(s.secretFile, seenSecret+"\nanother-secret-of-thirty-two-bytes")
	for i := range 700 { // of one user, who is told to wait
		if _, err := s.send("greedy", 0, "GET", "/v1/model-info", nil); err != nil {
			t.Fatal(err)
		}
		if _, err := s.send("greedy", 0, "POST", "/v1/predict", strings.NewReader(seenHouses(1, i))); err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		enough := s.count["greedy 429"] > 10
		s.mu.Unlock()
		if enough {
			break
		}
	}
	s.rollout("rollback", "--why", "a test")
	broken := filepath.Join(s.folder, dearVersion, "bundle")
	if err := os.WriteFile(broken+".new", s.bundles[dearVersion][:1000], 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(broken+".new", broken); err != nil {
		t.Fatal(err)
	}
	faults := make(chan struct{})
	var driven sync.WaitGroup
	defer driven.Wait()
	stop := sync.OnceFunc(func() { close(faults) })
	defer stop()
	again := func(each time.Duration, do func(i int)) {
		driven.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-faults:
					return
				case <-time.After(each):
					do(i)
				}
			}
		})
	}
	large := strings.Replace(seenHouses(1, 1), `"sqft_living":`, fmt.Sprintf(`"sqft_living":%d,"x":`, largeHouse), 1)
	large = regexp.MustCompile(`,"x":[0-9.]+`).ReplaceAllString(large, "")
	again(50*time.Millisecond, func(i int) { // the model fails
		_, _ = s.send("failing", i, "POST", "/v1/predict?model_version="+failingVersion, strings.NewReader(large))
	})
	again(200*time.Millisecond, func(i int) { // nobody can load it
		_, _ = s.send("broken", i, "POST", "/v1/predict?model_version="+dearVersion, strings.NewReader(seenHouses(1, 1)))
	})
	for range 24 { // clients that are slow to send
		again(time.Millisecond, func(i int) {
			body := seenHouses(1, i)
			slow := io.MultiReader(strings.NewReader(body[:100]), delay(800*time.Millisecond), strings.NewReader(body[100:]))
			_, _ = s.send("slow", i, "POST", "/v1/predict", slow)
		})
	}
	want := []string{"DependencyDown", "ErrorBudgetBurnsFast", "HighErrorRate", "HighLatency", "ModelLoadFailure", "ReplicaDown", "RolloutRolledBack"}
	fired := map[string]bool{}
	s.until("alerts", 2*patience, func() string {
		for _, name := range p.firing() {
			fired[name] = true
		}
		for _, name := range want {
			if !fired[name] {
				return fmt.Sprintf("%s does not fire; these did: %v", name, fired)
			}
		}
		return ""
	})
	t.Logf("fired: %v", fired)
	// A replica that starts measures what was told of sales.
	s.envs[1]["LISTEN"], s.envs[1]["OPS_LISTEN"] = strings.TrimPrefix(gone.base, "http://"), s.ops[1]
	startService(t, s.envs[1])
	s.until("panels", 2*patience, func() string {
		if missing := look(); len(missing) > 0 {
			return fmt.Sprintf("%d of %d have shown nothing:\n%s", len(missing), len(queries), strings.Join(missing, "\n"))
		}
		return ""
	})
	t.Logf("%d queries of panels have shown something", len(queries))
	stop()
	driven.Wait()
	ended()
}

// TestNoAlertFiresInQuiet asks for ten minutes in every way that is no fault,
// with the rules as they are.
func TestNoAlertFiresInQuiet(t *testing.T) {
	if os.Getenv("QUIET") != "long" {
		t.Skip("takes ten minutes: make quiet")
	}
	s := startSeen(t)
	p := watch(t, s.ops, unhurried)
	l := startLoad(s.services, nil, 60, s.ask)
	defer func() { close(l.stop); l.running.Wait() }()
	for start := time.Now(); time.Since(start) < 10*time.Minute; time.Sleep(time.Second) {
		if firing := p.firing(); len(firing) > 0 {
			t.Fatalf("after %v these fire: %v", time.Since(start), firing)
		}
	}
	rate, err := p.values("sum(increase(http_requests_total[10m]))")
	if err != nil || len(rate) != 1 {
		t.Fatalf("no requests were counted: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t.Logf("no alert fired in ten minutes and %.0f requests: %v", rate[0], s.count)
}

// TestFewSeries asks 100,000 times for what nobody offers.
func TestFewSeries(t *testing.T) {
	if os.Getenv("SERIES") != "long" {
		t.Skip("asks 100,000 times: make series; TestEverythingIsSeen asks 2,000 times")
	}
	s := startSeen(t)
	l := startLoad(s.services, nil, 30, s.ask) // for what is offered
	defer func() { close(l.stop); l.running.Wait() }()
	s.flood(100_000)
}

// mostSeries bounds the series of one replica.
const mostSeries = 1500

// flood asks the first replica n times, as one of 10,000 users, for random
// paths and versions, by random methods with random headers, and holds that
// the series that it shows are few and have nothing of that in them.
func (s *seen) flood(n int) {
	s.Helper()
	const users, mark = 10_000, "zq"
	secrets, err := auth.ParseSecrets(seenSecret)
	if err != nil {
		s.Fatal(err)
	}
	var group sync.WaitGroup
	const clients = 4
	for c := range clients {
		group.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(c)))
			word := func() string { return fmt.Sprintf("%s%x", mark, random.Uint64()) }
			for i := c; i < n; i += clients {
				now := time.Now()
				token, err := secrets.Sign(auth.Claims{User: fmt.Sprint(mark, random.IntN(users)), Scopes: auth.Predict | auth.ModelsRead, IssuedAt: now, Expires: now.Add(time.Hour)})
				if err != nil {
					s.Error(err)
					return
				}
				header := []string{"Authorization", "Bearer " + token, "X-" + word(), word(), "Canary", word(), "User-Agent", word(), "X-Request-ID", word(), "Host", word(), "traceparent", word()}
				method, path, body := "POST", "/v1/predict", seenHouses(1, i)
				switch i % 8 {
				case 0:
					path = "/" + word() + "/" + word()
				case 1:
					path += "?model_version=" + word()
				case 2:
					method = "M" + strings.ToUpper(word())
				case 3:
					path = "/v1/models/" + word()
					method = "GET"
				case 4:
					header[1] = "Bearer " + word()
				case 5:
					body = strings.ReplaceAll(body, "98", word())
				}
				if _, err := s.send("flood", 0, method, path, strings.NewReader(body), header...); err != nil {
					s.Errorf("%s %s: %v", method, path, err)
					return
				}
			}
		})
	}
	group.Wait()
	answer, err := client.Get("http://" + s.ops[0] + "/metrics")
	if err != nil {
		s.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.Fatal(err)
	}
	series, families := 0, map[string]int{}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		series++
		families[line[:strings.IndexAny(line, "{ ")]]++
		if strings.Contains(line, mark) {
			s.Errorf("a label holds what a client chose: %s", line)
		}
	}
	s.Logf("%d series after %d requests more", series, n)
	if series < 200 || series >= mostSeries {
		s.Errorf("%d series, want fewer than %d: %v", series, mostSeries, families)
	}
}

// delay is a reader that has nothing, later.
type delay time.Duration

func (d delay) Read([]byte) (int, error) {
	time.Sleep(time.Duration(d))
	return 0, io.EOF
}

// guideNames holds that the metrics of the deployment guide are there under
// their names, from every replica.
func (s *seen) guideNames(p *watcher) {
	s.Helper()
	for _, name := range []string{"prediction_requests_total", "prediction_duration_seconds_bucket", "model_load_time_seconds", "http_requests_total", "http_request_duration_seconds_bucket"} {
		replicas, err := p.values("count by (instance) (" + name + ")")
		if err != nil || len(replicas) != len(s.services) {
			s.Errorf("%s comes from %d replicas, want %d: %v", name, len(replicas), len(s.services), err)
		}
	}
}

// exemplars holds that a dot of a histogram leads to a trace that was
// received.
func (s *seen) exemplars(p *watcher) {
	s.Helper()
	for _, histogram := range []string{"http_request_duration_seconds_bucket", "prediction_duration_seconds_bucket"} {
		s.until("exemplars", patience, func() string {
			var series []struct {
				Exemplars []struct{ Labels map[string]string }
			}
			now := time.Now()
			if err := p.get("query_exemplars", url.Values{"query": {histogram}, "start": {fmt.Sprint(now.Add(-time.Hour).Unix())}, "end": {fmt.Sprint(now.Add(time.Hour).Unix())}}, &series); err != nil {
				return err.Error()
			}
			traces := map[string]bool{}
			for _, span := range s.receiver.Spans() {
				traces[span.Trace] = true
			}
			for _, one := range series {
				for _, e := range one.Exemplars {
					if traces[e.Labels["trace_id"]] {
						return ""
					}
				}
			}
			return fmt.Sprintf("none of %d series of %s leads to one of %d traces", len(series), histogram, len(traces))
		})
	}
}

// promtool holds that promtool finds nothing wrong with the metrics of each
// replica.
func (s *seen) promtool() {
	s.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		s.Fatal(err) // it comes with Prometheus, which runs
	}
	for _, address := range s.ops {
		answer, err := client.Get("http://" + address + "/metrics")
		if err != nil {
			s.Fatal(err)
		}
		command := exec.Command(path, "check", "metrics")
		command.Stdin = answer.Body
		out, err := command.CombinedOutput()
		_ = answer.Body.Close()
		if err != nil || len(out) > 0 {
			s.Errorf("promtool check metrics: %v\n%s", err, out)
		}
	}
}
