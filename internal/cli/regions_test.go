package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"housing/deploy/nginx/nginxtest"
	"housing/internal/bundle/bundletest"
	"housing/internal/registry"
	"housing/internal/registry/registrytest"
	"housing/internal/store/storetest"
)

// region is all that one region has.
type region struct {
	postgres *storetest.Postgres
	redis    *storetest.Redis
	s3       *registrytest.S3
	nginx    *nginxtest.Server
	services []*process
	env      map[string]string
}

// settle makes the environment of a region, whose backups lie at a location.
func (r *region) settle(t *testing.T, backups string) {
	t.Helper()
	r.env = r.s3.Env()
	maps.Copy(r.env, map[string]string{
		"DATABASE_URL": r.postgres.URL, "REDIS_URL": r.redis.URL, "MODEL_DIR": r.s3.Location("kc"), "BACKUP_DIR": backups,
		"MODEL_POLL": "500ms", "RATE_LIMIT": "off", "TRUSTED_PROXIES": "127.0.0.0/8", "JOURNAL_DIR": t.TempDir(), "USER_ID_KEY": "the same in all regions, 32 bytes",
	})
}

// serve starts the replicas and nginx before them.
func (r *region) serve(t *testing.T) {
	t.Helper()
	r.services = []*process{startService(t, r.env), startService(t, r.env)}
	var replicas []string
	for _, s := range r.services {
		replicas = append(replicas, strings.TrimPrefix(s.base, "http://"))
	}
	r.nginx = nginxtest.Start(t, nginxtest.Options{Replicas: replicas})
}

func (r *region) base() string { return "http://" + r.nginx.Address }

// lose kills everything at once.
func (r *region) lose() {
	var all sync.WaitGroup
	for _, s := range r.services {
		s.killed = true
		all.Go(func() { _ = s.command.Process.Kill() })
	}
	for _, kill := range []func(){r.postgres.Kill, r.redis.Kill, r.s3.Kill, r.nginx.Kill} {
		all.Go(kill)
	}
	all.Wait()
	for _, s := range r.services {
		<-s.ended
	}
}

// traffic is asked of the region that the health check says is there.
type traffic struct {
	client *http.Client
	to     atomic.Pointer[string]

	mu       sync.Mutex
	answered map[string]time.Time // IDs of predictions, by when the answer came
	failed   []time.Time
}

