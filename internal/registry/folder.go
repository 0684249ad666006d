package registry

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
	"syscall"
	"time"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"

	"housing/internal/bundle"
)

// lockName is the file that is locked while an object of the folder changes.
const lockName = ".registry.lock"

// lockRetry is how often a lock that another has is tried again.
const lockRetry = 10 * time.Millisecond

// Folder is a registry in a local folder. The name of a version is checked
// before it becomes part of a path, so that no name leads out of the folder.
type Folder struct{ dir string }

// OpenFolder returns the registry in dir, which must be a folder.
func OpenFolder(dir string) (*Folder, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("open model folder: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("open model folder: %s is not a folder", dir)
	}
	return &Folder{dir: dir}, nil
}

// Versions returns the versions in the folder, sorted by name. What is not a
// folder with a bundle in it, or has a name that no version may have, is
// passed over.
func (f *Folder) Versions() ([]string, error) {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return nil, fmt.Errorf("list models: %w", err)
	}
	if len(entries) > maxVersions {
		return nil, fmt.Errorf("list models: %s has %d entries, more than %d", f.dir, len(entries), maxVersions)
	}
	var versions []string
	for _, entry := range entries {
		if bundle.CheckVersion(entry.Name()) != nil {
			continue
		}
		switch _, err := f.Path(entry.Name()); {
		case err == nil:
			versions = append(versions, entry.Name())
		case !errors.Is(err, ErrNotFound) && !errors.Is(err, syscall.ENOTDIR):
			return nil, err // one that is there and cannot be read
		}
	}
	return versions, nil
}

// Path returns the path of a version's bundle. The error is [ErrNotFound] if
// there is none.
func (f *Folder) Path(version string) (string, error) {
	if err := bundle.CheckVersion(version); err != nil {
		return "", err
	}
	path := filepath.Join(f.dir, version, bundleName)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("version %s in %s: %w", version, f.dir, ErrNotFound)
	case err != nil:
		return "", fmt.Errorf("version %s: %w", version, err)
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("version %s: %s is not a file: %w", version, path, ErrNotFound)
	}
	return path, nil
}

func (f *Folder) path(key string) string { return filepath.Join(f.dir, filepath.FromSlash(key)) }

func (f *Folder) versions(context.Context) ([]string, error) { return f.Versions() }

func (f *Folder) close() {}

func (f *Folder) open(_ context.Context, key string) (io.ReadCloser, int64, error) {
	file, err := os.Open(f.path(key))
	if err != nil {
		// A folder that is gone, such as a share that is no longer mounted, is
		// not an empty registry.
		if _, gone := os.Stat(f.dir); gone != nil {
			return nil, 0, gone
		}
		return nil, 0, absent(err)
	}
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, 0, errors.Join(err, file.Close())
	case !info.Mode().IsRegular():
		return nil, 0, errors.Join(errAbsent, file.Close())
	}
	return file, info.Size(), nil
}

func (f *Folder) size(_ context.Context, key string) (int64, error) {
	info, err := os.Stat(f.path(key))
	switch {
	case err != nil:
		return 0, absent(err)
	case !info.Mode().IsRegular():
		return 0, errAbsent
	}
	return info.Size(), nil
}

// read tags what it reads with its digest.
func (f *Folder) read(ctx context.Context, key, unless string) ([]byte, string, error) {
	file, size, err := f.open(ctx, key)
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
		return nil, tag, errUnchanged
	}
	return data, tag, nil
}

// write writes beside the place and then takes it: a new object by a link,
// which replaces nothing, another by a rename while it is locked.
func (f *Folder) write(ctx context.Context, key string, body io.ReadSeeker, tag string) error {
	path := f.path(key)
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if tag != "" {
		unlock, err := f.lock(ctx)
		if err != nil {
			return err
		}
		defer unlock()
		if _, now, err := f.read(ctx, key, ""); errors.Is(err, errAbsent) || err == nil && now != tag {
			return errTaken
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
		return errTaken
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
		return errAbsent
	}
	return err
}

// readSmall reads an object of at most maxSmallBytes.
func readSmall(r io.Reader, declared int64) ([]byte, error) {
	if declared > maxSmallBytes {
		return nil, fmt.Errorf("%d bytes is over the %d that it may have", declared, maxSmallBytes)
	}
	var data bytes.Buffer
	n, err := io.Copy(&data, io.LimitReader(r, maxSmallBytes+1))
	if err == nil && n > maxSmallBytes {
		err = fmt.Errorf("it is over the %d bytes that it may have", maxSmallBytes)
	}
	return data.Bytes(), err
}
