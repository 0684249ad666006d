package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func environment(pairs ...string) Getenv {
	values := map[string]string{}
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		values[name] = value
	}
	return func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	}
}

// read reads settings as the command line does.
func read(args []string, pairs ...string) (*Serve, error) {
	var s Serve
	if _, err := Parse(Flags(&s), args, environment(pairs...), Files{}); err != nil {
		return nil, err
	}
	return &s, s.Check()
}

var redisDefaults = Redis{ModelCacheTTL: Period(time.Hour), ResponseCache: CacheAuto, ResponseCacheTTL: Period(time.Minute)}

var journalDefaults = Journal{JournalSpoolBytes: 64 << 20, JournalRetention: Retention(400 * day)}

var traceDefaults = Traces{Timeout: 10_000, Compression: "none", SamplerArg: 1}

var limitDefaults = Limits{RateLimitCost: PerRequest, AuthFailureLimit: Rate{Requests: 60, Period: time.Minute, given: true}}

func TestDefaults(t *testing.T) {
	s, err := read(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Serve{Network: Network{Listen: "127.0.0.1:8000"}, Transport: Transport{TLSMinVersion: tls.VersionTLS13}, MaxBodyBytes: 1 << 20, MaxRecords: 1000, MaxConnections: 4096, MaxInFlight: 8192,
		ModelPoll: Period(4 * time.Second), ModelProbation: Period(5 * time.Minute), ShutdownGrace: Period(30 * time.Second), LogLevel: Level(slog.LevelInfo), Journal: journalDefaults, Redis: redisDefaults, Limits: limitDefaults, Traces: traceDefaults}
	if *s != want {
		t.Errorf("got %+v, want %+v", *s, want)
	}
}

func TestFlagWinsOverEnvironmentWinsOverDefault(t *testing.T) {
	env := []string{"TLS_MIN_VERSION=1.2", "MAX_BODY_BYTES=512KB", "MAX_RECORDS=7", "WORKERS=", "LISTEN=[::1]:9", "ALLOW_ANONYMOUS=true",
		"DEMOGRAPHICS_CSV=a.csv", "MODEL_DIR=file:///models", "SHUTDOWN_GRACE=1m", "LOG_LEVEL=WARN", "LOG_FORMAT=text", "OPS_LISTEN=:1"}
	s, err := read([]string{"--max-records=8"}, env...)
	if err != nil {
		t.Fatal(err)
	}
	want := Serve{Network: Network{Listen: "[::1]:9", OpsListen: ":1"}, Transport: Transport{TLSMinVersion: tls.VersionTLS12}, MaxBodyBytes: 512_000, MaxRecords: 8, MaxConnections: 4096, MaxInFlight: 8192, AllowAnonymous: true,
		DemographicsCSV: "a.csv", Registry: Registry{ModelDir: "file:///models"}, ModelPoll: Period(4 * time.Second), ModelProbation: Period(5 * time.Minute), ShutdownGrace: Period(time.Minute), LogLevel: Level(slog.LevelWarn), LogFormat: "text",
		Journal: journalDefaults, Redis: redisDefaults, Limits: limitDefaults, Traces: traceDefaults}
	if *s != want {
		t.Errorf("got %+v, want %+v", *s, want)
	}
}

func TestAValueThatCannotBeUsedStopsTheStart(t *testing.T) {
	for _, c := range []struct{ name, value, wants string }{
		{"MAX_BODY_BYTES", "1Q", "1MiB, 512KB or 1048576"},
		{"MAX_BODY_BYTES", "-1", "up to 1GiB"},
		{"MAX_BODY_BYTES", "0", "up to 1GiB"},
		{"MAX_BODY_BYTES", "9223372036854775807GiB", "up to 1GiB"},
		{"MAX_RECORDS", "0", "from 1 to 100000"},
		{"MAX_RECORDS", "many", "from 1 to 100000"},
		{"WORKERS", "-2", "from 1 to 100000"},
		{"SHUTDOWN_GRACE", "30", "30s"},
		{"SHUTDOWN_GRACE", "-1s", "30s"},
		{"LOG_LEVEL", "loud", "debug, info, warn or error"},
		{"LOG_FORMAT", "xml", "json or text"},
		{"LISTEN", "8000", "HOST:PORT"},
		{"LISTEN", "127.0.0.1:http", "HOST:PORT"},
		{"LISTEN", "http://localhost:8000", "HOST:PORT"},
		{"LISTEN", "127.0.0.1:70000", "HOST:PORT"},
		{"OPS_LISTEN", "x", "HOST:PORT"},
		{"CORS_ALLOWED_ORIGINS", "app.example", "https://HOST"},
		{"CORS_ALLOWED_ORIGINS", "https://app.example/", "https://HOST"},
		{"CORS_ALLOWED_ORIGINS", "https://u@app.example", "https://HOST"},
		{"CORS_ALLOWED_ORIGINS", "https://App.example", "small letters"},
		{"CORS_ALLOWED_ORIGINS", "null", "https://HOST"},
		{"CORS_ALLOWED_ORIGINS", "https://a.example,*", "* alone"},
		{"TLS_MIN_VERSION", "1.1", "1.3 or 1.2"},
		{"ALLOW_ANONYMOUS", "perhaps", "true"},
	} {
		t.Run(c.name+"="+c.value, func(t *testing.T) {
			_, err := read(nil, c.name+"="+c.value)
			var setting *Error
			if !errors.As(err, &setting) || setting.Source != c.name || !strings.Contains(setting.Problem, c.wants) {
				t.Errorf("variable: %v; want an error of %s with %q", err, c.name, c.wants)
			}
			if strings.Contains(fmt.Sprint(setting), "\n") {
				t.Errorf("%v is more than one line", setting)
			}
			flag := "--" + strings.ToLower(strings.ReplaceAll(c.name, "_", "-"))
			if c.name == "ALLOW_ANONYMOUS" {
				return
			}
			if _, err := read([]string{flag + "=" + c.value}); err == nil || !strings.Contains(err.Error(), flag) || !strings.Contains(err.Error(), c.wants) {
				t.Errorf("flag: %v; want an error of %s with %q", err, flag, c.wants)
			}
		})
	}
}

func TestOtherThanLoopbackNeedsLeave(t *testing.T) {
	for _, address := range []string{":8000", "0.0.0.0:8000", "[::]:8000", "example.org:80", "10.0.0.1:1", "localhost.example.org:1"} {
		_, err := read(nil, "LISTEN="+address)
		if err == nil || !strings.Contains(err.Error(), "ALLOW_ANONYMOUS=true") || !strings.Contains(err.Error(), "127.0.0.1:8000") || !strings.Contains(err.Error(), "JWT_SECRET") {
			t.Errorf("%s: %v, want every way out", address, err)
		}
		if _, err := read([]string{"--allow-anonymous"}, "LISTEN="+address); err != nil {
			t.Errorf("%s with leave: %v", address, err)
		}
		if _, err := read(nil, "LISTEN="+address, "JWT_SECRET=hunter2-hunter2-hunter2-hunter2-"); err != nil {
			t.Errorf("%s with authentication: %v", address, err)
		}
	}
	for _, address := range []string{"127.0.0.1:0", "127.1.2.3:8", "[::1]:8", "localhost:8", "[::ffff:127.0.0.1]:8"} {
		if _, err := read(nil, "LISTEN="+address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestAccessThatCannotBeMeant(t *testing.T) {
	for pair, want := range map[string]string{
		"JWT_ISSUER=x":   "without JWT_SECRET",
		"JWT_AUDIENCE=x": "without JWT_SECRET",
		"JWT_JWKS_URL=http://issuer.example/keys":     "not encrypted",
		"JWT_JWKS_URL=ftp://issuer.example/keys":      "https://",
		"JWT_JWKS_URL=issuer.example":                 "https://",
		"JWT_JWKS_URL=https://u:hunter2@issuer/keys":  "without a password",
		"JWT_JWKS_URL=https://u:hunter2@issuer\x7f/k": "not an address",
	} {
		if _, err := read(nil, pair); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", pair, err, want)
		}
	}
	for _, url := range []string{"https://issuer.example/keys", "http://127.0.0.1:1/keys", "http://localhost/keys", "http://[::1]:2/"} {
		if _, err := read(nil, "JWT_JWKS_URL="+url); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestTLSNeedsBothFiles(t *testing.T) {
	for pair, want := range map[string]string{"TLS_CERT_FILE=a": "TLS_KEY_FILE", "TLS_KEY_FILE=a": "TLS_CERT_FILE", "TLS_CLIENT_CA_FILE=a": "TLS_CLIENT_CA_FILE"} {
		if _, err := read(nil, pair); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", pair, err)
		}
	}
	if _, err := read(nil, "TLS_CERT_FILE=a", "TLS_KEY_FILE=b", "TLS_CLIENT_CA_FILE=c"); err != nil {
		t.Error(err)
	}
}

func TestOriginsAreAList(t *testing.T) {
	s, err := read(nil, "CORS_ALLOWED_ORIGINS=https://a.example, http://localhost:3000")
	if got := fmt.Sprint(s.CORSAllowedOrigins.List()); err != nil || got != "[https://a.example http://localhost:3000]" {
		t.Errorf("%s, %v", got, err)
	}
}

func TestOpsNeedsItsOwnAddress(t *testing.T) {
	if _, err := read(nil, "OPS_LISTEN=127.0.0.1:8000"); err == nil || !strings.Contains(err.Error(), "OPS_LISTEN") {
		t.Errorf("got %v", err)
	}
	if _, err := read(nil, "LISTEN=127.0.0.1:0", "OPS_LISTEN=127.0.0.1:0"); err != nil {
		t.Errorf("two free ports: %v", err)
	}
}

func TestLocalAddress(t *testing.T) {
	for address, want := range map[Address]string{":8000": "127.0.0.1:8000", "0.0.0.0:1": "127.0.0.1:1", "[::]:2": "[::1]:2", "10.0.0.1:3": "10.0.0.1:3"} {
		if got := address.Local(); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}

func TestLogFormat(t *testing.T) {
	for _, c := range []struct {
		form     LogForm
		terminal bool
		want     bool
	}{{"", true, true}, {"", false, false}, {"json", true, false}, {"text", false, true}} {
		if got := c.form.IsText(c.terminal); got != c.want {
			t.Errorf("%+v: got %v", c, got)
		}
	}
}

func FuzzBytes(f *testing.F) {
	for _, seed := range []string{"1MiB", "512KB", "1048576", "1 GiB", "", "KiB", "99999999999999999999"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var b Bytes
		if err := b.UnmarshalText([]byte(text)); err == nil && (b < 1 || b > maxBytes) {
			t.Errorf("%q is %d", text, b)
		}
	})
}

func ExampleBytes() {
	var b Bytes
	fmt.Println(b.UnmarshalText([]byte("512KB")), int64(b))
	fmt.Println(b.UnmarshalText([]byte("much")))
	// Output:
	// <nil> 512000
	// "much" is not a usable size: want 1MiB, 512KB or 1048576, up to 1GiB
}
