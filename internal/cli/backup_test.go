package cli

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/jackc/pgx/v5/pgxpool"

	"housing/internal/backup"
	"housing/internal/store/storetest"
)

// backedUp is a service's state that commands back up and restore.
type backedUp struct {
	*testing.T
	env  map[string]string
	pool *pgxpool.Pool
}

// newBackedUp makes demographics, a journal of 30,000 rows, two versions and a
// plan.
func newBackedUp(t *testing.T) *backedUp {
	t.Helper()
	server := storetest.NewPostgres(t)
	b := &backedUp{T: t, pool: openPool(t, server.URL), env: map[string]string{
		"DATABASE_URL": server.URL, "MODEL_DIR": registryOf(t, map[string]uint64{"kc-2": 1, "kc-3": 2}), "BACKUP_DIR": filepath.Join(t.TempDir(), "backups"),
	}}
	file := filepath.Join(t.TempDir(), "figures.csv")
	if err := os.WriteFile(file, []byte(figures(t)), 0o644); err != nil {
		t.Fatal(err)
	}
	b.must("demographics", "import", file)
	b.must("rollout", "set", "--primary", "kc-2")
	b.must("model", "alias", "next", "kc-3")
	b.sql("CREATE TABLE predictions_2026_10 PARTITION OF predictions FOR VALUES FROM ('2026-10-01Z') TO ('2026-11-01Z')",
		`INSERT INTO predictions SELECT '2026-10-01Z'::timestamptz + i * interval '1 minute', gen_random_uuid(), 0, false, 'kc-2', 'primary', NULL, 100000 + i FROM generate_series(1, 30000) i`,
		"INSERT INTO outcomes (id, record, price, sold_on) SELECT id, record, price, '2026-11-01' FROM predictions WHERE price < 101000")
	return b
}

// must runs a command that must succeed.
func (b *backedUp) must(args ...string) (stdout string) {
	b.Helper()
	code, stdout, stderr := run(b.T, b.env, args...)
	if code != success {
		b.Fatalf("%s: %s", strings.Join(args, " "), stderr)
	}
	return stdout
}

// fails runs a command that must fail, and say why.
func (b *backedUp) fails(code int, says string, args ...string) {
	b.Helper()
	got, stdout, stderr := run(b.T, b.env, args...)
	if got != code || !strings.Contains(stderr, says) {
		b.Errorf("%s: code %d, %s%s; want code %d and %q", strings.Join(args, " "), got, stdout, stderr, code, says)
	}
}

func (b *backedUp) sql(statements ...string) {
	b.Helper()
	for _, sql := range statements {
		if _, err := b.pool.Exec(b.Context(), sql); err != nil {
			b.Fatalf("%s: %v", sql, err)
		}
	}
}

// state says what the tables hold and which plan there is.
func (b *backedUp) state() string {
	b.Helper()
	var rows string
	if err := b.pool.QueryRow(b.Context(), `SELECT concat_ws(' ', (SELECT concat(count(*), '/', sum(price)) FROM predictions),
		(SELECT concat(count(*), '/', sum(price)) FROM outcomes), (SELECT concat(count(*), '/', sum(hous_val_amt)) FROM zipcode_demographics))`).Scan(&rows); err != nil {
		b.Fatal(err)
	}
	return rows
}

func (b *backedUp) plan() string {
	b.Helper()
	plan, _, _ := strings.Cut(b.must("rollout", "status"), "\n\n")
	return plan
}

