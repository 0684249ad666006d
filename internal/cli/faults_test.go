package cli

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"housing/internal/demographics"
	"housing/internal/house"
	"housing/internal/store/storetest"
)

// A request that waited for the database would wait for one of its timeouts,
// which are longer than this.
const waitedForDatabase = time.Second

// seenWithin is how soon a service says how what it depends on is, where the
// machine has nothing else to do.
const seenWithin = 5 * time.Second

// load asks services, over and over.
type load struct {
	services []*process
	control  *process // that depends on nothing: what it takes is the machine's doing; nil without one
	once     func(s *process, i int) error
	client   *http.Client
	stop     chan struct{}
	running  sync.WaitGroup

	mu     sync.Mutex
	took   []time.Duration
	alone  []time.Duration // that the control took
	faults []string        // the first few
	failed int
	asked  int
	slow   int // that took longer than waitedForDatabase
}

// pricedAs returns a request for the price of a house that must be one of
// some.
func pricedAs(prices ...float64) func(s *process, i int) error {
	return func(s *process, _ int) error {
		price, _, err := s.predict("98115")
		if err == nil && !slices.Contains(prices, price) {
			err = fmt.Errorf("the price is %v, by neither table: %v", price, prices)
		}
		return err
	}
}

// startLoad does something perSecond times a second, by turns with each
// service, whether or not answers come; it is told how often that was before.
func startLoad(services []*process, control *process, perSecond int, once func(s *process, i int) error) *load {
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	l := &load{once: once, client: &http.Client{Transport: transport}, stop: make(chan struct{})}
	for _, s := range services {
		l.services = append(l.services, &process{t: s.t, base: s.base, client: l.client})
	}
	if control != nil {
		l.control = &process{t: control.t, base: control.base, client: l.client}
	}
	slots := make(chan struct{}, 64)
	l.running.Go(func() {
		ticker := time.NewTicker(time.Second / time.Duration(perSecond))
		defer ticker.Stop()
		for i := 0; ; i++ {
			select {
			case <-l.stop:
				return
			case due := <-ticker.C:
				slots <- struct{}{}
				if l.control != nil && i%len(l.services) == 0 {
					l.running.Go(func() { l.askControl(due) })
				}
				l.running.Go(func() {
					l.ask(l.services[i%len(l.services)], i, due)
					<-slots
				})
			}
		}
	})
	return l
}

func (l *load) ask(s *process, i int, due time.Time) {
	err := l.once(s, i)
	took := time.Since(due)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took = append(l.took, took)
	l.asked++
	if took > waitedForDatabase {
		l.slow++
	}
	if err != nil {
		if l.failed++; l.failed <= 5 {
			l.faults = append(l.faults, err.Error())
		}
	}
}

// askControl asks the control as often as each of the services is asked.
func (l *load) askControl(due time.Time) {
	_, _, err := l.control.predict("98115")
	took := time.Since(due)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.alone = append(l.alone, took)
	}
}

// lap describes the requests since the last lap.
func (l *load) lap() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	took, alone := l.took, l.alone
	l.took, l.alone = nil, nil
	if len(took) == 0 {
		return "no requests"
	}
	if l.control == nil {
		return fmt.Sprintf("%d requests, p50 %v, p99 %v, most %v", len(took), at(took, 0.5), at(took, 0.99), at(took, 1))
	}
	if len(alone) == 0 {
		return "no requests of the control"
	}
	return fmt.Sprintf("%d requests, p50 %v, p99 %v, most %v; the control p50 %v, p99 %v",
		len(took), at(took, 0.5), at(took, 0.99), at(took, 1), at(alone, 0.5), at(alone, 0.99))
}

// at returns the time in which a share of the requests was answered.
func at(took []time.Duration, share float64) time.Duration {
	slices.Sort(took)
	return took[int(share*float64(len(took)-1))].Round(10 * time.Microsecond)
}

// end stops asking and fails the test if a request failed, or if more were
// slow than a busy machine explains.
func (l *load) end(t *testing.T) {
	t.Helper()
	close(l.stop)
	l.running.Wait()
	l.client.CloseIdleConnections()
	if l.slow > l.asked/100 {
		t.Errorf("%d of %d requests took more than %v: they wait for something", l.slow, l.asked, waitedForDatabase)
	}
	if l.failed > 0 {
		t.Errorf("%d requests failed: %s", l.failed, strings.Join(l.faults, "\n"))
	}
}

