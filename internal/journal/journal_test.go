package journal

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"housing/internal/store"
	"housing/internal/store/storetest"
	"housing/internal/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds how long a test waits for what must come.
const patience = 60 * time.Second

// running is a journal that runs.
type running struct {
	*Journal
	t    testing.TB
	stop func() // and wait
}

func openPool(t testing.TB, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := store.OpenPool(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// open opens a journal that does not run yet.
func open(t testing.TB, url, dir string, change func(*Options)) *Journal {
	t.Helper()
	reg := prometheus.NewRegistry()
	metrics := telemetry.NewMetrics(reg)
	log := slog.New(slog.NewTextHandler(logged{t}, nil))
	o := Options{Pool: openPool(t, url), Dir: dir, SpoolBytes: 16 << 20, Retention: 400 * 24 * time.Hour, Metrics: metrics, Log: log,
		Dependency: store.NewDependency("journal", metrics.DependencyUp("journal"), log)}
	if change != nil {
		change(&o)
	}
	return Open(o)
}

// logged writes a log to that of the test.
type logged struct{ t testing.TB }

func (l logged) Write(b []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// start opens a journal and lets it run until the test ends.
func start(t testing.TB, url, dir string, change func(*Options)) *running {
	t.Helper()
	j := open(t, url, dir, change)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); j.Run(ctx) }()
	r := &running{Journal: j, t: t, stop: func() { cancel(); <-done }}
	t.Cleanup(r.stop)
	return r
}

// settled waits until everything that was recorded is written.
func (r *running) settled() {
	r.t.Helper()
	r.until("nothing waits", func() bool { return r.spool.held() == 0 && r.Dependency.State().Status == store.Up })
}

func (r *running) until(what string, is func() bool) {
	r.t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("%s: not within %v; %d wait, %+v", what, patience, r.spool.held(), r.Dependency.State())
		}
	}
}

// count returns a number that PostgreSQL counts.
func count(t testing.TB, pool *pgxpool.Pool, sql string, args ...any) (n int) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// inDatabase returns how often each record is in the table.
func inDatabase(t testing.TB, pool *pgxpool.Pool) map[key]int {
	t.Helper()
	rows, err := pool.Query(t.Context(), "SELECT id::text, record, price FROM predictions")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	found := map[key]int{}
	for rows.Next() {
		var id string
		var k key
		if err := rows.Scan(&id, &k.record, &k.price); err != nil {
			t.Fatal(err)
		}
		if k.id, err = ParseID(id); err != nil {
			t.Fatal(err)
		}
		found[k]++
	}
	return found
}

func wantOnce(t testing.TB, got map[key]int, want map[key]int) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d records are there, want %d", len(got), len(want))
	}
	for k := range want {
		if got[k] != 1 {
			t.Fatalf("%v is there %d times", k, got[k])
		}
	}
}

// TestEveryPredictionIsThereOnce kills, hangs and restarts PostgreSQL while
// predictions come in.
func TestEveryPredictionIsThereOnce(t *testing.T) {
	t.Parallel()
	server := storetest.NewPostgres(t)
	server.Kill()
	r := start(t, server.URL, t.TempDir(), nil)
	want := map[key]int{}
	var mu sync.Mutex
	end := make(chan struct{})
	var writing sync.WaitGroup
	for range 4 {
		writing.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-end:
					return
				case <-time.After(2 * time.Millisecond):
				}
				p := some(1 + i%5)
				if i%3 == 0 {
					p.ID = NamedID("user", fmt.Sprint(rand.Uint64()), "/v1/predict", nil)
				}
				r.Record(p)
				mu.Lock()
				for n, price := range p.Prices {
					want[key{p.ID, n, price}] = 1
				}
				mu.Unlock()
			}
		})
	}
	r.until("down", func() bool { return r.Dependency.State().Reason == store.Unreachable && r.spool.held() > 0 })
	for range 2 {
		server.Start()
		r.until("written", func() bool {
			return testutil.ToFloat64(r.metrics.Written) > 0 && r.Dependency.State().Status == store.Up
		})
		time.Sleep(700 * time.Millisecond) // a batch may be under way
		server.Kill()
		r.until("killed", func() bool { return r.Dependency.State().Status == store.Down })
	}
	server.Start()
	r.until("up", func() bool { return r.Dependency.State().Status == store.Up })
	server.Hang()
	time.Sleep(500 * time.Millisecond)
	server.Resume()
	close(end)
	writing.Wait()
	r.settled()
	wantOnce(t, inDatabase(t, r.Pool), want)
	if n := testutil.ToFloat64(r.metrics.Recorded); int(n) != len(want) {
		t.Errorf("%v recorded, want %d", n, len(want))
	}
}