// TestBackupsByTheCommandLine makes, lists, verifies and restores backups.
func TestBackupsByTheCommandLine(t *testing.T) {
	t.Parallel()
	b := newBackedUp(t)
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	identity := filepath.Join(t.TempDir(), "key.txt")
	if err := os.WriteFile(identity, []byte("# a comment\n"+key.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.fails(badUsage, "BACKUP_DIR", "backup", "verify")
	b.env["BACKUP_RECIPIENTS"] = "age1nonsense"
	b.fails(badUsage, "BACKUP_RECIPIENTS", "backup", "create")
	b.env["BACKUP_RECIPIENTS"] = key.Recipient().String()
	if out := b.must("backup", "create"); !strings.Contains(out, "is whole: 30000 predictions, 999 outcomes, 5 areas") {
		t.Errorf("create says %s", out)
	}
	b.fails(failure, "a secret key is needed", "backup", "verify")
	b.env["BACKUP_IDENTITY_FILE"] = identity
	if out := b.must("backup", "verify"); !strings.Contains(out, "is good") {
		t.Errorf("verify says %s", out)
	}
	if out := b.must("backup", "list"); !strings.Contains(out, " good") || !strings.Contains(out, "kc-2") {
		t.Errorf("list says %s", out)
	}
	var list struct{ Backups []listedBackup }
	if err := json.Unmarshal([]byte(b.must("backup", "list", "--json")), &list); err != nil || len(list.Backups) != 1 || list.Backups[0].Rows["predictions"] != 30000 || !list.Backups[0].Encrypted {
		t.Errorf("list --json: %+v, %v", list, err)
	}
	want, plan := b.state(), b.plan()
	b.sql("UPDATE predictions SET price = 1 WHERE price < 100010", "DELETE FROM outcomes WHERE price < 100500", "UPDATE zipcode_demographics SET hous_val_amt = 7")
	b.must("rollout", "set", "--primary", "kc-3")
	if err := os.Remove(filepath.Join(b.env["MODEL_DIR"], "kc-2", "bundle")); err != nil {
		t.Fatal(err)
	}
	b.fails(failure, "--force changes it", "backup", "restore")
	dry := b.must("backup", "restore", "--dry-run")
	for _, says := range []string{"0 areas added, 5 changed", "hous_val_amt", "predictions 2026-10", "9 changed", "outcomes", "499 rows added", "kc-2/bundle", "rollout.json", "Would restore"} {
		if !strings.Contains(dry, says) {
			t.Errorf("the dry run does not say %q:\n%s", says, dry)
		}
	}
	b.fails(badUsage, "not part of a backup", "backup", "restore", "--only", "everything")
	b.fails(badUsage, "no month", "backup", "restore", "--month", "2026-13")
	b.fails(badUsage, "no time", "backup", "restore", "--at", "yesterday")
	b.fails(failure, "no such backup", "backup", "restore", "--at", "2020-01-01")
	settings := filepath.Join(t.TempDir(), "housing.json")
	b.must("backup", "restore", "--force", "--settings-out", settings)
	if got := b.state(); got != want || b.plan() != plan {
		t.Errorf("restored is %s with plan %s, was %s with %s", got, b.plan(), want, plan)
	}
	if out := b.must("backup", "restore"); !strings.Contains(out, "everything is as in the backup") {
		t.Errorf("restored again: %s", out)
	}
	text, err := os.ReadFile(settings)
	if err != nil || !strings.Contains(string(text), `"BACKUP_DIR"`) || !strings.Contains(string(text), `"next": "kc-3"`) || strings.Contains(string(text), "DATABASE_URL") || strings.Contains(string(text), key.String()) {
		t.Errorf("settings are %s, %v", text, err)
	}
}

// TestAServiceTellsHowOldBackupsAre reads the metrics that the alert goes by.
func TestAServiceTellsHowOldBackupsAre(t *testing.T) {
	t.Parallel()
	env := map[string]string{"BACKUP_DIR": filepath.Join(t.TempDir(), "backups"), "MODEL_DIR": registryOf(t, map[string]uint64{"kc-2": 1})}
	s := startService(t, env)
	s.until("before the first backup", "backups", "down", "missing")
	for _, args := range [][]string{{"backup", "create", "--verify"}} {
		if code, _, stderr := run(t, env, args...); code != success {
			t.Fatal(stderr)
		}
	}
	s = startService(t, env)
	s.until("after the first backup", "backups", "up", "")
	for _, name := range []string{"backup_last_completed_timestamp_seconds", "backup_last_verified_timestamp_seconds"} {
		if age := float64(time.Now().Unix()) - s.number(name); age < 0 || age > 600 {
			t.Errorf("%s is of %v seconds ago", name, age)
		}
	}
}

// TestTheConfigurationIsAFile exports, changes and applies a configuration.
func TestTheConfigurationIsAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("hunter2-hunter2-hunter2-hunter2-hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := &backedUp{T: t, env: map[string]string{"MODEL_DIR": registryOf(t, map[string]uint64{"kc-2": 1, "kc-3": 2}), "RATE_LIMIT": "50/minute", "JWT_SECRET_FILE": secret, "USER_ID_KEY": "hunter2"}}
	b.must("rollout", "set", "--primary", "kc-2")
	file := filepath.Join(dir, "housing.json")
	b.must("config", "export", "--out", file)
	text, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(text), "hunter2") || !strings.Contains(string(text), `"JWT_SECRET_FILE": "`+secret) || !strings.Contains(string(text), `"primary": "kc-2"`) {
		t.Fatalf("exported %s, %v", text, err)
	}
	if again := b.must("config", "export"); again != string(text) {
		t.Errorf("exported again is %s", again)
	}
	if out := b.must("config", "apply", file); !strings.Contains(out, "0 differences") {
		t.Errorf("applied what is there: %s", out)
	}
	changed := strings.NewReplacer(`"primary": "kc-2"`, `"primary": "kc-3"`, `"aliases": {}`, `"aliases": {"old": "kc-2"}`, `"50/minute"`, `"70/minute"`).Replace(string(text))
	if err := os.WriteFile(file, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	environment := filepath.Join(dir, "housing.env")
	if err := os.WriteFile(environment, []byte("# of the service\nRATE_LIMIT=50/minute\nLOG_LEVEL=debug\nUSER_ID_KEY=hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	dry := b.must("config", "apply", file, "--dry-run", "--env-file", environment)
	for _, says := range []string{"plan", "alias old", "setting RATE_LIMIT", "-> 70/minute", "setting LOG_LEVEL", "setting JWT_SECRET_FILE", "Would apply"} {
		if !strings.Contains(dry, says) {
			t.Errorf("the dry run does not say %q:\n%s", says, dry)
		}
	}
	if plan := b.plan(); !strings.Contains(plan, "kc-2") {
		t.Errorf("a dry run changed the plan: %s", plan)
	}
	if out := b.must("config", "apply", file, "--env-file", environment, "--why", "reviewed"); !strings.Contains(out, "Applied "+file+": 6 differences.\n") || strings.Contains(out, "compared only") {
		t.Errorf("applied: %s", out)
	}
	if status := b.must("rollout", "status"); !strings.Contains(status, "primary  kc-3") || !strings.Contains(status, "config apply") || !strings.Contains(status, "reviewed") {
		t.Errorf("status %s", status)
	}
	written, err := os.ReadFile(environment)
	if err != nil || !strings.HasPrefix(string(written), "# of the service\nRATE_LIMIT=70/minute\nUSER_ID_KEY=hunter2\n") || strings.Contains(string(written), "LOG_LEVEL") {
		t.Errorf("the environment is %s, %v", written, err)
	}
	for bad, says := range map[string]string{
		strings.Replace(changed, "kc-3", "kc-9", 1):                          "no such version",
		strings.Replace(changed, `"RATE_LIMIT"`, `"JWT_SECRET"`, 1):          "secrets do not",
		strings.Replace(changed, `"RATE_LIMIT"`, `"LD_PRELOAD"`, 1):          "no setting",
		strings.Replace(changed, `70/minute`, `70/minute\nJWT_SECRET=x`, 1):  "one line",
		strings.Replace(changed, `housing-config/1`, `housing-config/99`, 1): "format",
		strings.Replace(changed, `"mode"`, `"modus"`, 1) + "x":               "",
	} {
		if err := os.WriteFile(file, []byte(bad), 0o644); err != nil {
			t.Fatal(err)
		}
		b.fails(failure, says, "config", "apply", file)
	}
}

// TestSettingsAreComparedOnly applies a configuration without and with a file
// for its settings, and reads what was applied.
func TestSettingsAreComparedOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := &backedUp{T: t, env: map[string]string{"MODEL_DIR": registryOf(t, map[string]uint64{"kc-2": 1}), "RATE_LIMIT": "50/minute"}}
	file, aliases := filepath.Join(dir, "housing.json"), "{}"
	write := func() {
		t.Helper()
		text := `{"format": "housing-config/1", "aliases": ` + aliases + `, "settings": {"RATE_LIMIT": "70/minute", "MODEL_DIR": "` + b.env["MODEL_DIR"] + `"}}`
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// applied returns which differences were applied, by what they are.
	applied := func(stdout string) map[string]bool {
		t.Helper()
		var answer struct {
			Applied     bool
			Differences []struct {
				What    string
				Applied bool
			}
		}
		if err := json.Unmarshal([]byte(stdout), &answer); err != nil {
			t.Fatal(err)
		}
		by := map[string]bool{"all": answer.Applied}
		for _, d := range answer.Differences {
			by[d.What] = d.Applied
		}
		return by
	}
	aliases = `{"next": "kc-2"}`
	write()
	const setting, alias = "setting RATE_LIMIT", "alias next"
	if out := b.must("config", "apply", file, "--dry-run"); !strings.Contains(out, "(compared only)") || !strings.Contains(out, "Would apply "+file+": 1 of 2 differences; settings are written with --env-file.\n") {
		t.Errorf("a dry run says %s", out)
	}
	for _, step := range []struct {
		args []string
		want map[string]bool
	}{
		{[]string{"--dry-run"}, map[string]bool{"all": false, alias: false, setting: false}},
		{nil, map[string]bool{"all": false, alias: true, setting: false}},
		{nil, map[string]bool{"all": false, setting: false}},
	} {
		if got := applied(b.must(append([]string{"config", "apply", file, "--json"}, step.args...)...)); !maps.Equal(got, step.want) {
			t.Errorf("%v: %v, want %v", step.args, got, step.want)
		}
	}
	if out := b.must("config", "apply", file); !strings.Contains(out, "Applied "+file+": 0 of 1 differences; settings are written with --env-file.\n") {
		t.Errorf("says %s", out)
	}

	// The registry is changed before the file turns out to have no folder.
	aliases = `{"next": "kc-2", "best": "kc-2"}`
	write()
	code, stdout, stderr := run(t, b.env, "config", "apply", file, "--json", "--env-file", filepath.Join(dir, "none", "housing.env"))
	if got := applied(stdout); code != failure || !strings.Contains(stderr, "no such file") || !got["alias best"] || got[setting] || got["all"] {
		t.Errorf("code %d, %s%v", code, stderr, got)
	}
	if _, stdout, _ := run(t, b.env, "config", "apply", file, "--env-file", filepath.Join(dir, "none", "housing.env")); !strings.Contains(stdout, "(not written)") || strings.Contains(stdout, "compared only") {
		t.Errorf("says %s", stdout)
	}
	if got := applied(b.must("config", "apply", file, "--json", "--env-file", filepath.Join(dir, "housing.env"))); !got["all"] || !got[setting] {
		t.Errorf("with a file: %v", got)
	}
}

// TestKilledAtAnyMoment kills create and restore with kill -9 at random
// moments: what is half-done is never seen, and the next run finishes. With
// BACKUP=long it is twenty moments of each.
func TestKilledAtAnyMoment(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes for seconds")
	}
	kills := 6
	if os.Getenv("BACKUP") == "long" {
		kills = 20
	}
	b := newBackedUp(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	environment := []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + t.TempDir()}
	for name, value := range b.env {
		environment = append(environment, name+"="+value)
	}
	command := func(args ...string) *exec.Cmd {
		c := exec.Command("housing", args...)
		c.Env = environment
		return c
	}
	// kill starts a command, kills it after a part of the time that it takes,
	// and says whether it was quicker.
	kill := func(takes time.Duration, args ...string) (finished bool) {
		t.Helper()
		c := command(args...)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(random.Int64N(int64(takes))))
		_ = c.Process.Kill() // it may have ended
		return c.Wait() == nil
	}
	timed := func(args ...string) time.Duration {
		t.Helper()
		start := time.Now()
		if out, err := command(args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return time.Since(start)
	}
	repository, err := backup.Open(t.Context(), makeFolder(t, b.env["BACKUP_DIR"]))
	if err != nil {
		t.Fatal(err)
	}
	defer repository.Close()
	verified := func() {
		t.Helper()
		list, err := repository.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range list {
			if _, err := repository.Verify(t.Context(), s.ID, backup.VerifyOptions{Pool: b.pool, By: "test"}); err != nil {
				t.Errorf("a backup is seen that is not whole: %v", err)
			}
		}
	}
	takes := timed("backup", "create")
	killed := 0
	for range kills {
		b.sql("UPDATE predictions SET price = price + 1 WHERE price < 130000") // so that all is new
		if !kill(takes, "backup", "create") {
			killed++
		}
	}
	verified()
	timed("backup", "create")
	verified()
	t.Logf("create takes %v and was killed %d times", takes.Round(time.Millisecond), killed)
	if left, err := filepath.Glob(filepath.Join(b.env["BACKUP_DIR"], "*", "manifest.json")); err != nil || len(left) < 2 {
		t.Errorf("%d backups, %v", len(left), err)
	}

	want, wantPlan := b.state(), b.plan()
	damage := func() (state, plan string) {
		t.Helper()
		b.sql("DELETE FROM outcomes WHERE price < 100500", "UPDATE predictions SET price = 1 WHERE at < '2026-10-02'", "UPDATE zipcode_demographics SET hous_val_amt = 7")
		if strings.Contains(b.plan(), "primary   kc-2") {
			b.must("rollout", "set", "--primary", "kc-3")
		}
		if err := os.Remove(filepath.Join(b.env["MODEL_DIR"], "kc-2", "bundle")); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return b.state(), b.plan()
	}
	damage()
	takes = timed("backup", "restore", "--force")
	if got := b.state(); got != want || b.plan() != wantPlan {
		t.Fatalf("restored is %s, was %s", got, want)
	}
	killed, seen := 0, map[string]int{}
	for range kills {
		damagedState, damagedPlan := damage()
		if !kill(takes, "backup", "restore", "--force") {
			killed++
		}
		state, plan := b.state(), b.plan()
		_, missing := os.Stat(filepath.Join(b.env["MODEL_DIR"], "kc-2", "bundle"))
		switch {
		case state == damagedState && plan == damagedPlan:
			seen["nothing"]++
		case state == want && plan == damagedPlan:
			seen["tables"]++
		case state == want && plan == wantPlan && missing == nil:
			seen["all"]++
		default:
			t.Errorf("half-applied: tables %s, plan %s, bundle %v", state, plan, missing)
		}
	}
	timed("backup", "restore", "--force")
	if got := b.state(); got != want || b.plan() != wantPlan {
		t.Errorf("the last run left %s, want %s", got, want)
	}
	var schemas int
	if err := b.pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'housing_restore%'").Scan(&schemas); err != nil || schemas != 0 {
		t.Errorf("%d schemas were left, %v", schemas, err)
	}
	t.Logf("restore takes %v and was killed %d times; afterwards restored was: %v", takes.Round(time.Millisecond), killed, seen)
}

func makeFolder(t *testing.T, dir string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}
