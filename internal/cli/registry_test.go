package cli

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"housing/internal/registry/registrytest"
)

// keyFile writes a private key and returns its path and the public key.
func keyFile(t *testing.T, seed byte) (path, public string) {
	t.Helper()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
}

// TestARegistryByTheCommandLine takes two models through the life that a
// registry is for, in a folder and in a bucket.
func TestARegistryByTheCommandLine(t *testing.T) {
	made := registryOf(t, map[string]uint64{"a": 1, "b": 2})
	path := func(version string) string { return filepath.Join(made, version, "bundle") }
	key, public := keyFile(t, 1)
	_, stranger := keyFile(t, 2)
	lives := func(t *testing.T, place string) {
		must := func(want string, args ...string) {
			t.Helper()
			code, stdout, stderr := run(t, map[string]string{"MODEL_DIR": place}, args...)
			if code != success || !strings.Contains(stdout, want) {
				t.Fatalf("%q: code %d, want %q:\n%s%s", args, code, want, stdout, stderr)
			}
		}
		fails := func(wantCode int, want string, args ...string) {
			t.Helper()
			code, stdout, stderr := run(t, map[string]string{"MODEL_DIR": place}, args...)
			if code != wantCode || !strings.Contains(stdout+stderr, want) {
				t.Fatalf("%q: code %d, want %d and %q:\n%s%s", args, code, wantCode, want, stdout, stderr)
			}
		}
		must("VERSION", "model", "list")
		must("would be pushed", "model", "push", path("a"), "--dry-run")
		fails(failure, "has no versions", "model", "verify")
		must("Version a, sha256 ", "model", "push", path("a"), "--sign", key)
		must("Alias next stands for b; it stood for nothing.", "model", "push", path("b"), "--alias", "next")
		must("Version a, sha256 ", "model", "push", path("a"))
		fails(failure, "exists already", "model", "push", other(t))

		must("not checked  good", "model", "verify", "a")
		must("none       good", "model", "verify", "next")
		fails(failure, "it is not signed", "model", "verify", "--model-public-key", public)
		must("valid", "model", "verify", "a", "--model-public-key", public)
		fails(failure, "of 1 versions, 1 must not be served", "model", "verify", "a", "--model-public-key", stranger)
		fails(badUsage, "MODEL_PUBLIC_KEY", "model", "verify", "--model-public-key", "x")

		fails(failure, "no primary yet", "rollout", "start", "b")
		fails(failure, "no such version", "rollout", "set", "--primary", "c", "--dry-run")
		must("primary  a", "rollout", "set", "--primary", "a", "--why", "the first")
		must("percent    12.5", "rollout", "start", "next", "--percent", "12.5", "--dry-run")
		must("primary  a\n", "rollout", "status")
		must("candidate  b", "rollout", "start", "next", "--percent", "12.5")
		must("percent    50", "rollout", "set", "--percent", "50")
		fails(badUsage, "not a share", "rollout", "set", "--percent", "101")
		fails(badUsage, "", "rollout", "set")
		must("candidate", "model", "list")
		must("previous  a", "rollout", "promote")
		must("primary  a", "rollout", "rollback", "--why", "prices are off")
		fails(failure, "nothing to roll back", "rollout", "rollback")
		must("prices are off", "rollout", "status")

		for _, want := range []string{"rollback to a", `{"primary":"b","previous":"a"}`, who()} {
			must(want, "rollout", "history")
		}
		must(`"b"`, "model", "history", "b")
		must("push a", "model", "history", "a")
		must("push b", "model", "history")
		fails(failure, "no such version", "model", "history", "c")

		must("it stood for b", "model", "alias", "next", "a")
		must("would stand for nothing", "model", "alias", "next", "--remove", "--dry-run")
		must("stands for nothing", "model", "alias", "next", "--remove")
		fails(badUsage, "--remove", "model", "alias", "next")
		must("Version kc-", "model", "push")
		must("sha256", "model", "show", "a")
		must("sha256", "model", "show", path("a"))

		out := filepath.Join(t.TempDir(), "pulled")
		must("Version b, sha256 ", "model", "pull", "b", "--out", out)
		fails(failure, "there already", "model", "pull", "b", "--out", out)
		fails(failure, "not signed", "model", "pull", "b", "--out", out+"2", "--model-public-key", public)
		left, err := os.ReadDir(filepath.Dir(out))
		if err != nil || len(left) != 1 {
			t.Errorf("beside the bundle are %v, %v", left, err)
		}
		pulled, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if want, err := os.ReadFile(path("b")); err != nil || !bytes.Equal(pulled, want) {
			t.Errorf("another bundle was pulled, %v", err)
		}
		checkJSON(t, place, "model", "list")
		checkJSON(t, place, "model", "verify")
		checkJSON(t, place, "rollout", "status")
		checkJSON(t, place, "rollout", "history")
		checkJSON(t, place, "model", "history")
		checkJSON(t, place, "rollout", "set", "--primary", "b", "--dry-run")
		checkJSON(t, place, "model", "push", path("a"))
	}
	t.Run("folder", func(t *testing.T) { lives(t, t.TempDir()) })
	t.Run("s3", func(t *testing.T) { lives(t, registrytest.NewS3(t).Location("kc")) })
}

