package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"housing/internal/backup"
	"housing/internal/house"
	"housing/internal/httpapi"
	"housing/internal/store/storetest"
)

// thousand asks a service for the prices of a thousand houses, in areas with
// figures and without.
func (s *process) thousand() []float64 {
	s.t.Helper()
	var prices []float64
	for batch := range 10 {
		body := []byte(`{"records":[`)
		for i := range 100 {
			h := house.Example()
			h.Values[house.SqftLiving] = float64(900 + 30*batch + 2*i)
			h.Values[house.ZipcodeField] = float64(98100 + i%20)
			if i > 0 {
				body = append(body, ',')
			}
			body = house.AppendJSON(body, &h)
		}
		answer, err := s.client.Post(s.base+"/v1/predict", "application/json", strings.NewReader(string(body)+"]}"))
		if err != nil {
			s.t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil {
			s.t.Fatal(err)
		}
		var p httpapi.Prediction
		if err := json.Unmarshal(text, &p); err != nil || answer.StatusCode != http.StatusOK || len(p.Predictions) != 100 {
			s.t.Fatalf("%s: %s", answer.Status, text)
		}
		prices = append(prices, p.Predictions...)
	}
	return prices
}

// learn makes the prices that a service answers now those that it must answer
// from now on.
func (p *pricedHouses) learn(s *process) {
	s.t.Helper()
	for _, body := range p.bodies {
		answer, err := s.client.Post(s.base+"/v1/predict", "application/json", strings.NewReader(body))
		if err != nil {
			s.t.Fatal(err)
		}
		var got httpapi.Prediction
		err = json.NewDecoder(answer.Body).Decode(&got)
		_ = answer.Body.Close()
		if err != nil || len(got.Predictions) != 2 {
			s.t.Fatalf("%s: %v, %v", answer.Status, got, err)
		}
		p.prices[got.ModelVersion] = append(p.prices[got.ModelVersion], got.Predictions...)
	}
}

// TestEverythingIsLostAndRestored takes a backup under load, loses the
// database, the registry and Redis, and restores from the backup alone onto a
// fresh server. With RECOVERY=long it is 300 requests a second.
func TestEverythingIsLostAndRestored(t *testing.T) {
	if testing.Short() {
		t.Skip("loses everything for half a minute")
	}
	perSecond := 60
	if os.Getenv("RECOVERY") == "long" {
		perSecond = 300
	}
	postgres, redis := storetest.NewPostgres(t), storetest.NewRedis(t)
	postgres.SQL("CREATE DATABASE housing")
	env := map[string]string{
		"DATABASE_URL": strings.Replace(postgres.URL, "/postgres?", "/housing?", 1), "REDIS_URL": redis.URL, "JOURNAL_DIR": t.TempDir(),
		"MODEL_DIR": builtinRegistry(t), "MODEL_POLL": "500ms", "BACKUP_DIR": filepath.Join(t.TempDir(), "backups"), "RATE_LIMIT": "off",
	}
	must := func(args ...string) string {
		t.Helper()
		code, stdout, stderr := run(t, env, args...)
		if code != success {
			t.Fatalf("%v: %s", args, stderr)
		}
		return stdout
	}
	must("demographics", "import", flatFigures(t, 10))
	must("rollout", "set", "--primary", "kc-1")
	must("rollout", "start", "kc-3", "--percent", "0")
	services := []*process{startService(t, env), startService(t, env)}
	for _, s := range services {
		s.until("journal", "journal", "up", "")
	}
	houses := &pricedHouses{bodies: priceHouses(t, nil, nil).bodies, prices: map[string][]float64{}, answered: map[string]bool{}}
	houses.learn(services[0])
	l := startLoad(services, nil, perSecond, func(s *process, i int) error { _, err := houses.ask(s, i); return err })
	end := sync.OnceFunc(func() { l.end(t) })
	defer end()
	time.Sleep(3 * time.Second) // so that the journal has rows
	prices := services[0].thousand()
	known, _, err := services[0].predict("98115")
	if err != nil {
		t.Fatal(err)
	}
	if unknown, warned, err := services[0].predict("98105"); err != nil || !warned || unknown == known {
		t.Errorf("figures make no difference: %v, %v", unknown, err)
	}
	status := func() string {
		t.Helper()
		code, stdout, stderr := run(t, map[string]string{"MODEL_DIR": env["MODEL_DIR"]}, "rollout", "status", "--json")
		if code != success {
			t.Fatal(stderr)
		}
		return stdout
	}
	plan := status()
	t.Logf("backup: %s%s", must("backup", "create", "--verify"), l.lap())
	repository, err := backup.Open(t.Context(), env["BACKUP_DIR"])
	if err != nil {
		t.Fatal(err)
	}
	defer repository.Close()
	m, err := repository.Find(t.Context(), "", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if m.Rows("predictions") < int64(perSecond) {
		t.Errorf("the journal of the backup has only %d rows", m.Rows("predictions"))
	}

	// What was answered by then and waited comes to PostgreSQL yet, so that it
	// does not come to the next.
	pool := openPool(t, env["DATABASE_URL"])
	for before, now := int64(-1), int64(0); before != now; time.Sleep(2 * time.Second) {
		before = now
		if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM predictions WHERE at <= $1", m.Moment).Scan(&now); err != nil {
			t.Fatal(err)
		}
	}
	pool.Close()
	postgres.SQL("DROP DATABASE housing WITH (FORCE)")
	if err := os.RemoveAll(env["MODEL_DIR"]); err != nil {
		t.Fatal(err)
	}
	redis.Do("FLUSHALL")
	postgres.Fresh()
	for _, s := range services {
		s.until("lost", "registry", "down", "missing")
		if got := s.thousand(); !slices.Equal(got, prices) {
			t.Error("with everything lost the prices are others")
		}
	}
	t.Logf("lost: %s", l.lap())
	postgres.SQL("CREATE DATABASE housing")
	start := time.Now()
	t.Logf("restore: %s", must("backup", "restore"))
	t.Logf("restored in %v: %s", time.Since(start).Round(time.Millisecond), l.lap())
	for _, s := range services {
		s.until("restored", "registry", "up", "")
		s.until("restored", "postgresql", "up", "")
		s.until("restored", "journal", "up", "")
		if got := s.thousand(); !slices.Equal(got, prices) {
			t.Error("the prices are others")
		}
	}
	// And of a service that has nothing but what was restored.
	fresh := map[string]string{"JOURNAL_DIR": t.TempDir()}
	for name, value := range env {
		if fresh[name] == "" {
			fresh[name] = value
		}
	}
	newcomer := startService(t, fresh)
	newcomer.untilPriced("restored", "98115", func(price float64, warned bool) bool { return !warned })
	if got := newcomer.thousand(); !slices.Equal(got, prices) {
		t.Error("a new service has other prices")
	}
	if got := status(); got != plan {
		t.Errorf("the plan is\n%s\nwas\n%s", got, plan)
	}
	end()
	pool = openPool(t, env["DATABASE_URL"])
	for table, column := range map[string]string{"predictions": "at", "prediction_keys": "at", "outcomes": "received_at"} {
		var n int64
		if err := pool.QueryRow(context.Background(), fmt.Sprintf("SELECT count(*) FROM %s WHERE %s <= $1", table, column), m.Moment).Scan(&n); err != nil || n != m.Rows(table) {
			t.Errorf("%s has %d rows of the backup's moment or before, the backup has %d: %v", table, n, m.Rows(table), err)
		}
	}
	if out := must("backup", "restore", "--dry-run"); !strings.Contains(out, "everything is as in the backup") {
		t.Errorf("compared with the backup: %s", out)
	}
}
