package objects

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"
)

// lockName is the file that is locked while an object of the folder changes.
const lockName = ".registry.lock"

// lockRetry is how often a lock that another has is tried again.
const lockRetry = 10 * time.Millisecond

// Folder is a store in a local folder. No key leads out of it.
type Folder struct{ dir string }

// OpenFolder returns the store in dir, which must be a folder.
func OpenFolder(dir string) (*Folder, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("open folder: %s is not a folder", dir)
	}
	return &Folder{dir: filepath.Clean(dir)}, nil
}

// Location returns the folder.
func (f *Folder) Location() string { return f.dir }

// Close does nothing: a folder holds no connections.
func (f *Folder) Close() {}

// Path returns the file that an object is, whether or not it is there.
func (f *Folder) Path(key string) (string, error) {
	if err := CheckKey(key); err != nil {
		return "", err
	}
	return filepath.Join(f.dir, filepath.FromSlash(key)), nil
}

// Holders returns the folders in the folder that hold a file of a name.
func (f *Folder) Holders(ctx context.Context, name string, wanted func(string) bool) ([]string, error) {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return nil, err
	}
	if len(entries) > maxKeys {
		return nil, errTooMany
	}
	var holders []string
	for _, entry := range entries {
		if !wanted(entry.Name()) {
			continue
		}
		switch _, err := f.Size(ctx, entry.Name()+"/"+name); {
		case err == nil:
			holders = append(holders, entry.Name())
		case !errors.Is(err, ErrAbsent):
			return nil, err // one that is there and cannot be read
		}
	}
	return holders, nil
}

// List returns the keys below a prefix.
func (f *Folder) List(_ context.Context, prefix string) ([]string, error) {
	root := f.dir
	if prefix != "" {
		var err error
		if root, err = f.Path(strings.TrimSuffix(prefix, "/")); err != nil {
			return nil, err
		}
	}
	var keys []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || strings.HasPrefix(entry.Name(), ".") {
			return err // hidden are the lock, and what is being written
		}
		if len(keys) >= maxKeys {
			return errTooMany
		}
		key, err := filepath.Rel(f.dir, path)
		keys = append(keys, filepath.ToSlash(key))
		return err
	})
	if errors.Is(err, fs.ErrNotExist) && prefix != "" {
		return nil, f.gone()
	}
	slices.Sort(keys)
	return keys, err
}

// gone returns an error where the folder is no longer there, such as a share
// that is not mounted, which is not an empty store.
func (f *Folder) gone() error {
	_, err := os.Stat(f.dir)
	return err
}

// Delete deletes a file, and the folders that it leaves empty.
func (f *Folder) Delete(_ context.Context, key string) error {
	path, err := f.Path(key)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && absent(err) != ErrAbsent {
		return err
	}
	for dir := filepath.Dir(path); dir != f.dir && os.Remove(dir) == nil; dir = filepath.Dir(dir) {
	}
	return nil
}

// Open opens a file.
func (f *Folder) Open(_ context.Context, key string) (io.ReadCloser, int64, error) {
	path, err := f.Path(key)
	if err != nil {
		return nil, 0, err
	}
	file, err := os.Open(path)
	if err != nil {
		if gone := f.gone(); gone != nil {
			return nil, 0, gone
		}
		return nil, 0, absent(err)
	}
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, 0, errors.Join(err, file.Close())
	case !info.Mode().IsRegular():
		return nil, 0, errors.Join(ErrAbsent, file.Close())
	}
	return file, info.Size(), nil
}

// Size returns the size of a file.
func (f *Folder) Size(_ context.Context, key string) (int64, error) {
	path, err := f.Path(key)
	if err != nil {
		return 0, err
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return 0, absent(err)
	case !info.Mode().IsRegular():
		return 0, ErrAbsent
	}
	return info.Size(), nil
}

// Read tags what it reads with its digest.
func (f *Folder) Read(ctx context.Context, key, unless string) ([]byte, string, error) {
	file, size, err := f.Open(ctx, key)
	if err != nil {
		return nil, "", err
	}
	defer file.Close()
	data, err := readSmall(file, size)
	if err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(data)
	tag := hex.EncodeToString(sum[:])
	if tag == unless {
		return nil, tag, ErrUnchanged
	}
	return data, tag, nil
}

// Write writes beside the place and then takes it: a new object by a link,
// which replaces nothing, another by a rename, while it is locked if there is
// a tag to compare.
func (f *Folder) Write(ctx context.Context, key string, body io.ReadSeeker, tag string) error {
	path, err := f.Path(key)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if tag != "" && tag != Whatever {
		unlock, err := f.lock(ctx)
		if err != nil {
			return err
		}
		defer unlock()
		if _, now, err := f.Read(ctx, key, ""); errors.Is(err, ErrAbsent) || err == nil && now != tag {
			return ErrTaken
		} else if err != nil {
			return err
		}
	}
	temporary, err := renameio.TempFile("", path)
	if err != nil {
		return err
	}
	defer func() { _ = temporary.Cleanup() }()
	if err := temporary.Chmod(0o644); err != nil {
		return err
	}
	if _, err := io.Copy(temporary, body); err != nil {
		return err
	}
	if tag != "" {
		err = temporary.CloseAtomicallyReplace()
	} else if err = temporary.Sync(); err == nil {
		err = os.Link(temporary.Name(), path)
	}
	if errors.Is(err, fs.ErrExist) {
		return ErrTaken
	}
	if err != nil {
		return err
	}
	return syncFolder(dir)
}

// lock waits until no other process or goroutine changes the folder. The
// file stays: to remove it would let two hold it.
func (f *Folder) lock(ctx context.Context) (unlock func(), err error) {
	file, err := os.OpenFile(filepath.Join(f.dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", file.Name(), err), file.Close())
		}
		timer := time.NewTimer(lockRetry)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, errors.Join(fmt.Errorf("lock %s: %w", file.Name(), ctx.Err()), file.Close())
		case <-timer.C:
		}
	}
}

// syncFolder makes the names in a folder outlast a crash of the machine.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func absent(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return ErrAbsent
	}
	return err
}

// readSmall reads an object of at most MaxSmallBytes.
func readSmall(r io.Reader, declared int64) ([]byte, error) {
	if declared > MaxSmallBytes {
		return nil, fmt.Errorf("%d bytes is over the %d that it may have", declared, MaxSmallBytes)
	}
	var data bytes.Buffer
	n, err := io.Copy(&data, io.LimitReader(r, MaxSmallBytes+1))
	if err == nil && n > MaxSmallBytes {
		err = fmt.Errorf("it is over the %d bytes that it may have", MaxSmallBytes)
	}
	return data.Bytes(), err
}
