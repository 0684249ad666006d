//go:build unix

package journal

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mapShared maps a file so that what is written to the memory is the file's,
// also when the process is killed at once after it.
func mapShared(f *os.File, size int) (data []byte, unmap func() error, err error) {
	data, err = unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, err
	}
	return data, func() error { return unix.Munmap(data) }, nil
}

// tryLock takes the lock of a file that ends with the process; false if
// another process has it.
func tryLock(f *os.File) (bool, error) {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// checkOwner refuses a folder of another user, who could read what is put
// there; that of root is the machine's own, as a mounted one is.
func checkOwner(dir string) error {
	var stat unix.Stat_t
	if err := unix.Lstat(dir, &stat); err != nil {
		return fmt.Errorf("look at %s: %w", dir, err)
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		return fmt.Errorf("%s is no folder", dir)
	}
	if owner := int(stat.Uid); owner != 0 && owner != unix.Geteuid() {
		return fmt.Errorf("%s is of another user (%d)", dir, owner)
	}
	return nil
}

// sameFile says whether path still names the open file.
func sameFile(f *os.File, path string) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(open, named)
}
