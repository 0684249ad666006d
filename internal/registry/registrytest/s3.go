// Package registrytest starts the servers of buckets for tests: a real one of
// S3 ([NewS3]), and a stand-in for Google Cloud Storage ([NewGS]).
package registrytest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Credentials of the server that NewS3 starts.
const (
	AccessKey = "housing"
	SecretKey = "housing-secret"
)

// bucket is the bucket that a server has from the start.
const bucket = "models"

// startLimit bounds how long a server may take to answer.
const startLimit = 30 * time.Second

// S3 is a running versitygw, an S3 server on a folder.
type S3 struct {
	Endpoint string // http://HOST:PORT
	folder   string // where it keeps what it has
	program  string
	process  *exec.Cmd
	t        testing.TB
}

// NewS3 starts a server with an empty bucket that ends with the test, and
// gives this process its credentials by the environment. Where the server
// cannot be built the test is skipped, or fails where CI=true.
func NewS3(t testing.TB) *S3 {
	t.Helper()
	s := &S3{program: program(t), folder: t.TempDir(), t: t}
	if err := os.MkdirAll(filepath.Join(s.folder, "data", bucket), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, value := range s.Env() {
		setenv(t, name, value)
	}
	s.Endpoint = "http://" + freeAddress(t)
	s.Start()
	t.Cleanup(s.Kill)
	return s
}

// Env returns the environment in which a client has the credentials, and
// looks for none anywhere else.
func (s *S3) Env() map[string]string {
	return map[string]string{
		"AWS_ACCESS_KEY_ID": AccessKey, "AWS_SECRET_ACCESS_KEY": SecretKey, "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	}
}

// Location returns the place of a registry in the bucket.
func (s *S3) Location(prefix string) string {
	return fmt.Sprintf("s3://%s/%s?endpoint=%s", bucket, prefix, s.Endpoint)
}

// Put writes an object, whatever is there.
func (s *S3) Put(key string, data []byte) {
	s.t.Helper()
	client, err := minio.New(strings.TrimPrefix(s.Endpoint, "http://"), &minio.Options{
		Region: "us-east-1", Creds: credentials.NewStaticV4(AccessKey, SecretKey, ""), Transport: &http.Transport{DisableKeepAlives: true},
	})
	if err == nil {
		_, err = client.PutObject(context.Background(), bucket, key, bytes.NewReader(data), int64(len(data)), minio.PutObjectOptions{})
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// Start starts the server on what it has, and waits until it answers.
func (s *S3) Start() {
	s.t.Helper()
	var log bytes.Buffer
	s.process = exec.Command(s.program, "--quiet", "--access", AccessKey, "--secret", SecretKey,
		"--port", strings.TrimPrefix(s.Endpoint, "http://"), "posix", filepath.Join(s.folder, "data"))
	s.process.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.folder}
	s.process.Stdout, s.process.Stderr = &log, &log
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for end := time.Now().Add(startLimit); ; time.Sleep(20 * time.Millisecond) {
		if answer, err := client.Get(s.Endpoint); err == nil {
			_ = answer.Body.Close()
			return
		}
		if time.Now().After(end) {
			s.Kill()
			s.t.Fatalf("the S3 server does not answer: %s", &log)
		}
	}
}

// Kill ends the server at once; what it has stays.
func (s *S3) Kill() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill()
	_ = s.process.Wait() // it was killed
	s.process = nil
}

// Hang stops the server without ending it, and returns when it has stopped;
// Resume lets it go on.
func (s *S3) Hang() {
	s.t.Helper()
	if err := s.process.Process.Signal(syscall.SIGSTOP); err != nil {
		s.t.Fatal(err)
	}
	if _, err := syscall.Wait4(s.process.Process.Pid, nil, syscall.WUNTRACED, nil); err != nil {
		s.t.Fatal(err)
	}
}

// Resume lets the server go on after Hang.
func (s *S3) Resume() { _ = s.process.Process.Signal(syscall.SIGCONT) }

// program returns the path of the server, which the first use builds from
// the module test/versitygw.
func program(t testing.TB) string {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	module := filepath.Join(filepath.Dir(here), "../../../test/versitygw")
	out, err := exec.Command("go", "-C", module, "tool", "-n", "versitygw").Output()
	if err == nil {
		return strings.TrimSpace(string(out))
	}
	message := fmt.Sprintf("the S3 server cannot be built from test/versitygw: %v", err)
	if os.Getenv("CI") == "true" {
		t.Fatal(message)
	}
	t.Skip(message)
	return ""
}

// setenv is t.Setenv for a testing.TB.
func setenv(t testing.TB, name, value string) {
	t.Helper()
	before, was := os.LookupEnv(name)
	if err := os.Setenv(name, value); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if was {
			_ = os.Setenv(name, before)
		} else {
			_ = os.Unsetenv(name)
		}
	})
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