// TestATornEntryCountsOnceAndKeepsNothingBack: it fills the batch between
// others when the service stops, after it was found at the start.
func TestATornEntryCountsOnceAndKeepsNothingBack(t *testing.T) {
	t.Parallel()
	server := storetest.NewPostgres(t)
	dir := t.TempDir()
	before := open(t, server.URL, dir, nil)
	before.Record(some(batchRecords)) // two entries
	before.Record(some(2))
	path := before.spool.segments[0].path
	if _, err := before.spool.close(); err != nil {
		t.Fatal(err)
	}
	tear(t, path, 2)
	j := open(t, server.URL, dir, nil)
	if err := j.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	j.Record(some(1))
	stopped, stop := context.WithCancel(t.Context())
	stop()
	j.Run(stopped)
	if n := count(t, j.Pool, "SELECT count(*) FROM predictions"); n != batchRecords+1 {
		t.Errorf("%d rows, want %d", n, batchRecords+1)
	}
	if n := testutil.ToFloat64(j.metrics.Dropped(telemetry.DroppedTorn)); n != 1 {
		t.Errorf("%v are counted as torn, want the one entry", n)
	}
}

// TestWhatIsBroughtTwiceCountsOnce brings one batch again, as after a commit
// whose answer was lost.
func TestWhatIsBroughtTwiceCountsOnce(t *testing.T) {
	t.Parallel()
	server := storetest.NewPostgres(t)
	j := open(t, server.URL, "", nil)
	ctx := t.Context()
	if err := j.begin(ctx); err != nil {
		t.Fatal(err)
	}
	p, named := some(3), some(2)
	named.ID = NamedID("user", "request", "/v1/predict", nil)
	// The same request on another replica in the next month, with other prices,
	// brought in one batch and in two.
	again := *named
	again.Time, again.Prices = named.Time.AddDate(0, 1, -named.Time.Day()+1), []float64{1, 2}
	shadow := *named
	shadow.Shadow, shadow.Version, shadow.Role = true, "kc-2", "candidate"
	for _, batch := range [][]Prediction{{*p, *named}, {*p, *named}, {again}, {again, *named, shadow}} {
		if dropped, err := j.write(ctx, batch); err != nil || len(dropped) > 0 {
			t.Fatal(dropped, err)
		}
	}
	if n := count(t, j.Pool, "SELECT count(*) FROM predictions"); n != 3+2+2 {
		t.Errorf("%d rows, want 7", n)
	}
	if n := count(t, j.Pool, "SELECT count(*) FROM predictions WHERE NOT shadow AND price < 100"); n != 0 {
		t.Errorf("%d rows of the second answer", n)
	}
	// What PostgreSQL refuses keeps nothing else back.
	bad := *some(1)
	bad.Version = "a\x00b"
	if dropped, err := j.write(ctx, []Prediction{bad, *some(1)}); err != nil || dropped[telemetry.DroppedRefused] != 1 {
		t.Errorf("dropped %v, %v", dropped, err)
	}
	old, future := *some(1), *some(1)
	old.ID = NewID(time.Now().AddDate(-2, 0, 0))
	future.ID = NewID(time.Now().AddDate(0, 3, 0))
	if dropped, err := j.write(ctx, []Prediction{old, future, *some(1)}); err != nil || dropped[telemetry.DroppedExpired] != 1 || dropped[telemetry.DroppedClock] != 1 {
		t.Errorf("dropped %v, %v", dropped, err)
	}
	if n := count(t, j.Pool, "SELECT count(*) FROM predictions"); n != 9 {
		t.Errorf("%d rows, want 9", n)
	}
	if _, err := j.spool.close(); err != nil {
		t.Error(err)
	}
}

