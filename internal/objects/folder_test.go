package objects

import (
	"context"
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

func TestHoldersAreTheFoldersThatHoldAFile(t *testing.T) {
	f := folder(t, "kc-2/bundle", "kc-1/bundle", "empty/notes.txt", "stray", ".hidden/bundle", "odd/bundle/file")
	visible := func(name string) bool { return name[0] != '.' }
	got, err := f.Holders(t.Context(), "bundle", visible)
	if err != nil || !slices.Equal(got, []string{"kc-1", "kc-2"}) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestNoKeyLeadsOutOfTheFolder(t *testing.T) {
	f := folder(t, "kc-1/bundle")
	for _, key := range []string{"", ".", "..", "../kc-1", "/etc", "a/../b", `a\b`, "a//b", "a/", "a\x00"} {
		if _, err := f.Path(key); err == nil {
			t.Errorf("%q was taken for a key", key)
		}
		if _, _, err := f.Open(t.Context(), key); err == nil {
			t.Errorf("%q was opened", key)
		}
	}
}

// TestTheLastObjectLeavesTheFolder however the folder is written.
func TestTheLastObjectLeavesTheFolder(t *testing.T) {
	for _, form := range []string{"TOP/a/b", "TOP/a/b/", "TOP/a//b", "TOP/./a/b/.", "file://TOP/a/b/", "./b", "b/", "."} {
		t.Run(form, func(t *testing.T) {
			top := t.TempDir()
			dir := filepath.Join(top, "a", "b")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			location := strings.Replace(form, "TOP", top, 1)
			if location == form { // it is relative
				t.Chdir(filepath.Join(top, "a"))
				if form == "." {
					t.Chdir(dir)
				}
			}
			s, err := Open(t.Context(), location)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.Write(t.Context(), "deep/one", strings.NewReader("x"), ""); err != nil {
				t.Fatal(err)
			}
			if err := s.Delete(t.Context(), "deep/one"); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(dir); err != nil {
				t.Errorf("the folder went with its last object: %v", err)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("%v are left in it, %v", left, err)
			}
		})
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
	for _, seed := range []string{"kc-1", "..", "a/b", "1.0.0_rc-1", "", "a/../b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, key string) {
		folder := &Folder{dir: "testdata"}
		if path, err := folder.Path(key); err == nil && !strings.HasPrefix(path, "testdata"+string(filepath.Separator)) {
			t.Errorf("%q leads to %s", key, path)
		}
	})
}

// TestWhatCannotBeReadIsNotPassedOver holds that an older version is never
// served in silence because the newest cannot be read.
func TestWhatCannotBeReadIsNotPassedOver(t *testing.T) {
	f := folder(t, "v1/bundle")
	loop := filepath.Join(f.dir, "v2", "bundle")
	if err := os.Mkdir(filepath.Dir(loop), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	if holders, err := f.Holders(t.Context(), "bundle", func(string) bool { return true }); err == nil || !strings.Contains(err.Error(), "v2") {
		t.Errorf("holders %v, error %v; want one that names v2", holders, err)
	}
}

// TestAFolderThatIsGoneIsNotEmpty tells a share that is not mounted from a
// store without objects.
func TestAFolderThatIsGoneIsNotEmpty(t *testing.T) {
	f := folder(t, "a")
	if err := os.RemoveAll(f.dir); err != nil {
		t.Fatal(err)
	}
	if keys, err := f.List(t.Context(), ""); err == nil {
		t.Errorf("listed %q", keys)
	}
	if keys, err := f.List(t.Context(), "parts/"); err == nil {
		t.Errorf("listed %q below a prefix", keys)
	}
	if _, _, err := f.Open(t.Context(), "a"); err == nil || ReasonOf(err) != Missing || err == ErrAbsent {
		t.Errorf("opened with %v", err)
	}
}

func ExampleOpen() {
	dir, err := os.MkdirTemp("", "objects-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	store, err := Open(ctx, dir) // or s3://BUCKET/PREFIX, gs://BUCKET/PREFIX
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	fmt.Println(store.Write(ctx, "a/b", strings.NewReader("one"), ""))
	fmt.Println(store.Write(ctx, "a/b", strings.NewReader("two"), ""))
	keys, err := store.List(ctx, "a/")
	fmt.Println(keys, err)
	// Output:
	// <nil>
	// the object is not as expected
	// [a/b] <nil>
}
