package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"housing/internal/bundle/bundletest"
	"housing/internal/objects"
	"housing/internal/registry"
	"housing/internal/registry/registrytest"
	"housing/internal/store"
	"housing/internal/store/schema"
	"housing/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is what is backed up, and where to.
type world struct {
	*testing.T
	server   *storetest.Postgres
	url      string
	pool     *pgxpool.Pool
	models   string // folder of the registry
	registry *registry.Registry
	location string // of the repository
	repo     *Repository
}

var databases struct {
	sync.Mutex
	made int
}

// newDatabase makes an empty database on a server.
func newDatabase(t *testing.T, server *storetest.Postgres) (address string, pool *pgxpool.Pool) {
	t.Helper()
	databases.Lock()
	databases.made++
	name := fmt.Sprintf("housing_%d", databases.made)
	databases.Unlock()
	server.SQL("CREATE DATABASE " + name)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	if pool, err = store.OpenPool(u.String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return u.String(), pool
}

// newWorld makes a service's state: demographics with a history, predictions
// of three months, outcomes, two versions, a plan and an alias.
func newWorld(t *testing.T, server *storetest.Postgres, location string) *world {
	t.Helper()
	w := &world{T: t, server: server, models: t.TempDir(), location: location}
	w.url, w.pool = newDatabase(t, server)
	if err := schema.Migrate(t.Context(), w.pool); err != nil {
		t.Fatal(err)
	}
	w.fill(w.pool)
	r, err := registry.Open(t.Context(), w.models)
	if err != nil {
		t.Fatal(err)
	}
	w.registry = r
	for i, version := range []string{"kc-2", "kc-3"} {
		if _, err := r.Push(t.Context(), version, bytes.NewReader(bundletest.Bytes(t, version, uint64(i+1))), nil, changeBy("push "+version)); err != nil {
			t.Fatal(err)
		}
	}
	w.plan(`{"primary":"kc-2"}`)
	state, _, err := r.State(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetAlias(t.Context(), state, "next", "kc-3", changeBy("alias")); err != nil {
		t.Fatal(err)
	}
	if w.repo, err = Open(t.Context(), location); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.repo.Close)
	return w
}

func changeBy(what string) registry.Change {
	return registry.Change{When: time.Unix(1_700_000_000, 0), Who: "ann", What: what}
}

func (w *world) plan(plan string) {
	w.Helper()
	state, _, err := w.registry.State(w.Context(), "")
	if err != nil {
		w.Fatal(err)
	}
	if err := w.registry.SetPlan(w.Context(), state, []byte(plan), changeBy("set")); err != nil {
		w.Fatal(err)
	}
}

func (w *world) sql(pool *pgxpool.Pool, statements ...string) {
	w.Helper()
	for _, sql := range statements {
		if _, err := pool.Exec(w.Context(), sql); err != nil {
			w.Fatalf("%s: %v", sql, err)
		}
	}
}

// fill writes rows into a schema that is empty.
func (w *world) fill(pool *pgxpool.Pool) {
	w.Helper()
	var figures strings.Builder
	for i := range 26 {
		fmt.Fprintf(&figures, ", %d", i)
	}
	w.sql(pool, `INSERT INTO zipcode_demographics SELECT to_char(98000 + i, 'FM00000')`+figures.String()+`, '2026-01-02 03:04:05.678901Z', '2026-02-03 04:05:06Z' FROM generate_series(1, 70) i`,
		`INSERT INTO demographics_imports (imported_by, file_name, sha256, digest, row_count, added, changed, removed, why)
			SELECT 'ann', E'a\tb\\c\n"d".csv', md5(i::text), md5(i::text), 70, 70, 0, 0, 'because ' || i FROM generate_series(1, 3) i`,
		`INSERT INTO demographics_changes SELECT 3, to_char(98000 + i, 'FM00000'), NULL, '{"hous_val_amt": 1.5}' FROM generate_series(1, 5) i`)
	for _, month := range []string{"2026-09", "2026-10", "2026-11"} {
		first, err := time.Parse("2006-01", month)
		if err != nil {
			w.Fatal(err)
		}
		w.sql(pool, fmt.Sprintf("CREATE TABLE predictions_%s PARTITION OF predictions FOR VALUES FROM ('%s') TO ('%s')",
			strings.ReplaceAll(month, "-", "_"), first.Format(time.DateOnly+" 00:00Z"), first.AddDate(0, 1, 0).Format(time.DateOnly+" 00:00Z")))
	}
	w.sql(pool, `INSERT INTO predictions SELECT '2026-09-05Z'::timestamptz + i * interval '23 minutes', md5(i::text)::uuid, i % 3, i % 5 = 0, 'kc-' || i % 2, 'primary',
			CASE WHEN i % 4 > 0 THEN md5('user' || i % 7) END, 100000 + i / 7.0 FROM generate_series(1, 5000) i`,
		`INSERT INTO prediction_keys SELECT id, min(at) FROM predictions WHERE record = 1 GROUP BY id`,
		`INSERT INTO outcomes (id, record, price, sold_on, received_at) SELECT id, record, price * 1.01, at::date, at + interval '5 days' FROM predictions WHERE record = 2`)
}

// create makes a backup.
func (w *world) create(change func(o *CreateOptions)) *Manifest {
	w.Helper()
	o := CreateOptions{Pool: w.pool, Registry: w.registry, Settings: []byte(`{"a":1}`), By: "ann"}
	if change != nil {
		change(&o)
	}
	done, err := w.repo.Create(w.Context(), o)
	if err != nil {
		w.Fatal(err)
	}
	return done.Manifest
}

// rowsOf returns all rows of all tables as text.
func rowsOf(t *testing.T, pool *pgxpool.Pool) string {
	t.Helper()
	var all strings.Builder
	for i := range tables {
		spec := &tables[i]
		columns, err := spec.columnsOf(t.Context(), pool)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&all, "==", spec.name)
		if columns == nil {
			continue
		}
		conn, err := pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = conn.Conn().PgConn().CopyTo(t.Context(), &all, fmt.Sprintf("COPY (SELECT %s FROM %s ORDER BY %s) TO STDOUT", quoteAll(columns), spec.name, quoteAll(spec.leading)))
		conn.Release()
		if err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}

// filesOf returns the files of a folder by name.
func filesOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(entry.Name(), ".") {
			return err
		}
		text, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, dir)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// schemas returns the schemas that restores have left.
