package backup

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"housing/internal/registry"
)

// format names the layout of manifests and parts.
const format = "housing-backup/1"

// Bounds of a manifest, and of what it may say.
const (
	maxManifestBytes = 64 << 20
	partBytes        = 16 << 20                // of what a part holds
	maxStoredBytes   = partBytes + partBytes/8 // of its object
	maxParts         = 1 << 20
	maxUnits         = 20_000 // days of a table
	maxObjects       = 50_000 // of a registry
	maxRecipients    = 20
	maxWords         = 500
)

// Manifest says what a backup holds.
type Manifest struct {
	Format     string        `json:"format"`
	ID         string        `json:"id"`
	Moment     time.Time     `json:"moment"`   // of which the copy is
	Finished   time.Time     `json:"finished"` // when it was whole
	Program    string        `json:"program"`
	By         string        `json:"by"`
	Recipients []string      `json:"recipients,omitempty"` // public keys that can read it; none where it is not encrypted
	Database   *DatabaseCopy `json:"database,omitempty"`
	Registry   *RegistryCopy `json:"registry,omitempty"`
	Settings   *Stream       `json:"settings,omitempty"`
	Stored     StoredBytes   `json:"stored"`
}

// StoredBytes says what a backup takes in its repository.
type StoredBytes struct {
	All int64 `json:"all_bytes"` // of every part, also of those that other backups share
	New int64 `json:"new_bytes"` // of the parts that no earlier backup had
}

// DatabaseCopy is the copy of a database.
type DatabaseCopy struct {
	Schema int64       `json:"schema"` // number of its last migration
	Server string      `json:"server"` // version of PostgreSQL
	Tables []TableCopy `json:"tables"`
}

// TableCopy is the copy of a table: its rows in the text of COPY, in the
// order of the columns.
type TableCopy struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
	Units   []Unit   `json:"units"`
}

// Unit is a day of a table, or all of one that is small.
type Unit struct {
	Day         string `json:"day,omitempty"` // 2026-11-25, in UTC
	Rows        int64  `json:"rows"`
	Fingerprint string `json:"fingerprint"` // of the rows, by PostgreSQL: see fingerprintOf
	Stream
}

// RegistryCopy is the copy of a registry.
type RegistryCopy struct {
	Location string       `json:"location"`
	Primary  string       `json:"primary,omitempty"` // of the traffic plan
	Objects  []ObjectCopy `json:"objects"`
}

// ObjectCopy is the copy of an object of a registry, or, of a bundle, where
// it lies.
type ObjectCopy struct {
	Key       string `json:"key"`
	SHA256    string `json:"sha256"`
	Reference bool   `json:"reference,omitempty"` // it stays in the registry, which never changes it
	Stream
}

// Stream is bytes in parts.
type Stream struct {
	Bytes int64  `json:"bytes"`
	Parts []Part `json:"parts"`
}

// Part is a piece of a stream.
type Part struct {
	SHA256       string `json:"sha256"` // of what it holds
	Bytes        int64  `json:"bytes"`
	StoredSHA256 string `json:"stored_sha256"` // of the object
	StoredBytes  int64  `json:"stored_bytes"`
}

// Rows returns how many rows a table has.
func (t *TableCopy) Rows() (n int64) {
	for i := range t.Units {
		n += t.Units[i].Rows
	}
	return n
}

// table returns the copy of a table, nil where there is none.
func (d *DatabaseCopy) table(name string) *TableCopy {
	if d == nil {
		return nil
	}
	for i := range d.Tables {
		if d.Tables[i].Name == name {
			return &d.Tables[i]
		}
	}
	return nil
}

// Rows returns how many rows of a table the backup has.
func (m *Manifest) Rows(table string) int64 {
	if t := m.Database.table(table); t != nil {
		return t.Rows()
	}
	return 0
}

// streams calls visit with each stream and what it is of, until an error.
func (m *Manifest) streams(visit func(what string, s *Stream) error) error {
	if m.Database != nil {
		for i := range m.Database.Tables {
			t := &m.Database.Tables[i]
			for j := range t.Units {
				if err := visit(unitName(t.Name, t.Units[j].Day), &t.Units[j].Stream); err != nil {
					return err
				}
			}
		}
	}
	if m.Registry != nil {
		for i := range m.Registry.Objects {
			if o := &m.Registry.Objects[i]; !o.Reference {
				if err := visit("registry "+o.Key, &o.Stream); err != nil {
					return err
				}
			}
		}
	}
	if m.Settings != nil {
		return visit("settings", m.Settings)
	}
	return nil
}

func unitName(table, day string) string { return strings.TrimSpace("table " + table + " " + day) }

// idLayout begins the ID of a backup, so that the order of IDs is that of
// time: to the microsecond, as those of one script may be of one second.
const idLayout = "20060102T150405.000000Z"

var idForm = regexp.MustCompile(`^\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{8}$`)

// CheckID returns an error unless id has the form of a backup's.
func CheckID(id string) error {
	if !idForm.MatchString(id) {
		return fmt.Errorf("%.80q is not the ID of a backup, such as 20261125T093000.000000Z-1a2b3c4d", id)
	}
	return nil
}

// encode returns the text of a manifest.
func (m *Manifest) encode() ([]byte, error) {
	text, err := json.Marshal(m, json.Deterministic(true), jsontext.WithIndent(" "))
	if err != nil {
		return nil, err
	}
	return append(text, '\n'), m.check()
}

