package cli

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"housing/internal/store/storetest"
)

// TestNoSecretLeavesTheProcess gives a service every secret there is, makes
// it use them and fail with them, and looks for them wherever others can.
func TestNoSecretLeavesTheProcess(t *testing.T) {
	t.Parallel()
	secret := func(name string) string { return "hunter2-" + name + "-" + strings.Repeat("x", 32) }
	redis := storetest.NewRedis(t)
	jwt := newSecretFile(t, secret("jwt"))
	s := startService(t, map[string]string{
		"JWT_SECRET_FILE":             jwt.path,
		"DATABASE_URL":                "postgres://user:" + secret("database") + "@127.0.0.1:1/housing",
		"DATABASE_REPLICA_URLS":       "postgres://user:" + secret("replica") + "@127.0.0.1:1/housing",
		"REDIS_URL":                   fmt.Sprintf("redis://user:%s@127.0.0.1:%d", secret("redis"), redis.Port),
		"RESPONSE_CACHE_SECRET":       secret("cache"),
		"USER_ID_KEY":                 secret("user"),
		"JWT_JWKS_URL":                "http://127.0.0.1:1/keys?key=" + secret("jwks"),
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1?key=" + secret("traces"),
		"RESPONSE_CACHE":              "on",
		"OPS_LISTEN":                  "127.0.0.1:0",
		"LOG_LEVEL":                   "debug",
	})
	s.untilLogged(`"msg":"dependency_down","dependency":"redis","reason":"authentication"`, 1)
	for _, dependency := range []string{"postgresql", "jwks", "traces"} {
		s.untilLogged(`"msg":"dependency_down","dependency":"`+dependency+`","reason":"unreachable"`, 1)
	}
	code, token, stderr := run(t, map[string]string{"JWT_SECRET": secret("jwt")}, "token", "--sub", "ann-hunter2")
	if code != success {
		t.Fatal(stderr)
	}
	token = strings.TrimSpace(token)
	clean := func(where, text string) {
		t.Helper()
		for _, no := range []string{"hunter2", token[:40], token[len(token)-40:]} {
			if at := strings.Index(text, no); at >= 0 {
				t.Errorf("%s shows a secret: %.200s", where, text[max(0, at-100):])
			}
		}
	}
	ask := func(method, url, authorization, body string) (status int, text string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		answer, err := s.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		whole, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		clean(method+" "+url, fmt.Sprint(answer.Header, string(whole), unpacked(t, whole)))
		return answer.StatusCode, string(whole)
	}

	// Answers, good and bad, in all of which the token was sent.
	for _, c := range []struct {
		authorization string
		status        int
	}{{"Bearer " + token, 200}, {"Bearer " + token + "x", 401}, {"Basic " + token, 401}, {"Bearer " + token[:len(token)-1], 401}} {
		if status, text := ask("POST", s.base+"/v1/predict-minimal", c.authorization, honestBody); status != c.status {
			t.Errorf("%.20s…: %d, want %d: %s", c.authorization, status, c.status, text)
		}
	}
	for _, path := range []string{"/health", "/v1/model-info", "/v1/none", "/openapi.json", "/docs"} {
		ask("GET", s.base+path, "Bearer "+token, "")
	}

	ops := "http://" + regexp.MustCompile(`"ops_address":"([^"]*)"`).FindStringSubmatch(s.logged())[1]
	for _, path := range []string{"", "heap", "heap?debug=1", "allocs?debug=1", "goroutine?debug=1", "goroutine?debug=2", "block?debug=1",
		"mutex?debug=1", "threadcreate?debug=1", "profile?seconds=1", "trace?seconds=1", "symbol"} {
		if status, _ := ask("GET", ops+"/debug/pprof/"+path, "", ""); status != http.StatusOK {
			t.Errorf("/debug/pprof/%s: %d: the test tests less than it says", path, status)
		}
	}
	for _, path := range []string{"/debug/pprof/cmdline", "/debug/vars", "/debug/requests"} {
		if status, _ := ask("GET", ops+path, "", ""); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
	ask("GET", ops+"/metrics", "", "")

	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", s.command.Process.Pid))
	if err != nil && !os.IsNotExist(err) { // there is no /proc everywhere
		t.Fatal(err)
	}
	clean("ps", string(cmdline))

	jwt.write("hunter2") // too short
	s.untilLogged("secret_reload_failed", 1)
	clean("the log", s.logged())

	// Settings that stop the start, and commands that fail.
	for name, value := range map[string]string{
		"JWT_SECRET": "hunter2", "RESPONSE_CACHE_SECRET": "hunter2", "DATABASE_URL": "postgres://u:hunter2@h:port/d", "REDIS_URL": "redis://u:hunter2@h:port",
		"DATABASE_REPLICA_URLS": "postgres://u:hunter2@h:port/d", "MODEL_PUBLIC_KEY": "hunter2", "JWT_JWKS_URL": "http://u:hunter2@h/keys",
	} {
		env := map[string]string{name: value}
		if name == "DATABASE_REPLICA_URLS" {
			env["DATABASE_URL"] = "postgres://127.0.0.1:1/d"
		}
		code, stdout, stderr := run(t, env, "serve", "--listen", "127.0.0.1:0")
		if code != badUsage || !strings.Contains(stderr, name) {
			t.Errorf("%s: code %d, %s", name, code, stderr)
		}
		clean("serve with a bad "+name, stdout+stderr)
	}
	for _, args := range [][]string{{"demographics", "history"}, {"rollout", "status", "--model-dir", t.TempDir()}, {"serve", "--help"}, {"version"}} {
		_, stdout, stderr := run(t, map[string]string{"DATABASE_URL": "postgres://u:hunter2@127.0.0.1:1/d", "JWT_SECRET": secret("jwt"), "PROMETHEUS_URL": "http://u:hunter2@127.0.0.1:1?key=hunter2"}, args...)
		clean(strings.Join(args, " "), stdout+stderr)
	}
}

// unpacked returns what a profile holds, which is compressed; "" for what is
// not.
func unpacked(t *testing.T, packed []byte) string {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return ""
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
