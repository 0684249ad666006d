// Package storetest starts real servers for tests, in folders of their own
// on free ports, and stops them by their process.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Postgres is a running PostgreSQL server.
type Postgres struct {
	URL      string // of its database, as a superuser
	dir      string
	port     int
	settings []string
	process  *exec.Cmd
	account  *syscall.Credential // that runs it; PostgreSQL refuses root
	t        testing.TB
}

// startLimit bounds how long a server may take to answer.
const startLimit = 30 * time.Second

// programs returns where the server's programs are. Without them the test is
// skipped, or fails where CI=true.
func programs(t testing.TB) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err == nil && len(found) > 0 {
		return filepath.Dir(found[len(found)-1])
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("PostgreSQL is not installed")
	}
	t.Skip("PostgreSQL is not installed")
	return ""
}

// NewPostgres starts an empty server that ends with the test. Settings are
// such as max_connections=10.
func NewPostgres(t testing.TB, settings ...string) *Postgres {
	t.Helper()
	p := newServer(t, settings)
	p.init()
	p.Start()
	t.Cleanup(p.Kill)
	return p
}

// NewReplica starts a streaming replica that ends with the test.
func (p *Postgres) NewReplica() *Postgres {
	p.t.Helper()
	r := newServer(p.t, p.settings)
	r.must("pg_basebackup", "-D", r.data(), "-R", "--checkpoint=fast", "-U", "housing", "-h", "127.0.0.1", "-p", strconv.Itoa(p.port))
	r.Start()
	p.t.Cleanup(r.Kill)
	return r
}

