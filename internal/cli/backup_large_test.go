package cli

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"housing/internal/store/schema"
	"housing/internal/store/storetest"
)

// largestResident is how much memory a backup, a verification or a restore
// may take at most, however long the journal is.
const largestResident = 256 << 20

// TestALongJournalTakesBoundedMemory backs up a journal of twelve months,
// verifies and restores it, each by a process of its own whose memory is
// measured. With BACKUP=long it has 20 million rows.
func TestALongJournalTakesBoundedMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("writes a long journal")
	}
	rows := 100_000
	if os.Getenv("BACKUP") == "long" {
		rows = 20_000_000
	}
	server := storetest.NewPostgres(t, "max_wal_size=4GB", "maintenance_work_mem=128MB")
	pool := openPool(t, server.URL)
	if err := schema.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for month := range 12 {
		begin := time.Date(2025, time.December+time.Month(month), 1, 0, 0, 0, 0, time.UTC)
		end := begin.AddDate(0, 1, 0)
		table := begin.Format("predictions_2006_01")
		server.SQL(fmt.Sprintf("CREATE TABLE %s PARTITION OF predictions FOR VALUES FROM ('%s') TO ('%s')", table, begin.Format(time.RFC3339), end.Format(time.RFC3339)))
		server.SQL(fmt.Sprintf(`INSERT INTO %s SELECT '%s'::timestamptz + i * ('%s'::timestamptz - '%s'::timestamptz) / %d, gen_random_uuid(), 0, false, 'kc-2', 'primary', left(md5((i %% 1000)::text), 16), 100000 + random() * 1e6
			FROM generate_series(0, %d) i`, table, begin.Format(time.RFC3339), end.Format(time.RFC3339), begin.Format(time.RFC3339), rows/12+1, rows/12-1))
	}
	t.Logf("%d rows in %v", rows/12*12, time.Since(start).Round(time.Second))
	env := []string{"PATH=" + os.Getenv("PATH"), "BACKUP_DIR=" + t.TempDir(), "TMPDIR=" + t.TempDir(), "DATABASE_URL=" + server.URL}
	command := func(args ...string) {
		t.Helper()
		start := time.Now()
		c := exec.Command("housing", args...)
		c.Env = env
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, out)
		}
		resident := int64(c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) << 10
		t.Logf("%s: %v, %.0f MiB resident at most, %.1f s of its own CPU time\n%s", strings.Join(args, " "), time.Since(start).Round(100*time.Millisecond), float64(resident)/(1<<20),
			(c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Seconds(), out)
		if resident > largestResident {
			t.Errorf("%s took %d bytes of memory, more than %d", strings.Join(args, " "), resident, largestResident)
		}
	}
	command("backup", "create")
	command("backup", "create")
	server.SQL("INSERT INTO predictions VALUES ('2026-11-20 10:00Z', gen_random_uuid(), 0, false, 'kc-2', 'primary', NULL, 1)")
	command("backup", "create")
	command("backup", "verify")
	counts := func() (n int64) {
		t.Helper()
		if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM predictions").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	want := counts()
	server.SQL("DROP TABLE predictions_2026_03, predictions_2026_07; DELETE FROM predictions WHERE at < '2026-01-01'")
	command("backup", "restore")
	if got := counts(); got != want {
		t.Errorf("%d rows were restored, want %d", got, want)
	}
	server.SQL("DROP TABLE predictions, prediction_keys, outcomes, zipcode_demographics, demographics_changes, demographics_imports, goose_db_version; DROP FUNCTION touch_updated_at, notify_demographics")
	command("backup", "restore")
	if got := counts(); got != want {
		t.Errorf("%d rows were restored to an empty database, want %d", got, want)
	}
}
