// Package registry knows which versions of a model there are and where each
// one lies.
//
// A registry is a [Folder] with one folder for each version and the bundle in
// it: DIR/VERSION/bundle. The name of a version is checked before it becomes
// part of a path ([bundle.CheckVersion]), so that no name leads out of the folder.
package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"housing/internal/bundle"
)

// ErrNotFound is the error for a version that is not there.
var ErrNotFound = errors.New("no such version")

// bundleName is the name of the bundle inside the folder of its version.
const bundleName = "bundle"

// maxVersions bounds how many versions a folder may hold.
const maxVersions = 10_000

// Folder is a registry in a local folder.
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