// newServer returns a server that has no data yet.
func newServer(t testing.TB, settings []string) *Postgres {
	t.Helper()
	programs(t)
	dir, err := os.MkdirTemp("", "postgres-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := &Postgres{dir: dir, port: freePort(t), settings: settings, t: t}
	p.URL = fmt.Sprintf("postgres://housing@127.0.0.1:%d/postgres?sslmode=disable", p.port)
	if os.Getuid() == 0 {
		p.account = account(t)
		if err := os.Chown(dir, int(p.account.Uid), int(p.account.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

// must runs a program of the server.
func (p *Postgres) must(name string, args ...string) {
	p.t.Helper()
	if out, err := p.command(filepath.Join(programs(p.t), name), args...).CombinedOutput(); err != nil {
		p.t.Fatalf("%s: %v: %s", name, err, out)
	}
}

// SQL runs one command on the server.
func (p *Postgres) SQL(command string) {
	p.t.Helper()
	p.must("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", p.URL, "-c", command)
}

// Login lets a user in by a password alone, and returns its URL; again, by
// another password.
func (p *Postgres) Login(user, password string) (url string) {
	p.t.Helper()
	hba := filepath.Join(p.data(), "pg_hba.conf")
	rules, err := os.ReadFile(hba)
	if err != nil {
		p.t.Fatal(err)
	}
	if rule := fmt.Sprintf("host all %s 127.0.0.1/32 scram-sha-256\n", user); !bytes.Contains(rules, []byte(rule)) {
		if err := os.WriteFile(hba, append([]byte(rule), rules...), 0o600); err != nil {
			p.t.Fatal(err)
		}
		p.SQL("CREATE ROLE " + user + " LOGIN")
		p.SQL("SELECT pg_reload_conf()")
	}
	p.SQL("ALTER ROLE " + user + " PASSWORD '" + password + "'")
	return fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/postgres?sslmode=disable", user, password, p.port)
}

// Cut ends the connections of a user.
func (p *Postgres) Cut(user string) {
	p.t.Helper()
	p.SQL("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '" + user + "'")
}

// Fresh puts an empty server in the place of this one, at the same address.
func (p *Postgres) Fresh() {
	p.t.Helper()
	p.Kill()
	if err := os.RemoveAll(p.data()); err != nil {
		p.t.Fatal(err)
	}
	p.init()
	p.Start()
}

func (p *Postgres) init() {
	p.t.Helper()
	p.must("initdb", "-D", p.data(), "-U", "housing", "-A", "trust", "-N", "--no-instructions")
}

// Rebuild puts what fill writes into an empty folder in the place of the
// server's data, and starts it on that.
func (p *Postgres) Rebuild(fill func(data string)) {
	p.t.Helper()
	p.Kill()
	if err := os.RemoveAll(p.data()); err != nil {
		p.t.Fatal(err)
	}
	fill(p.data())
	if p.account != nil {
		err := filepath.WalkDir(p.data(), func(path string, _ os.DirEntry, err error) error {
			return errors.Join(err, os.Chown(path, int(p.account.Uid), int(p.account.Gid)))
		})
		if err != nil {
			p.t.Fatal(err)
		}
	}
	p.Start()
}

// Damage makes a page of a table such that the server cannot read it. The
// server is killed and started for it, so that it has no copy in memory.
func (p *Postgres) Damage(url, table string, page int64) {
	p.t.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		p.t.Fatal(err)
	}
	var path string
	err = conn.QueryRow(context.Background(), "SELECT pg_relation_filepath($1)", table).Scan(&path)
	if err = errors.Join(err, conn.Close(context.Background())); err != nil {
		p.t.Fatal(err)
	}
	p.Kill()
	file, err := os.OpenFile(filepath.Join(p.data(), path), os.O_WRONLY, 0)
	if err != nil {
		p.t.Fatal(err)
	}
	const pageBytes = 8192
	_, err = file.WriteAt(bytes.Repeat([]byte{0xa5}, pageBytes), page*pageBytes)
	if err = errors.Join(err, file.Close()); err != nil {
		p.t.Fatal(err)
	}
	p.Start()
}

// ReadOnly makes the server refuse changes, or take them again.
func (p *Postgres) ReadOnly(on bool) {
	p.t.Helper()
	if on {
		p.SQL("ALTER SYSTEM SET default_transaction_read_only = on")
	} else {
		p.SQL("ALTER SYSTEM RESET default_transaction_read_only")
	}
	p.SQL("SELECT pg_reload_conf()")
}

// Exhaust takes every connection that the server has left, until release,
// which may be called twice.
func (p *Postgres) Exhaust() (release func()) {
	p.t.Helper()
	var taken []*pgx.Conn
	for {
		conn, err := pgx.Connect(context.Background(), p.URL)
		var full *pgconn.PgError
		if errors.As(err, &full) && full.Code == "53300" && len(taken) > 0 {
			break
		}
		if err != nil {
			p.t.Fatal(err)
		}
		taken = append(taken, conn)
	}
	return func() {
		for _, conn := range taken {
			_ = conn.Close(context.Background()) // the server may be gone
		}
	}
}

// Start starts the server on the data it has, and waits until it answers.
func (p *Postgres) Start() {
	p.t.Helper()
	var log bytes.Buffer
	args := []string{"-D", p.data(), "-p", strconv.Itoa(p.port)}
	for _, s := range append([]string{"listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"}, p.settings...) {
		args = append(args, "-c", s)
	}
	p.process = p.command(filepath.Join(programs(p.t), "postgres"), args...)
	p.process.Stderr = &log
	if err := p.process.Start(); err != nil {
		p.t.Fatal(err)
	}
	ready := filepath.Join(programs(p.t), "pg_isready")
	for end := time.Now().Add(startLimit); ; time.Sleep(20 * time.Millisecond) {
		if exec.Command(ready, "-q", "-h", "127.0.0.1", "-p", strconv.Itoa(p.port)).Run() == nil {
			return
		}
		if time.Now().After(end) {
			p.Kill()
			p.t.Fatalf("PostgreSQL does not answer: %s", &log)
		}
	}
}

// Kill ends the server and all of its processes at once.
func (p *Postgres) Kill() {
	if p.process == nil {
		return
	}
	p.signal(syscall.SIGKILL)
	_ = p.process.Wait() // it was killed
	p.process = nil
}

// Hang stops the server without ending it; Resume lets it go on.
func (p *Postgres) Hang() { p.signal(syscall.SIGSTOP) }

// Resume lets the server go on after Hang.
func (p *Postgres) Resume() { p.signal(syscall.SIGCONT) }

// signal goes to the server and to the processes that answer, which lead
// groups of their own.
func (p *Postgres) signal(s syscall.Signal) {
	pid := p.process.Process.Pid
	_ = syscall.Kill(pid, s)
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		p.t.Fatal(err)
	}
	for _, child := range strings.Fields(string(children)) {
		if pid, err := strconv.Atoi(child); err == nil {
			_ = syscall.Kill(pid, s) // it may have ended
		}
	}
}

// command returns a command that the server's account runs.
func (p *Postgres) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(name, args...)
	c.Dir = p.dir
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	c.SysProcAttr = &syscall.SysProcAttr{Credential: p.account}
	return c
}

// account returns an account without rights.
func account(t testing.TB) *syscall.Credential {
	t.Helper()
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
