package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"housing/internal/model/modeltest"
	"housing/internal/store"
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
	t.Parallel()
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
	code, _, stderr = run(t, env, "demographics", "import", write(good), "--why", "the census of 2020")
	if code != success || !strings.Contains(stderr, "5 areas added") || !strings.Contains(stderr, `"msg":"audit"`) {
		t.Fatalf("import: code %d, %s", code, stderr)
	}
	for _, c := range []struct{ args, want string }{
		{"", "the census of 2020"}, {"--json", `"who":`}, {"--import 1", "98000    -       {"}, {"--import 1 --json", `"changes"`},
	} {
		code, stdout, stderr := run(t, env, append([]string{"demographics", "history"}, strings.Fields(c.args)...)...)
		if code != success || !strings.Contains(stdout, c.want) {
			t.Errorf("history %s: code %d, %s%s; want %q", c.args, code, stdout, stderr, c.want)
		}
	}
	for _, c := range []struct{ name, text, want string }{
		{"a column missing", strings.Replace(good, "ppltn_qty", "people", 1), "figures.csv:1: "},
		{"a zipcode doubled", good + lines[2], "figures.csv:7: column zipcode: "},
		{"a negative income", lines[0] + strings.Replace(lines[1], "0,", "-1,", 1) + strings.Join(lines[2:], ""), "figures.csv:2: column "},
		{"half of the rows", strings.Join(lines[:3], ""), "the file has 2 areas and the table 5: half of them or more are missing: nothing was changed (--dry-run shows what would change, --force brings it in all the same)"},
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
	if want := "housing: PostgreSQL at 127.0.0.1:1 cannot be reached: is it running, and is the address right?\n"; stderr != want {
		t.Errorf("no server: %swant %s", stderr, want)
	}
	if code, _, stderr = run(t, nil, "demographics", "export"); code != badUsage || !strings.Contains(stderr, "DATABASE_URL: must name the database") {
		t.Errorf("no setting: code %d, %s", code, stderr)
	}
}

// TestServeGoesOnWithoutItsDatabase starts while the database is away, sees
// it come with another table, and sees it go.
func TestServeGoesOnWithoutItsDatabase(t *testing.T) {
	t.Parallel()
	server := storetest.NewPostgres(t)
	server.Kill()
	env := map[string]string{"DATABASE_URL": server.URL}
	s := startService(t, env)
	s.until("without the database", "postgresql", "down", "unreachable")
	if _, warned, err := s.predict("98000"); !warned || err != nil {
		t.Errorf("98000 is known to the model's own demographics: the test tests nothing (%v)", err)
	}
	if log := s.logged(); !strings.Contains(log, `"msg":"dependency_down","dependency":"postgresql","reason":"unreachable"`) {
		t.Errorf("it does not say that the database is away: %s", log)
	}
	server.Start()
	s.until("the database came", "postgresql", "up", "")
	path := filepath.Join(t.TempDir(), "figures.csv")
	if err := os.WriteFile(path, []byte(figures(t)), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := run(t, env, "demographics", "import", path); code != success {
		t.Fatalf("import: %s", stderr)
	}
	known := func(_ float64, warned bool) bool { return !warned }
	s.untilPriced("a table was imported", "98000", known)
	server.Kill()
	s.until("the database went", "postgresql", "down", "unreachable")
	if _, warned, err := s.predict("98000"); warned || err != nil {
		t.Errorf("the table was lost with the database: %v", err)
	}
}

// TestTwentyServicesStartOnAnEmptyDatabase starts them at once: one migrates,
// all serve, and all take over a table that is imported.
func TestTwentyServicesStartOnAnEmptyDatabase(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts twenty processes")
	}
	server := storetest.NewPostgres(t)
	env := map[string]string{"DATABASE_URL": server.URL}
	services := make([]*process, 20)
	for i := range services {
		services[i] = launch(t, env)
	}
	for _, s := range services {
		s.serving()
		s.until("start", "postgresql", "up", "")
	}
	pool, err := store.OpenPool(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	files, err := filepath.Glob("../store/schema/migrations/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no migrations: %v", err)
	}
	wanted := len(files)
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		var migrations int
		err := pool.QueryRow(t.Context(), "SELECT count(*) FROM goose_db_version WHERE version_id > 0").Scan(&migrations)
		if err == nil && migrations == wanted {
			break
		}
		if time.Now().After(end) || migrations > wanted {
			t.Fatalf("the schema was migrated %d times: %v", migrations, err)
		}
	}
	path := filepath.Join(t.TempDir(), "figures.csv")
	if err := os.WriteFile(path, []byte(figures(t)), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := run(t, env, "demographics", "import", path); code != success {
		t.Fatalf("import: %s", stderr)
	}
	for _, s := range services {
		s.untilPriced("a table was imported", "98000", func(_ float64, warned bool) bool { return !warned })
		if log := s.logged(); strings.Contains(log, `"level":"WARN"`) || strings.Contains(log, `"level":"ERROR"`) {
			t.Errorf("the start was not quiet: %s", log)
		}
	}
}