func schemas(t *testing.T, pool *pgxpool.Pool) (n int) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'housing_restore%'").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestWhatIsBackedUpComesBack restores onto an empty server and an empty
// folder, from each kind of place, encrypted and not.
func TestWhatIsBackedUpComesBack(t *testing.T) {
	t.Parallel()
	server := storetest.NewPostgres(t)
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		location  func(t *testing.T) string
		encrypted bool
	}{
		"folder":           {func(t *testing.T) string { return t.TempDir() }, false},
		"folder encrypted": {func(t *testing.T) string { return t.TempDir() }, true},
		"s3 encrypted":     {func(t *testing.T) string { return registrytest.NewS3(t).Location("backups") }, true},
		"gs":               {func(t *testing.T) string { return registrytest.NewGS(t).Location("backups") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, server, c.location(t))
			var recipients []string
			var identities []age.Identity
			if c.encrypted {
				recipients, identities = []string{key.Recipient().String()}, []age.Identity{key}
			}
			m := w.create(func(o *CreateOptions) { o.Recipients = recipients })
			want, files := rowsOf(t, w.pool), filesOf(t, w.models)
			if m.Rows("predictions") != 5000 || m.Rows("zipcode_demographics") != 70 {
				t.Errorf("backed up %d predictions and %d areas", m.Rows("predictions"), m.Rows("zipcode_demographics"))
			}
			_, scratch := newDatabase(t, server)
			if _, err := w.repo.Verify(t.Context(), m.ID, VerifyOptions{Pool: scratch, Identities: identities, By: "bob"}); err != nil {
				t.Fatal(err)
			}
			if list, err := w.repo.List(t.Context()); err != nil || len(list) != 1 || !list[0].good() || list[0].Verification.By != "bob" {
				t.Errorf("listed %+v, %v", list, err)
			}
			if n := schemas(t, scratch); n != 0 {
				t.Errorf("verify left %d schemas", n)
			}
			_, fresh := newDatabase(t, server)
			models := t.TempDir()
			r, err := registry.Open(t.Context(), models)
			if err != nil {
				t.Fatal(err)
			}
			o := RestoreOptions{Pool: fresh, Registry: r, Identities: identities, By: "bob", DryRun: true}
			dry, err := w.repo.Restore(t.Context(), m, o)
			if err != nil || len(dry.Overwrites) > 0 || len(dry.Journal) < 3 || len(dry.Registry) != len(m.Registry.Objects) || len(dry.Demographics.Added) != 70 {
				t.Fatalf("a dry run says %+v, %v", dry, err)
			}
			if got := rowsOf(t, fresh); strings.Count(got, "\n") != len(tables) || len(filesOf(t, models)) > 0 {
				t.Errorf("a dry run wrote %.200s", got)
			}
			o.DryRun = false
			out, err := w.repo.Restore(t.Context(), m, o)
			if err != nil {
				t.Fatal(err)
			}
			if string(out.Settings) != `{"a":1}` {
				t.Errorf("settings %q", out.Settings)
			}
			if got := rowsOf(t, fresh); got != want {
				t.Errorf("the tables are not what they were:\n%s", firstDifference(got, want))
			}
			for name, text := range files {
				if got := filesOf(t, models)[name]; got != text {
					t.Errorf("%s has %d bytes, had %d", name, len(got), len(text))
				}
			}
			if n := schemas(t, fresh); n != 0 {
				t.Errorf("restore left %d schemas", n)
			}
			again, err := w.repo.Restore(t.Context(), m, o)
			if err != nil || again.Demographics != nil || len(again.Journal)+len(again.Registry) > 0 {
				t.Errorf("restored again: %+v, %v", again, err)
			}
			// What services do next must work on what was restored.
			w.sql(fresh, "INSERT INTO predictions VALUES ('2026-10-10Z', md5('new')::uuid, 0, false, 'kc-2', 'primary', NULL, 5)",
				"INSERT INTO demographics_imports (imported_by, file_name, sha256, digest, row_count, added, changed, removed) VALUES ('x', 'y', '', '', 0, 0, 0, 0)")
		})
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d: got %q, want %q", i+1, g[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

