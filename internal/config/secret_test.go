package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSecretsAreNotSeen(t *testing.T) {
	s := Database{DatabaseURL: "postgres://u:hunter2@h/d"}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("settings", "url", s.DatabaseURL, "all", s)
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{fmt.Sprintf("%v %+v %#v %s %q", s, s, s, s.DatabaseURL, s.DatabaseURL), string(text), log.String()} {
		if strings.Contains(shown, "hunter2") || !strings.Contains(shown, "***") {
			t.Errorf("a secret is shown: %s", shown)
		}
	}
}

func TestSecretsFromFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good", "postgres://u:hunter2@h/d\n")
	s, err := read(nil, "DATABASE_URL_FILE="+good)
	if err != nil || string(s.DatabaseURL) != "postgres://u:hunter2@h/d" {
		t.Errorf("read %q, %v", string(s.DatabaseURL), err)
	}
	for _, c := range []struct {
		want        string
		environment []string
	}{
		{"DATABASE_URL: is set, and so is DATABASE_URL_FILE", []string{"DATABASE_URL=postgres://h", "DATABASE_URL_FILE=" + good}},
		{"no such file", []string{"DATABASE_URL_FILE=" + filepath.Join(dir, "none")}},
		{"is empty", []string{"DATABASE_URL_FILE=" + write("empty", "\n")}},
		{"more than 65536", []string{"DATABASE_URL_FILE=" + write("large", strings.Repeat("x", maxSecretBytes+1))}},
		{"is set without DATABASE_URL", []string{"DATABASE_REPLICA_URLS=postgres://h"}},
	} {
		if _, err := read(nil, c.environment...); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
}
