package storetest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Redis is a running Redis server, or a Sentinel.
type Redis struct {
	URL      string
	Port     int
	dir      string
	settings []string
	process  *exec.Cmd
	t        testing.TB
}

// NewRedis starts an empty server that ends with the test. Settings are such
// as "--maxmemory", "10mb".
func NewRedis(t testing.TB, settings ...string) *Redis {
	t.Helper()
	r := newRedis(t, settings...)
	r.Start()
	return r
}

func newRedis(t testing.TB, settings ...string) *Redis {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("Redis is not installed")
		}
		t.Skip("Redis is not installed")
	}
	dir, err := os.MkdirTemp("", "redis-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	r := &Redis{dir: dir, Port: freePort(t), settings: settings, t: t}
	r.URL = fmt.Sprintf("redis://127.0.0.1:%d", r.Port)
	if r.tls() {
		r.URL = fmt.Sprintf("rediss://127.0.0.1:%d", r.Port)
	}
	t.Cleanup(r.Kill)
	return r
}

// NewReplica starts a replica that ends with the test.
func (r *Redis) NewReplica() *Redis {
	r.t.Helper()
	return NewRedis(r.t, append([]string{"--replicaof", "127.0.0.1 " + strconv.Itoa(r.Port)}, r.settings...)...)
}

// Start starts the server, empty, and waits until it answers.
func (r *Redis) Start() {
	r.t.Helper()
	port := []string{"--port", strconv.Itoa(r.Port)}
	if r.tls() {
		port = []string{"--port", "0", "--tls-port", strconv.Itoa(r.Port)}
	}
	args := append(port, "--bind", "127.0.0.1", "--dir", r.dir, "--save", "", "--appendonly", "no")
	r.run(append(args, r.settings...)...)
}

func (r *Redis) tls() bool { return slices.Contains(r.settings, "--tls-cert-file") }

func (r *Redis) run(args ...string) {
	r.t.Helper()
	var log bytes.Buffer
	r.process = exec.Command("redis-server", args...)
	r.process.Stdout, r.process.Stderr = &log, &log
	if err := r.process.Start(); err != nil {
		r.t.Fatal(err)
	}
	for end := time.Now().Add(startLimit); ; time.Sleep(20 * time.Millisecond) {
		// Whatever it answers, it answers.
		if out, err := r.cli("PING"); err == nil && (strings.Contains(out, "PONG") || strings.Contains(out, "NOAUTH")) {
			return
		}
		if time.Now().After(end) {
			r.Kill()
			r.t.Fatalf("Redis does not answer: %s", &log)
		}
	}
}

