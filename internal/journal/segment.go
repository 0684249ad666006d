package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// A segment is a file, or a piece of memory, of a fixed size:
//
//	 0 "HJOURNAL"
//	 8 uint64  where the entries begin that were not brought away yet
//	16         entries, then zeros
//
// A file without the first word was never used.
const (
	magic       = "HJOURNAL"
	headerBytes = 16
	segmentName = ".segment"

	minSegment = 64 << 10 // more than the largest entry
	maxSegment = 4 << 20
	maxAdopted = 1 << 30 // of a file that is there already
)

type segment struct {
	data    []byte
	path    string // "" in memory
	unmap   func() error
	written int  // end of the entries; only the last segment grows
	read    int  // end of what was brought away
	records int  // that are in it and were not brought away
	sealed  bool // it was left by another process: nothing is added
}

func newMemorySegment(size int) *segment {
	s := &segment{data: make([]byte, size)}
	s.begin()
	return s
}

// begin makes a segment of zeros ready for entries.
func (s *segment) begin() {
	s.setRead(headerBytes)
	s.written, s.records, s.sealed = headerBytes, 0, false
	copy(s.data, magic)
}

// newFileSegment makes a file, and sees to it that the disk has room for all
// of it: a write to a mapped page without would kill the process.
func newFileSegment(path string, size int) (s *segment, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	zeros := make([]byte, 64<<10)
	for written := 0; written < size; {
		n, err := f.Write(zeros[:min(len(zeros), size-written)])
		if err != nil {
			return nil, err
		}
		written += n
	}
	data, unmap, err := mapShared(f, size)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	// Each page is written to now, as the first write to a page may wait for
	// the disk.
	clear(data)
	s = &segment{data: data, path: path, unmap: unmap}
	s.begin()
	return s, nil
}

// openSegment opens a file that another process has left, nil if nothing is
// in it; then it is removed. torn is how many entries cannot be read.
func openSegment(path string) (s *segment, torn int, err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if info.Size() < headerBytes || info.Size() > maxAdopted {
		return nil, 0, os.Remove(path)
	}
	data, unmap, err := mapShared(f, int(info.Size()))
	if err != nil {
		return nil, 0, fmt.Errorf("map %s: %w", path, err)
	}
	s = &segment{data: data, path: path, unmap: unmap, sealed: true}
	if torn = s.recover(); s.records == 0 {
		return nil, torn, s.remove()
	}
	return s, torn, nil
}

// recover finds out what a segment holds.
func (s *segment) recover() (torn int) {
	s.written, s.records = len(s.data), 0
	s.read = s.written
	if string(s.data[:len(magic)]) != magic {
		return 0
	}
	begin := binary.LittleEndian.Uint64(s.data[8:])
	if begin < headerBytes || begin > uint64(len(s.data)) || begin%8 != 0 {
		return 1
	}
	s.read = int(begin)
	s.written = s.read
	for {
		p, size, err := readEntry(s.data[s.written:])
		switch {
		case err == nil:
			s.records += len(p.Prices)
		case errors.Is(err, errTorn):
			torn++
		case errors.Is(err, errBroken):
			return torn + 1
		default:
			return torn
		}
		s.written += size
	}
}

func (s *segment) setRead(to int) {
	s.read = to
	binary.LittleEndian.PutUint64(s.data[8:], uint64(to))
}

// clear makes the segment as if new. Until the end of it, a reader finds
// nothing that was not brought away.
func (s *segment) clear() {
	s.setRead(len(s.data))
	clear(s.data[headerBytes:])
	s.begin()
}

// close lets go of the memory and leaves the file.
func (s *segment) close() error {
	s.data = nil
	if s.unmap == nil {
		return nil
	}
	return s.unmap()
}

// remove removes the file.
func (s *segment) remove() error {
	err := s.close()
	if s.path != "" {
		err = errors.Join(err, os.Remove(s.path))
	}
	return err
}

// segments returns the files of a folder.
func segments(dir string) ([]string, error) {
	return filepath.Glob(filepath.Join(dir, "*"+segmentName))
}