// readManifest reads and checks a manifest.
func readManifest(r io.Reader) (*Manifest, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxManifestBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxManifestBytes {
		return nil, fmt.Errorf("it is over the %d bytes that it may have", maxManifestBytes)
	}
	var head struct {
		Format string `json:"format"`
	}
	if err := json.Unmarshal(text, &head); err == nil && head.Format != format {
		return nil, fmt.Errorf("its format is %.40q, this program reads %s: use the program that made it", head.Format, format)
	}
	var m Manifest
	if err := json.Unmarshal(text, &m, json.RejectUnknownMembers(true)); err != nil {
		return nil, err
	}
	return &m, m.check()
}

// check holds a manifest to its bounds: what it says is believed no further.
func (m *Manifest) check() error {
	if err := CheckID(m.ID); err != nil {
		return err
	}
	switch {
	case m.Format != format:
		return fmt.Errorf("format %.40q", m.Format)
	case m.Moment.IsZero() || m.Finished.IsZero():
		return errors.New("it does not say of when it is")
	case len(m.Recipients) > maxRecipients:
		return fmt.Errorf("%d recipients", len(m.Recipients))
	case len(m.By) > maxWords || len(m.Program) > maxWords:
		return errors.New("a text is too long")
	}
	if err := m.checkTables(); err != nil {
		return err
	}
	if err := m.checkObjects(); err != nil {
		return err
	}
	parts := 0
	return m.streams(func(what string, s *Stream) error {
		if parts += len(s.Parts); parts > maxParts {
			return fmt.Errorf("more than %d parts", maxParts)
		}
		return s.check(what)
	})
}

func (m *Manifest) checkTables() error {
	if m.Database == nil {
		return nil
	}
	seen := map[string]bool{}
	for i := range m.Database.Tables {
		t := &m.Database.Tables[i]
		spec := tableNamed(t.Name)
		switch {
		case spec == nil || seen[t.Name]:
			return fmt.Errorf("table %.80q is not known, or there twice", t.Name)
		case len(t.Units) > maxUnits:
			return fmt.Errorf("table %s: %d units", t.Name, len(t.Units))
		}
		seen[t.Name] = true
		for i, column := range t.Columns {
			if !columnForm.MatchString(column) || slices.Contains(t.Columns[:i], column) {
				return fmt.Errorf("table %s: column %.80q", t.Name, column)
			}
		}
		for _, needed := range spec.leading {
			if !slices.Contains(t.Columns, needed) {
				return fmt.Errorf("table %s: column %s is not there", t.Name, needed)
			}
		}
		for j := range t.Units {
			if err := t.Units[j].check(spec); err != nil {
				return fmt.Errorf("table %s: %w", t.Name, err)
			}
			if j > 0 && t.Units[j-1].Day >= t.Units[j].Day {
				return fmt.Errorf("table %s: days are not in order", t.Name)
			}
		}
	}
	return nil
}

var columnForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

func (u *Unit) check(spec *table) error {
	if _, err := time.Parse(time.DateOnly, u.Day); (err == nil) != spec.daily() || u.Day != "" && err != nil {
		return fmt.Errorf("unit %.40q", u.Day)
	}
	if u.Rows < 0 || len(u.Fingerprint) != 16 {
		return fmt.Errorf("unit %s: %d rows, fingerprint %.40q", u.Day, u.Rows, u.Fingerprint)
	}
	return nil
}

func (m *Manifest) checkObjects() error {
	if m.Registry == nil {
		return nil
	}
	if len(m.Registry.Objects) > maxObjects {
		return fmt.Errorf("%d objects of a registry", len(m.Registry.Objects))
	}
	seen := map[string]bool{}
	for i := range m.Registry.Objects {
		o := &m.Registry.Objects[i]
		if err := registry.CheckObject(o.Key); err != nil {
			return err
		}
		if seen[o.Key] {
			return fmt.Errorf("object %s is there twice", o.Key)
		}
		seen[o.Key] = true
		if !isDigest(o.SHA256) {
			return fmt.Errorf("object %s: sha256 %.80q", o.Key, o.SHA256)
		}
		if o.Reference && (!registry.IsBundle(o.Key) || len(o.Parts) > 0) {
			return fmt.Errorf("object %s cannot be a reference", o.Key)
		}
		if most := registry.MaxBytes(o.Key); o.Bytes > most {
			return fmt.Errorf("object %s: %d bytes are over the %d that it may have", o.Key, o.Bytes, most)
		}
	}
	return nil
}

func (s *Stream) check(what string) error {
	var sum int64
	for i, p := range s.Parts {
		if !isDigest(p.SHA256) || !isDigest(p.StoredSHA256) || p.Bytes <= 0 || p.Bytes > partBytes || p.StoredBytes <= 0 || p.StoredBytes > maxStoredBytes {
			return fmt.Errorf("%s: part %d is not possible", what, i+1)
		}
		sum += p.Bytes // at most maxParts of partBytes: no overflow
	}
	if sum != s.Bytes {
		return fmt.Errorf("%s: its parts have %d bytes, it says %d", what, sum, s.Bytes)
	}
	return nil
}

func isDigest(text string) bool {
	raw, err := hex.DecodeString(text)
	return err == nil && len(raw) == 32 && text == strings.ToLower(text)
}
