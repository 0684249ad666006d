package store_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"housing/internal/store"
	"housing/internal/store/storetest"
)

// openRedis returns a connection that runs until the test ends.
func openRedis(t *testing.T, url, caFile string) *store.Redis {
	t.Helper()
	d := store.NewDependency("redis", prometheus.NewGauge(prometheus.GaugeOpts{Name: "redis"}), slog.New(slog.DiscardHandler))
	r, err := store.OpenRedis(url, caFile, d)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
	return r
}

// untilRedis waits until Redis is so.
func untilRedis(t *testing.T, r *store.Redis, what string, status store.Status, reason store.Reason) {
	t.Helper()
	start := time.Now()
	for s := r.State(); s.Status != status || s.Reason != reason; s = r.State() {
		if time.Since(start) > 30*time.Second {
			t.Fatalf("%s: it is %+v, want %s %s", what, s, status, reason)
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Logf("%s: seen after %v", what, time.Since(start).Round(time.Millisecond))
}

// untilStatus waits until Redis is up, or down for whatever reason.
func untilStatus(t *testing.T, r *store.Redis, what string, status store.Status) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); r.State().Status != status; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: it is %+v", what, r.State())
		}
	}
}

// patient is a budget that a busy machine keeps too.
const patient = 5 * time.Second

// keeps sees that entries of every part of a cluster come back.
func keeps(t *testing.T, r *store.Redis, what string) {
	t.Helper()
	var entries []store.Entry
	var keys []string
	for i := range 20 {
		keys = append(keys, fmt.Sprintf("housing:test:%d", i))
		entries = append(entries, store.Entry{Key: keys[i], Value: []byte{byte(i), 0, '\n'}})
	}
	var err error
	// Right after a failover, calls before the client follows it may fail.
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err = r.Set(t.Context(), patient, time.Minute, entries...); err != nil {
			continue
		}
		var values [][]byte
		if values, err = r.Get(t.Context(), patient, 100, append(keys, "housing:test:none")...); err != nil {
			continue
		}
		for i, v := range values[:20] {
			if string(v) != string(entries[i].Value) {
				t.Errorf("%s: %s holds %q", what, keys[i], v)
			}
		}
		if values[20] != nil {
			t.Errorf("%s: what is not there has the value %q", what, values[20])
		}
		return
	}
	t.Fatalf("%s: %v", what, err)
}

// TestRedisSaysHowItIs takes a server through what can happen to it.
func TestRedisSaysHowItIs(t *testing.T) {
	t.Parallel()
	server := storetest.NewRedis(t, "--requirepass", "hunter2")
	server.Kill()
	url := strings.Replace(server.URL, "//", "//:hunter2@", 1)
	r := openRedis(t, url, "")
	untilRedis(t, r, "away at the start", store.Down, store.Unreachable)
	if _, err := r.Get(t.Context(), patient, 100, "housing:test"); !errors.Is(err, store.ErrAway) {
		t.Errorf("a call while it is away: %v", err)
	}
	server.Start()
	untilRedis(t, r, "started", store.Up, "")
	keeps(t, r, "started")
	server.Hang()
	untilRedis(t, r, "hung", store.Down, store.Timeout)
	server.Resume()
	untilRedis(t, r, "goes on", store.Up, "")
	keeps(t, r, "goes on")
	server.Fill()
	untilRedis(t, r, "full", store.Down, store.Full)
	server.Empty()
	untilRedis(t, r, "room again", store.Up, "")
	server.ReadOnly(true)
	untilRedis(t, r, "read-only", store.Down, store.ReadOnly)
	server.ReadOnly(false)
	untilRedis(t, r, "no longer read-only", store.Up, "")
	server.Kill()
	untilRedis(t, r, "killed", store.Down, store.Unreachable)
	server.Start()
	untilRedis(t, r, "restarted empty", store.Up, "")
	keeps(t, r, "restarted empty")

	wrong := openRedis(t, strings.Replace(url, "hunter2", "hunter3", 1), "")
	untilRedis(t, wrong, "a wrong password", store.Down, store.Authentication)
}

