package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSettingsOfTheJournal(t *testing.T) {
	s, err := read(nil, "DATABASE_URL=postgres://u@h/d", "JOURNAL_DIR=/var/lib/housing", "JOURNAL_SPOOL_BYTES=2MiB", "JOURNAL_RETENTION=48h")
	if err != nil || s.Folder(environment("STATE_DIRECTORY=/var/lib/state")) != "/var/lib/housing" || s.JournalSpoolBytes != 2<<20 || time.Duration(s.JournalRetention) != 2*day {
		t.Errorf("%+v, %v", s.Journal, err)
	}
	for state, want := range map[string]string{
		"":                            filepath.Join(os.TempDir(), "housing-journal-"),
		"/var/lib/housing":            "/var/lib/housing/journal",
		"/var/lib/housing:/var/lib/b": "/var/lib/housing/journal",
	} {
		s, err := read(nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Folder(environment("STATE_DIRECTORY=" + state)); !strings.HasPrefix(got, want) {
			t.Errorf("the folder with the state in %q is %q, want %q", state, got, want)
		}
	}
	for _, c := range []struct{ pair, want string }{
		{"JOURNAL_SPOOL_BYTES=512KiB", "1MiB or more"},
		{"JOURNAL_DIR=/x", "without DATABASE_URL"},
		{"JOURNAL_RETENTION=12h", "1d to 3660d"},
		{"JOURNAL_RETENTION=99999d", "1d to 3660d"},
		{"JOURNAL_RETENTION=d", "1d to 3660d"},
	} {
		if _, err := read(nil, c.pair); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.pair, err, c.want)
		}
	}
}