func (r *Redis) cli(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	connect := []string{"-p", strconv.Itoa(r.Port)}
	if i := slices.Index(r.settings, "--requirepass"); i >= 0 {
		connect = append(connect, "--no-auth-warning", "-a", r.settings[i+1])
	}
	if r.tls() {
		connect = append(connect, "--tls", "--insecure")
	}
	out, err := exec.CommandContext(ctx, "redis-cli", append(connect, args...)...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// Do runs a command and returns what redis-cli prints.
func (r *Redis) Do(args ...string) string {
	r.t.Helper()
	out, err := r.cli(args...)
	if err != nil {
		r.t.Fatalf("redis-cli %v: %v: %s", args, err, out)
	}
	return out
}

// Keys returns the keys that match, sorted by nothing.
func (r *Redis) Keys(pattern string) []string {
	r.t.Helper()
	return strings.Fields(r.Do("KEYS", pattern))
}

// Fill takes all the room of the server, and lets nothing go from it; Empty
// gives the room back.
func (r *Redis) Fill() {
	r.t.Helper()
	r.Do("CONFIG", "SET", "maxmemory-policy", "noeviction")
	r.Do("CONFIG", "SET", "maxmemory", "1")
}

// Empty gives all of its room to the server, and deletes everything.
func (r *Redis) Empty() {
	r.t.Helper()
	r.Do("CONFIG", "SET", "maxmemory", "0")
	r.Do("FLUSHALL")
}

// ReadOnly makes the server a replica of none that is there, or a primary
// again.
func (r *Redis) ReadOnly(on bool) {
	r.t.Helper()
	if on {
		r.Do("REPLICAOF", "127.0.0.1", "1")
	} else {
		r.Do("REPLICAOF", "NO", "ONE")
	}
}

// Kill ends the server at once; what it holds is lost.
func (r *Redis) Kill() {
	if r.process == nil {
		return
	}
	_ = r.process.Process.Kill() // it may have ended
	_ = r.process.Wait()         // it was killed
	r.process = nil
}

// Hang stops the server without ending it; Resume lets it go on.
func (r *Redis) Hang() { _ = r.process.Process.Signal(syscall.SIGSTOP) }

// Resume lets the server go on after Hang.
func (r *Redis) Resume() { _ = r.process.Process.Signal(syscall.SIGCONT) }

// SentinelSet is the name that Sentinels of NewSentinels know their primary by.
const SentinelSet = "housing-primary"

// NewSentinels starts three Sentinels that watch the primary, and returns the
// URL by which they are asked.
func NewSentinels(t testing.TB, primary *Redis) (url string) {
	t.Helper()
	var sentinels []*Redis
	for range 3 {
		s := newRedis(t)
		config := filepath.Join(s.dir, "sentinel.conf")
		text := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\nsentinel monitor %s 127.0.0.1 %d 2\nsentinel down-after-milliseconds %s 1000\nsentinel failover-timeout %s 5000\n",
			s.Port, s.dir, SentinelSet, primary.Port, SentinelSet, SentinelSet)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s.run(config, "--sentinel")
		sentinels = append(sentinels, s)
	}
	// A failover needs Sentinels that know each other and the replica.
	for end := time.Now().Add(startLimit); ; time.Sleep(50 * time.Millisecond) {
		told := sentinels[0].Do("SENTINEL", "MASTER", SentinelSet)
		if field(told, "num-other-sentinels") == "2" && field(told, "num-slaves") == "1" {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the Sentinels do not find each other: %s", told)
		}
	}
	return fmt.Sprintf("redis://127.0.0.1:%d/0?master_set=%s&addr=127.0.0.1:%d&addr=127.0.0.1:%d",
		sentinels[0].Port, SentinelSet, sentinels[1].Port, sentinels[2].Port)
}

// field returns the line after the one that is name.
func field(text, name string) string {
	lines := strings.Split(text, "\n")
	for i := range len(lines) - 1 {
		if lines[i] == name {
			return lines[i+1]
		}
	}
	return ""
}

// NewCluster starts a cluster of three primaries, and returns them and the URL
// by which it is asked.
func NewCluster(t testing.TB) (nodes []*Redis, url string) {
	t.Helper()
	create := []string{"--cluster", "create"}
	for range 3 {
		n := NewRedis(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-port", strconv.Itoa(freePort(t)))
		nodes = append(nodes, n)
		create = append(create, "127.0.0.1:"+strconv.Itoa(n.Port))
	}
	if out, err := exec.Command("redis-cli", append(create, "--cluster-replicas", "0", "--cluster-yes")...).CombinedOutput(); err != nil {
		t.Fatalf("make a cluster: %v: %s", err, out)
	}
	for _, n := range nodes {
		for end := time.Now().Add(startLimit); !strings.Contains(n.Do("CLUSTER", "INFO"), "cluster_state:ok"); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the cluster does not come up: %s", n.Do("CLUSTER", "INFO"))
			}
		}
	}
	return nodes, fmt.Sprintf("redis://127.0.0.1:%d?addr=127.0.0.1:%d&addr=127.0.0.1:%d", nodes[0].Port, nodes[1].Port, nodes[2].Port)
}