// TestAHungRedisIsNotAskedForLong counts the calls that wait for a server
// that hangs: a few, and then none.
func TestAHungRedisIsNotAskedForLong(t *testing.T) {
	t.Parallel()
	server := storetest.NewRedis(t)
	r := openRedis(t, server.URL, "")
	untilRedis(t, r, "started", store.Up, "")
	server.Hang()
	waited := 0
	for range 10_000 {
		if _, err := r.Get(t.Context(), store.RedisBudget, 100, "housing:test"); errors.Is(err, context.DeadlineExceeded) {
			waited++
		} else if !errors.Is(err, store.ErrAway) {
			t.Fatalf("a call to a server that hangs: %v", err)
		}
	}
	// 3 open the breaker; each second until the probe finds out, one more tries.
	if waited == 0 || waited > 20 {
		t.Errorf("%d of 10,000 calls waited for a server that hangs", waited)
	}
	server.Resume()
	untilRedis(t, r, "goes on", store.Up, "")
	keeps(t, r, "goes on")
	// A caller that leaves says nothing about the server.
	gone, leave := context.WithCancel(t.Context())
	leave()
	for range 100 {
		if _, err := r.Get(gone, patient, 100, "housing:test"); err == nil || errors.Is(err, store.ErrAway) {
			t.Fatalf("a call of a caller that left: %v", err)
		}
	}
	keeps(t, r, "callers left")
}

func TestRedisWithSentinelsFollowsAFailover(t *testing.T) {
	t.Parallel()
	primary := storetest.NewRedis(t)
	replica := primary.NewReplica()
	r := openRedis(t, storetest.NewSentinels(t, primary), "")
	untilRedis(t, r, "started", store.Up, "")
	keeps(t, r, "started")
	primary.Kill()
	for end := time.Now().Add(30 * time.Second); !strings.Contains(replica.Do("ROLE"), "master"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the replica does not take over")
		}
	}
	replica.Do("FLUSHALL")
	keeps(t, r, "the replica took over")
	if len(replica.Keys("housing:test:*")) == 0 {
		t.Error("what was kept after the failover is not on the server that took over")
	}
	untilRedis(t, r, "after the failover", store.Up, "")
}

func TestRedisCluster(t *testing.T) {
	t.Parallel()
	nodes, url := storetest.NewCluster(t)
	r := openRedis(t, url, "")
	untilRedis(t, r, "started", store.Up, "")
	keeps(t, r, "started")
	for i, n := range nodes {
		if len(n.Keys("housing:test:*")) == 0 {
			t.Errorf("node %d holds nothing", i)
		}
	}
	script := store.NewScript("return {redis.call('INCRBY', KEYS[1], ARGV[1])}")
	for i := range int64(3) {
		if got, err := r.RunScript(t.Context(), patient, script, "housing:test:count", "2"); err != nil || len(got) != 1 || got[0] != 2*i+2 {
			t.Errorf("script: %v, %v", got, err)
		}
	}
	nodes[2].Kill()
	untilStatus(t, r, "a third is gone", store.Down)
	nodes[2].Start() // it finds its place in the cluster in its folder
	untilStatus(t, r, "the third is back", store.Up)
	keeps(t, r, "the third is back")
}

func TestRedisOverTLS(t *testing.T) {
	t.Parallel()
	cert, key := selfSigned(t)
	url := storetest.NewRedis(t, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "no").URL
	r := openRedis(t, url, cert)
	untilRedis(t, r, "started", store.Up, "")
	keeps(t, r, "started")
	stranger := openRedis(t, url, "")
	untilRedis(t, stranger, "a certificate that nobody knows", store.Down, store.Other)
}

