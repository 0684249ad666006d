package batch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"housing/internal/objects"
)

// Shard is one of Count parts of the files of a folder or bucket, from 0: file
// i of those in the order of their names is in shard i modulo Count.
type Shard struct{ Index, Count int }

// All is the shard that has every file.
var All = Shard{0, 1}

// maxShards bounds how many parts there may be.
const maxShards = 100_000

// ParseShard reads a shard such as 0/8, the first of eight. If text is only
// how many there are, index says which one it is.
func ParseShard(text, index string) (Shard, error) {
	which, count, both := strings.Cut(text, "/")
	if !both {
		which, count = index, text
	}
	i, err := strconv.Atoi(which)
	n, err2 := strconv.Atoi(count)
	switch {
	case !both && index == "":
		return Shard{}, fmt.Errorf("%q does not say which shard: want I/N, such as 0/8, or N where JOB_COMPLETION_INDEX is set", text)
	case err != nil || err2 != nil || n < 1 || n > maxShards || i < 0 || i >= n:
		return Shard{}, fmt.Errorf("%q is no shard: want I/N, with N from 1 to %d and I from 0 to N-1", which+"/"+count, maxShards)
	}
	return Shard{i, n}, nil
}

// IsPlace says whether a name is that of a folder or bucket, whose files are
// valued one by one.
func IsPlace(name string) bool {
	if strings.Contains(name, "://") {
		return true
	}
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// Files are files of a folder or bucket that are valued into files of the same
// names in another.
type Files struct {
	Names []string // of those in the shard, in order

	from, to objects.Store
	in, out  string // the folders, "" where it is a bucket
}

// OpenFiles returns the files of the shard. Taken are those with a name of a
// format, in folders below too; names with a part that begins with a dot or an
// underscore are passed over, as Spark leaves them behind. The error is a
// [*RefusedError] if names are wrong.
func OpenFiles(ctx context.Context, in, out string, s Shard) (_ *Files, err error) {
	for _, name := range []string{in, out} {
		if err := objects.CheckLocation(name); err != nil {
			return nil, &RefusedError{name, err.Error()}
		}
	}
	if err := objects.MakeFolder(out, 0o755); err != nil {
		return nil, err
	}
	from, err := objects.Open(ctx, in)
	if err != nil {
		return nil, &RefusedError{in, err.Error()}
	}
	to, err := objects.Open(ctx, out)
	if err != nil {
		from.Close()
		return nil, &RefusedError{out, err.Error()}
	}
	f := &Files{from: from, to: to}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	if f.in, err = folderOf(f.from); err != nil {
		return nil, err
	}
	if f.out, err = folderOf(f.to); err != nil {
		return nil, err
	}
	if a, b := f.place(f.in, in), f.place(f.out, out); strings.HasPrefix(a+"/", b+"/") || strings.HasPrefix(b+"/", a+"/") {
		return nil, &RefusedError{out, "is in what is read, or holds it: write to another folder"}
	}
	keys, err := f.from.List(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("list %s: %s: %w", f.from.Location(), objects.ReasonOf(err), err)
	}
	n := 0
	for _, key := range keys {
		if isHidden(key) {
			continue
		}
		if _, err := FormatOf(key); err != nil {
			return nil, err
		}
		if n%s.Count == s.Index {
			f.Names = append(f.Names, key)
		}
		n++
	}
	if n == 0 {
		return nil, fmt.Errorf("%s: has no files of houses; %s", in, formats)
	}
	return f, nil
}

// folderOf returns the whole path of a store that is a folder.
func folderOf(s objects.Store) (string, error) {
	if _, ok := s.(*objects.Folder); !ok {
		return "", nil
	}
	dir, err := filepath.EvalSymlinks(s.Location())
	if err != nil {
		return "", err
	}
	return filepath.Abs(dir)
}

// place returns a name of a place that can be compared.
func (f *Files) place(folder, location string) string {
	if folder != "" {
		return folder
	}
	bare, _, _ := strings.Cut(location, "?")
	return strings.TrimRight(bare, "/")
}

func isHidden(key string) bool {
	for part := range strings.SplitSeq(key, "/") {
		if strings.HasPrefix(part, ".") || strings.HasPrefix(part, "_") {
			return true
		}
	}
	return false
}

// Close lets go of the places.
func (f *Files) Close() {
	f.from.Close()
	f.to.Close()
}

// Value values one of the files. Like [Job.Run] it writes all of it or
// nothing, in the place of any that is there, and the same houses make the
// same bytes: what was cut off may be done again.
func (f *Files) Value(ctx context.Context, name string, o Options) (summary Summary, err error) {
	in, out := filepath.Join(f.in, filepath.FromSlash(name)), filepath.Join(f.out, filepath.FromSlash(name))
	if f.in == "" || f.out == "" {
		dir, err := os.MkdirTemp("", "housing-*")
		if err != nil {
			return Summary{}, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		if f.in == "" {
			in = filepath.Join(dir, "in"+filepath.Ext(name))
			if err := f.fetch(ctx, name, in); err != nil {
				return Summary{}, fmt.Errorf("fetch %s from %s: %s: %w", name, f.from.Location(), objects.ReasonOf(err), err)
			}
		}
		if f.out == "" {
			out = filepath.Join(dir, "out"+filepath.Ext(name))
		}
	}
	if f.out != "" {
		if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
			return Summary{}, err
		}
	}
	job, err := Plan(in, out)
	if err != nil {
		return Summary{}, err
	}
	job.name = name
	if summary, err = job.Run(ctx, io.Discard, o); err != nil || f.out != "" {
		return summary, err
	}
	if err := f.store(ctx, name, out); err != nil {
		return summary, fmt.Errorf("store %s in %s: %s: %w", name, f.to.Location(), objects.ReasonOf(err), err)
	}
	return summary, nil
}

// fetch copies an object to a file.
func (f *Files) fetch(ctx context.Context, name, to string) error {
	body, size, err := f.from.Open(ctx, name)
	if err != nil {
		return err
	}
	defer body.Close()
	file, err := os.Create(to)
	if err != nil {
		return err
	}
	n, err := io.Copy(file, io.LimitReader(body, size+1))
	if err == nil && n != size {
		err = fmt.Errorf("%d bytes were declared, %d came", size, n)
	}
	return errors.Join(err, file.Close())
}

// store copies a file to an object, in the place of what another try left.
func (f *Files) store(ctx context.Context, name, from string) error {
	file, err := os.Open(from)
	if err != nil {
		return err
	}
	defer file.Close()
	return f.to.Write(ctx, name, file, objects.Whatever)
}