// flatFigures writes a file of ten areas around 98115 with v in every column.
func flatFigures(t *testing.T, v float32) string {
	t.Helper()
	zipcodes, areas := make([]house.Zipcode, 10), make([]demographics.Area, 10)
	for i := range zipcodes {
		zipcodes[i] = house.Zipcode(98110 + i)
		for c := range areas[i] {
			areas[i][c] = v
		}
	}
	table, err := demographics.NewTable(zipcodes, areas)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := table.Write(&out); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "figures.csv")
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestNoRequestFailsWhateverTheStoresDo hangs, kills, exhausts and locks the
// database and Redis, and imports tables, while houses are valued. With FAULTS=long
// it is three services at 500 requests a second for two minutes.
func TestNoRequestFailsWhateverTheStoresDo(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for many timeouts")
	}
	count, perSecond, hold := 1, 100, time.Duration(0)
	if os.Getenv("FAULTS") == "long" {
		count, perSecond, hold = 3, 500, 7*time.Second
	}
	primary := storetest.NewPostgres(t, "max_connections=40")
	replica := primary.NewReplica()
	redis := storetest.NewRedis(t)
	env := map[string]string{"DATABASE_URL": primary.URL, "DATABASE_REPLICA_URLS": replica.URL,
		// Each request asks Redis for its limit, and for what is not in memory.
		"REDIS_URL": redis.URL, "RATE_LIMIT": "1000000/minute", "RESPONSE_CACHE": "on", "RESPONSE_CACHE_TTL": "100ms"}
	services := make([]*process, count)
	for i := range services {
		services[i] = startService(t, env)
	}
	files := []string{flatFigures(t, 10), flatFigures(t, 90)}
	bring := func(file string) {
		t.Helper()
		if code, _, stderr := run(t, env, "demographics", "import", "--force", file); code != success {
			t.Fatalf("import: %s", stderr)
		}
	}
	refuse := func(what, want string) {
		t.Helper()
		code, _, stderr := run(t, env, "demographics", "import", "--force", files[1])
		if code != failure || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("import while %s: code %d, %s", what, code, stderr)
		}
	}
	var prices []float64
	for _, file := range files {
		before, _, err := services[0].predict("98115")
		if err != nil {
			t.Fatal(err)
		}
		bring(file)
		prices = append(prices, services[0].untilPriced("import", "98115", func(p float64, _ bool) bool { return p != before }))
	}
	priced := func(what string, price float64) {
		t.Helper()
		for _, s := range services {
			s.untilPriced(what, "98115", func(p float64, _ bool) bool { return p == price })
		}
	}
	priced("both imports", prices[1])

	l := startLoad(services, startService(t, nil), perSecond, pricedAs(prices...))
	defer l.end(t)
	phase := func(what string, do func()) {
		t.Helper()
		do()
		time.Sleep(hold) // the long run is as long as it is said to be
		t.Logf("%-22s %s", what+":", l.lap())
	}
	become := func(what, component, status, reason string) {
		t.Helper()
		var longest time.Duration
		for _, s := range services {
			longest = max(longest, s.until(what, component, status, reason))
			up := map[string]string{"up": "1", "down": "0"}[status]
			if shown := s.metric(`dependency_up{dependency="` + component + `"}`); shown != up {
				t.Errorf("%s: dependency_up of %s is %s", what, component, shown)
			}
		}
		// A machine that runs other tests beside this one may be later.
		if hold > 0 && longest > seenWithin {
			t.Errorf("%s: %s is %s after %v only", what, component, status, longest)
		}
		t.Logf("%-22s %s is %s after %v", what+":", component, status, longest.Round(time.Millisecond))
	}
	phase("quiet", func() { time.Sleep(time.Second + 3*hold) })
	phase("import", func() { bring(files[0]); priced("import", prices[0]) })
	phase("hung", func() {
		primary.Hang()
		become("hung", "postgresql", "down", "timeout")
		refuse("it hangs", "did not answer in time")
	})
	phase("goes on", func() { primary.Resume(); become("goes on", "postgresql", "up", "") })
	phase("killed", func() {
		primary.Kill()
		become("killed", "postgresql", "down", "unreachable")
		refuse("it is killed", "cannot be reached")
		late := startService(t, env)
		late.untilPriced("a service that starts without the primary", "98115", func(p float64, _ bool) bool { return p == prices[0] })
		late.until("without the primary", "postgresql_replicas", "up", "")
	})
	phase("started again", func() { primary.Start(); become("started again", "postgresql", "up", "") })
	phase("read-only", func() {
		primary.ReadOnly(true)
		become("read-only", "postgresql", "down", "read_only")
		refuse("it is read-only", "takes no change")
	})
	phase("no longer read-only", func() { primary.ReadOnly(false); become("no longer read-only", "postgresql", "up", "") })
	phase("out of connections", func() {
		release := primary.Exhaust()
		defer release()
		refuse("it is out of connections", "has no connection left")
		late := startService(t, map[string]string{"DATABASE_URL": primary.URL})
		late.until("a service that starts without connections", "postgresql", "down", "out_of_connections")
		release()
		late.until("connections", "postgresql", "up", "")
		late.untilPriced("connections", "98115", func(p float64, _ bool) bool { return p == prices[0] })
	})
	if hold > 0 {
		phase("replica killed", func() { replica.Kill(); become("replica killed", "postgresql_replicas", "down", "unreachable") })
		phase("replica started", func() { replica.Start(); become("replica started", "postgresql_replicas", "up", "") })
	}
	phase("Redis hung", func() { redis.Hang(); become("Redis hung", "redis", "down", "timeout") })
	phase("Redis goes on", func() { redis.Resume(); become("Redis goes on", "redis", "up", "") })
	if hold > 0 {
		phase("Redis killed", func() { redis.Kill(); become("Redis killed", "redis", "down", "unreachable") })
		phase("Redis restarted empty", func() { redis.Start(); become("Redis restarted empty", "redis", "up", "") })
		phase("Redis full", func() { redis.Fill(); become("Redis full", "redis", "down", "full") })
		phase("Redis has room", func() { redis.Empty(); become("Redis has room", "redis", "up", "") })
		phase("Redis read-only", func() { redis.ReadOnly(true); become("Redis read-only", "redis", "down", "read_only") })
		phase("Redis writable", func() { redis.ReadOnly(false); become("Redis writable", "redis", "up", "") })
	}
	phase("import at the end", func() { bring(files[1]); priced("import at the end", prices[1]) })
}