// selfSigned writes a certificate for 127.0.0.1 and its key.
func selfSigned(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func TestRedisURLsThatCannotBeUsed(t *testing.T) {
	for url, ca := range map[string]string{
		"http://u:hunter2@h": "", "redis://u:hunter2@h:port": "", "redis://u:hunter2@h/x": "", "redis://u:hunter2@h": "ca.pem", "rediss://u:hunter2@h": "missing.pem",
	} {
		if _, err := store.OpenRedis(url, ca, store.NewDependency("redis", prometheus.NewGauge(prometheus.GaugeOpts{Name: "redis"}), nil)); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// TestABurstSaysNothingAboutTheServer sends more calls at once than may be
// under way: those beyond are not made, and the server stays up.
func TestABurstSaysNothingAboutTheServer(t *testing.T) {
	t.Parallel()
	server := storetest.NewRedis(t)
	r := openRedis(t, server.URL, "")
	untilRedis(t, r, "started", store.Up, "")
	for range 3 {
		var group sync.WaitGroup
		for range 2000 {
			group.Go(func() {
				if _, err := r.Get(t.Context(), patient, 100, "housing:test"); err != nil && !errors.Is(err, store.ErrAway) {
					t.Errorf("one of many calls: %v", err)
				}
			})
		}
		group.Wait()
		if _, err := r.Get(t.Context(), patient, 100, "housing:test"); err != nil || r.State().Status != store.Up {
			t.Errorf("after a burst: %v, it is %+v", err, r.State())
		}
	}
}

// TestTheRightsThatTheDocumentNames gives a user just those, and then one
// less.
func TestTheRightsThatTheDocumentNames(t *testing.T) {
	t.Parallel()
	server := storetest.NewRedis(t)
	doc, err := os.ReadFile("../../docs/redis.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("`(~housing:\\* [^`]*)`").FindSubmatch(doc)
	if found == nil {
		t.Fatal("docs/redis.md names no rights")
	}
	rights := strings.Fields(string(found[1]))
	server.Do(append([]string{"ACL", "SETUSER", "housing", "on", ">hunter2"}, rights...)...)
	r := openRedis(t, strings.Replace(server.URL, "//", "//housing:hunter2@", 1), "")
	untilRedis(t, r, "with the rights of the document", store.Up, "")
	keeps(t, r, "with the rights of the document")
	script := store.NewScript("return {tonumber(redis.call('TIME')[1])}")
	if _, err := r.RunScript(t.Context(), patient, script, "housing:test:time"); err != nil {
		t.Error(err)
	}
	server.Do("ACL", "SETUSER", "housing", "-time")
	untilRedis(t, r, "without TIME", store.Down, store.Permission)
}

// TestASlowRedisIsDown puts a wire in between that takes its time: too long
// for any request, and not for the connection.
func TestASlowRedisIsDown(t *testing.T) {
	t.Parallel()
	server := storetest.NewRedis(t)
	var delay atomic.Int64
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wires sync.WaitGroup
	copySlowly := func(to, from net.Conn) {
		defer to.Close()
		buffer := make([]byte, 64<<10)
		for {
			n, err := from.Read(buffer)
			if err != nil {
				return
			}
			time.Sleep(time.Duration(delay.Load()))
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
	}
	wires.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			redis, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "redis://"))
			if err != nil {
				client.Close()
				continue
			}
			wires.Go(func() { copySlowly(redis, client) })
			wires.Go(func() { copySlowly(client, redis) })
		}
	})
	t.Cleanup(wires.Wait)
	t.Cleanup(func() { l.Close() })
	r := openRedis(t, "redis://"+l.Addr().String(), "")
	untilRedis(t, r, "started", store.Up, "")
	delay.Store(int64(30 * time.Millisecond))
	untilRedis(t, r, "slow", store.Down, store.Timeout)
	delay.Store(0)
	untilRedis(t, r, "quick again", store.Up, "")
	keeps(t, r, "quick again")
}
