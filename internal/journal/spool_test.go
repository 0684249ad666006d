package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// some returns a prediction of n houses.
func some(n int) *Prediction {
	now := time.Now().Truncate(time.Millisecond).UTC()
	p := &Prediction{ID: NewID(now), Time: now, Version: "kc-1", Role: "primary", UserID: "0123456789abcdef", Prices: make([]float64, n)}
	for i := range p.Prices {
		p.Prices[i] = float64(100_000 + i)
	}
	return p
}

// key names a record with its price.
type key struct {
	id     ID
	record int
	price  float64
}

// newSpool returns a spool that is ready, in a folder of dir.
func newSpool(t testing.TB, dir string, most int64) *spool {
	t.Helper()
	f, err := openFolder(dir, "database")
	if err != nil {
		t.Fatal(err)
	}
	s := openSpool(f, most)
	if _, torn, err := s.load(); err != nil || torn > 0 {
		t.Fatal(torn, err)
	}
	if err := s.prepare(); err != nil {
		t.Fatal(err)
	}
	return s
}

// empty takes everything out and returns how often each record was there.
func empty(t testing.TB, s *spool) map[key]int {
	t.Helper()
	seen := map[key]int{}
	for {
		b, ok := s.take(1000)
		if !ok {
			return seen
		}
		for _, p := range b.predictions {
			for i := range p.Prices {
				seen[key{p.ID, p.First + i, p.Prices[i]}]++
			}
		}
		s.done(b)
		if err := s.prepare(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnEntryIsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 16, maxText)
		p := &Prediction{
			Time: time.UnixMilli(rapid.Int64Range(0, 1<<42).Draw(t, "time")).UTC(), Version: text.Draw(t, "version"), Role: text.Draw(t, "role"),
			UserID: text.Draw(t, "user"), Shadow: rapid.Bool().Draw(t, "shadow"), First: rapid.IntRange(0, 1e5).Draw(t, "first"),
			Prices: rapid.SliceOfN(rapid.Float64Range(0, 1e9), 1, 40).Draw(t, "prices"),
		}
		copy(p.ID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		b := make([]byte, entryBytes(p, len(p.Prices))+16)
		writeEntry(b[:len(b)-16], p, 0, p.Prices)
		got, size, err := readEntry(b)
		if err != nil || size != len(b)-16 || got.ID != p.ID || !got.Time.Equal(p.Time) || got.Version != p.Version || got.Role != p.Role ||
			got.UserID != p.UserID || got.Shadow != p.Shadow || got.First != p.First || !slices.Equal(got.Prices, p.Prices) {
			t.Fatalf("wrote %+v, read %+v, %d bytes, %v", p, got, size, err)
		}
		if _, _, err := readEntry(b[size:]); !errors.Is(err, errEnd) {
			t.Errorf("after it stands %v", err)
		}
		// One bit that flips is seen, unless it is of the length and makes an end.
		b[rapid.IntRange(4, size-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, again, err := readEntry(b); !errors.Is(err, errTorn) || again != size {
			t.Errorf("a flipped bit is read as %v, %d bytes", err, again)
		}
	})
}

// Whatever is in a file, reading it ends, and finds no record that is not
// there.
func FuzzSegment(f *testing.F) {
	s := newMemorySegment(minSegment)
	for range 3 {
		p := some(2)
		writeEntry(s.data[s.written:s.written+entryBytes(p, 2)], p, 0, p.Prices)
		s.written += entryBytes(p, 2)
	}
	f.Add(s.data[:s.written+8])
	torn := bytes.Clone(s.data[:s.written+8])
	torn[60] ^= 1
	f.Add(torn)
	f.Add(append([]byte(magic), make([]byte, 8)...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < headerBytes {
			return
		}
		s := &segment{data: data, sealed: true}
		s.recover()
		if s.records > 0 && s.records > len(data)/8 {
			t.Fatalf("%d records in %d bytes", s.records, len(data))
		}
		spool := &spool{wake: make(chan struct{}, 1), segments: []*segment{s}, waiting: s.records, bytes: int64(len(data))}
		found := 0
		for rounds := 0; ; rounds++ {
			b, ok := spool.take(10)
			if !ok {
				break
			}
			found += b.records
			spool.done(b)
			if rounds > len(data) {
				t.Fatal("it does not end")
			}
		}
		if want := spool.waiting; want != 0 {
			t.Errorf("%d found, %d still wait", found, want)
		}
	})
}

// A spool holds what it accepted, and each record comes out once, also after
// its process is gone; one that is full refuses.
func TestWhatASpoolAcceptsComesOutOnce(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for _, inMemory := range []bool{false, true} {
		dir := t.TempDir()
		s := openSpool(nil, 1<<20)
		if err := s.prepare(); err != nil {
			t.Fatal(err)
		}
		if !inMemory {
			s = newSpool(t, dir, 1<<20)
		}
		want, got := map[key]int{}, map[key]int{}
		refused := 0
		for round := range 40 {
			for range r.IntN(300) {
				p := some(1 + r.IntN(30))
				if r.IntN(50) == 0 {
					p = some(5000)
				}
				added := s.add(p)
				for i := range added {
					want[key{p.ID, i, p.Prices[i]}] = 1
				}
				refused += len(p.Prices) - added
				if err := s.prepare(); err != nil {
					t.Fatal(err)
				}
			}
			if round%13 == 12 {
				for k, n := range empty(t, s) {
					got[k] += n
				}
			}
			if round%10 == 9 && !inMemory {
				// The next process finds what this one leaves.
				if lost, err := s.close(); err != nil || lost > 0 {
					t.Fatal(lost, err)
				}
				s = newSpool(t, dir, 1<<20)
			}
			if s.bytes > s.most {
				t.Fatalf("the spool has %d bytes, more than %d", s.bytes, s.most)
			}
		}
		for k, n := range empty(t, s) {
			got[k] += n
		}
		if s.held() != 0 {
			t.Errorf("an empty spool holds %d", s.held())
		}
		if lost, err := s.close(); lost > 0 || err != nil {
			t.Error(lost, err)
		}
		if len(got) != len(want) {
			t.Errorf("in memory %t: %d records came out of %d", inMemory, len(got), len(want))
		}
		for k, n := range got {
			if n != 1 || want[k] != 1 {
				t.Fatalf("in memory %t: %v came out %d times", inMemory, k, n)
			}
		}
		if refused == 0 || len(want) == 0 {
			t.Errorf("in memory %t: %d accepted, %d refused: the test tests nothing", inMemory, len(want), refused)
		}
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Errorf("an empty spool leaves %v", left)
		}
	}
}

// Calls from many goroutines while others bring away.
func TestASpoolIsSafeForMany(t *testing.T) {
	s := newSpool(t, t.TempDir(), 4<<20)
	const goroutines, each = 8, 500
	var writing sync.WaitGroup
	var mu sync.Mutex
	want := map[key]int{}
	for range goroutines {
		writing.Go(func() {
			for range each {
				p := some(2)
				added := s.add(p)
				mu.Lock()
				for i := range added {
					want[key{p.ID, i, p.Prices[i]}]++
				}
				mu.Unlock()
			}
		})
	}
	done := make(chan struct{})
	go func() { writing.Wait(); close(done) }()
	got := map[key]int{}
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		default:
		}
		for k, n := range empty(t, s) {
			got[k] += n
		}
	}
	if len(got) != len(want) || len(want) == 0 {
		t.Errorf("%d came out of %d", len(got), len(want))
	}
	if _, err := s.close(); err != nil {
		t.Error(err)
	}
}

