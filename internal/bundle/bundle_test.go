package bundle_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"housing/internal/bundle"
	"housing/internal/bundle/bundletest"
	"housing/internal/model"
	"housing/internal/model/modeltest"
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	c := bundletest.Contents(t, "t-1", 1)
	path := filepath.Join(t.TempDir(), "bundle")
	if err := bundle.WriteFile(path, c); err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	houses := modeltest.Houses(200)
	want := c.Model.Prices(nil, houses, c.Demographics)
	if got := b.Model.Prices(nil, houses, b.Demographics); !slices.Equal(got, want) {
		t.Error("the model that was read answers other prices than the one that was written")
	}
	if b.Demographics.Digest() != c.Demographics.Digest() {
		t.Error("the demographics that were read are not those that were written")
	}
	if b.Manifest.Version != "t-1" || b.Manifest.Created != c.Manifest.Created || b.Manifest.Options.Boosting.Rounds != 40 || len(b.Manifest.Parts) != 24 {
		t.Errorf("manifest %+v", b.Manifest)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if again := bundletest.Bytes(t, "t-1", 1); !bytes.Equal(data, again) {
		t.Error("the same contents made other bytes")
	}
	parsed, err := bundle.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if parsed.Digest != b.Digest || len(b.Digest) != 64 {
		t.Errorf("digests %s and %s of one file", parsed.Digest, b.Digest)
	}
	// Of its beginning alone the manifest can be read.
	head := bytes.NewReader(data)
	if m, err := bundle.ReadManifest(head); err != nil || !reflect.DeepEqual(*m, b.Manifest) || head.Len() < len(data)/2 {
		t.Errorf("%d of %d bytes were read for the manifest %+v: %v", len(data)-head.Len(), len(data), m, err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if err := b.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}

// TestMisalignedBundle holds that a bundle may lie anywhere in memory, as one
// embedded in a program does.
func TestMisalignedBundle(t *testing.T) {
	data := bundletest.Bytes(t, "t-1", 1)
	for shift := range 8 {
		moved := append(make([]byte, shift, shift+len(data)), data...)[shift:]
		if _, err := bundle.Parse(moved); err != nil {
			t.Errorf("shifted by %d: %v", shift, err)
		}
	}
}

// TestAnyChangeIsFound flips a bit in each byte of the header and in bytes
// all over the parts: no bundle that was changed may load.
func TestAnyChangeIsFound(t *testing.T) {
	data := bundletest.Bytes(t, "t-1", 1)
	header := 8 + int(binary.LittleEndian.Uint64(data))
	step := (len(data) - header) / 500
	for at := 0; at < len(data); at++ {
		if at > header {
			at += step
		}
		if at >= len(data) {
			break
		}
		changed := slices.Clone(data)
		changed[at] ^= 1 << (at % 8)
		if _, err := bundle.Parse(changed); err == nil {
			t.Fatalf("byte %d of %d (header ends at %d) was changed, and the bundle loads", at, len(data), header)
		}
	}
}

func TestDamagedFilesAreRefused(t *testing.T) {
	data := bundletest.Bytes(t, "t-1", 1)
	header := 8 + int(binary.LittleEndian.Uint64(data))
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "is empty"},
		{"a few bytes", data[:5], "not a bundle"},
		{"cut in the header", data[:header/2], "cut off: the header should end at byte"},
		{"cut after the header", data[:header], "cut off: part"},
		{"cut in a part", data[:len(data)-1], "cut off: part"},
		{"longer than it says", append(slices.Clone(data), 0), "1 bytes too many after the last part"},
		{"a flipped bit", flip(data, len(data)-9), "damaged: part"},
		{"a CSV file", []byte("id,date,price\n1,20140502T000000,100000\n"), "not a bundle"},
		{"safetensors of something else", container(t, `{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4), "does not say housing-bundle/1"},
		{"a header that is no JSON", container(t, `{"__metadata__"`, 0), "not JSON"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "bundle")
			if err := os.WriteFile(path, c.data, 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := bundle.Open(path)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want one with %q and the path", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("error over several lines: %v", err)
			}
		})
	}
	if _, err := bundle.Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Errorf("a folder was opened: %v", err)
	}
	huge := filepath.Join(t.TempDir(), "bundle")
	if err := os.WriteFile(huge, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, bundle.MaxBytes+1); err != nil {
		t.Fatal(err)
	}
	if _, err := bundle.Open(huge); err == nil || !strings.Contains(err.Error(), "over the 1073741824") {
		t.Errorf("an oversized file was opened: %v", err)
	}
}

// TestHonestChecksumsOverNonsense re-signs what was changed, so that only the
// checks behind the checksums can refuse it.
func TestHonestChecksumsOverNonsense(t *testing.T) {
	for _, c := range []struct {
		name  string
		want  string
		spoil func(c *bundle.Contents)
	}{
		{"a node that leads back", "node 0 leads outside the forest", func(c *bundle.Contents) { c.Model.Forest.Nodes[0].Left = 0 }},
		{"no trees", "no trees", func(c *bundle.Contents) { c.Model.Forest.Roots = nil }},
		{"columns that this program does not make", `feature "sqft_attic"`, func(c *bundle.Contents) {
			c.Manifest.Features = slices.Clone(c.Manifest.Features)
			c.Manifest.Features[3] = "sqft_attic"
		}},
		{"fewer columns", "without feature", func(c *bundle.Contents) {
			c.Manifest.Features = c.Manifest.Features[:5]
			c.Manifest.Importance = c.Manifest.Importance[:5]
		}},
		{"no golden houses", "golden houses are missing", func(c *bundle.Contents) { c.Golden = nil }},
		{"a version that is a path", "version", func(c *bundle.Contents) { c.Manifest.Version = "../../etc" }},
		{"zipcodes out of order", "not in order", func(c *bundle.Contents) { slices.Reverse(c.Model.Encoder.Zipcodes) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			contents := bundletest.Contents(t, "t-1", 1)
			f, e := *contents.Model.Forest, *contents.Model.Encoder
			f.Nodes, e.Zipcodes = slices.Clone(f.Nodes), slices.Clone(e.Zipcodes)
			m := *contents.Model
			m.Forest, m.Encoder = &f, &e
			contents.Model = &m
			// Golden prices of a spoilt forest would loop, so there are none.
			contents.Golden = nil
			c.spoil(&contents)
			var b bytes.Buffer
			if err := bundle.Write(&b, contents); err != nil {
				t.Fatal(err)
			}
			if _, err := bundle.Parse(b.Bytes()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

// TestGoldenPricesGuardThePath changes what the golden houses cost, with all
// checksums right: as if this program computed otherwise than the one that
// wrote the bundle.
func TestGoldenPricesGuardThePath(t *testing.T) {
	written := bundletest.Contents(t, "t-1", 1)
	other := bundletest.Contents(t, "t-1", 2)
	good, bad := parts(t, written), parts(t, other)
	good["golden.prices"] = bad["golden.prices"]
	if _, err := bundle.Parse(assemble(t, written, good)); err == nil || !strings.Contains(err.Error(), "golden house 1 is valued at") {
		t.Errorf("error %v, want one of golden house 1", err)
	}
}

func TestVersionNames(t *testing.T) {
	for _, name := range []string{"kc-1", "v2", "2026.11.22", "A_b-c.d", strings.Repeat("x", 64)} {
		if err := bundle.CheckVersion(name); err != nil {
			t.Errorf("%q is refused: %v", name, err)
		}
	}
	for _, name := range []string{"", ".", "..", "../x", "a/b", "-a", "ä", "a b", "a\n", strings.Repeat("x", 65)} {
		if bundle.CheckVersion(name) == nil {
			t.Errorf("%q is taken", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	good := bundletest.Bytes(f, "t-1", 1)
	f.Add(good)
	f.Add(good[:len(good)/2])
	var full bytes.Buffer
	if err := bundle.Write(&full, bundletest.Full(f, "t-1", 1)); err != nil {
		f.Fatal(err)
	}
	f.Add(full.Bytes())
	f.Add([]byte{8, 0, 0, 0, 0, 0, 0, 0, '{', '}', ' ', ' ', ' ', ' ', ' ', ' '})
	f.Fuzz(func(t *testing.T, data []byte) {
		manifest, unread := bundle.ReadManifest(bytes.NewReader(data))
		b, err := bundle.Parse(data)
		if err != nil {
			return
		}
		if unread != nil || manifest.Version != b.Manifest.Version {
			t.Errorf("a bundle whose manifest is read as %+v, %v", manifest, unread)
		}
		// Whatever loads must value houses.
		for i, v := range b.Model.Value(nil, modeltest.Houses(3), b.Demographics, model.DefaultLevel) {
			if !(v.Price > 0) || v.Low > v.Price || v.Interval > 0 && v.High < v.Price {
				t.Errorf("house %d is valued at %g, %g to %g", i, v.Price, v.Low, v.High)
			}
		}
	})
}

// FuzzHeader lets the fuzzer write the header alone, where all structure is.
func FuzzHeader(f *testing.F) {
	f.Add(`{"__metadata__":{"format":"housing-bundle/1","manifest":"{}","manifest_sha256":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}}`, 0)
	f.Add(`{"__metadata__":{"format":"housing-bundle/1"},"forest.nodes":{"dtype":"U32","shape":[1,4],"data_offsets":[0,16]}}`, 16)
	f.Fuzz(func(t *testing.T, header string, body int) {
		data := container(t, header, min(max(body, 0), 1<<16))
		if m, err := bundle.ReadManifest(bytes.NewReader(data)); (m == nil) == (err == nil) {
			t.Errorf("manifest %v, %v", m, err)
		}
		if _, err := bundle.Parse(data); err == nil {
			t.Error("a header without a model was read as a bundle")
		}
	})
}

func flip(data []byte, at int) []byte {
	changed := slices.Clone(data)
	changed[at] ^= 1
	return changed
}

// container returns a file with the header given, padded, and a body of
// zeros.
func container(t testing.TB, header string, body int) []byte {
	t.Helper()
	for len(header)%8 != 0 {
		header += " "
	}
	data := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(data, header...), make([]byte, body)...)
}

// parts returns the bytes of each part of a bundle.
func parts(t *testing.T, c bundle.Contents) map[string][]byte {
	t.Helper()
	var b bytes.Buffer
	if err := bundle.Write(&b, c); err != nil {
		t.Fatal(err)
	}
	data := b.Bytes()
	end := 8 + int(binary.LittleEndian.Uint64(data))
	var header map[string]struct {
		Offsets [2]int `json:"data_offsets"`
	}
	if err := json.Unmarshal(data[8:end], &header); err != nil {
		t.Fatal(err)
	}
	delete(header, "__metadata__")
	found := map[string][]byte{}
	for name, p := range header {
		found[name] = data[end+p.Offsets[0] : end+p.Offsets[1]]
	}
	return found
}

// assemble writes the bundle of c with other parts of the same sizes, and
// with checksums that fit them.
func assemble(t *testing.T, c bundle.Contents, parts map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := bundle.Write(&b, c); err != nil {
		t.Fatal(err)
	}
	data := b.Bytes()
	return bundle.Reassemble(t, data, parts)
}

func ExampleBuiltin() {
	b, err := bundle.Builtin()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(b.Manifest.ModelType, "of", b.Demographics.Len(), "areas")
	// Output: GradientBoostedTrees of 70 areas
}

func BenchmarkParse(b *testing.B) {
	data := bundletest.Bytes(b, "t-1", 1)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := bundle.Parse(data); err != nil {
			b.Fatal(err)
		}
	}
}

func TestAVersionIsNeverReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bundle")
	if err := bundle.WriteFile(path, bundletest.Contents(t, "t-1", 1)); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := bundle.WriteFile(path, bundletest.Contents(t, "t-1", 2)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("error %v, want one that the file exists", err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the bundle was replaced: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
