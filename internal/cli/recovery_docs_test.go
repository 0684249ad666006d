package cli

import (
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"housing/internal/bundle/bundletest"
	"housing/internal/gbdt"
	"housing/internal/registry"
	"housing/internal/registry/registrytest"
	"housing/internal/store/storetest"
	"housing/test/docrun"
)

// newProcedure returns the procedures of docs/recovery.md, to be run from
// their very text.
func newProcedure(t *testing.T, env map[string]string) *docrun.Document {
	t.Helper()
	return docrun.Open(t, filepath.Join("..", "..", "docs", "recovery.md"), env, "curl", "ss", "psql")
}

// supervisor starts services again that end, as systemd or Docker do.
type supervisor struct {
	t        *testing.T
	mu       sync.Mutex
	services []*process
	stop     chan struct{}
	watching sync.WaitGroup
}

func supervise(t *testing.T, services []*process, env map[string]string) *supervisor {
	s := &supervisor{t: t, services: slices.Clone(services), stop: make(chan struct{})}
	for i := range services {
		s.watching.Go(func() {
			for {
				select {
				case <-s.stop:
					return
				case <-s.at(i).ended:
				}
				select {
				case <-s.stop:
					return
				default:
				}
				again := maps.Clone(env)
				again["LISTEN"] = strings.TrimPrefix(s.at(i).base, "http://")
				next := launch(t, again)
				select {
				case at := <-next.address:
					next.base = "http://" + at
				case <-next.ended:
				}
				s.mu.Lock()
				s.services[i] = next
				s.mu.Unlock()
			}
		})
	}
	t.Cleanup(s.end)
	return s
}

func (s *supervisor) at(i int) *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.services[i]
}

func (s *supervisor) end() {
	select {
	case <-s.stop:
	default:
		close(s.stop)
	}
	s.watching.Wait()
}

// TestRecoveryFromAnOutage kills a replica and hangs another under load, and
// does what the document says.
func TestRecoveryFromAnOutage(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a replica that hangs")
	}
	env := map[string]string{"MODEL_DIR": registryOf(t, map[string]uint64{"kc-2": 1}), "RATE_LIMIT": "off", "TRUSTED_PROXIES": "127.0.0.0/8"}
	services := []*process{startService(t, env), startService(t, env), startService(t, env)}
	nginx := &process{t: t, base: startNginx(t, services), client: client}
	s := supervise(t, services, env)
	houses := priceHouses(t, map[string][]byte{"kc-2": bundletest.Bytes(t, "kc-2", 1)}, nil)
	l := startLoad([]*process{nginx}, nil, 50, func(s *process, i int) error { _, err := houses.ask(s, i); return err })
	failedNone := sync.OnceFunc(func() { l.finish(t) })
	defer failedNone()

	services[0].killed = true
	if err := services[0].command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	<-services[0].ended
	until(t, "the replica is there again", func() bool { return s.at(0) != services[0] && answers(s.at(0).base) })
	t.Logf("killed: there again after %v; %s", time.Since(start).Round(time.Millisecond), l.lap())

	hung := services[1]
	hung.killed = true
	if err := hung.command.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	start = time.Now()
	var addresses []string
	for i := range services {
		addresses = append(addresses, s.at(i).base)
	}
	p := newProcedure(t, map[string]string{"REPLICAS": strings.Join(addresses, ",")})
	out := p.Run("outage-look")
	if !strings.Contains(out, hung.base+" 000") || strings.Count(out, " 200") != 2 {
		t.Errorf("the replica that hangs is not to be seen in\n%s", out)
	}
	p.Run("outage-kill", "http://127.0.0.1:8001", hung.base)
	t.Logf("hung: there again after %v; %s", time.Since(start).Round(time.Millisecond), l.lap())
	until(t, "the supervisor has it", func() bool { return s.at(1) != hung })
	failedNone()
	s.end()
}

// answers says whether a service is alive.
func answers(base string) bool {
	answer, err := client.Get(base + "/livez")
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == 200
}