// TestAFullSpoolDropsAndCounts lets more come than fits while PostgreSQL is
// away.
func TestAFullSpoolDropsAndCounts(t *testing.T) {
	t.Parallel()
	server := storetest.NewPostgres(t)
	server.Kill()
	r := start(t, server.URL, t.TempDir(), func(o *Options) { o.SpoolBytes = 1 << 20 })
	total := 0
	r.until("full", func() bool {
		for range 20 {
			r.Record(some(50))
			total += 50
		}
		return r.Dependency.State().Reason == store.Full
	})
	recorded, dropped := testutil.ToFloat64(r.metrics.Recorded), testutil.ToFloat64(r.metrics.Dropped(telemetry.DroppedFull))
	if dropped == 0 || int(recorded+dropped) != total || r.spool.bytes > 1<<20 {
		t.Errorf("%v recorded and %v dropped of %d", recorded, dropped, total)
	}
	server.Start()
	r.settled()
	if n := count(t, r.Pool, "SELECT count(*) FROM predictions"); n != int(recorded) {
		t.Errorf("%d rows, want %v", n, recorded)
	}
}

// TestMonthsAreMadeAheadAndDropped by one of several at a time.
func TestMonthsAreMadeAheadAndDropped(t *testing.T) {
	t.Parallel()
	server := storetest.NewPostgres(t)
	var journals []*Journal
	for range 5 {
		journals = append(journals, open(t, server.URL, "", func(o *Options) { o.Retention = 60 * 24 * time.Hour }))
	}
	ctx := t.Context()
	j := journals[0]
	if err := j.begin(ctx); err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	for _, age := range []int{14, 5} {
		m := monthOf(now) - month(age)
		if _, err := j.Pool.Exec(ctx, fmt.Sprintf("CREATE TABLE %s PARTITION OF predictions FOR VALUES FROM ('%s') TO ('%s')", m.table(), m.bound(), (m+1).bound())); err != nil {
			t.Fatal(err)
		}
	}
	for _, sql := range []string{
		"INSERT INTO prediction_keys SELECT gen_random_uuid(), now() - interval '1 year' FROM generate_series(1, 12000)",
		"INSERT INTO prediction_keys VALUES (gen_random_uuid(), now())",
		"INSERT INTO outcomes (id, record, price, sold_on, received_at) SELECT gen_random_uuid(), 0, 5e5, '2015-05-01', now() - interval '1 year'",
		"INSERT INTO outcomes (id, record, price, sold_on) SELECT gen_random_uuid(), 0, 5e5, '2015-05-01'",
	} {
		if _, err := j.Pool.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	if dropped, err := j.write(ctx, []Prediction{*some(2)}); err != nil || len(dropped) > 0 {
		t.Fatal(dropped, err)
	}
	var group sync.WaitGroup
	for _, j := range journals {
		group.Go(func() {
			if err := j.sweep(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	const partitions = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'predictions'::regclass"
	if n := count(t, j.Pool, partitions); n != 2 {
		t.Errorf("%d partitions, want this month and the next", n)
	}
	for table, want := range map[string]int{"predictions": 2, "prediction_keys": 1, "outcomes": 1} {
		if n := count(t, j.Pool, "SELECT count(*) FROM "+table); n != want {
			t.Errorf("%s has %d rows, want %d", table, n, want)
		}
	}
	// A partition that another drops is made again.
	if _, err := j.Pool.Exec(ctx, "DROP TABLE "+monthOf(now).table()); err != nil {
		t.Fatal(err)
	}
	if dropped, err := j.write(ctx, []Prediction{*some(1)}); err != nil || len(dropped) > 0 {
		t.Errorf("after a partition was dropped: %v, %v", dropped, err)
	}
	for _, j := range journals {
		if _, err := j.spool.close(); err != nil {
			t.Error(err)
		}
	}
}

// TestTwentyJournalsBeginAtOnce on an empty database.
func TestTwentyJournalsBeginAtOnce(t *testing.T) {
	t.Parallel()
	server := storetest.NewPostgres(t)
	dir := t.TempDir()
	var all []*running
	for range 20 {
		all = append(all, start(t, server.URL, dir, nil))
	}
	for _, r := range all {
		r.Record(some(2))
	}
	for _, r := range all {
		r.settled()
	}
	if n := count(t, all[0].Pool, "SELECT count(*) FROM predictions"); n != 40 {
		t.Errorf("%d rows, want 40", n)
	}
	for _, r := range all {
		r.stop()
	}
	if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
		t.Errorf("they leave %v, %v", left, err)
	}
}

// TestOutcomesAreKeptOnce: thousands a call, the same again, corrected ones,
// those that come before their prediction.
func TestOutcomesAreKeptOnce(t *testing.T) {
	t.Parallel()
	server := storetest.NewPostgres(t)
	r := start(t, server.URL, "", nil)
	ctx := t.Context()
	r.settled()
	day := time.Date(2015, 5, 1, 0, 0, 0, 0, time.UTC)
	var outcomes []Outcome
	for range 10 {
		p := some(500)
		r.Record(p)
		for i, price := range p.Prices {
			outcomes = append(outcomes, Outcome{p.ID, i, price * 1.1, day})
		}
	}
	r.settled()
	late := some(3)
	for i := range 3 {
		outcomes = append(outcomes, Outcome{late.ID, i, 250_000, day})
	}
	want := func(what string, got Result, err error, recorded, known, corrected, unmatched int) {
		t.Helper()
		if err != nil || got.Recorded != recorded || got.Known != known || got.Corrected != corrected || got.Unmatched != unmatched || len(got.FirstUnmatched) != min(unmatched, maxUnmatched) {
			t.Errorf("%s: %+v, %v; want %d recorded, %d known, %d corrected, %d unmatched", what, got, err, recorded, known, corrected, unmatched)
		}
	}
	got, err := r.Outcomes(ctx, outcomes)
	want("new", got, err, 5003, 0, 0, 3)
	if len(got.FirstUnmatched) == 3 && got.FirstUnmatched[0] != 5000 {
		t.Errorf("unmatched are %v", got.FirstUnmatched)
	}
	got, err = r.Outcomes(ctx, outcomes)
	want("the same again", got, err, 0, 5003, 0, 3)
	outcomes[0].Price++
	got, err = r.Outcomes(ctx, append(outcomes[:2:2], outcomes[0], Outcome{outcomes[0].ID, 0, 7, day}))
	want("one corrected, three times in the call", got, err, 0, 2, 2, 0)
	if n := count(t, r.Pool, "SELECT corrections FROM outcomes WHERE id = $1 AND record = 0", outcomes[0].ID.String()); n != 1 {
		t.Errorf("%d corrections", n)
	}
	// The prediction comes after its outcome, and is measured then.
	r.Record(late)
	r.settled()
	if err := r.measureWaiting(ctx); err != nil {
		t.Error(err)
	}
	if n := count(t, r.Pool, "SELECT count(*) FROM outcomes WHERE NOT measured"); n != 0 {
		t.Errorf("%d outcomes are not measured", n)
	}
	unknown := make([]Outcome, 300)
	for i := range unknown {
		unknown[i] = Outcome{NewID(time.Now()), 0, 1e5, day}
	}
	got, err = r.Outcomes(ctx, unknown)
	want("unknown", got, err, 300, 0, 0, 300)
	if _, err := r.Outcomes(ctx, make([]Outcome, MaxOutcomes+1)); err == nil {
		t.Error("too many were taken")
	}
	server.Kill()
	// A connection that was open may have been told why it ends.
	if _, err := r.Outcomes(ctx, outcomes); store.ReasonOf(err) != store.Unreachable && store.ReasonOf(err) != store.Restarting {
		t.Errorf("without PostgreSQL: %v", err)
	}
}

// TestArmsSayWhichVersionIsCloser of three: the primary, a candidate that is
// worse, and one that is only asked aside.
func TestArmsSayWhichVersionIsCloser(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 3))
	server := storetest.NewPostgres(t)
	r := start(t, server.URL, "", nil)
	ctx := t.Context()
	r.settled()
	since := time.Now().Add(-time.Hour)
	if arms, d, err := r.Arms(ctx, since.Add(time.Minute)); len(arms) != 0 || d != (Difference{}) || err != nil {
		t.Errorf("of nothing: %v, %v, %v", arms, d, err)
	}
	var outcomes []Outcome
	day := time.Date(2015, 5, 1, 0, 0, 0, 0, time.UTC)
	spread := map[string]float64{"primary": 0.1, "candidate": 0.2}
	for role, s := range spread {
		for range 40 {
			p := some(20)
			p.Role, p.Version = role, "kc-"+role
			for i := range p.Prices {
				sold := 400_000.0
				p.Prices[i] = sold * math.Exp(s*random.NormFloat64())
				if i%2 == 0 {
					outcomes = append(outcomes, Outcome{p.ID, i, sold, day})
				}
			}
			r.Record(p)
			aside := *p
			aside.Shadow, aside.Role, aside.Version = true, "shadow", "kc-aside"
			r.Record(&aside)
		}
	}
	r.settled()
	if _, err := r.Outcomes(ctx, outcomes); err != nil {
		t.Fatal(err)
	}
	arms, d, err := r.Arms(ctx, since)
	if err != nil || len(arms) != 3 {
		t.Fatalf("%+v, %v", arms, err)
	}
	for _, a := range arms {
		t.Logf("%+v", a)
		if a.Shadow {
			continue
		}
		// Of a normal spread s of logarithms, half are within 0.674 s.
		want := 100 * 0.674 * spread[a.Role]
		if a.Predictions != 800 || a.Outcomes != 400 || math.Abs(a.MdAPE.Value-want) > want/3 ||
			!(a.MdAPE.Low < a.MdAPE.Value && a.MdAPE.Value < a.MdAPE.High) || !(a.PPE10.Low < a.PPE10.Value && a.PPE10.Value < a.PPE10.High) ||
			math.Abs(a.MedianRatio.Value-1) > 0.08 || !(a.MedianRatio.Low < a.MedianRatio.High) {
			t.Errorf("%+v, want MdAPE near %v", a, want)
		}
	}
	if d.Primary != "kc-primary" || d.Candidate != "kc-candidate" || d.Better != "primary" || d.Outcomes != [2]int{400, 400} {
		t.Errorf("%+v", d)
	}
	server.Kill()
	if kept, _, err := r.Arms(ctx, since); len(kept) != 3 || err != nil {
		t.Errorf("a moment later: %v, %v", kept, err)
	}
	if _, _, err := r.Arms(ctx, since.Add(time.Minute)); store.ReasonOf(err) != store.Unreachable && store.ReasonOf(err) != store.Restarting {
		t.Errorf("without PostgreSQL: %v", err)
	}
}

func TestVersionsThatLabelAMetricAreBounded(t *testing.T) {
	metrics := telemetry.NewMetrics(prometheus.NewRegistry())
	l := labels{metrics: metrics}
	for i := range 3 * maxVersions {
		l.of(fmt.Sprint(i)).Observe(1)
	}
	if len(l.known) != maxVersions {
		t.Errorf("%d versions", len(l.known))
	}
}

// TestWhatWaitsIsSeenAtOnce scrapes between two looks of the journal at
// itself: who waits until nothing waits must not be told so too early.
func TestWhatWaitsIsSeenAtOnce(t *testing.T) {
	t.Parallel()
	server := storetest.NewPostgres(t)
	server.Kill()
	reg := prometheus.NewRegistry()
	j := open(t, server.URL, t.TempDir(), func(o *Options) { o.Metrics = telemetry.NewMetrics(reg) })
	j.Record(some(3))
	if err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP journal_waiting_records Valued houses that wait to be brought to PostgreSQL.
# TYPE journal_waiting_records gauge
journal_waiting_records 3
`), "journal_waiting_records"); err != nil {
		t.Error(err)
	}
	if _, err := j.spool.close(); err != nil {
		t.Error(err)
	}
}

// TestAJournalInMemoryLosesAloud what it could not bring at the end.
func TestAJournalInMemoryLosesAloud(t *testing.T) {
	t.Parallel()
	server := storetest.NewPostgres(t)
	server.Kill()
	var log strings.Builder
	var mu sync.Mutex
	r := start(t, server.URL, "/dev/null/no", func(o *Options) {
		o.Log = slog.New(slog.NewTextHandler(locked{&mu, &log}, nil))
	})
	r.Record(some(3))
	r.stop()
	if n := testutil.ToFloat64(r.metrics.Dropped(telemetry.DroppedLost)); n != 3 {
		t.Errorf("%v lost, want 3", n)
	}
	mu.Lock()
	defer mu.Unlock()
	if n := strings.Count(log.String(), "journal_in_memory"); n != 1 {
		t.Errorf("it says %d times that it is in memory: %s", n, &log)
	}
}

type locked struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}
