package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"housing/internal/httpapi"
	"housing/internal/model/modeltest"
	"housing/internal/store/storetest"
)

// figures returns made-up census figures as a file has them.
func figures(t *testing.T) string {
	t.Helper()
	table, err := modeltest.NewTable()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := table.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestDemographicsGoIntoTheDatabaseAndBack(t *testing.T) {
	server := storetest.NewPostgres(t)
	secret := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(secret, []byte(server.URL+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"DATABASE_URL_FILE": secret}
	write := func(text string) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "figures.csv")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := figures(t)
	lines := strings.SplitAfter(strings.TrimSuffix(good, "\n")+"\n", "\n")
	lines = lines[:len(lines)-1]

	code, _, stderr := run(t, env, "demographics", "export")
	if code != failure || !strings.Contains(stderr, "no demographics: import some") {
		t.Errorf("export of nothing: code %d, %s", code, stderr)
	}
	code, stdout, stderr := run(t, env, "demographics", "import", write(good), "--dry-run")
	if code != success || !strings.Contains(stdout, "+ 98000\n") || !strings.Contains(stderr, "Would import") {
		t.Errorf("dry run: code %d, %s%s", code, stdout, stderr)
	}
	if code, _, stderr = run(t, env, "demographics", "import", write(good)); code != success || !strings.Contains(stderr, "5 areas added") {
		t.Fatalf("import: code %d, %s", code, stderr)
	}
	for _, c := range []struct{ name, text, want string }{
		{"a column missing", strings.Replace(good, "ppltn_qty", "people", 1), "figures.csv:1: "},
		{"a zipcode doubled", good + lines[2], "figures.csv:7: column zipcode: "},
		{"a negative income", lines[0] + strings.Replace(lines[1], "0,", "-1,", 1) + strings.Join(lines[2:], ""), "figures.csv:2: column "},
		{"half of the rows", strings.Join(lines[:3], ""), "60 % of the areas would change or go (0 changed, 3 removed), over the limit of 20 %: nothing was changed"},
	} {
		code, _, stderr := run(t, env, "demographics", "import", write(c.text))
		if code != failure || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: code %d, %s; want %q", c.name, code, stderr, c.want)
		}
		if _, stdout, _ := run(t, env, "demographics", "export"); stdout != good {
			t.Errorf("%s: the table has changed", c.name)
		}
	}
	code, _, stderr = run(t, map[string]string{"DATABASE_URL": "postgres://u:hunter2@127.0.0.1:1/d"}, "demographics", "export")
	if code != failure || strings.Contains(stderr, "hunter2") {
		t.Errorf("no server: code %d, %s", code, stderr)
	}
	if code, _, stderr = run(t, nil, "demographics", "export"); code != badUsage || !strings.Contains(stderr, "DATABASE_URL: must name the database") {
		t.Errorf("no setting: code %d, %s", code, stderr)
	}
}

// TestServeGoesOnWithoutItsDatabase starts while the database is away, sees
// it come with another table, and sees it go.
func TestServeGoesOnWithoutItsDatabase(t *testing.T) {
	server := storetest.NewPostgres(t)
	server.Kill()
	ctx, stop := context.WithCancel(context.Background())
	read, write := io.Pipe()
	env := map[string]string{"LISTEN": "127.0.0.1:0", "DATABASE_URL": server.URL}
	ended := make(chan int, 1)
	go func() {
		code := Run(ctx, []string{"serve"}, func(name string) (string, bool) { v, ok := env[name]; return v, ok }, nil, io.Discard, write)
		ended <- code
		_ = write.Close()
	}()
	address := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(read); lines.Scan(); {
			var event struct{ Msg, Address string }
			if json.Unmarshal(lines.Bytes(), &event) == nil && event.Msg == "serving" {
				address <- event.Address
			}
		}
	}()
	defer func() {
		stop()
		if code := <-ended; code != success {
			t.Errorf("serve ended with %d", code)
		}
	}()
	base := "http://" + <-address
	health := func() (h httpapi.Health) {
		t.Helper()
		answer, err := http.Get(base + "/health")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Fatalf("health is %s", answer.Status)
		}
		if err := json.NewDecoder(answer.Body).Decode(&h); err != nil {
			t.Fatal(err)
		}
		return h
	}
	until := func(what string, good func() bool) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); !good(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: health is %+v", what, health())
			}
		}
	}
	warned := func() bool {
		t.Helper()
		body := `{"records":[{"bedrooms":3,"bathrooms":2,"sqft_living":2000,"zipcode":"98000"}]}`
		answer, err := http.Post(base+"/v1/predict-minimal", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("predict: %s %s %v", answer.Status, text, err)
		}
		return bytes.Contains(text, []byte(`"warnings"`))
	}

	if h := health(); h.Status != httpapi.Degraded || h.Components["postgresql"].Status != "down" {
		t.Errorf("without the database health is %+v", h)
	}
	if !warned() {
		t.Error("98000 is known to the model's own demographics: the test tests nothing")
	}
	server.Start()
	until("the database came", func() bool { return health().Status == httpapi.Healthy })
	path := filepath.Join(t.TempDir(), "figures.csv")
	if err := os.WriteFile(path, []byte(figures(t)), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := run(t, env, "demographics", "import", path); code != success {
		t.Fatalf("import: %s", stderr)
	}
	until("a table was imported", func() bool { return !warned() })
	server.Kill()
	until("the database went", func() bool { return health().Status == httpapi.Degraded })
	if warned() {
		t.Error("the table was lost with the database")
	}
}