func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * patience); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not come about that %s", what)
		}
	}
}

// finish ends the load; none of its requests may have failed, however slow
// they were.
func (l *load) finish(t *testing.T) {
	t.Helper()
	close(l.stop)
	l.running.Wait()
	l.client.CloseIdleConnections()
	if l.failed > 0 {
		t.Errorf("%d of %d requests failed: %s", l.failed, l.asked, strings.Join(l.faults, "\n"))
	}
}

// TestRecoveryFromCorruption imports wrong figures, damages a bundle and a
// page of the journal under load, and does what the document says.
func TestRecoveryFromCorruption(t *testing.T) {
	if testing.Short() {
		t.Skip("damages and restores for half a minute")
	}
	postgres := storetest.NewPostgres(t)
	env := map[string]string{
		"DATABASE_URL": postgres.URL, "JOURNAL_DIR": t.TempDir(), "MODEL_DIR": builtinRegistry(t), "MODEL_POLL": "500ms",
		"BACKUP_DIR": filepath.Join(t.TempDir(), "backups"), "RATE_LIMIT": "off",
	}
	must := func(args ...string) {
		t.Helper()
		if code, _, stderr := run(t, env, args...); code != success {
			t.Fatalf("%v: %s", args, stderr)
		}
	}
	must("demographics", "import", flatFigures(t, 10))
	must("rollout", "set", "--primary", "kc-1")
	s := startService(t, env)
	s.until("journal", "journal", "up", "")
	f := &traffic{client: &http.Client{Timeout: 10 * time.Second}, answered: map[string]time.Time{}}
	f.to.Store(&s.base)
	l := startLoad([]*process{s}, nil, 100, func(_ *process, i int) error { f.ask(i); return nil })
	finish := sync.OnceFunc(func() { l.finish(t) })
	defer finish()
	before := s.thousand()
	pool := openPool(t, postgres.URL)
	until(t, "the journal has some pages", func() bool {
		var n int
		err := pool.QueryRow(t.Context(), "SELECT count(*) FROM predictions").Scan(&n)
		return err == nil && n > 1200
	})
	must("backup", "create", "--verify")
	p := newProcedure(t, env)

	must("demographics", "import", flatFigures(t, 90), "--force", "--why", "a wrong file")
	until(t, "the prices are wrong", func() bool { return !slices.Equal(s.thousand(), before) })
	p.Run("corruption-look")
	start := time.Now()
	p.Run("corruption-figures")
	until(t, "the prices are right", func() bool { return slices.Equal(s.thousand(), before) })
	t.Logf("figures: right prices after %v; %s", time.Since(start).Round(time.Millisecond), l.lap())

	bundle := filepath.Join(env["MODEL_DIR"], "kc-3", "bundle")
	data, err := os.ReadFile(bundle)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(bundle, data, 0o644); err != nil {
		t.Fatal(err)
	}
	p.Run("corruption-bundle")

	month := time.Now().UTC().Format("predictions_2006_01")
	if _, err := pool.Exec(t.Context(), "CHECKPOINT"); err != nil {
		t.Fatal(err)
	}
	postgres.Damage(postgres.URL, month, 1)
	s.until("after the damage", "postgresql", "up", "")
	p.Run("corruption-journal")
	s.until("restored", "journal", "up", "")
	t.Logf("journal: %s", l.lap())
	finish()
	s.settled()
	if len(f.failed) > 0 {
		t.Errorf("%d requests failed", len(f.failed))
	}
	// What stood on the damaged page is from before the backup.
	found, missing := rows(t, openPool(t, postgres.URL)), 0
	for id := range f.answered {
		if found[id] != 1 {
			missing++
		}
	}
	if missing > 0 || len(f.answered) == 0 {
		t.Errorf("%d of %d predictions are missing", missing, len(f.answered))
	}
}

