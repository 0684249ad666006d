package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"housing/internal/registry"
)

// small is a manifest with one of everything.
func small() *Manifest {
	digest := strings.Repeat("ab", 32)
	s := Stream{Bytes: 3, Parts: []Part{{SHA256: digest, Bytes: 3, StoredSHA256: digest, StoredBytes: 12}}}
	at := time.Date(2026, 11, 25, 9, 30, 0, 0, time.UTC)
	return &Manifest{
		Format: format, ID: "20261125T093000.000000Z-1a2b3c4d", Moment: at, Finished: at, Program: "housing", By: "ann",
		Database: &DatabaseCopy{Schema: 3, Server: "15", Tables: []TableCopy{
			{Name: predictions, Columns: []string{"at", "id", "record", "shadow", "price"}, Units: []Unit{{Day: "2026-11-24", Rows: 1, Fingerprint: digest[:16], Stream: s}}},
			{Name: "zipcode_demographics", Columns: []string{"zipcode"}, Units: []Unit{{Rows: 1, Fingerprint: digest[:16], Stream: s}}},
		}},
		Registry: &RegistryCopy{Location: "models", Objects: []ObjectCopy{{Key: "kc-1/bundle", SHA256: digest, Stream: s}, {Key: "rollout.json", SHA256: digest, Stream: s}}},
		Settings: &s,
	}
}

// TestAManifestIsBelievedNoFurther refuses what would lead the reader astray.
func TestAManifestIsBelievedNoFurther(t *testing.T) {
	text, err := small().encode()
	if err != nil {
		t.Fatal(err)
	}
	if m, err := readManifest(bytes.NewReader(text)); err != nil || m.Rows(predictions) != 1 {
		t.Fatalf("%+v, %v", m, err)
	}
	for name, replace := range map[string][2]string{
		"another format":          {`"housing-backup/1"`, `"housing-backup/2"`},
		"an unknown table":        {`"zipcode_demographics"`, `"pg_authid"`},
		"a table twice":           {`"zipcode_demographics"`, `"predictions"`},
		"a column of SQL":         {`"price"`, `"price) FROM x; --"`},
		"a column twice":          {`"price"`, `"at"`},
		"no key":                  {`"record",`, ``},
		"a day that is none":      {`2026-11-24`, `2026-13-24`},
		"no day":                  {`"day": "2026-11-24",`, ``},
		"a path as an object":     {`kc-1/bundle`, `../kc-1/bundle`},
		"an object of others":     {`rollout.json`, `passwd`},
		"a part too large":        {`"bytes": 3,`, `"bytes": 99999999999,`},
		"a part without bytes":    {`"bytes": 3,`, `"bytes": 0,`},
		"a digest that is a path": {`"sha256": "` + strings.Repeat("ab", 32), `"sha256": "../../../../` + strings.Repeat("ab", 26)},
		"an unknown member":       {`"by"`, `"bye"`},
		"an ID that is a path":    {`20261125T093000.000000Z-1a2b3c4d`, `../../other`},
	} {
		bad := strings.Replace(string(text), replace[0], replace[1], 1)
		if bad == string(text) {
			t.Fatalf("%s: the manifest has no %s", name, replace[0])
		}
		if m, err := readManifest(strings.NewReader(bad)); err == nil {
			t.Errorf("%s: read %+v", name, m)
		}
	}
}

func FuzzManifest(f *testing.F) {
	text, err := small().encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"format":"housing-backup/1"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := readManifest(bytes.NewReader(text))
		if err != nil {
			return
		}
		if err := m.streams(func(what string, s *Stream) error {
			for _, p := range s.Parts {
				if key := m.keyOf(p.SHA256); strings.Contains(key, "..") || p.StoredBytes > maxStoredBytes || p.Bytes > partBytes {
					t.Errorf("%s: part %+v at %s", what, p, key)
				}
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		if m.Registry != nil {
			for _, o := range m.Registry.Objects {
				if registry.CheckObject(o.Key) != nil {
					t.Errorf("object %q", o.Key)
				}
			}
		}
		again, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readManifest(bytes.NewReader(again)); err != nil {
			t.Errorf("what was written is not read: %v", err)
		}
	})
}

// FuzzUnpack gives a part any stored bytes, with the digests that fit them,
// as whoever can write to a bucket can: no more comes out than was declared.
func FuzzUnpack(f *testing.F) {
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(encoder.EncodeAll([]byte("rows"), nil), uint16(4))
	f.Add(encoder.EncodeAll(make([]byte, 1<<20), nil), uint16(100)) // a bomb
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, uint16(9))
	f.Fuzz(func(t *testing.T, stored []byte, declared uint16) {
		sum := sha256.Sum256(stored)
		p := Part{SHA256: strings.Repeat("00", 32), Bytes: int64(declared), StoredSHA256: hex.EncodeToString(sum[:]), StoredBytes: int64(len(stored))}
		data, err := unpack(stored, p, nil)
		if err == nil || len(data) > 0 || !errors.Is(err, errDamaged) {
			t.Errorf("%d bytes came out of a part with another digest: %v", len(data), err)
		}
	})
}
