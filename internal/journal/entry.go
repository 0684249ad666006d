package journal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"time"
)

// Prediction is the answer to one request, or to a part of its houses.
type Prediction struct {
	ID      ID
	Time    time.Time // to the millisecond; that of an ID with a time is the ID's
	Version string    // of the model
	Role    string    // of the version
	Shadow  bool      // it was valued aside, and not answered
	UserID  string    // the keyed hash of the log; "" for anyone
	First   int       // index in the request of the first house
	Prices  []float64 // US dollars
}

// An entry of a segment is a prediction of at most maxPrices houses:
//
//	 0 uint32  length of all that follows the checksum; 0 is the end
//	 4 uint32  CRC-32C of it
//	 8 int64   milliseconds since 1970
//	16 [16]    ID
//	32 uint32  index of the first house
//	36 uint32  number of prices
//	40 uint8   length of version, of role, of user ID; flags
//	44         version, role, user ID
//	           prices, float64
//
// little-endian, padded to a multiple of 8. The length is written last, so
// that an entry that was cut off is none.
const (
	fixedBytes = 44
	frameBytes = 8
	maxPrices  = 4096
	maxText    = 64 // of version, role and user ID each
	flagShadow = 1

	maxEntryBytes = fixedBytes + 3*maxText + 8*maxPrices + 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// entryBytes returns the size of an entry, a multiple of 8.
func entryBytes(p *Prediction, prices int) int {
	return (fixedBytes + len(p.Version) + len(p.Role) + len(p.UserID) + 8*prices + 7) &^ 7
}

// writeEntry writes the entry of the prices from first on to b, which has its
// size and is zero.
func writeEntry(b []byte, p *Prediction, first int, prices []float64) {
	le := binary.LittleEndian
	le.PutUint64(b[8:], uint64(p.Time.UnixMilli()))
	copy(b[16:], p.ID[:])
	le.PutUint32(b[32:], uint32(p.First+first))
	le.PutUint32(b[36:], uint32(len(prices)))
	b[40], b[41], b[42] = byte(len(p.Version)), byte(len(p.Role)), byte(len(p.UserID))
	if p.Shadow {
		b[43] = flagShadow
	}
	at := fixedBytes
	for _, text := range [...]string{p.Version, p.Role, p.UserID} {
		at += copy(b[at:], text)
	}
	for _, price := range prices {
		le.PutUint64(b[at:], math.Float64bits(price))
		at += 8
	}
	le.PutUint32(b[4:], crc32.Checksum(b[frameBytes:], castagnoli))
	le.PutUint32(b, uint32(len(b)-frameBytes))
}

// What readEntry finds in place of an entry.
var (
	errEnd    = errors.New("the end")
	errTorn   = errors.New("an entry is torn")
	errBroken = errors.New("an entry is torn, and where the next begins is not known")
)

// readEntry reads the entry at the beginning of b. Its size is also known of
// a torn one, and 0 with another error.
func readEntry(b []byte) (p Prediction, size int, err error) {
	le := binary.LittleEndian
	if len(b) < frameBytes || le.Uint32(b) == 0 {
		return p, 0, errEnd
	}
	length := uint64(le.Uint32(b))
	if length < fixedBytes-frameBytes || length%8 != 0 || length > maxEntryBytes || length > uint64(len(b)-frameBytes) {
		return p, 0, errBroken
	}
	size = frameBytes + int(length)
	b = b[:size]
	if crc32.Checksum(b[frameBytes:], castagnoli) != le.Uint32(b[4:]) {
		return p, size, errTorn
	}
	version, role, user, prices := int(b[40]), int(b[41]), int(b[42]), int(le.Uint32(b[36:]))
	if prices > maxPrices || (fixedBytes+version+role+user+8*prices+7)&^7 != size {
		return p, size, errTorn
	}
	p.Time = time.UnixMilli(int64(le.Uint64(b[8:]))).UTC()
	p.ID = ID(b[16:32])
	p.First = int(le.Uint32(b[32:]))
	p.Shadow = b[43]&flagShadow != 0
	rest := b[fixedBytes:]
	p.Version, rest = string(rest[:version]), rest[version:]
	p.Role, rest = string(rest[:role]), rest[role:]
	p.UserID, rest = string(rest[:user]), rest[user:]
	p.Prices = make([]float64, prices)
	for i := range p.Prices {
		p.Prices[i] = math.Float64frombits(le.Uint64(rest[8*i:]))
	}
	return p, size, nil
}
