package journal

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
)

// Bounds of a spool.
const (
	segmentsOfSpool = 16       // as many, or more
	maxSpares       = 2        // segments that are ready for a burst
	maxInMemory     = 16 << 20 // bytes, where no file can be made
)

// spool holds predictions until they have been brought away. What is added
// goes to the last segment; the first is brought away first.
type spool struct {
	folder *folder // nil keeps all in memory
	size   int     // of a segment
	most   int64   // bytes of all segments
	// wake tells that a segment is wanted; it holds one word.
	wake chan struct{}

	mu       sync.Mutex
	segments []*segment // with entries, the oldest first
	spares   []*segment
	used     []*segment // to be cleared
	bytes    int64      // of all of these
	memory   int64      // of those that are no files
	waiting  int        // records
	lost     int        // records that were in files that fault, or torn since they were counted, since losses was called
	closed   bool
}

// openSpool opens a spool in a folder, nil for memory. Its segments are made
// by prepare, what others have left is found by load.
func openSpool(f *folder, most int64) *spool {
	if f == nil {
		most = min(most, maxInMemory)
	}
	size := max(minSegment, min(maxSegment, int(most/segmentsOfSpool)&^(minSegment-1)))
	return &spool{folder: f, size: size, most: most, wake: make(chan struct{}, 1)}
}

// add adds a prediction and returns how many of its records there was room
// for. It waits for nothing but other calls of the spool.
func (s *spool) add(p *Prediction) (added int) {
	// A file that was cut in place faults: that loses the segment, not the
	// process.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		if recover() != nil {
			s.forget(s.segments[len(s.segments)-1])
			added = 0
		}
	}()
	for added < len(p.Prices) {
		prices := p.Prices[added:min(added+maxPrices, len(p.Prices))]
		last := s.room(entryBytes(p, len(prices)))
		if last == nil {
			return added
		}
		size := entryBytes(p, len(prices))
		writeEntry(last.data[last.written:last.written+size], p, added, prices)
		last.written += size
		last.records += len(prices)
		s.waiting += len(prices)
		added += len(prices)
	}
	return added
}

// room returns the segment that has so many bytes left, nil if there is none.
func (s *spool) room(size int) *segment {
	if s.closed {
		return nil
	}
	if n := len(s.segments); n > 0 {
		if last := s.segments[n-1]; !last.sealed && len(last.data)-last.written >= size {
			return last
		}
	}
	s.ask()
	if len(s.spares) == 0 {
		return nil
	}
	next := s.spares[0]
	s.spares = slices.Delete(s.spares, 0, 1)
	s.segments = append(s.segments, next)
	return next
}

// ask wakes who makes segments.
func (s *spool) ask() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// forget lets go of a segment that faults, without touching it.
func (s *spool) forget(lost *segment) {
	s.segments = slices.DeleteFunc(s.segments, func(o *segment) bool { return o == lost })
	s.waiting -= lost.records
	s.lost += lost.records
	s.bytes -= int64(len(lost.data))
}

// losses returns how many records were lost with files, or in them, since the
// last call. What load found torn is not among them.
func (s *spool) losses() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, s.lost = s.lost, 0
	return n
}

// prepare clears segments that are used and makes spares. An error is of a
// file; there may be a spare in memory all the same.
func (s *spool) prepare() error {
	for {
		s.mu.Lock()
		var used *segment
		if len(s.used) > 0 {
			used = s.used[0]
			s.used = slices.Delete(s.used, 0, 1)
		}
		wanted := len(s.spares) < maxSpares && !s.closed
		room := s.bytes+int64(s.size) <= s.most
		inMemory := s.memory+int64(s.size) <= maxInMemory
		s.mu.Unlock()
		switch {
		case used != nil && wanted && len(used.data) == s.size && (used.path != "" || s.folder == nil):
			if err := guarded(used.clear); err != nil {
				s.account(used, -1)
				return err
			}
			s.spare(used)
		case used != nil:
			s.account(used, -1)
			if err := used.remove(); err != nil {
				return err
			}
		case !wanted || !room:
			return nil
		default:
			made, err := s.make()
			if made == nil && inMemory {
				made = newMemorySegment(s.size)
			}
			if made != nil {
				s.account(made, 1)
				s.spare(made)
			}
			if err != nil {
				return err
			}
		}
	}
}

// make makes a file; nil without an error where none is wanted.
func (s *spool) make() (*segment, error) {
	if s.folder == nil {
		return nil, nil
	}
	return newFileSegment(filepath.Join(s.folder.path, freshName()), s.size)
}

