package database_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"housing/internal/demographics"
	"housing/internal/demographics/database"
	"housing/internal/house"
	"housing/internal/store"
	"housing/internal/store/schema"
	"housing/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// table returns n areas whose figures are all v.
func table(t *testing.T, n int, v float32) *demographics.Table {
	t.Helper()
	zipcodes, areas := make([]house.Zipcode, n), make([]demographics.Area, n)
	for i := range zipcodes {
		zipcodes[i] = house.Zipcode(98000 + i)
		for c := range areas[i] {
			areas[i][c] = v
		}
	}
	made, err := demographics.NewTable(zipcodes, areas)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func open(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := store.OpenPool(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func TestTwentyProcessesMigrateAnEmptyDatabaseAtOnce(t *testing.T) {
	t.Parallel()
	server := storetest.NewPostgres(t)
	ctx := context.Background()
	var group sync.WaitGroup
	failed := make(chan error, 20)
	for range 20 {
		pool := open(t, server.URL)
		group.Go(func() { failed <- schema.Migrate(ctx, pool) })
	}
	group.Wait()
	for range 20 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	if table, version, err := database.Load(ctx, open(t, server.URL)); table != nil || version.Rows != 0 || err != nil {
		t.Errorf("an empty database holds %v at %+v: %v", table, version, err)
	}
}

// TestAServiceThatMayOnlyRead has no right at first, and then that to read.
func TestAServiceThatMayOnlyRead(t *testing.T) {
	t.Parallel()
	server := storetest.NewPostgres(t)
	server.SQL("CREATE ROLE reader LOGIN")
	ctx, pool := context.Background(), open(t, server.URL)
	var out bytes.Buffer
	var mu sync.Mutex
	log := slog.New(slog.NewTextHandler(writer(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return out.Write(b)
	}), nil))
	complaints := func() int {
		mu.Lock()
		defer mu.Unlock()
		return strings.Count(out.String(), "msg=demographics_watch reason=permission")
	}
	dependency := store.NewDependency("postgresql", prometheus.NewGauge(prometheus.GaugeOpts{Name: "up"}), log)
	postgres, err := store.OpenPostgres(strings.Replace(server.URL, "housing@", "reader@", 1), nil, dependency, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer postgres.Close()
	applied := make(chan *demographics.Table, 1)
	watcher := &database.Watcher{Store: postgres, Log: log, Apply: func(now *demographics.Table, _ database.Version) { applied <- now }}
	watching, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { postgres.Run(watching) })
	running.Go(func() { watcher.Run(watching) })
	defer running.Wait()
	defer stop()

	for end := time.Now().Add(30 * time.Second); complaints() == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not say that it may not migrate")
		}
	}
	if err := schema.Migrate(ctx, pool); err != nil {
		t.Fatal(err)
	}
	if _, err := database.Import(ctx, pool, table(t, 10, 1), database.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	server.SQL("GRANT SELECT ON zipcode_demographics, demographics_imports, goose_db_version TO reader")
	select {
	case now := <-applied:
		if now.Digest() != table(t, 10, 1).Digest() {
			t.Error("another table is applied")
		}
	case <-time.After(30 * time.Second):
		t.Fatal("no table is applied")
	}
	if n := complaints(); n != 1 {
		t.Errorf("it says so %d times:\n%s", n, &out)
	}
}

// writer is a function that takes what a log says.
type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

func TestImport(t *testing.T) {
	t.Parallel()
	server := storetest.NewPostgres(t)
	pool, ctx := open(t, server.URL), context.Background()
	if err := schema.Migrate(ctx, pool); err != nil {
		t.Fatal(err)
	}
	options := database.ImportOptions{FileName: "a.csv", SHA256: "00", By: "tester", MaxChange: database.MaxChange}
	load := func() [32]byte {
		t.Helper()
		now, _, err := database.Load(ctx, pool)
		if err != nil || now == nil {
			t.Fatalf("load: %v, %v", now, err)
		}
		return now.Digest()
	}

	first := table(t, 10, 5)
	dry := options
	dry.DryRun = true
	diff, err := database.Import(ctx, pool, first, dry)
	if err != nil || len(diff.Added) != 10 {
		t.Fatalf("dry run: %+v, %v", diff, err)
	}
	if now, _, err := database.Load(ctx, pool); now != nil || err != nil {
		t.Fatalf("a dry run left a table behind: %v", err)
	}
	if diff, err = database.Import(ctx, pool, first, options); err != nil || len(diff.Added) != 10 {
		t.Fatalf("first import: %+v, %v", diff, err)
	}
	if load() != first.Digest() {
		t.Error("what is loaded is not what was imported")
	}

	for _, c := range []struct {
		name      string
		other     *demographics.Table
		maxChange float64
		want      string
	}{
		{"half the rows", table(t, 5, 5), 1, "the file has 5 areas and the table 10: half of them or more are missing: nothing was changed"},
		{"a third of the rows gone", table(t, 7, 5), 0.2, "30 % of the areas would change or go (0 changed, 3 removed), over the limit of 20 %: nothing was changed"},
		{"other figures", table(t, 10, 6), 0.9, "100 % of the areas would change or go (10 changed, 0 removed), over the limit of 90 %: nothing was changed"},
	} {
		strict := options
		strict.MaxChange = c.maxChange
		_, err := database.Import(ctx, pool, c.other, strict)
		var refused *database.TooManyChangesError
		if !errors.As(err, &refused) || err.Error() != c.want || load() != first.Digest() {
			t.Errorf("%s: error %v, want a refusal that changes nothing: %s", c.name, err, c.want)
		}
	}
	more := table(t, 11, 5)
	if diff, err := database.Import(ctx, pool, more, options); err != nil || len(diff.Added) != 1 || diff.Unchanged != 10 || load() != more.Digest() {
		t.Errorf("one more area: %+v, %v", diff, err)
	}
	options.MaxChange = 1
	other := table(t, 8, 7)
	if diff, err := database.Import(ctx, pool, other, options); err != nil || len(diff.Removed) != 3 || len(diff.Changed) != 8 || load() != other.Digest() {
		t.Errorf("all changed: %+v, %v", diff, err)
	}
	if diff, err := database.Import(ctx, pool, other, options); err != nil || !diff.Empty() {
		t.Errorf("the same again: %+v, %v", diff, err)
	}
	forced := options
	forced.MaxChange, forced.Force = 0, true
	if diff, err := database.Import(ctx, pool, table(t, 2, 9), forced); err != nil || len(diff.Removed) != 6 || load() != table(t, 2, 9).Digest() {
		t.Errorf("forced: %+v, %v", diff, err)
	}
	var imports int
	if err := pool.QueryRow(ctx, "SELECT count(*) FROM demographics_imports WHERE imported_by = 'tester'").Scan(&imports); err != nil || imports != 4 {
		t.Errorf("the history has %d imports, want 4: %v", imports, err)
	}
	if _, err := pool.Exec(ctx, "UPDATE zipcode_demographics SET per_urbn = 101"); err == nil || !strings.Contains(err.Error(), "check") {
		t.Errorf("the database takes 101 %%: %v", err)
	}
}

// TestTheHistoryHasBeforeAndAfter imports three tables, and reads who brought
// them, and each figure that changed.
func TestTheHistoryHasBeforeAndAfter(t *testing.T) {
	t.Parallel()
	server := storetest.NewPostgres(t)
	pool, ctx := open(t, server.URL), context.Background()
	if history, err := database.History(ctx, pool); err != nil || len(history) != 0 {
		t.Fatalf("of an empty database: %v, %v", history, err)
	}
	if err := schema.Migrate(ctx, pool); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	bring := func(table *demographics.Table, why string) {
		t.Helper()
		o := database.ImportOptions{FileName: "a.csv", SHA256: "00", By: "ann@desk", Why: why, Force: true, Audit: slog.New(slog.NewJSONHandler(&log, nil))}
		if _, err := database.Import(ctx, pool, table, o); err != nil {
			t.Fatal(err)
		}
	}
	digest := func(table *demographics.Table) string { d := table.Digest(); return hex.EncodeToString(d[:]) }
	first, second := table(t, 4, 1), table(t, 3, 1)
	bring(first, "the first")
	bring(first, "the same")
	bring(second, "98003 is gone")
	server.SQL("UPDATE zipcode_demographics SET per_urbn = 7.5 WHERE zipcode = '98001'")
	bring(first, "")
	if _, err := database.Import(ctx, pool, second, database.ImportOptions{Why: strings.Repeat("w", 501)}); err == nil {
		t.Error("a reason without end is taken")
	}

	history, err := database.History(ctx, pool)
	if err != nil || len(history) != 3 {
		t.Fatalf("%+v, %v", history, err)
	}
	last, middle, oldest := history[0], history[1], history[2]
	if oldest.Before != "" || oldest.After != digest(first) || oldest.Added != 4 || oldest.Why != "the first" || oldest.Who != "ann@desk" || time.Since(oldest.When) > time.Hour {
		t.Errorf("the first: %+v", oldest)
	}
	if middle.Before != digest(first) || middle.After != digest(second) || middle.Removed != 1 || middle.Why != "98003 is gone" {
		t.Errorf("the second: %+v", middle)
	}
	if last.Before == middle.After || last.After != digest(first) || last.Added != 1 || last.Changed != 1 {
		t.Errorf("the third, after a change by hand: %+v", last)
	}
	changes, err := database.Changes(ctx, pool, last.ID)
	if err != nil || len(changes) != 2 || changes[0].Zipcode != "98001" || string(changes[0].Before) != `{"per_urbn": 7.5}` || string(changes[0].After) != `{"per_urbn": 1}` ||
		changes[1].Zipcode != "98003" || changes[1].Before != nil || !strings.Contains(string(changes[1].After), `"ppltn_qty": 1`) {
		t.Errorf("changes %s, %v", changes, err)
	}
	if _, err := database.Changes(ctx, pool, 99); !errors.Is(err, database.ErrNoImport) {
		t.Errorf("of no import: %v", err)
	}
	if n := strings.Count(log.String(), `"msg":"audit","who":"ann@desk","what":"import demographics from a.csv"`); n != 3 {
		t.Errorf("%d lines:\n%s", n, &log)
	}
	if want := `"before":{"sha256":"` + digest(first) + `","areas":4},"after":{"sha256":"` + digest(second) + `","areas":3},"why":"98003 is gone"`; !strings.Contains(log.String(), want) {
		t.Errorf("want %s:\n%s", want, &log)
	}
	for i := range 20 {
		bring(table(t, 4, float32(2+i)), "")
	}
	if _, err := database.Changes(ctx, pool, last.ID); !errors.Is(err, database.ErrNoImport) {
		t.Errorf("figures are kept without end: %v", err)
	}
	if history, err := database.History(ctx, pool); err != nil || len(history) != 23 {
		t.Errorf("%d imports, %v", len(history), err)
	}
}

// TestAServiceFollowsTheDatabase kills, hangs and restarts the server, and
// changes the table; the watcher is up to date in the end and says how the
// server is.
func TestAServiceFollowsTheDatabase(t *testing.T) {
	t.Parallel()
	server := storetest.NewPostgres(t)
	pool := open(t, server.URL)
	ctx := context.Background()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "up"})
	dependency := store.NewDependency("postgresql", gauge, log)
	postgres, err := store.OpenPostgres(server.URL, nil, dependency, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer postgres.Close()
	applied := make(chan *demographics.Table, 16)
	watcher := &database.Watcher{Store: postgres, Log: log, Apply: func(now *demographics.Table, _ database.Version) { applied <- now }}
	watching, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { postgres.Run(watching) })
	running.Go(func() { watcher.Run(watching) })
	defer running.Wait()
	defer stop()

	want := func(what string, table *demographics.Table) {
		t.Helper()
		select {
		case now := <-applied:
			if now.Digest() != table.Digest() {
				t.Fatalf("%s: another table is applied", what)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%s: no table is applied", what)
		}
	}
	status := func(what string, status store.Status) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); dependency.State().Status != status; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: it is %s, want %s", what, dependency.State().Status, status)
			}
		}
	}
	bring := func(table *demographics.Table) {
		t.Helper()
		if err := schema.Migrate(ctx, pool); err != nil {
			t.Fatal(err)
		}
		if _, err := database.Import(ctx, pool, table, database.ImportOptions{MaxChange: 1}); err != nil {
			t.Fatal(err)
		}
	}

	status("start", store.Up)
	bring(table(t, 10, 1))
	want("first import", table(t, 10, 1))
	bring(table(t, 12, 2))
	want("second import", table(t, 12, 2))
	if _, err := pool.Exec(ctx, "DELETE FROM zipcode_demographics WHERE zipcode >= '98010'"); err != nil {
		t.Fatal(err)
	}
	want("rows deleted by hand", table(t, 10, 2))

	if _, err := pool.Exec(ctx, "TRUNCATE zipcode_demographics"); err != nil {
		t.Fatal(err)
	}
	bring(table(t, 11, 2))
	want("an empty table takes nothing away; it was filled again", table(t, 11, 2))
	if _, err := pool.Exec(ctx, `DELETE FROM demographics_imports WHERE id = (SELECT max(id) FROM demographics_imports);
		DELETE FROM zipcode_demographics WHERE zipcode = '98010'`, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	want("an older state was restored", table(t, 10, 2))

	server.Kill()
	status("killed", store.Down)
	server.Start()
	status("started again", store.Up)
	pool.Reset()
	bring(table(t, 10, 3))
	want("import after a restart", table(t, 10, 3))

	server.Hang()
	status("hung", store.Down)
	server.Resume()
	status("goes on", store.Up)
	bring(table(t, 9, 4))
	want("import after it hung", table(t, 9, 4))
}

