package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	jsonv2 "github.com/go-json-experiment/json"
)

// TestSecretsAreNotSeen fills every setting that holds a secret, and prints
// all settings in every way there is.
func TestSecretsAreNotSeen(t *testing.T) {
	var s Serve
	filled := 0
	var fill func(v reflect.Value)
	fill = func(v reflect.Value) {
		for i := range v.NumField() {
			field, tag := v.Field(i), v.Type().Field(i).Tag
			_, secret := tag.Lookup("secret")
			switch {
			case secret && field.Type() != reflect.TypeFor[Secret]():
				t.Errorf("%s holds a secret and is a %s", v.Type().Field(i).Name, field.Type())
			case secret:
				field.SetString("postgres://u:hunter2@h/d")
				filled++
			case field.Kind() == reflect.Struct && v.Type().Field(i).Anonymous:
				fill(field)
			}
		}
	}
	fill(reflect.ValueOf(&s).Elem())
	if filled < 7 {
		t.Errorf("only %d settings hold secrets: the test misses some", filled)
	}
	type nested struct {
		Settings Serve
		List     []Secret
		ByName   map[string]Secret
	}
	in := nested{s, []Secret{s.JWTSecret}, map[string]Secret{"a": s.JWTSecret}}
	shown := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%#q", "%10v", "%!"} {
		shown[verb] = fmt.Sprintf(verb, s)
		shown[verb+" of one"] = fmt.Sprintf(verb, s.JWTSecret)
		shown[verb+" nested"] = fmt.Sprintf(verb, in)
		shown[verb+" in an error"] = fmt.Errorf("cannot use "+verb, s.JWTSecret).Error()
	}
	shown["Println"] = fmt.Sprintln(s.JWTSecret, s)
	v1, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	v2, err := jsonv2.Marshal(in.ByName) // which knows no durations
	if err != nil {
		t.Fatal(err)
	}
	shown["encoding/json"], shown["JSON v2"] = string(v1), string(v2)
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"slog, JSON": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
		"slog, text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
	} {
		var log bytes.Buffer
		slog.New(handler(&log)).Info("settings", "one", s.JWTSecret, "all", s, "nested", in)
		shown[name] = log.String()
	}
	hex := fmt.Sprintf("%x", "hunter2")
	for how, text := range shown {
		if strings.Contains(text, "hunter2") || strings.Contains(strings.ToLower(text), hex) {
			t.Errorf("%s shows a secret: %s", how, text)
		}
	}
	if text := fmt.Sprintf("%v %+v", s.JWTSecret, Secret("")); text != "*** " {
		t.Errorf("shown as %q", text)
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