// TestEachCommandThatChangesARegistryLeavesALine reads what each of them tells
// the log.
func TestEachCommandThatChangesARegistryLeavesALine(t *testing.T) {
	made := registryOf(t, map[string]uint64{"a": 1, "b": 2})
	env := map[string]string{"MODEL_DIR": t.TempDir()}
	type line struct {
		Msg, Who, What, Where, Why string
		Before, After              any
	}
	for _, c := range []struct {
		args          string
		what          string // "" for a command that changes nothing
		before, after string // as JSON in part
	}{
		{"model push " + filepath.Join(made, "a", "bundle"), "push a", "null", `"signed":false`},
		{"model push " + filepath.Join(made, "b", "bundle"), "push b", "null", `"signed":false`},
		{"model push " + filepath.Join(made, "b", "bundle"), "", "", ""},
		{"model alias next b --dry-run", "", "", ""},
		{"model alias next b", "alias next", "null", `"b"`},
		{"rollout set --primary a", "set primary a", "null", `{"primary":"a"}`},
		{"rollout start next --percent 5 --dry-run", "", "", ""},
		{"rollout start next --percent 5", "start b as canary at 5 %", `{"primary":"a"}`, `"candidate":"b"`},
		{"rollout set --percent 50", "set b to 50 %", `"percent":5`, `"percent":50`},
		{"rollout promote", "promote b", `"primary":"a"`, `"primary":"b"`},
		{"rollout rollback", "rollback to a", `"primary":"b"`, `"primary":"a"`},
		{"model alias next --remove", "alias next", `"b"`, "null"},
		{"rollout status", "", "", ""},
	} {
		args := strings.Fields(c.args)
		if c.what != "" {
			args = append(args, "--why", "for the test")
		}
		code, _, stderr := run(t, env, args...)
		if code != success {
			t.Fatalf("%s: %s", c.args, stderr)
		}
		var told []line
		for text := range strings.Lines(stderr) {
			var l line
			if json.Unmarshal([]byte(text), &l) == nil && l.Msg == "audit" {
				told = append(told, l)
			}
		}
		if c.what == "" {
			if len(told) != 0 {
				t.Errorf("%s changes nothing and tells %+v", c.args, told)
			}
			continue
		}
		if len(told) != 1 {
			t.Errorf("%s: %d lines: %s", c.args, len(told), stderr)
			continue
		}
		before, err := json.Marshal(told[0].Before)
		if err != nil {
			t.Fatal(err)
		}
		after, err := json.Marshal(told[0].After)
		if err != nil {
			t.Fatal(err)
		}
		if l := told[0]; l.What != c.what || l.Who != who() || l.Why != "for the test" || !strings.HasPrefix(l.Where, env["MODEL_DIR"]) ||
			!strings.Contains(string(before), c.before) || !strings.Contains(string(after), c.after) {
			t.Errorf("%s: told %+v, before %s, after %s", c.args, l, before, after)
		}
	}
}