// TestASecondBackupBringsWhatIsNew holds that only days that have changed are
// brought again.
func TestASecondBackupBringsWhatIsNew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.NewPostgres(t), t.TempDir())
	first := w.create(nil)
	second := w.create(nil)
	if second.Stored.New != 0 || second.Stored.All != first.Stored.All {
		t.Errorf("nothing has changed, and %+v was brought after %+v", second.Stored, first.Stored)
	}
	w.sql(w.pool, "INSERT INTO predictions VALUES ('2026-10-10Z', md5('late')::uuid, 0, false, 'kc-2', 'primary', NULL, 5)")
	third := w.create(nil)
	if third.Stored.New == 0 || third.Stored.New > 20_000 || third.Rows("predictions") != 5001 {
		t.Errorf("after one row %+v was brought, %d rows", third.Stored, third.Rows("predictions"))
	}
	parts := func(m *Manifest) (n int) {
		if err := m.streams(func(_ string, s *Stream) error { n += len(s.Parts); return nil }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if parts(third) != parts(second) {
		t.Errorf("%d parts, before %d", parts(third), parts(second))
	}
	if _, err := w.repo.Verify(t.Context(), third.ID, VerifyOptions{Pool: w.pool}); err != nil {
		t.Error(err)
	}
	completed, verified, err := w.repo.Ages(t.Context())
	if err != nil || completed.Unix() != third.Moment.Unix() || verified != completed {
		t.Errorf("ages %v, %v, %v", completed, verified, err)
	}
	// Bundles that never change may stay where they are.
	referring := w.create(func(o *CreateOptions) { o.References = true })
	if err := os.WriteFile(filepath.Join(w.models, "kc-3", "bundle"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = w.repo.Verify(t.Context(), referring.ID, VerifyOptions{Pool: w.pool, Registry: w.registry})
	if err == nil || !strings.Contains(err.Error(), "kc-3/bundle") {
		t.Errorf("a bundle that was referred to has changed: %v", err)
	}
}

// part returns a part of a table, and its file.
func (w *world) part(m *Manifest, table string) (what, file string) {
	w.Helper()
	u := &m.Database.table(table).Units[0]
	return unitName(table, u.Day) + ", part 1 of 1", filepath.Join(w.location, m.keyOf(u.Parts[0].SHA256))
}

// TestDamageIsFoundAndChangesNothing damages a backup in every way: verify
// says which part it is, and restore changes nothing.
func TestDamageIsFoundAndChangesNothing(t *testing.T) {
	t.Parallel()
	server := storetest.NewPostgres(t)
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	rewrite := func(change func(data []byte) []byte) func(t *testing.T, file string) {
		return func(t *testing.T, file string) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, change(data), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name, says string
		key        *age.X25519Identity
		damage     func(t *testing.T, file string)
		table      string
	}{
		{"a flipped byte", "damaged: its SHA-256 is", key, rewrite(func(d []byte) []byte { d[len(d)/2] ^= 1; return d }), predictions},
		{"a flipped byte of the last table", "damaged: its SHA-256 is", key, rewrite(func(d []byte) []byte { d[9] ^= 128; return d }), "outcomes"},
		{"a missing part", "it is missing", key, func(t *testing.T, file string) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}, predictions},
		{"a truncated upload", "bytes, should have", key, rewrite(func(d []byte) []byte { return d[:len(d)-7] }), "zipcode_demographics"},
		{"a wrong key", "it cannot be decrypted", other, func(*testing.T, string) {}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, server, t.TempDir())
			m := w.create(func(o *CreateOptions) { o.Recipients = []string{key.Recipient().String()} })
			what := "registry kc-2/bundle.sha256, part 1 of 1" // the first that is read
			if c.table != "" {
				var file string
				what, file = w.part(m, c.table)
				c.damage(t, file)
			}
			identities := []age.Identity{c.key}
			_, err := w.repo.Verify(t.Context(), m.ID, VerifyOptions{Pool: w.pool, Identities: identities, By: "bob"})
			if err == nil || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("verify: %v, want %q and %q", err, what, c.says)
			}
			v, err := w.repo.verification(t.Context(), m.ID)
			if err != nil || (c.table != "") != (v != nil && !v.Good && len(v.Damaged) == 1) {
				t.Errorf("noted was %+v, %v", v, err)
			}
			w.sql(w.pool, "DELETE FROM predictions WHERE at < '2026-09-07'", "DELETE FROM outcomes WHERE record = 2", "DELETE FROM zipcode_demographics WHERE zipcode > '98060'")
			w.plan(`{"primary":"kc-3"}`)
			rows, files := rowsOf(t, w.pool), filesOf(t, w.models)
			_, err = w.repo.Restore(t.Context(), m, RestoreOptions{Pool: w.pool, Registry: w.registry, Identities: identities, Force: true, By: "bob"})
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("restore: %v", err)
			}
			if got := rowsOf(t, w.pool); got != rows {
				t.Errorf("restore changed the tables: %s", firstDifference(got, rows))
			}
			if got := filesOf(t, w.models); fmt.Sprint(got) != fmt.Sprint(files) {
				t.Error("restore changed the registry")
			}
			if n := schemas(t, w.pool); n != 0 {
				t.Errorf("%d schemas were left", n)
			}
			if c.table != predictions {
				return
			}
			// The next backup brings what is damaged again.
			w.fillAgain()
			next := w.create(func(o *CreateOptions) { o.Recipients = []string{key.Recipient().String()} })
			if _, err := w.repo.Verify(t.Context(), next.ID, VerifyOptions{Pool: w.pool, Identities: identities}); err != nil {
				t.Errorf("the backup after: %v", err)
			}
			// And leaves it as it is from then on.
			third := w.create(func(o *CreateOptions) { o.Recipients = []string{key.Recipient().String()} })
			if third.Stored.New != 0 {
				t.Errorf("the third backup brought %d bytes, and nothing had changed", third.Stored.New)
			}
			for _, id := range []string{next.ID, third.ID} {
				if _, err := w.repo.Verify(t.Context(), id, VerifyOptions{Pool: w.pool, Identities: identities}); err != nil {
					t.Errorf("after the third backup: %v", err)
				}
			}
		})
	}
}

