package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Journal holds the settings of the journal of predictions.
type Journal struct {
	JournalDir        string    `setting:"" placeholder:"FOLDER" help:"Folder where predictions wait until they are in PostgreSQL, on a disk of this machine. Default: journal in the folder that systemd keeps for the service (STATE_DIRECTORY), else housing-journal-UID in the folder for temporary files."`
	JournalSpoolBytes Bytes     `setting:"" default:"64MiB" placeholder:"SIZE" help:"How much may wait there, 1MiB or more; beyond it predictions are not noted, and counted. Default: 64MiB."`
	JournalRetention  Retention `setting:"" default:"400d" placeholder:"TIME" help:"How long predictions and outcomes are kept; whole months are dropped. Default: 400d."`
}

// minSpoolBytes is the least that may wait.
const minSpoolBytes = 1 << 20

// Check looks at the settings together. Its error is an [*Error].
func (j *Journal) Check(database string) error {
	if j.JournalSpoolBytes < minSpoolBytes {
		return &Error{Source: "JOURNAL_SPOOL_BYTES", Problem: fmt.Sprintf("is %d bytes: want 1MiB or more", j.JournalSpoolBytes)}
	}
	if j.JournalDir != "" && database == "" {
		return &Error{Source: "JOURNAL_DIR", Problem: "is set without DATABASE_URL, where the journal is kept: set both"}
	}
	return nil
}

// stateDirectory is the variable in which systemd names the folders that
// StateDirectory= keeps for a service, with colons between. What is in them
// outlives a stop, where systemd may remove the folder for temporary files.
const stateDirectory = "STATE_DIRECTORY"

// Folder returns where predictions wait.
func (j *Journal) Folder(getenv Getenv) string {
	if j.JournalDir != "" {
		return j.JournalDir
	}
	all, _ := getenv(stateDirectory)
	if state, _, _ := strings.Cut(all, ":"); state != "" {
		return filepath.Join(state, "journal")
	}
	return filepath.Join(os.TempDir(), "housing-journal-"+strconv.Itoa(os.Geteuid()))
}

// Retention is how long something is kept, 1 day to 10 years.
type Retention time.Duration

const (
	day           = 24 * time.Hour
	mostRetention = 3660 * day
)

// UnmarshalText reads a time such as 400d or 9600h.
func (r *Retention) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if days, ok := strings.CutSuffix(string(text), "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		d = time.Duration(n) * day
	}
	if err != nil || d < day || d > mostRetention {
		return fmt.Errorf("%q is not a usable time: want 400d or 9600h, 1d to 3660d", text)
	}
	*r = Retention(d)
	return nil
}