// other returns the path of another bundle that calls itself a.
func other(t *testing.T) string {
	return filepath.Join(registryOf(t, map[string]uint64{"a": 9}), "a", "bundle")
}

func checkJSON(t *testing.T, place string, args ...string) {
	t.Helper()
	code, stdout, stderr := run(t, map[string]string{"MODEL_DIR": place}, append(args, "--json")...)
	if code != success || !json.Valid([]byte(stdout)) {
		t.Errorf("%q: code %d: %s%s", args, code, stdout, stderr)
	}
}

func TestRegistriesThatCannotBeUsed(t *testing.T) {
	for _, c := range []struct{ place, want string }{
		{"", "MODEL_DIR: is not set"},
		{filepath.Join(t.TempDir(), "none"), "no such file"},
		{"ftp://h/p", "not known"},
		{"s3://b?more=1", "option"},
	} {
		code, _, stderr := run(t, map[string]string{"MODEL_DIR": c.place}, "model", "list")
		if code != badUsage || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: code %d: %s", c.place, code, stderr)
		}
	}
}

func TestModelCompare(t *testing.T) {
	made := registryOf(t, map[string]uint64{"a": 1, "b": 2})
	var file strings.Builder
	file.WriteString("price,bedrooms,bathrooms,sqft_living,sqft_lot,floors,sqft_above,sqft_basement,zipcode\n")
	for i := range 50 {
		fmt.Fprintf(&file, "%d,3,2,%d,5000,1,%d,0,98115\n", 400_000+10_000*i, 1000+50*i, 1000+50*i)
	}
	in := filepath.Join(t.TempDir(), "sales.csv")
	if err := os.WriteFile(in, []byte(file.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"MODEL_DIR": made}
	code, stdout, stderr := run(t, env, "model", "compare", "a", "b", "--in", in, "--seed", "7")
	for _, want := range []string{"houses  50", "B / A", "on 50 sales", "mdape", "95 % interval", "Seed 7, 1000 resamples"} {
		if code != success || !strings.Contains(stdout, want) {
			t.Errorf("code %d, want %q:\n%s%s", code, want, stdout, stderr)
		}
	}
	code, stdout, stderr = run(t, nil, "model", "compare", filepath.Join(made, "a", "bundle"), filepath.Join(made, "a", "bundle"), "--in", in, "--json")
	var compared struct {
		A, B          string
		Houses, Equal int
		Ratio         struct{ Median float64 }
		Accuracy      []struct{ Better string }
	}
	if err := json.Unmarshal([]byte(stdout), &compared); err != nil || code != success || compared.A != "a" || compared.Equal != 50 || compared.Ratio.Median != 1 || len(compared.Accuracy) != 4 || compared.Accuracy[0].Better != "" {
		t.Errorf("code %d, %+v, %v: %s", code, compared, err, stderr)
	}
	if code, _, stderr := run(t, env, "model", "compare", "a", "c", "--in", in); code != failure || !strings.Contains(stderr, "no such version") {
		t.Errorf("code %d: %s", code, stderr)
	}
}

func TestHelpOfTheCommandsOnARegistry(t *testing.T) {
	for _, command := range []string{"model list", "model show", "model push", "model pull", "model verify", "model compare", "model alias", "model history",
		"rollout status", "rollout history", "rollout start", "rollout set", "rollout promote", "rollout rollback"} {
		code, stdout, _ := run(t, nil, append(strings.Fields(command), "--help")...)
		if code != success || !strings.Contains(stdout, "Example") || !strings.Contains(stdout, "housing "+command) || !strings.Contains(stdout, "($MODEL_DIR)") {
			t.Errorf("%s: code %d\n%s", command, code, stdout)
		}
	}
}
