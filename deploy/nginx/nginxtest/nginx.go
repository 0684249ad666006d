// Package nginxtest runs nginx with the configuration that is shipped,
// deploy/nginx/nginx.conf. Only addresses and places differ, so that tests say
// of the shipped file what holds of it.
package nginxtest

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"housing/internal/certificate/certificatetest"
)

// Options say how nginx runs.
type Options struct {
	Replicas []string // addresses behind it, one to three
	TLS      bool     // as shipped; else it speaks plain HTTP
	Edits    []string // texts of the configuration, each before what stands for it
}

// Server is an nginx that runs.
type Server struct {
	Address     string // HOST:PORT
	Certificate string // file of the one that it shows
	Config      string // file
	command     *exec.Cmd
	mu          sync.Mutex
	log         bytes.Buffer
}

// Kill ends nginx and its workers at once, as when its machine is lost.
func (s *Server) Kill() {
	if s.command == nil {
		return
	}
	pid := s.command.Process.Pid
	if workers, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid)); err == nil {
		_ = syscall.Kill(pid, syscall.SIGSTOP) // so that it starts no others
		for worker := range strings.FieldsSeq(string(workers)) {
			if id, err := strconv.Atoi(worker); err == nil {
				_ = syscall.Kill(id, syscall.SIGKILL) // it may have ended
			}
		}
	}
	_ = s.command.Process.Kill()
	_ = s.command.Wait() // it was killed
	s.command = nil
}

// Write takes what nginx writes.
func (s *Server) Write(text []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(text)
}

// Log returns what nginx wrote, errors and the log of requests.
func (s *Server) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// Shipped returns the configuration that is shipped.
func Shipped(t testing.TB) string {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	text, err := os.ReadFile(filepath.Join(filepath.Dir(here), "..", "nginx.conf"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Start starts nginx, which ends with the test. Where it is not installed the
// test is skipped, or fails where CI=true.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dir := t.TempDir()
	alive := freePort(t)
	pair := certificatetest.Write(t, dir, "nginx", 1, time.Now().Add(time.Hour))
	s := &Server{Address: freePort(t), Certificate: pair.Cert, Config: filepath.Join(dir, "nginx.conf")}
	listen := "listen " + s.Address
	if o.TLS {
		listen += " ssl http2"
	}
	edits := []string{
		" /tmp/", " " + dir + "/",
		"listen 8443 ssl http2", listen,
		"listen 127.0.0.1:8081", "listen " + alive,
		"/run/secrets/tls_certificate", pair.Cert,
		"/run/secrets/tls_key", pair.Key,
	}
	for i := range 3 {
		shipped := fmt.Sprintf("server api%d:8000", i+1)
		if i < len(o.Replicas) {
			edits = append(edits, shipped, "server "+o.Replicas[i])
		} else {
			edits = append(edits, shipped+" max_fails=3 fail_timeout=10s;", "")
		}
	}
	config := Shipped(t)
	edits = append(edits, o.Edits...)
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(config, edits[i]) {
			t.Fatalf("nginx.conf has no %q", edits[i])
		}
		config = strings.ReplaceAll(config, edits[i], edits[i+1])
	}
	if err := os.WriteFile(s.Config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	rest := "daemon off;"
	if os.Getuid() == 0 {
		rest += " user root;" // else the workers cannot enter the folder of the test
	}
	if out, err := exec.Command(program, "-t", "-c", s.Config, "-e", "stderr", "-g", rest).CombinedOutput(); err != nil {
		t.Fatalf("nginx -t: %v: %s", err, out)
	}
	command := exec.Command(program, "-c", s.Config, "-e", "stderr", "-g", rest)
	command.Stdout, command.Stderr = s, s
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	s.command = command
	t.Cleanup(func() {
		if s.command == nil {
			return
		}
		// Not killed, which would leave its workers.
		if err := command.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		_ = command.Wait() // it was told to
	})
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		answer, err := http.Get("http://" + alive + "/alive")
		if err == nil && answer.Body.Close() == nil && answer.StatusCode == http.StatusOK {
			return s
		}
		if time.Now().After(end) {
			t.Fatalf("nginx does not answer: %v: %s", err, s.Log())
		}
	}
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