// TestAServiceReadsOnFromTheReplica kills the primary: a service that starts
// then has the table of the replica, and one that runs keeps its own.
func TestAServiceReadsOnFromTheReplica(t *testing.T) {
	t.Parallel()
	primary := storetest.NewPostgres(t)
	pool, ctx := open(t, primary.URL), context.Background()
	if err := schema.Migrate(ctx, pool); err != nil {
		t.Fatal(err)
	}
	if _, err := database.Import(ctx, pool, table(t, 10, 1), database.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	replica := primary.NewReplica()
	log := slog.New(slog.DiscardHandler)
	start := func() (first, copies *store.Dependency, applied chan *demographics.Table) {
		dependency := func(name string) *store.Dependency {
			return store.NewDependency(name, prometheus.NewGauge(prometheus.GaugeOpts{Name: name}), log)
		}
		first, copies = dependency("primary"), dependency("replicas")
		postgres, err := store.OpenPostgres(primary.URL, []string{replica.URL}, first, copies)
		if err != nil {
			t.Fatal(err)
		}
		applied = make(chan *demographics.Table, 16)
		watcher := &database.Watcher{Store: postgres, Log: log, Apply: func(now *demographics.Table, _ database.Version) { applied <- now }}
		watching, stop := context.WithCancel(ctx)
		var running sync.WaitGroup
		running.Go(func() { postgres.Run(watching) })
		running.Go(func() { watcher.Run(watching) })
		t.Cleanup(func() { stop(); running.Wait(); postgres.Close() })
		return first, copies, applied
	}
	want := func(what string, applied chan *demographics.Table, table *demographics.Table) {
		t.Helper()
		select {
		case now := <-applied:
			if now.Digest() != table.Digest() {
				t.Fatalf("%s: another table is applied", what)
			}
		case <-time.After(90 * time.Second):
			t.Fatalf("%s: no table is applied", what)
		}
	}

	_, _, running := start()
	want("start", running, table(t, 10, 1))
	if _, err := database.Import(ctx, pool, table(t, 12, 1), database.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	want("import", running, table(t, 12, 1))

	// The replica falls behind, and the service has a table that it lacks. It
	// pauses some time after it was asked to.
	copied := open(t, replica.URL)
	waitFor := func(sql string) {
		t.Helper()
		var is bool
		for end := time.Now().Add(30 * time.Second); !is; time.Sleep(10 * time.Millisecond) {
			if err := copied.QueryRow(ctx, sql).Scan(&is); err != nil || time.Now().After(end) {
				t.Fatalf("%s: %v, %v", sql, is, err)
			}
		}
	}
	waitFor("SELECT count(*) = 12 FROM zipcode_demographics")
	replica.SQL("SELECT pg_wal_replay_pause()")
	waitFor("SELECT pg_get_wal_replay_pause_state() = 'paused'")
	if _, err := database.Import(ctx, pool, table(t, 11, 1), database.ImportOptions{MaxChange: 1}); err != nil {
		t.Fatal(err)
	}
	replica.Hang()
	want("import that the replica lacks", running, table(t, 11, 1))
	replica.Resume()
	primary.Kill()
	first, copies, applied := start()
	want("start without the primary", applied, table(t, 12, 1))
	for end := time.Now().Add(30 * time.Second); copies.State().Status != store.Up || first.State().Reason != store.Unreachable; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("without the primary it is %+v, the replicas are %+v", first.State(), copies.State())
		}
	}
	if len(running) > 0 {
		t.Error("the older table of the replica was taken over")
	}
	_, err := database.Import(ctx, open(t, replica.URL), table(t, 12, 2), database.ImportOptions{MaxChange: 1})
	if store.ReasonOf(err) != store.ReadOnly {
		t.Errorf("import into the replica: %v", err)
	}

	primary.Start()
	pool.Reset()
	if _, err := database.Import(ctx, pool, table(t, 12, 3), database.ImportOptions{MaxChange: 1}); err != nil {
		t.Fatal(err)
	}
	want("import after the primary came back", applied, table(t, 12, 3))
	want("import after the primary came back, a service that has run on", running, table(t, 12, 3))
}
