package batch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"housing/internal/batch"
	"housing/internal/objects"
	"housing/internal/registry/registrytest"
)

func TestParseShard(t *testing.T) {
	for _, c := range []struct {
		text, index string
		want        batch.Shard
		wrong       string
	}{
		{"0/1", "", batch.Shard{Index: 0, Count: 1}, ""},
		{"7/8", "3", batch.Shard{Index: 7, Count: 8}, ""},
		{"8", "3", batch.Shard{Index: 3, Count: 8}, ""},
		{"8", "", batch.Shard{}, `"8" does not say which shard`},
		{"8/8", "", batch.Shard{}, `"8/8" is no shard`},
		{"-1/8", "", batch.Shard{}, `"-1/8" is no shard`},
		{"4", "4", batch.Shard{}, `"4/4" is no shard`},
		{"1/0", "", batch.Shard{}, `"1/0" is no shard`},
		{"a/b", "", batch.Shard{}, `"a/b" is no shard`},
		{"", "", batch.Shard{}, "does not say"},
	} {
		got, err := batch.ParseShard(c.text, c.index)
		switch {
		case c.wrong == "" && (err != nil || got != c.want):
			t.Errorf("%q %q: %v, %v; want %v", c.text, c.index, got, err, c.want)
		case c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)):
			t.Errorf("%q %q: %v; want %s", c.text, c.index, err, c.wrong)
		}
	}
}