// cutOff is a store that takes no parts any more.
type cutOff struct{ objects.Store }

var errCutOff = errors.New("cut off")

func (s cutOff) Write(ctx context.Context, key string, body io.ReadSeeker, tag string) error {
	if strings.HasPrefix(key, partsPrefix) {
		return errCutOff
	}
	return s.Store.Write(ctx, key, body, tag)
}

// TestADamagedPartIsBroughtAgainOnce, and is there all the while, also where
// the run that brings it is cut off.
func TestADamagedPartIsBroughtAgainOnce(t *testing.T) {
	t.Parallel()
	ctx, dir := t.Context(), t.TempDir()
	r, err := Open(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	whole := r.store
	create := func() (*Manifest, error) {
		done, err := r.Create(ctx, CreateOptions{Settings: []byte(`{"a":1}`), By: "ann"})
		if err != nil {
			return nil, err
		}
		return done.Manifest, nil
	}
	first, err := create()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, first.keyOf(first.Settings.Parts[0].SHA256))
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Verify(ctx, first.ID, VerifyOptions{By: "ann"}); err == nil {
		t.Fatal("the damage was not found")
	}
	r.store = cutOff{whole}
	if _, err := create(); !errors.Is(err, errCutOff) {
		t.Errorf("the part was not brought again: %v", err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("a run that was cut off took the part away: %v", err)
	}
	r.store = whole
	if _, err := create(); err != nil {
		t.Fatal(err)
	}
	r.store = cutOff{whole}
	if _, err := create(); err != nil {
		t.Errorf("a part that was brought again is brought once more: %v", err)
	}
	r.store = whole
	list, err := r.List(ctx)
	if err != nil || len(list) != 3 {
		t.Fatalf("%d backups, %v", len(list), err)
	}
	for _, b := range list {
		if _, err := r.Verify(ctx, b.ID, VerifyOptions{By: "ann"}); err != nil {
			t.Error(err)
		}
	}
}

// fillAgain makes the tables what they were.
func (w *world) fillAgain() {
	w.Helper()
	w.sql(w.pool, "TRUNCATE outcomes, prediction_keys, zipcode_demographics, demographics_imports CASCADE", "DROP TABLE predictions_2026_09, predictions_2026_10, predictions_2026_11",
		"ALTER SEQUENCE demographics_imports_id_seq RESTART")
	w.fill(w.pool)
}

// TestRestoreKeepsWhatCameLater brings back what was lost and changed, and
// loses nothing that the backup does not have.
func TestRestoreKeepsWhatCameLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.NewPostgres(t), t.TempDir())
	m := w.create(nil)
	before := rowsOf(t, w.pool)
	ctx := t.Context()
	const later = "INSERT INTO predictions VALUES ('2026-10-20 10:00Z', md5('later')::uuid, 0, false, 'kc-2', 'primary', NULL, 777)"
	w.sql(w.pool, later, "DELETE FROM predictions WHERE at BETWEEN '2026-10-01' AND '2026-10-05'", "DELETE FROM outcomes WHERE sold_on < '2026-10-01'")
	out, err := w.repo.Restore(ctx, m, RestoreOptions{Pool: w.pool, Registry: w.registry, By: "bob"})
	if err != nil {
		t.Fatalf("what is missing needs no force: %v", err)
	}
	if len(out.Journal) != 2 || out.Journal[0].Month != "2026-10" || out.Journal[0].Missing < 200 || out.Journal[0].Kept != 1 || out.Journal[0].Changed != 0 {
		t.Errorf("restored %+v", out.Journal)
	}
	w.sql(w.pool, "DELETE FROM predictions WHERE price = 777")
	if got := rowsOf(t, w.pool); got != before {
		t.Errorf("not what it was: %s", firstDifference(got, before))
	}

	w.sql(w.pool, later, "UPDATE predictions SET price = price * 2 WHERE at BETWEEN '2026-10-01' AND '2026-10-05'",
		"UPDATE zipcode_demographics SET medn_hshld_incm_amt = 9 WHERE zipcode < '98003'", "UPDATE outcomes SET price = 1 WHERE record = 2 AND sold_on = '2026-10-10'",
		"UPDATE outcomes SET price = 2, corrections = 1 WHERE sold_on = '2026-10-11'")
	w.plan(`{"primary":"kc-3"}`)
	damagedRows := rowsOf(t, w.pool)
	_, err = w.repo.Restore(ctx, m, RestoreOptions{Pool: w.pool, Registry: w.registry, By: "bob"})
	if !errors.Is(err, ErrOverwrite) {
		t.Fatalf("overwrote without being told to: %v", err)
	}
	for _, want := range []string{"rows of predictions 2026-10", "demographics (0 areas added, 2 changed, 0 removed)", "rows of outcomes", "rollout.json"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %q", err, want)
		}
	}
	if got := rowsOf(t, w.pool); got != damagedRows {
		t.Errorf("a refused restore changed: %s", firstDifference(got, damagedRows))
	}
	// One area alone.
	if out, err = w.repo.Restore(ctx, m, RestoreOptions{Pool: w.pool, Registry: w.registry, By: "bob", Areas: []Area{Journal}, Months: []string{"2026-10"}, Force: true}); err != nil || out.Demographics != nil || out.Registry != nil {
		t.Fatalf("%+v, %v", out, err)
	}
	if _, err := w.repo.Restore(ctx, m, RestoreOptions{Pool: w.pool, Registry: w.registry, By: "bob", Force: true}); err != nil {
		t.Fatal(err)
	}
	var corrected, history int
	if err := w.pool.QueryRow(ctx, "SELECT (SELECT count(*) FROM outcomes WHERE price = 2), (SELECT count(*) FROM demographics_imports WHERE file_name = 'backup "+m.ID+"')").Scan(&corrected, &history); err != nil {
		t.Fatal(err)
	}
	if corrected == 0 || history != 1 {
		t.Errorf("%d outcomes that were corrected later were kept, the history has %d lines of the restore", corrected, history)
	}
	state, _, err := w.registry.State(ctx, "")
	if err != nil || string(state.Plan) != `{"primary":"kc-2"}` || state.PlanHistory[0].What != "restore backup "+m.ID || len(state.PlanHistory) != 3 {
		t.Errorf("plan %s, history %+v, %v", state.Plan, state.PlanHistory, err)
	}
	w.sql(w.pool, "DELETE FROM predictions WHERE price = 777")
	section := func(text string) string {
		text, _, _ = strings.Cut(text[strings.Index(text, "== predictions"):], "== outcomes")
		return text
	}
	if got := section(rowsOf(t, w.pool)); got != section(before) {
		t.Errorf("predictions are not what they were: %s", firstDifference(got, section(before)))
	}
	if _, err := w.repo.Find(ctx, "", m.Moment.Add(-time.Second)); !errors.Is(err, ErrNone) {
		t.Errorf("found a backup from before the first: %v", err)
	}
	if found, err := w.repo.Find(ctx, "", m.Moment.Add(time.Hour)); err != nil || found.ID != m.ID {
		t.Errorf("found %v, %v", found, err)
	}
}

