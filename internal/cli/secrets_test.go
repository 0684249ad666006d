package cli

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"housing/internal/certificate/certificatetest"
	"housing/internal/store/storetest"
)

// secretFile is a file that is replaced as a ConfigMap is: whole, at once.
type secretFile struct {
	t    *testing.T
	path string
}

func newSecretFile(t *testing.T, text string) secretFile {
	f := secretFile{t, filepath.Join(t.TempDir(), "secret")}
	f.write(text)
	return f
}

func (f secretFile) write(text string) {
	f.t.Helper()
	if err := os.WriteFile(f.path+".new", []byte(text+"\n"), 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(f.path+".new", f.path); err != nil {
		f.t.Fatal(err)
	}
}

// untilLogged waits until the log says something so often.
func (s *process) untilLogged(what string, times int) {
	s.t.Helper()
	for end := time.Now().Add(patience); strings.Count(s.logged(), what) < times; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("%s is not told %d times:\n%s", what, times, s.logged())
		}
	}
}

// traffic asks for prices until stop is called; none may fail.
func (s *process) traffic() (stop func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	var running sync.WaitGroup
	asked := 0
	running.Go(func() {
		for tick := time.NewTicker(5 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			if _, _, err := s.predict("98115"); err != nil {
				s.t.Errorf("after %d requests: %v", asked, err)
				return
			}
			asked++
		}
	})
	return func() { cancel(); running.Wait(); s.t.Logf("%d requests", asked) }
}

// TestTheDatabasePasswordIsReplaced replaces it on the server, cuts every
// connection, and then writes it into the file.
func TestTheDatabasePasswordIsReplaced(t *testing.T) {
	t.Parallel()
	server := storetest.NewPostgres(t)
	path := filepath.Join(t.TempDir(), "figures.csv")
	if err := os.WriteFile(path, []byte(figures(t)), 0o644); err != nil {
		t.Fatal(err)
	}
	bring := func(args ...string) {
		t.Helper()
		if code, _, stderr := run(t, map[string]string{"DATABASE_URL": server.URL}, append([]string{"demographics", "import", path}, args...)...); code != success {
			t.Fatal(stderr)
		}
	}
	url := server.Login("app", "hunter2-first")
	bring()
	server.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA public TO app")
	file := newSecretFile(t, url)
	replicas := newSecretFile(t, url)
	s := startService(t, map[string]string{"DATABASE_URL_FILE": file.path, "DATABASE_REPLICA_URLS_FILE": replicas.path})
	s.until("start", "postgresql", "up", "")
	before, _, err := s.predict("98000")
	if err != nil {
		t.Fatal(err)
	}
	stop := s.traffic()
	defer stop()

	next := server.Login("app", "hunter2-second")
	server.Cut("app")
	s.until("the old password", "postgresql", "down", "authentication")
	file.write("postgres://:hunter2@not a URL")
	s.untilLogged(`"secret_reload_failed","variable":"DATABASE_URL"`, 1)
	replicas.write(next + "," + next)
	s.untilLogged(`"secret_reload_failed","variable":"DATABASE_REPLICA_URLS"`, 1)
	file.write(next)
	replicas.write(next)
	s.until("the new password", "postgresql", "up", "")
	s.until("the new password", "postgresql_replicas", "up", "")
	s.untilLogged(`"secret_reloaded","variable":"DATABASE_REPLICA_URLS"`, 1)

	lines := strings.SplitAfter(figures(t), "\n")
	if err := os.WriteFile(path, []byte(strings.Join(lines[:len(lines)-2], "")), 0o644); err != nil { // the last area goes
		t.Fatal(err)
	}
	bring("--force")
	s.untilLogged(`"msg":"demographics_swap"`, 2)
	if after, _, err := s.predict("98000"); err != nil || after != before {
		t.Errorf("98000 was %v, is %v: %v", before, after, err)
	}
	stop()
	if strings.Contains(s.logged(), "hunter2") {
		t.Errorf("a password is logged:\n%s", s.logged())
	}
}

// TestTheRedisPasswordIsReplacedUnderTraffic replaces it twice: as it should
// be done, with both passwords good for a while, and with the file too early.
func TestTheRedisPasswordIsReplacedUnderTraffic(t *testing.T) {
	t.Parallel()
	server := storetest.NewRedis(t)
	url := func(password string) string { return fmt.Sprintf("redis://app:%s@127.0.0.1:%d", password, server.Port) }
	server.Do("ACL", "SETUSER", "app", "on", ">hunter2-first", "~*", "&*", "+@all")
	file := newSecretFile(t, url("hunter2-first"))
	s := startService(t, map[string]string{"REDIS_URL_FILE": file.path, "RESPONSE_CACHE": "on", "RATE_LIMIT": "1000000/minute"})
	s.until("start", "redis", "up", "")
	stop := s.traffic()
	defer stop()
	refused := `cache_requests_total{cache="prices_redis",result="refused"}`
	// Of many houses, as a price is asked of Redis once and then lies in memory:
	// where Redis was late that once, it is replaced unseen.
	const houses = 40
	ask := func(i int) {
		if _, _, err := s.predict(strconv.Itoa(98101 + i%houses)); err != nil {
			t.Error(err)
		}
	}
	for i := range houses {
		ask(i)
	}
	for end := time.Now().Add(patience); len(server.Keys("housing:price:*")) < houses/2; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no prices come to Redis")
		}
	}

	server.Do("ACL", "SETUSER", "app", ">hunter2-second")
	file.write(url("hunter2-second"))
	s.untilLogged(`"secret_reloaded","variable":"REDIS_URL"`, 1)
	// The old password sealed the prices: who knew it could have made them.
	s.until("the second password", "redis", "up", "")
	for i := 0; s.metric(refused) == "0"; i++ {
		if i == houses {
			t.Fatal("prices sealed by the old password are taken")
		}
		ask(i)
		time.Sleep(20 * time.Millisecond)
	}
	server.Do("ACL", "SETUSER", "app", "<hunter2-first")
	server.Do("CLIENT", "KILL", "USER", "app")
	server.Do("CONFIG", "RESETSTAT")
	s.untilCommands(server)
	s.until("the first password is gone", "redis", "up", "")

	file.write(url("hunter2-third"))
	s.untilLogged(`"dependency_login_refused"`, 1)
	if h := s.health(); h.Components["redis"].Status != "up" {
		t.Errorf("a password that comes too early takes Redis away: %+v", h)
	}
	server.Do("ACL", "SETUSER", "app", ">hunter2-third", "<hunter2-second")
	server.Do("CLIENT", "KILL", "USER", "app")
	server.Do("CONFIG", "RESETSTAT")
	s.untilCommands(server)
	s.until("the third password", "redis", "up", "")
	file.write("redis://:hunter2@not a URL")
	s.untilLogged(`"secret_reload_failed","variable":"REDIS_URL"`, 1)
	stop()
	if strings.Contains(s.logged(), "hunter2") {
		t.Errorf("a password is logged:\n%s", s.logged())
	}
}