func (s *spool) spare(made *segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spares = append(s.spares, made)
}

// account adds or takes away the bytes of a segment.
func (s *spool) account(of *segment, times int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes += times * int64(len(of.data))
	if of.path == "" {
		s.memory += times * int64(len(of.data))
	}
}

// load takes in what other processes have left. It is called by who calls
// prepare.
func (s *spool) load() (records, torn int, err error) {
	if s.folder == nil {
		return 0, 0, nil
	}
	own := map[string]bool{}
	s.mu.Lock()
	for _, of := range slices.Concat(s.segments, s.spares, s.used) {
		own[of.path] = true
	}
	room := s.most - s.bytes
	s.mu.Unlock()
	err = s.folder.adopt(room)
	paths, failed := segments(s.folder.path)
	err = errors.Join(err, failed)
	for _, path := range paths {
		if own[path] {
			continue
		}
		var found *segment
		var broken int
		var failed error
		fault := guarded(func() { found, broken, failed = openSegment(path) })
		torn += broken
		err = errors.Join(err, failed, fault)
		if found == nil {
			continue
		}
		records += found.records
		s.account(found, 1)
		s.mu.Lock()
		s.segments = slices.Insert(s.segments, 0, found)
		s.waiting += found.records
		s.mu.Unlock()
	}
	return records, torn, err
}

// batch is a part of a segment that is to be brought away.
type batch struct {
	segment     *segment
	end         int // in the segment
	predictions []Prediction
	records     int
}

// take returns what is to be brought away next, with at least one record and
// about most; false if there is nothing. It stays in the spool until done is
// called.
func (s *spool) take(most int) (b batch, ok bool) {
	for {
		if b, ok = s.next(most); !ok || b.records > 0 {
			return b, ok
		}
		s.done(b) // it is torn, all of it
	}
}

// next is take, of a batch that may hold nothing that can be read.
func (s *spool) next(most int) (b batch, ok bool) {
	s.mu.Lock()
	s.retire()
	for _, of := range s.segments {
		if of.read < of.written {
			b.segment, b.end = of, of.read
			break
		}
	}
	if b.segment == nil {
		s.mu.Unlock()
		return batch{}, false
	}
	written := b.segment.written
	s.mu.Unlock()
	fault := guarded(func() {
		for b.end < written && b.records < most {
			p, size, err := readEntry(b.segment.data[b.end:written])
			switch {
			case err == nil:
				b.predictions = append(b.predictions, p)
				b.records += len(p.Prices)
			case size == 0: // it was whole when it was counted
				size = written - b.end
			}
			b.end += size
		}
	})
	if fault != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.forget(b.segment)
		b = batch{segment: b.segment}
	}
	return b, true
}

// done notes that a batch was brought away. What was counted and is not found
// by the end of a segment was torn since.
func (s *spool) done(b batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := b.segment
	if !slices.Contains(s.segments, of) { // it was forgotten
		return
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			s.forget(of)
		}
	}()
	of.records -= b.records
	s.waiting -= b.records
	of.setRead(b.end)
	if of.read == of.written {
		s.lost += of.records
		s.waiting -= of.records
		of.records = 0
	}
	s.retire()
}

// retire gives the segments that hold nothing more to prepare, but not the one
// that is being added to.
func (s *spool) retire() {
	for i := 0; i < len(s.segments); {
		of := s.segments[i]
		if of.read < of.written || i == len(s.segments)-1 && !of.sealed {
			i++
			continue
		}
		s.segments = slices.Delete(s.segments, i, i+1)
		s.used = append(s.used, of)
		s.ask()
	}
}

// held returns how many records wait.
func (s *spool) held() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting
}

// close lets go of everything; what waits stays in the files. lost is how many
// records were in memory.
func (s *spool) close() (lost int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, of := range slices.Concat(s.segments, s.spares, s.used) {
		if of.records > 0 && of.path != "" {
			err = errors.Join(err, of.close())
			continue
		}
		lost += of.records
		err = errors.Join(err, of.remove())
	}
	s.segments, s.spares, s.used = nil, nil, nil
	if s.folder != nil {
		err = errors.Join(err, s.folder.close())
	}
	return lost, err
}

// guarded turns a fault of memory that is mapped to a file into an error.
func guarded(f func()) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("a file of the journal was cut: %v", fault)
		}
	}()
	f()
	return nil
}