func (f *traffic) ask(i int) {
	body := fmt.Sprintf(`{"records":[{"bedrooms":3,"bathrooms":2,"sqft_living":%d,"zipcode":"98115"}]}`, 1000+i%1000)
	answer, err := f.client.Post(*f.to.Load()+"/v1/predict-minimal", "application/json", strings.NewReader(body))
	var p struct {
		ID string `json:"prediction_id"`
	}
	if err == nil {
		var text []byte
		text, err = io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err == nil && answer.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s", answer.Status)
		}
		if err == nil {
			err = json.Unmarshal(text, &p)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil || p.ID == "" {
		f.failed = append(f.failed, time.Now())
		return
	}
	f.answered[p.ID] = time.Now()
}

// Times of the health check before the regions, as of a load balancer or DNS.
const (
	checkEvery = 500 * time.Millisecond
	checkFails = 3 // in a row, until traffic goes elsewhere
)

// check asks a region how it is, and lets traffic go to another when it does
// not answer; it returns when it has.
func (f *traffic) check(from, to string, stop <-chan struct{}) (turned time.Time) {
	probe := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for failures := 0; failures < checkFails; {
		select {
		case <-stop:
			return turned
		case <-time.After(checkEvery):
		}
		answer, err := probe.Get(from + "/health")
		if err == nil {
			_ = answer.Body.Close()
		}
		if failures++; err == nil && answer.StatusCode == http.StatusOK {
			failures = 0
		}
	}
	f.to.Store(&to)
	return time.Now()
}

// recoveryPoint is what the documents promise: predictions that were answered
// earlier than this before a region is lost are in the other.
const recoveryPoint = 5 * time.Second

// TestRecoveryOfARegion loses the first of two regions whole under load, does
// in the second what the document says, and goes back. RECOVERY=long.
func TestRecoveryOfARegion(t *testing.T) {
	if os.Getenv("RECOVERY") != "long" {
		t.Skip("takes a minute on a machine of its own: make regions")
	}
	first := &region{postgres: storetest.NewPostgres(t, "wal_level=replica", "max_wal_senders=8", "wal_keep_size=256MB"), redis: storetest.NewRedis(t), s3: registrytest.NewS3(t)}
	second := &region{postgres: first.postgres.NewReplica(), redis: storetest.NewRedis(t), s3: registrytest.NewS3(t)}
	backups := second.s3.Location("backups")
	first.settle(t, backups)
	second.settle(t, backups)
	command := func(r *region, args ...string) string {
		t.Helper()
		code, stdout, stderr := run(t, r.env, args...)
		if code != success {
			t.Fatalf("%v: %s", args, stderr)
		}
		return stdout
	}
	r, err := registry.Open(t.Context(), first.env["MODEL_DIR"])
	if err != nil {
		t.Fatal(err)
	}
	for i, version := range []string{"kc-2", "kc-3"} {
		if _, err := r.Push(t.Context(), version, strings.NewReader(string(bundletest.Bytes(t, version, uint64(i+1)))), nil, pushed); err != nil {
			t.Fatal(err)
		}
	}
	r.Close()
	command(first, "rollout", "set", "--primary", "kc-3")
	command(first, "demographics", "import", flatFigures(t, 10))
	first.serve(t)
	for _, s := range first.services {
		s.until("first region", "journal", "up", "")
	}
	command(first, "backup", "create")
	command(second, "backup", "restore", "--only", "registry", "--force")
	second.serve(t)
	for _, s := range second.services {
		s.until("second region", "registry", "up", "")
		s.until("second region", "postgresql", "down", "read_only")
	}

	f := &traffic{client: &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}, answered: map[string]time.Time{}}
	one, two := first.base(), second.base()
	f.to.Store(&one)
	stop := make(chan struct{})
	end := sync.OnceFunc(func() { close(stop) })
	defer end()
	l := startLoad(second.services, nil, 100, func(_ *process, i int) error { f.ask(i); return nil })
	finish := sync.OnceFunc(func() { l.finish(t) })
	defer finish()
	turned := make(chan time.Time, 1)
	go func() { turned <- f.check(one, two, stop) }()
	time.Sleep(8 * time.Second)

	lost := time.Now()
	first.lose()
	at := <-turned
	t.Logf("the first region was lost; traffic went to the second after %v", at.Sub(lost).Round(time.Millisecond))
	p := newProcedure(t, second.env)
	promote := time.Now()
	p.Run("region-promote")
	for _, s := range second.services {
		s.until("promoted", "postgresql", "up", "")
		s.until("promoted", "journal", "up", "")
	}
	t.Logf("promoted; its replicas write after %v", time.Since(promote).Round(time.Millisecond))
	time.Sleep(3 * time.Second)
	for _, s := range second.services {
		s.settled()
	}
	f.mu.Lock()
	outside := 0
	for _, when := range f.failed {
		if when.Before(lost) || when.After(at.Add(2*time.Second)) {
			outside++
		}
	}
	failed, answered := len(f.failed), maps.Clone(f.answered)
	f.mu.Unlock()
	if outside > 0 {
		t.Errorf("%d requests failed when all was well", outside)
	}
	found := rows(t, openPool(t, second.postgres.URL))
	missing, late, oldest := 0, 0, time.Duration(0)
	for id, when := range answered {
		if time.Since(when) < 2*time.Second {
			late++ // it may be on its way
			continue
		}
		if found[id] == 0 {
			missing++
			oldest = max(oldest, lost.Sub(when))
			if when.Before(lost.Add(-recoveryPoint)) || when.After(at) {
				t.Errorf("a prediction of %v before the region was lost is missing", lost.Sub(when))
			}
		}
	}
	t.Logf("%d requests failed until traffic turned; of %d predictions that were answered %d are lost, the oldest of %v before", failed, len(answered), missing, oldest.Round(time.Millisecond))

	// Back to the first region.
	back := maps.Clone(first.env)
	back["OTHER_DATABASE_URL"] = second.postgres.URL
	first.postgres.Rebuild(func(data string) {
		back["PGDATA"] = data
		p = newProcedure(t, back)
		p.Run("region-rebuild")
	})
	first.redis.Start()
	first.s3.Start()
	if err := os.RemoveAll(filepath.Join(first.env["JOURNAL_DIR"])); err != nil { // the disks were lost too
		t.Fatal(err)
	}
	command(second, "backup", "create")
	p.Run("region-registry")
	first.serve(t)
	for _, s := range first.services {
		s.until("first region, again", "postgresql", "down", "read_only")
	}
	one = first.base()
	f.to.Store(&one)
	for _, s := range second.services {
		if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		<-s.ended
	}
	p.Run("region-back")
	for _, s := range first.services {
		s.until("first region, again", "journal", "up", "")
	}
	second.postgres.Kill()
	time.Sleep(2 * time.Second)
	finish()
	end()
	for _, s := range first.services {
		s.settled()
	}
	found = rows(t, openPool(t, first.postgres.URL))
	f.mu.Lock()
	defer f.mu.Unlock()
	missing = 0
	for id, when := range f.answered {
		if found[id] == 0 && when.After(at) {
			missing++
		}
	}
	if missing > 0 || len(f.failed) != failed {
		t.Errorf("on the way back %d predictions were lost and %d requests failed", missing, len(f.failed)-failed)
	}
	t.Logf("back in the first region: of %d predictions none since the loss is missing, no request failed", len(f.answered))
}