// untilCommands waits until the service asks Redis again, since the counts
// were set to nothing.
func (s *process) untilCommands(server *storetest.Redis) {
	s.t.Helper()
	for end := time.Now().Add(patience); !strings.Contains(server.Do("INFO", "commandstats"), "cmdstat_evalsha"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("Redis is not asked any more:\n%s", s.logged())
		}
	}
}

// TestTheSecretOfTheResponseCacheIsReplaced sees prices that the old one
// sealed refused, and replaced by ones that the new one opens.
func TestTheSecretOfTheResponseCacheIsReplaced(t *testing.T) {
	t.Parallel()
	server := storetest.NewRedis(t)
	first, second := strings.Repeat("hunter2-first", 3), strings.Repeat("hunter2-second", 3)
	file := newSecretFile(t, first)
	env := map[string]string{"REDIS_URL": server.URL, "RESPONSE_CACHE": "on", "RESPONSE_CACHE_SECRET_FILE": file.path, "RATE_LIMIT": "off"}
	s := startService(t, env)
	s.until("start", "redis", "up", "")
	want, _, err := s.predict("98115")
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for end := time.Now().Add(patience); len(keys) == 0; keys = server.Keys("housing:price:*") {
		if time.Now().After(end) {
			t.Fatal("no price comes to Redis")
		}
	}
	sealed := server.Do("GET", keys[0])
	file.write("too short")
	s.untilLogged(`"secret_reload_failed","variable":"RESPONSE_CACHE_SECRET"`, 1)
	file.write(second)
	s.untilLogged(`"secret_reloaded","variable":"RESPONSE_CACHE_SECRET"`, 1)
	if price, _, err := s.predict("98115"); err != nil || price != want {
		t.Errorf("%v, %v; want %v", price, err, want)
	}
	if n := s.metric(`cache_requests_total{cache="prices_redis",result="refused"}`); n != "1" {
		t.Errorf("%s prices were refused, want 1", n)
	}
	for end := time.Now().Add(patience); server.Do("GET", keys[0]) == sealed; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the old entry is not replaced")
		}
	}
	other := startService(t, env)
	other.until("start", "redis", "up", "")
	if price, _, err := other.predict("98115"); err != nil || price != want {
		t.Errorf("another service: %v, %v", price, err)
	}
	if n := other.metric(`cache_requests_total{cache="prices_redis",result="hit"}`); n != "1" {
		t.Errorf("another service found %s prices, want 1", n)
	}
	if strings.Contains(s.logged(), "hunter2") {
		t.Errorf("a secret is logged:\n%s", s.logged())
	}
}

// TestTheFileOfClientAuthoritiesIsReadAgain lets the clients of another
// authority in, without a restart.
func TestTheFileOfClientAuthoritiesIsReadAgain(t *testing.T) {
	t.Parallel()
	dir, soon := t.TempDir(), time.Now().Add(time.Hour)
	pair := certificatetest.Write(t, dir, "tls", 1, soon)
	var clients []*http.Client
	var texts []string
	for i, name := range []string{"first", "second"} {
		own := certificatetest.Write(t, dir, name, int64(i+2), soon)
		text, err := os.ReadFile(own.Cert)
		if err != nil {
			t.Fatal(err)
		}
		loaded, err := tls.LoadX509KeyPair(own.Cert, own.Key)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
		clients = append(clients, &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true, Certificates: []tls.Certificate{loaded}}}})
	}
	file := newSecretFile(t, texts[0])
	s := startService(t, map[string]string{"TLS_CERT_FILE": pair.Cert, "TLS_KEY_FILE": pair.Key, "TLS_CLIENT_CA_FILE": file.path})
	check := func(what string, wants ...bool) {
		t.Helper()
		for i, want := range wants {
			answer, err := clients[i].Get(strings.Replace(s.base, "http:", "https:", 1) + "/health")
			if (err == nil) != want {
				t.Errorf("%s: client %d: %v", what, i, err)
			}
			if err == nil {
				answer.Body.Close()
			}
		}
	}
	check("at the start", true, false)
	file.write("none")
	s.untilLogged(`"certificate_reload_failed","variable":"TLS_CLIENT_CA"`, 1)
	check("a broken file", true, false)
	file.write(texts[1])
	s.untilLogged(`"certificate_reloaded","variable":"TLS_CLIENT_CA"`, 1)
	check("another file", false, true)
}