// parts makes a folder of files of houses, with what Spark leaves beside them.
func parts(t *testing.T) {
	t.Helper()
	folder(t, nil)
	for _, dir := range []string{"in/year=2015", "in/_temporary", "in/.staging"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	files := map[string][]byte{
		"in/_SUCCESS": nil, "in/.part-0.parquet.crc": nil, "in/_temporary/part-9.parquet": nil, "in/.staging/x.csv": nil,
		"in/year=2015/part-0.parquet": parquetOf(t, []typical{typicalHouse()}),
		"in/z.csv":                    []byte(goodCSV),
	}
	for i := range 5 {
		h := typicalHouse()
		h.SqftLiving += int32(i)
		files[fmt.Sprintf("in/part-%d.parquet", i)] = parquetOf(t, []typical{h, typicalHouse()})
	}
	for name, data := range files {
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// valueFiles values the files of a shard and returns their names.
func valueFiles(t *testing.T, ctx context.Context, out string, s batch.Shard, o batch.Options) []string {
	t.Helper()
	files, err := batch.OpenFiles(ctx, "in", out, s)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	for _, name := range files.Names {
		if _, err := files.Value(ctx, name, o); err != nil {
			t.Fatal(err)
		}
	}
	return files.Names
}

// tree returns the files below a folder with what is in them.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		found[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestShardsTogetherAreTheWhole(t *testing.T) {
	parts(t)
	o := small(t)
	all := valueFiles(t, t.Context(), "whole", batch.All, o)
	want := []string{"part-0.parquet", "part-1.parquet", "part-2.parquet", "part-3.parquet", "part-4.parquet", "year=2015/part-0.parquet", "z.csv"}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Fatalf("want, got:\n%s", diff)
	}
	o.Workers = 1
	for i := range 9 { // more than there are files
		names := valueFiles(t, t.Context(), "shards", batch.Shard{Index: i, Count: 9}, o)
		if i < len(all) && !cmp.Equal(names, all[i:i+1]) || i >= len(all) && len(names) > 0 {
			t.Errorf("shard %d has %v", i, names)
		}
	}
	if diff := cmp.Diff(tree(t, "whole"), tree(t, "shards")); diff != "" {
		t.Errorf("other bytes:\n%s", diff)
	}
	// A folder may be written as an address, and is made just so.
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	valueFiles(t, t.Context(), "file://"+dir+"/new/dir", batch.All, o)
	if diff := cmp.Diff(tree(t, "whole"), tree(t, "new/dir")); diff != "" {
		t.Errorf("other bytes in file://:\n%s", diff)
	}
	// One that was cut off is done again, over what it left.
	if err := os.WriteFile("shards/part-1.parquet", []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	valueFiles(t, t.Context(), "shards", batch.Shard{Index: 1, Count: 9}, o)
	if diff := cmp.Diff(tree(t, "whole"), tree(t, "shards")); diff != "" {
		t.Errorf("other bytes when done again:\n%s", diff)
	}
}

func TestFoldersThatAreRefused(t *testing.T) {
	parts(t)
	if err := os.WriteFile("in/notes.txt", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("empty", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ in, out, want string }{
		{"in", "out", "notes.txt: .txt files are not read or written"},
		{"in", "in", "is in what is read, or holds it"},
		{"in", "in/prices", "is in what is read, or holds it"},
		{"in", ".", "is in what is read, or holds it"},
		{"s3://a/b", "s3://a/b/c", "is in what is read, or holds it"},
		{"empty", "out", "empty: has no files of houses"},
		{"gopher://a", "none", `"gopher`},
		{"in", "gopher://a", `"gopher`},
		{"in", "file://host/none", "is not a folder"},
	} {
		files, err := batch.OpenFiles(t.Context(), c.in, c.out, batch.All)
		if err == nil {
			files.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s to %s: %v, want %s", c.in, c.out, err, c.want)
		}
	}
	if _, err := os.Stat("none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder was made for files that have no place: %v", err)
	}
}

func TestAFileThatCannotBeValuedLeavesNothing(t *testing.T) {
	parts(t)
	if err := os.WriteFile("in/z.csv", []byte(badCSV), 0o644); err != nil {
		t.Fatal(err)
	}
	files, err := batch.OpenFiles(t.Context(), "in", "out", batch.All)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	if _, err := files.Value(t.Context(), "z.csv", small(t)); err == nil || !strings.Contains(err.Error(), "z.csv:3: column bedrooms") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := files.Value(ctx, "part-0.parquet", small(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if left := tree(t, "out"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestShardsOfABucket has the same files in a bucket, and prices to another
// prefix of it.
func TestShardsOfABucket(t *testing.T) {
	for name, location := range map[string]func(prefix string) string{"s3": registrytest.NewS3(t).Location, "gs": registrytest.NewGS(t).Location} {
		t.Run(name, func(t *testing.T) {
			parts(t)
			o := small(t)
			valueFiles(t, t.Context(), "whole", batch.All, o)
			from, err := objects.Open(t.Context(), location("batch/houses"))
			if err != nil {
				t.Fatal(err)
			}
			defer from.Close()
			for file, text := range tree(t, "in") {
				if err := from.Write(t.Context(), file, strings.NewReader(text), ""); err != nil {
					t.Fatal(err)
				}
			}
			to, err := objects.Open(t.Context(), location("batch/prices"))
			if err != nil {
				t.Fatal(err)
			}
			defer to.Close()
			// What another try left, which was of other houses.
			if err := to.Write(t.Context(), "part-0.parquet", strings.NewReader("old"), ""); err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				files, err := batch.OpenFiles(t.Context(), location("batch/houses"), location("batch/prices"), batch.Shard{Index: i, Count: 3})
				if err != nil {
					t.Fatal(err)
				}
				for _, name := range files.Names {
					if _, err := files.Value(t.Context(), name, o); err != nil {
						t.Fatal(err)
					}
				}
				files.Close()
			}
			keys, err := to.List(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, key := range keys {
				body, _, err := to.Open(t.Context(), key)
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(body)
				if err := errors.Join(err, body.Close()); err != nil {
					t.Fatal(err)
				}
				got[key] = string(text)
			}
			if diff := cmp.Diff(tree(t, "whole"), got); diff != "" {
				t.Errorf("other bytes than in a folder:\n%s", diff)
			}
		})
	}
}
