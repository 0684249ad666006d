package journal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// lockName is the file in a folder of which its process holds the lock.
const lockName = "lock"

// folderName is that of a folder: the database, and chance.
var folderName = regexp.MustCompile("^[0-9a-z]+-[0-9a-f]{16}$")

// folder is where one process keeps its segments: a folder in JOURNAL_DIR
// whose name begins with that of the database they are for, so that they never
// get into another.
type folder struct {
	root, prefix string
	path         string
	lock         *os.File
}

// openFolder takes a folder that a process has left, else makes one.
func openFolder(root, prefix string) (*folder, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, err
	}
	if err := checkOwner(root); err != nil {
		return nil, err
	}
	f := &folder{root: root, prefix: prefix}
	left, err := f.others()
	if err != nil {
		return nil, err
	}
	for _, path := range left {
		if lock := tryFolder(path); lock != nil {
			f.path, f.lock = path, lock
			return f, nil
		}
	}
	const tries = 10
	for range tries {
		path := filepath.Join(root, fmt.Sprintf("%s-%016x", prefix, rand.Uint64()))
		if err = os.Mkdir(path, 0o700); err != nil {
			continue
		}
		if lock := tryFolder(path); lock != nil {
			f.path, f.lock = path, lock
			return f, nil
		}
		err = fmt.Errorf("cannot lock a file in %s", path)
	}
	return nil, err
}

// tryFolder takes the lock of a folder, nil if another process has it, or the
// folder is gone.
func tryFolder(path string) *os.File {
	name := filepath.Join(path, lockName)
	lock, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil
	}
	// The one before may have removed the folder since the file was opened.
	if taken, err := tryLock(lock); err != nil || !taken || !sameFile(lock, name) {
		_ = lock.Close()
		return nil
	}
	return lock
}

// others returns the folders of other processes, living or gone.
func (f *folder) others() ([]string, error) {
	entries, err := os.ReadDir(f.root)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, e := range entries {
		if path := filepath.Join(f.root, e.Name()); e.IsDir() && strings.HasPrefix(e.Name(), f.prefix+"-") && path != f.path {
			paths = append(paths, path)
		}
	}
	return paths, nil
}

// strangers returns how many folders are for other databases.
func (f *folder) strangers() (n int) {
	entries, err := os.ReadDir(f.root)
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if prefix, _, found := strings.Cut(e.Name(), "-"); found && prefix != f.prefix && folderName.MatchString(e.Name()) {
			n++
		}
	}
	return n
}

// adopt moves the segments of processes that are gone here, until they have
// most bytes.
func (f *folder) adopt(most int64) error {
	others, err := f.others()
	if err != nil {
		return err
	}
	for _, path := range others {
		if most <= 0 {
			break
		}
		lock := tryFolder(path)
		if lock == nil {
			continue
		}
		files, failed := segments(path)
		for _, file := range files {
			to := filepath.Join(f.path, freshName())
			if failed = os.Rename(file, to); failed != nil {
				break
			}
			if info, err := os.Stat(to); err == nil {
				most -= info.Size()
			}
		}
		if failed == nil {
			failed = os.RemoveAll(path)
		}
		err = errors.Join(err, failed, lock.Close())
	}
	return err
}

// freshName is the name of a segment that no other has.
func freshName() string { return fmt.Sprintf("%016x%s", rand.Uint64(), segmentName) }

// close lets go of the folder, and removes it if nothing is in it.
func (f *folder) close() error {
	if files, err := segments(f.path); err == nil && len(files) == 0 {
		return errors.Join(os.RemoveAll(f.path), f.lock.Close())
	}
	return f.lock.Close()
}