// TestAMonthThatCannotBeRead damages the file of a partition.
func TestAMonthThatCannotBeRead(t *testing.T) {
	t.Parallel()
	server := storetest.NewPostgres(t)
	w := newWorld(t, server, t.TempDir())
	m := w.create(nil)
	before := rowsOf(t, w.pool)
	// Behind the rows that are backed up, on pages of their own.
	w.sql(w.pool, "INSERT INTO predictions SELECT '2026-10-31 23:00Z', md5('later' || i)::uuid, 0, false, 'kc-2', 'primary', NULL, 777 FROM generate_series(1, 2000) i", "CHECKPOINT")
	server.Damage(w.url, "predictions_2026_10", 1)
	w.pool.Reset()
	_, err := w.repo.Create(t.Context(), CreateOptions{Pool: w.pool, Registry: w.registry, By: "ann"})
	if err == nil || !strings.Contains(err.Error(), "predictions_2026_10") || !strings.Contains(err.Error(), "recovery.md") {
		t.Fatalf("a backup of what cannot be read: %v", err)
	}
	_, err = w.repo.Restore(t.Context(), m, RestoreOptions{Pool: w.pool, By: "bob", Areas: []Area{Journal}})
	if !errors.Is(err, ErrOverwrite) || !strings.Contains(err.Error(), "cannot read") {
		t.Fatalf("restored without being told to: %v", err)
	}
	out, err := w.repo.Restore(t.Context(), m, RestoreOptions{Pool: w.pool, By: "bob", Areas: []Area{Journal}, Force: true})
	if err != nil || len(out.Journal) != 1 || !out.Journal[0].Unreadable {
		t.Fatalf("%+v, %v", out, err)
	}
	var kept int
	if err := w.pool.QueryRow(t.Context(), "SELECT count(*) FROM predictions WHERE price = 777").Scan(&kept); err != nil || kept != 2000 {
		t.Errorf("%d rows from after the backup were kept, want 2000: %v", kept, err)
	}
	w.sql(w.pool, "DELETE FROM predictions WHERE price = 777")
	if got := rowsOf(t, w.pool); got != before {
		t.Errorf("not what it was: %s", firstDifference(got, before))
	}
}