// tear flips bits of the entry with an index in a file that nobody has open.
func tear(t *testing.T, path string, entry int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := headerBytes
	for range entry {
		at += frameBytes + int(binary.LittleEndian.Uint32(data[at:]))
	}
	data[at+20] ^= 0xff
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// What is torn after it was counted is lost by the number of its houses, and
// waits no longer, whether something that can be read comes after it or not.
func TestWhatIsTornSinceIsLost(t *testing.T) {
	for _, c := range []struct {
		name  string
		torn  []int // entries, each of three houses
		size  int   // of a batch
		whole int   // records that come out
	}{
		{"the first", []int{0}, 1000, 6},
		{"the last", []int{2}, 1000, 6},
		{"the last, in a batch of its own", []int{2}, 6, 6},
		{"all", []int{0, 1, 2}, 1000, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSpool(t, t.TempDir(), 1<<20)
			for range 3 {
				s.add(some(3))
			}
			of := s.segments[0]
			for _, entry := range c.torn {
				of.data[headerBytes+entry*(of.written-headerBytes)/3+20] ^= 0xff
			}
			found := 0
			for {
				b, ok := s.take(c.size)
				if !ok {
					break
				}
				if b.records == 0 {
					t.Error("a batch of nothing is to be brought away")
				}
				found += b.records
				s.done(b)
			}
			if lost := s.losses(); found != c.whole || lost != 9-c.whole || s.held() != 0 {
				t.Errorf("%d came out, %d are lost, %d wait", found, lost, s.held())
			}
			if _, err := s.close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A file that was torn in the middle gives all but the torn entry, one that
// was cut while it is mapped loses itself, not the process.
func TestATornSegment(t *testing.T) {
	dir := t.TempDir()
	s := newSpool(t, dir, 1<<20)
	for range 10 {
		s.add(some(1))
	}
	path := s.segments[0].path
	if _, err := s.close(); err != nil {
		t.Fatal(err)
	}
	tear(t, path, 3)
	f, err := openFolder(dir, "database")
	if err != nil {
		t.Fatal(err)
	}
	s = openSpool(f, 1<<20)
	if records, torn, err := s.load(); records != 9 || torn != 1 || err != nil {
		t.Errorf("%d records, %d torn, %v; want 9 and 1", records, torn, err)
	}
	if got := empty(t, s); len(got) != 9 {
		t.Errorf("%d came out", len(got))
	}
	s.add(some(1))
	if err := os.Truncate(s.segments[0].path, 0); err != nil {
		t.Fatal(err)
	}
	if n := s.add(some(1)); n != 0 {
		t.Errorf("a file without room took %d", n)
	}
	if n := s.add(some(1)); n != 1 || s.held() != 1 || s.losses() != 1 {
		t.Errorf("the segment after it took %d, holds %d", n, s.held())
	}
	if _, err := s.close(); err != nil {
		t.Error(err)
	}
}

// Two processes in one folder have each their own, and one that ends is
// adopted by the other.
func TestTwoSpoolsShareAFolder(t *testing.T) {
	dir := t.TempDir()
	a, b := newSpool(t, dir, 1<<20), newSpool(t, dir, 1<<20)
	if a.folder.path == b.folder.path {
		t.Fatal("both have the same folder")
	}
	a.add(some(3))
	b.add(some(4))
	if records, _, err := b.load(); records != 0 || err != nil {
		t.Errorf("b took %d of a, which lives; %v", records, err)
	}
	if _, err := a.close(); err != nil {
		t.Fatal(err)
	}
	if records, _, err := b.load(); records != 3 || err != nil {
		t.Errorf("b adopted %d, %v; want 3", records, err)
	}
	if got := empty(t, b); len(got) != 7 {
		t.Errorf("%d came out, want 7", len(got))
	}
	if _, err := os.Stat(a.folder.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder of a is still there: %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	other, err := openFolder(dir, "elsewhere")
	if err != nil {
		t.Fatal(err)
	}
	if paths, _ := other.others(); len(paths) != 0 || other.strangers() != 1 {
		t.Errorf("a journal of another database sees %v, %d strangers", paths, other.strangers())
	}
	if _, err := b.close(); err != nil {
		t.Error(err)
	}
}

func TestAFolderThatCannotBeUsed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openFolder(file, "database"); err == nil {
		t.Error("a file was taken for a folder")
	}
	s := newSpool(t, t.TempDir(), 1<<20)
	s.folder.path = "/nowhere"
	taken := s.spares
	s.spares = nil
	if err := s.prepare(); err == nil || len(s.spares) != 1 || s.spares[0].path != "" {
		t.Errorf("without a folder: %v, %d spares", err, len(s.spares))
	}
	for _, of := range taken {
		if err := of.remove(); err != nil {
			t.Error(err)
		}
	}
}

func TestIDs(t *testing.T) {
	now := time.UnixMilli(1795533666171).UTC()
	a, b := NewID(now), NewID(now)
	if a == b || !a.time().Equal(now) || a.named() {
		t.Errorf("%v, %v, time %v", a, b, a.time())
	}
	first := NamedID("user:ann", "request-1", "/v1/predict", []byte("{}"))
	if !first.named() || first != NamedID("user:ann", "request-1", "/v1/predict", []byte("{}")) {
		t.Error("the same request has two IDs")
	}
	for _, other := range []ID{
		NamedID("user:bob", "request-1", "/v1/predict", []byte("{}")),
		NamedID("user:ann", "request-2", "/v1/predict", []byte("{}")),
		NamedID("user:ann", "request-1", "/v1/predict?model_version=b", []byte("{}")),
		NamedID("user:ann", "request-1", "/v1/predict", []byte("{ }")),
		NamedID("user:annrequest", "-1", "/v1/predict", []byte("{}")),
	} {
		if other == first {
			t.Error("two requests have one ID")
		}
	}
	for _, id := range []ID{a, first} {
		if parsed, err := ParseID(id.String()); parsed != id || err != nil {
			t.Errorf("%v is read as %v, %v", id, parsed, err)
		}
	}
	for _, bad := range []string{"", "x", first.String() + "0", "00000000-0000-0000-0000-000000000000", "zz" + first.String()[2:]} {
		if _, err := ParseID(bad); err == nil {
			t.Errorf("%q was taken for an ID", bad)
		}
	}
}

func FuzzParseID(f *testing.F) {
	f.Add(NewID(time.Now()).String())
	f.Fuzz(func(t *testing.T, text string) {
		if id, err := ParseID(text); err == nil && len(id.String()) != len(text) {
			t.Errorf("%q is read as %v", text, id)
		}
	})
}

func TestRecordingAllocatesNothing(t *testing.T) {
	s := newSpool(t, t.TempDir(), 64<<20)
	p := some(1)
	if n := testing.AllocsPerRun(1000, func() { s.add(p) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	body := make([]byte, 500)
	if n := testing.AllocsPerRun(100, func() { NamedID("user:ann", "request-1", "/v1/predict", body) }); n > 0 {
		t.Errorf("%v allocations of a name", n)
	}
	if _, err := s.close(); err != nil {
		t.Error(err)
	}
}

func BenchmarkRecord(b *testing.B) {
	for _, houses := range []int{1, 100} {
		b.Run(fmt.Sprint(houses), func(b *testing.B) {
			s := newSpool(b, b.TempDir(), 64<<20)
			p := some(houses)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if i++; i%1000 == 0 { // what is brought away aside
					b.StopTimer()
					empty(b, s)
					b.StartTimer()
				}
				if s.add(p) == 0 {
					b.Fatal("full")
				}
			}
		})
	}
}

func BenchmarkID(b *testing.B) {
	now, body := time.Now(), make([]byte, 500)
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			NewID(now)
		}
	})
	b.Run("named", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			NamedID("user:ann", "0123456789abcdef0123456789abcdef", "/v1/predict", body)
		}
	})
}
