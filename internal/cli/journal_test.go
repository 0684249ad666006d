package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"housing/internal/httpapi"
	"housing/internal/journal"
	"housing/internal/store"
	"housing/internal/store/storetest"
	"housing/test/docrun"
)

// priced asks for the prices of two houses, under a name if there is one.
func (s *process) priced(name string, living int) (p httpapi.Prediction, err error) {
	body := strings.Repeat(fmt.Sprintf(`,{"bedrooms":3,"bathrooms":2,"sqft_living":%d,"zipcode":"98115"}`, living), 2)
	r, err := http.NewRequest("POST", s.base+"/v1/predict-minimal", strings.NewReader(`{"records":[`+body[1:]+`]}`))
	if err != nil {
		return p, err
	}
	if name != "" {
		r.Header.Set("X-Request-ID", name)
	}
	answer, err := s.client.Do(r)
	if err != nil {
		return p, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return p, err
	}
	if answer.StatusCode != http.StatusOK {
		return p, fmt.Errorf("%s: %s", answer.Status, text)
	}
	return p, json.Unmarshal(text, &p)
}

func openPool(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := store.OpenPool(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// rows returns how many records of each prediction are in the database.
func rows(t *testing.T, pool *pgxpool.Pool) map[string]int {
	t.Helper()
	all, err := pool.Query(t.Context(), "SELECT id::text, count(*) FROM predictions WHERE NOT shadow GROUP BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	found := map[string]int{}
	for all.Next() {
		var id string
		var n int
		if err := all.Scan(&id, &n); err != nil {
			t.Fatal(err)
		}
		found[id] = n
	}
	return found
}

// settled waits until a service has nothing more to write.
func (s *process) settled() {
	s.t.Helper()
	s.until("journal", "journal", "up", "")
	for end := time.Now().Add(patience); s.metric("journal_waiting_records") != "0"; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("%s records still wait:\n%s", s.metric("journal_waiting_records"), s.logged())
		}
	}
}

// TestTheJournalWaitsWhereSystemdKeepsIt starts a service as the unit does: its
// folder for temporary files goes with each stop, its state does not.
func TestTheJournalWaitsWhereSystemdKeepsIt(t *testing.T) {
	t.Parallel()
	unit, err := os.ReadFile("../../deploy/systemd/housing.service")
	if err != nil || !strings.Contains(string(unit), "\nStateDirectory=housing\n") || strings.Contains(string(unit), "JOURNAL_DIR") {
		t.Errorf("the unit keeps no state, or names another folder: %v\n%s", err, unit)
	}
	state := t.TempDir()
	s := startService(t, map[string]string{"DATABASE_URL": "postgres://u@127.0.0.1:1/d", "STATE_DIRECTORY": state + ":" + t.TempDir()})
	if _, err := s.priced("", 2000); err != nil {
		t.Fatal(err)
	}
	if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-s.ended
	if waiting, err := filepath.Glob(filepath.Join(state, "journal", "*", "*.segment")); err != nil || len(waiting) == 0 {
		t.Errorf("nothing waits in %s: %v", state, err)
	}
}

// TestAKilledServiceLosesNoPrediction kills two services with kill -9 under
// load, while the database is away; the next ones bring what was answered.
func TestAKilledServiceLosesNoPrediction(t *testing.T) {
	t.Parallel()
	server := storetest.NewPostgres(t)
	server.Kill()
	env := map[string]string{"DATABASE_URL": server.URL, "JOURNAL_DIR": t.TempDir()}
	var mu sync.Mutex
	answered := map[string]bool{}
	for range 2 { // one after the other, on what the one before has left
		first, second := startService(t, env), startService(t, env)
		var asking sync.WaitGroup
		for _, s := range []*process{first, second} {
			for range 2 {
				asking.Go(func() {
					for i := range 100_000 {
						p, err := s.priced("", 1000+i%1000)
						if err != nil {
							return // it was killed
						}
						mu.Lock()
						answered[p.PredictionID] = true
						mu.Unlock()
					}
				})
			}
		}
		first.until("no database", "journal", "down", "unreachable")
		time.Sleep(500 * time.Millisecond)
		first.kill()
		second.kill()
		asking.Wait()
	}
	third, fourth := startService(t, env), startService(t, env)
	server.Start()
	third.settled()
	fourth.settled()
	found := rows(t, openPool(t, server.URL))
	t.Logf("%d answered, %d in the database", len(answered), len(found))
	if len(answered) == 0 {
		t.Fatal("nothing was answered: the test tests nothing")
	}
	for id := range answered {
		if found[id] != 2 {
			t.Fatalf("%s was answered and is there %d times, want its 2 houses", id, found[id])
		}
	}
	for id, n := range found {
		if n != 2 {
			t.Errorf("%s is there %d times", id, n)
		}
	}
}

// TestARetryOnAnotherReplicaIsKeptOnce sends requests twice, under one name.
func TestARetryOnAnotherReplicaIsKeptOnce(t *testing.T) {
	t.Parallel()
	server := storetest.NewPostgres(t)
	a, b := startService(t, map[string]string{"DATABASE_URL": server.URL}), startService(t, map[string]string{"DATABASE_URL": server.URL})
	want := map[string]int{}
	for i := range 20 {
		name := fmt.Sprintf("request-%d", i)
		first, err := a.priced(name, 2000)
		if err != nil {
			t.Fatal(err)
		}
		second, err := b.priced(name, 2000)
		if err != nil {
			t.Fatal(err)
		}
		if first.PredictionID != second.PredictionID || first.PredictionID == "" {
			t.Fatalf("one request has the IDs %q and %q", first.PredictionID, second.PredictionID)
		}
		other, err := b.priced(name, 2001)
		if err != nil || other.PredictionID == first.PredictionID {
			t.Fatalf("another body has the same ID: %v", err)
		}
		want[first.PredictionID], want[other.PredictionID] = 2, 2
	}
	a.settled()
	b.settled()
	found := rows(t, openPool(t, server.URL))
	if len(found) != len(want) {
		t.Errorf("%d predictions are kept, want %d", len(found), len(want))
	}
	for id, n := range found {
		if want[id] != n {
			t.Errorf("%s has %d rows, want %d", id, n, want[id])
		}
	}
}

// TestTheCommandsOfTheOutcomes are run as docs/outcomes.md has them.
func TestTheCommandsOfTheOutcomes(t *testing.T) {
	t.Parallel()
	document := docrun.Open(t, "../../docs/outcomes.md", nil, "curl", "sed")
	server := storetest.NewPostgres(t)
	s := startService(t, map[string]string{"DATABASE_URL": server.URL})
	s.settled()
	// The document's answer is of a prediction that is there by now.
	const ask = "curl -s http://127.0.0.1:8000/v1/outcomes"
	out := document.Run("an outcome", ask, "sleep 3\n"+ask, "http://127.0.0.1:8000", s.base)
	if want := document.Prints("an outcome"); out != want {
		t.Errorf("printed is %s, want %s", out, want)
	}
	version := s.health().ModelVersion
	if n := s.metric(`outcome_absolute_percentage_error_count{version="` + version + `"}`); n != "1" {
		t.Errorf("%s outcomes are measured", n)
	}
	server.Kill()
	answer, err := s.client.Post(s.base+"/v1/outcomes", "application/json", strings.NewReader(fmt.Sprintf(`{"outcomes":[{"prediction_id":%q,"record":0,"sale_price":1,"sale_date":"2015-05-01"}]}`, journal.NewID(time.Now()))))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
		t.Errorf("without PostgreSQL: %s, Retry-After %q", answer.Status, answer.Header.Get("Retry-After"))
	}
}