// TestOneAtATime lets many make a backup at once, and takes over the lease of
// a process that has ended.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			if _, err := r.Create(t.Context(), CreateOptions{Settings: fmt.Appendf(nil, "%d", i), By: "ann"}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if list, err := r.List(t.Context()); err != nil || len(list) != 4 {
		t.Errorf("%d backups, %v", len(list), err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		text string
		free bool
	}{
		{"a process that has ended", fmt.Sprintf(`{"who":"x","host":%q,"pid":4194304,"until":"2999-01-01T00:00:00Z"}`, host), true},
		{"a time that is over", `{"who":"x","host":"other","pid":1,"until":"2020-01-01T00:00:00Z"}`, true},
		{"no lease of ours", `x`, true},
		{"another machine", `{"who":"x","host":"other","pid":1,"until":"2999-01-01T00:00:00Z"}`, false},
	} {
		if err := os.WriteFile(filepath.Join(dir, leaseName), []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		limit := patience
		if !c.free {
			limit = 100 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		_, release, err := r.hold(ctx, "ann")
		if (err == nil) != c.free {
			t.Errorf("%s: %v", c.name, err)
		}
		if err == nil {
			release()
		}
		cancel()
	}
}

const patience = 30 * time.Second

// TestRetention holds which backups are kept, and that the last good one
// always is.
func TestRetention(t *testing.T) {
	day := func(text string, good bool) Summary {
		moment, err := time.Parse("2006-01-02T15", text)
		if err != nil {
			t.Fatal(err)
		}
		return Summary{ID: text, Manifest: &Manifest{Moment: moment}, Verification: &Verification{Good: good}}
	}
	backups := []Summary{day("2026-08-31T02", true), day("2026-09-30T02", false), day("2026-10-25T02", true), day("2026-11-01T02", false), day("2026-11-22T02", false),
		day("2026-11-23T02", false), day("2026-11-24T02", false), day("2026-11-24T14", false), day("2026-11-25T02", false)}
	for _, c := range []struct {
		keep Retention
		want []string
	}{
		{Retention{}, []string{"2026-08-31T02", "2026-09-30T02", "2026-10-25T02", "2026-11-01T02", "2026-11-22T02", "2026-11-23T02", "2026-11-24T02", "2026-11-24T14", "2026-11-25T02"}},
		{Retention{Last: 2}, []string{"2026-10-25T02", "2026-11-24T14", "2026-11-25T02"}},
		{Retention{Days: 1}, []string{"2026-10-25T02", "2026-11-25T02"}},
		{Retention{Days: 3}, []string{"2026-10-25T02", "2026-11-23T02", "2026-11-24T14", "2026-11-25T02"}},
		{Retention{Weeks: 3}, []string{"2026-10-25T02", "2026-11-01T02", "2026-11-22T02", "2026-11-25T02"}},
		{Retention{Months: 3}, []string{"2026-09-30T02", "2026-10-25T02", "2026-11-25T02"}},
	} {
		var kept []string
		for id := range c.keep.keeps(backups) {
			kept = append(kept, id)
		}
		if slices.Sort(kept); !slices.Equal(kept, c.want) {
			t.Errorf("%+v keeps %q, want %q", c.keep, kept, c.want)
		}
	}
	// And so on a disk: what is deleted is gone, what is kept is whole.
	r, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var first *Manifest
	now := time.Date(2026, 11, 1, 2, 0, 0, 0, time.UTC)
	r.now = func() time.Time { return now }
	for i := range 5 {
		done, err := r.Create(t.Context(), CreateOptions{Settings: fmt.Appendf(nil, "settings %d", i), By: "ann", Retention: Retention{Days: 2}})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = done.Manifest
			if _, err := r.Verify(t.Context(), first.ID, VerifyOptions{By: "ann"}); err != nil {
				t.Fatal(err)
			}
		}
		now = now.AddDate(0, 0, 1)
	}
	list, err := r.List(t.Context())
	if err != nil || len(list) != 3 || list[0].ID != first.ID {
		t.Fatalf("%d backups are left, %v", len(list), err)
	}
	for _, b := range list {
		if _, err := r.Verify(t.Context(), b.ID, VerifyOptions{By: "ann"}); err != nil {
			t.Error(err)
		}
	}
	if keys, err := r.store.List(t.Context(), partsPrefix); err != nil || len(keys) != 3 {
		t.Errorf("parts %q are left, %v", keys, err)
	}
}