// builtinRegistry makes a registry with the built-in model, whose prices
// depend on the figures of an area, and another.
func builtinRegistry(t *testing.T) string {
	t.Helper()
	dir := registryOf(t, map[string]uint64{"kc-3": 2})
	if code, _, stderr := run(t, map[string]string{"MODEL_DIR": dir}, "model", "push"); code != success {
		t.Fatal(stderr)
	}
	return dir
}

// asked returns how many requests for prices a service has answered.
func (s *process) asked() (n int) {
	s.t.Helper()
	answer, err := s.client.Get(s.base + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^http_requests_total\{.*route="/v1/predict",status="200"\} (\d+)`).FindSubmatch(text)
	if found == nil {
		return 0
	}
	n, err = strconv.Atoi(string(found[1]))
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// TestRecoveryFromABadModel rolls a model back by the guard, by hand, and
// with the registry unreachable.
func TestRecoveryFromABadModel(t *testing.T) {
	if testing.Short() {
		t.Skip("rolls models out for half a minute")
	}
	s3 := registrytest.NewS3(t)
	bundles := map[string][]byte{"base": bundletest.Bytes(t, "base", 1), dearVersion: changedBundle(t, dearVersion, func(f *gbdt.Forest, _ []string) { f.Base += math.Log(1.15) })}
	env := s3.Env()
	maps.Copy(env, map[string]string{
		"MODEL_DIR": s3.Location("kc"), "MODEL_POLL": "500ms", "RATE_LIMIT": "off", "TRUSTED_PROXIES": "127.0.0.0/8", "BACKUP_DIR": filepath.Join(t.TempDir(), "backups"),
	})
	r, err := registry.Open(t.Context(), env["MODEL_DIR"])
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for version, data := range bundles {
		if _, err := r.Push(t.Context(), version, strings.NewReader(string(data)), nil, pushed); err != nil {
			t.Fatal(err)
		}
	}
	must := func(args ...string) {
		t.Helper()
		if code, _, stderr := run(t, env, args...); code != success {
			t.Fatalf("%v: %s", args, stderr)
		}
	}
	must("rollout", "set", "--primary", "base")
	services := []*process{startService(t, env), startService(t, env)}
	nginx := &process{t: t, base: startNginx(t, services), client: client}
	houses := priceHouses(t, bundles, nil)
	l := startLoad([]*process{nginx}, nil, 100, func(s *process, i int) error {
		_, err := houses.ask(s, i, "X-Forwarded-For", fmt.Sprintf("198.51.%d.%d", 100+i%2000/250, i%250))
		return err
	})
	failedNone := sync.OnceFunc(func() { l.finish(t) })
	defer failedNone()
	commands := maps.Clone(env)
	commands["REPLICAS"] = services[0].base + "," + services[1].base
	p := newProcedure(t, commands)
	allAnswer := func(what, version string) {
		t.Helper()
		for _, s := range services {
			houses.untilAnswers(s, what, version)
		}
	}
	p.Run("model-guard")
	allAnswer("the guard has rolled back", "base")

	must("rollout", "set", "--primary", dearVersion)
	allAnswer("a bad primary", dearVersion)
	start := time.Now()
	p.Run("model-hand")
	allAnswer("rolled back", "base")
	t.Logf("by hand: everybody has the model before after %v; %s", time.Since(start).Round(time.Millisecond), l.lap())

	must("rollout", "set", "--primary", dearVersion)
	allAnswer("a bad primary", dearVersion)
	must("backup", "create")
	s3.Kill()
	start = time.Now()
	p.Run("model-away")
	env["MODEL_DIR"] = filepath.Join(p.Dir, "emergency")
	for i, s := range services {
		if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		<-s.ended
		again := maps.Clone(env)
		again["LISTEN"] = strings.TrimPrefix(s.base, "http://")
		services[i] = startService(t, again)
		// nginx takes ten seconds until it asks it again.
		until(t, "the load balancer asks it again", func() bool { return services[i].asked() > 0 })
	}
	allAnswer("without the bucket", "base")
	t.Logf("without the bucket: everybody has the model before after %v; %s", time.Since(start).Round(time.Millisecond), l.lap())
}
