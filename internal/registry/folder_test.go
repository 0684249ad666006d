package registry

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func folder(t *testing.T, files ...string) *Folder {
	t.Helper()
	dir := t.TempDir()
	for _, name := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestVersionsAreTheFoldersWithABundle(t *testing.T) {
	f := folder(t, "kc-2/bundle", "kc-1/bundle", "empty/notes.txt", "stray", ".hidden/bundle", "odd/bundle/file")
	got, err := f.Versions()
	if err != nil || !slices.Equal(got, []string{"kc-1", "kc-2"}) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestPath(t *testing.T) {
	f := folder(t, "kc-1/bundle", "odd/bundle/file")
	path, err := f.Path("kc-1")
	if err != nil || !strings.HasSuffix(path, filepath.Join("kc-1", "bundle")) {
		t.Errorf("got %q, %v", path, err)
	}
	if _, err := f.Path("kc-9"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a version that is not there: %v", err)
	}
	if _, err := f.Path("odd"); err == nil {
		t.Error("a folder called bundle was taken for a bundle")
	}
}

func TestNoNameLeadsOutOfTheFolder(t *testing.T) {
	f := folder(t, "kc-1/bundle")
	for _, name := range []string{"", ".", "..", "../kc-1", "/etc", "a/b", `a\b`, "-x", "a\x00", "ü", strings.Repeat("x", 65), " kc-1"} {
		if _, err := f.Path(name); err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v, want it refused as a name", name, err)
		}
	}
}

func TestOpenWhatIsNoFolder(t *testing.T) {
	if _, err := OpenFolder(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("opened a folder that is not there")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFolder(file); err == nil || !strings.Contains(err.Error(), "not a folder") {
		t.Errorf("got %v", err)
	}
}

func FuzzPath(f *testing.F) {
	for _, seed := range []string{"kc-1", "..", "a/b", "1.0.0_rc-1", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		folder := &Folder{dir: "testdata"}
		if path, err := folder.Path(name); err == nil {
			t.Errorf("%q leads to %s", name, path)
		}
	})
}

func ExampleFolder_Path() {
	folder, err := OpenFolder(".")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = folder.Path("kc-2")
	fmt.Println(err)
	// Output: version kc-2 in .: no such version
}

// TestAVersionThatCannotBeReadIsNotPassedOver holds that an older version is
// never served in silence because the newest cannot be read.
func TestAVersionThatCannotBeReadIsNotPassedOver(t *testing.T) {
	dir := t.TempDir()
	loop := filepath.Join(dir, "v2", "bundle")
	if err := os.Mkdir(filepath.Dir(loop), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	folder, err := OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if versions, err := folder.Versions(); err == nil || !strings.Contains(err.Error(), "v2") {
		t.Errorf("versions %v, error %v; want one that names v2", versions, err)
	}
}
