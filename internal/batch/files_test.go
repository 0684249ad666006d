package batch_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"housing/internal/batch"
)

// folder makes a folder of the files and makes it the present one.
func folder(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
}

// listing returns the names in the present folder.
func listing(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// do does the job and returns what went to stdout.
func do(t *testing.T, ctx context.Context, in, out string) (string, error) {
	t.Helper()
	job, err := batch.Plan(in, out)
	if err != nil {
		return "", err
	}
	var stdout bytes.Buffer
	_, err = job.Run(ctx, &stdout, options(t, byArea))
	return stdout.String(), err
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const (
	goodCSV   = header + "\n" + row + "\n"
	badCSV    = goodCSV + "-" + row + "\n"
	pricedCSV = header + ",predicted_price\n" + row + ",118295\n"
)

func TestFilesThatAreRefused(t *testing.T) {
	folder(t, map[string]string{"houses.csv": goodCSV, "houses.orc": "", "houses": ""})
	for _, err := range []error{
		os.Mkdir("folder.csv", 0o755), syscall.Mkfifo("pipe.csv", 0o644),
		os.Symlink("houses.csv", "linked.csv"), os.Link("houses.csv", "twin.csv"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	const formats = "read and written are CSV (.csv), NDJSON (.ndjson, .jsonl) and Parquet (.parquet)"
	for _, c := range []struct{ in, out, want string }{
		{"houses.orc", "out.csv", "houses.orc: .orc files are not read or written; " + formats},
		{"houses.csv", "out.XLSX", "out.XLSX: .xlsx files are not read or written; " + formats},
		{"houses", "out.csv", "houses: has no format in its name; " + formats},
		{"-", "out.csv", "-: has no format in its name; " + formats},
		{"houses.csv", "houses.csv", "houses.csv: is the file that is read: write to another"},
		{"houses.csv", "./linked.csv", "./linked.csv: is the file that is read: write to another"},
		{"linked.csv", "houses.csv", "houses.csv: is the file that is read: write to another"},
		{"houses.csv", "twin.csv", "twin.csv: is the file that is read: write to another"},
		{"houses.csv", "folder.csv", "folder.csv: is a folder, not a file"},
		{"houses.csv", "pipe.csv", "pipe.csv: is not a regular file"},
		{"folder.csv", "out.csv", "folder.csv: is a folder, not a file"},
		{"pipe.csv", "out.csv", "pipe.csv: is not a regular file"},
	} {
		_, err := do(t, t.Context(), c.in, c.out)
		var refused *batch.RefusedError
		if !errors.As(err, &refused) || err.Error() != c.want {
			t.Errorf("%s to %s: %v, want %s", c.in, c.out, err, c.want)
		}
	}
	for _, c := range []struct{ in, out string }{{"none.csv", "out.csv"}, {"houses.csv", "none/out.csv"}} {
		_, err := do(t, t.Context(), c.in, c.out)
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "none") {
			t.Errorf("%s to %s: %v", c.in, c.out, err)
		}
	}
	if read(t, "houses.csv") != goodCSV {
		t.Error("the input has changed")
	}
}

func TestTheOutputIsThereWhenItIsComplete(t *testing.T) {
	folder(t, map[string]string{"houses.csv": goodCSV, "old.csv": "old"})
	if err := os.Symlink("old.csv", "link.csv"); err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{"new.CSV", "link.csv"} {
		if _, err := do(t, t.Context(), "houses.csv", out); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(pricedCSV, read(t, out)); diff != "" {
			t.Error(diff)
		}
	}
	if info, err := os.Lstat("link.csv"); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v", err)
	}
	if info, err := os.Stat("old.csv"); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the mode of the old file has changed: %v", info.Mode())
	}
	if diff := cmp.Diff([]string{"houses.csv", "link.csv", "new.CSV", "old.csv"}, listing(t)); diff != "" {
		t.Error(diff)
	}
}

func TestAFailureLeavesNothingBehind(t *testing.T) {
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for name, c := range map[string]struct {
		ctx  context.Context
		in   string
		want string
	}{
		"faults":      {t.Context(), badCSV, "old.csv is not written: houses.csv:3: column bedrooms: must be at least 0, is -3"},
		"interrupted": {stopped, goodCSV, "old.csv is not written: context canceled"},
		"not CSV":     {t.Context(), "", "old.csv is not written: houses.csv: is empty, must begin with a header"},
	} {
		t.Run(name, func(t *testing.T) {
			folder(t, map[string]string{"houses.csv": c.in, "old.csv": "old"})
			if _, err := do(t, c.ctx, "houses.csv", "old.csv"); err == nil || err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if _, err := do(t, c.ctx, "houses.csv", "new.ndjson"); err == nil {
				t.Error("no error")
			}
			if read(t, "old.csv") != "old" {
				t.Error("the old file has changed")
			}
			if diff := cmp.Diff([]string{"houses.csv", "old.csv"}, listing(t)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestStdout(t *testing.T) {
	folder(t, map[string]string{"houses.csv": goodCSV, "bad.csv": badCSV, "houses.jsonl": "{" + object + "}"})
	t.Setenv("TMPDIR", t.TempDir())
	for _, c := range []struct{ in, out, err string }{
		{"houses.csv", pricedCSV, ""},
		{"houses.jsonl", "{" + object + `,"predicted_price":118295}` + "\n", ""},
		{"bad.csv", "", "nothing is written: bad.csv:3: column bedrooms: must be at least 0, is -3"},
	} {
		out, err := do(t, t.Context(), c.in, "-")
		if diff := cmp.Diff(c.out, out); diff != "" {
			t.Error(diff)
		}
		if (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
			t.Errorf("%s: %v, want %s", c.in, err, c.err)
		}
	}
	t.Chdir(os.TempDir())
	if left := listing(t); left != nil {
		t.Errorf("left behind: %v", left)
	}
}
