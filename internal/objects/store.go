package objects

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// What a store answers that is no fault of it.
var (
	ErrAbsent    = errors.New("no such object")
	ErrTaken     = errors.New("the object is not as expected")
	ErrUnchanged = errors.New("the object has not changed")
)

// Whatever is the tag to write an object with whatever is there: readers find
// the old one or the new one, never none.
const Whatever = "*"

// MaxSmallBytes is the size of the largest object that Read reads.
const MaxSmallBytes = 1 << 20

// maxKeys bounds the objects that are looked at in one listing.
const maxKeys = 200_000

// Store is a place that keeps bytes by key, for any number of goroutines.
// Keys have slashes and no part that is empty or of dots alone. Errors are
// [ErrAbsent], [ErrTaken], [ErrUnchanged], or a fault of the place.
type Store interface {
	// Location returns where the store is, without options.
	Location() string
	// Read returns an object of at most MaxSmallBytes and its tag, or
	// ErrUnchanged if it still has the tag unless.
	Read(ctx context.Context, key, unless string) (data []byte, tag string, err error)
	// Open returns an object and its size.
	Open(ctx context.Context, key string) (io.ReadCloser, int64, error)
	// Size returns the size of an object.
	Size(ctx context.Context, key string) (int64, error)
	// Write writes a whole object where it has the tag, or with no tag where
	// there is none; else the error is ErrTaken. With [Whatever] it asks for
	// nothing.
	Write(ctx context.Context, key string, body io.ReadSeeker, tag string) error
	// Delete deletes an object; one that is not there is no error.
	Delete(ctx context.Context, key string) error
	// List returns the keys below a prefix, which is empty or ends in a slash,
	// sorted.
	List(ctx context.Context, prefix string) ([]string, error)
	// Holders returns the names right below the root for which wanted is true
	// and that hold an object of a name: "a" where there is "a/NAME". Sorted.
	Holders(ctx context.Context, name string, wanted func(holder string) bool) ([]string, error)
	// Close closes idle connections.
	Close()
}

// Open returns the store at a location. A folder must be there; a bucket is
// not asked yet, so that a service starts while it is away.
func Open(ctx context.Context, location string) (Store, error) {
	at, err := parseLocation(location)
	if err != nil {
		return nil, err
	}
	switch at.scheme {
	case "s3":
		return openS3(at)
	case "gs":
		return openGS(ctx, at)
	}
	return OpenFolder(at.path)
}

// MakeFolder makes the folder of a location where it is a folder and there is
// none yet.
func MakeFolder(location string, mode os.FileMode) error {
	at, err := parseLocation(location)
	if err != nil || at.scheme != "" {
		return err
	}
	return os.MkdirAll(at.path, mode)
}

// CheckKey returns an error unless key can name an object.
func CheckKey(key string) error {
	for part := range strings.SplitSeq(key, "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsAny(part, "\x00\\") {
			return fmt.Errorf("%.80q is no key of an object", key)
		}
	}
	return nil
}

// errTooMany is the error for a store that cannot be listed in a bounded
// time.
var errTooMany = fmt.Errorf("it has more than %d objects: give it a prefix of its own", maxKeys)

// holdersIn picks the holders of an object of a name out of keys.
func holdersIn(keys []string, name string, wanted func(string) bool) []string {
	var holders []string
	for _, key := range keys {
		if holder, rest, _ := strings.Cut(key, "/"); rest == name && wanted(holder) {
			holders = append(holders, holder)
		}
	}
	slices.Sort(holders)
	return holders
}
