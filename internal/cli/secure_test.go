package cli

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"housing/internal/certificate/certificatetest"
)

// TestOpenSSLSpeaksTLS13Alone asks with a client that is not ours.
func TestOpenSSLSpeaksTLS13Alone(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("openssl is not installed")
	}
	pair := certificatetest.Write(t, t.TempDir(), "tls", 1, time.Now().Add(time.Hour))
	for _, c := range []struct {
		least string
		taken map[string]bool
	}{
		{"1.3", map[string]bool{"-tls1_3": true, "-tls1_2": false, "-tls1_1": false}},
		{"1.2", map[string]bool{"-tls1_3": true, "-tls1_2": true, "-tls1_1": false}},
	} {
		s := launch(t, map[string]string{"TLS_CERT_FILE": pair.Cert, "TLS_KEY_FILE": pair.Key, "TLS_MIN_VERSION": c.least})
		s.serving()
		address := strings.TrimPrefix(s.base, "http://")
		for flag, want := range c.taken {
			command := exec.Command(openssl, "s_client", "-connect", address, "-servername", "housing.test", "-CAfile", pair.Cert, "-verify_return_error", flag)
			out, err := command.CombinedOutput()
			if (err == nil) != want {
				t.Errorf("least %s, %s: %v\n%s", c.least, flag, err, out)
			}
		}
		if code, stdout, stderr := run(t, map[string]string{"LISTEN": address, "TLS_CERT_FILE": pair.Cert}, "healthcheck"); code != success || !strings.HasPrefix(stdout, "healthy") {
			t.Errorf("healthcheck: %d %s %s", code, stdout, stderr)
		}
		other := certificatetest.Write(t, t.TempDir(), "other", 2, time.Now().Add(time.Hour))
		if code, _, _ := run(t, map[string]string{"LISTEN": address, "TLS_CERT_FILE": other.Cert}, "healthcheck"); code != failure {
			t.Error("healthcheck trusts another certificate")
		}
	}
}

// TestASecretIsReplacedInItsFile follows what an operator does: both secrets,
// then the new one alone, without a restart. No secret is ever shown.
func TestASecretIsReplacedInItsFile(t *testing.T) {
	const first, second = "hunter2-first-secret-of-this-service-", "hunter2-second-secret-of-this-service"
	file := filepath.Join(t.TempDir(), "secret")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	token := func(secret string) string {
		code, stdout, stderr := run(t, map[string]string{"JWT_SECRET": secret}, "token", "--sub", "ann")
		if code != success {
			t.Fatal(stderr)
		}
		return strings.TrimSpace(stdout)
	}
	old, next := token(first), token(second)
	write(first + "\n")
	s := startService(t, map[string]string{"JWT_SECRET_FILE": file, "OPS_LISTEN": "127.0.0.1:0", "LOG_LEVEL": "debug"})
	ask := func(token string) int {
		t.Helper()
		request, err := http.NewRequest(http.MethodGet, s.base+"/v1/model-info", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		answer, err := s.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	await := func(token string, status int) {
		t.Helper()
		for end := time.Now().Add(patience); ask(token) != status; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("no %d\n%s", status, s.logged())
			}
		}
	}
	if ask(old) != 200 || ask(next) != 401 {
		t.Fatal("the first secret does not open")
	}
	write(second + "\n" + first + "\n")
	await(next, 200)
	if ask(old) != 200 {
		t.Error("the old secret is refused while both stand in the file")
	}
	write("too short\n")
	for end := time.Now().Add(patience); !strings.Contains(s.logged(), "secret_reload_failed"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a broken file is not told")
		}
	}
	write(second + "\n")
	await(old, 401)
	if ask(next) != 200 {
		t.Error("the new secret is refused")
	}
	if log := s.logged(); strings.Contains(log, "hunter2") || strings.Contains(log, old[:30]) {
		t.Errorf("a secret is logged: %s", log)
	}
	if _, help, _ := run(t, map[string]string{"JWT_SECRET": first}, "serve", "--help"); strings.Contains(help, "hunter2") {
		t.Error("the help shows a secret")
	}
}
