package journal

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"time"
)

// ID names the predictions of one request; each of its houses is a record,
// counted from 0.
type ID [16]byte

// The versions of UUIDs that IDs are, RFC 9562.
const (
	timed = 7 // made of a time and chance
	named = 8 // made of what the client sent
)

// NewID returns an ID that no other request has, with the time in it.
func NewID(now time.Time) ID {
	var id ID
	binary.BigEndian.PutUint64(id[:], uint64(now.UnixMilli())<<16|rand.Uint64()>>48)
	binary.BigEndian.PutUint64(id[8:], rand.Uint64())
	id.mark(timed)
	return id
}

// NamedID returns the ID of a request that names itself. A proxy that sends it
// again to another replica, as the first did not answer, gets the same ID: the
// same caller sent the same body under the same name to the same target.
func NamedID(caller, requestID, target string, body []byte) ID {
	digest := sha256.Sum256(body)
	var room [512]byte
	text := append(room[:0], digest[:]...)
	for _, part := range [...]string{caller, requestID, target} {
		text = binary.LittleEndian.AppendUint32(text, uint32(len(part)))
		text = append(text, part...)
	}
	whole := sha256.Sum256(text)
	id := ID(whole[:16])
	id.mark(named)
	return id
}

func (id *ID) mark(version byte) {
	id[6] = id[6]&0x0f | version<<4
	id[8] = id[8]&0x3f | 0x80
}

// named says whether what the client sent made the ID, so that its time is
// not in it.
func (id ID) named() bool { return id[6]>>4 == named }

// time returns when an ID that is not named was made.
func (id ID) time() time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(id[:]) >> 16)).UTC()
}

// String returns the ID as 8-4-4-4-12 hexadecimal digits.
func (id ID) String() string { return string(id.Append(nil)) }

// Append appends the text of the ID.
func (id ID) Append(b []byte) []byte {
	for i, part := range [...][]byte{id[:4], id[4:6], id[6:8], id[8:10], id[10:]} {
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, part)
	}
	return b
}

// ParseID reads the text of an ID, upper or lower case.
func ParseID(text string) (id ID, err error) {
	bad := fmt.Errorf("%.40q is not a prediction_id: want it as the prediction had it, 8-4-4-4-12 hexadecimal digits", text)
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return ID{}, bad
	}
	digits := text[:8] + text[9:13] + text[14:18] + text[19:23] + text[24:]
	if _, err := hex.Decode(id[:], []byte(digits)); err != nil {
		return ID{}, bad
	}
	if v := id[6] >> 4; v != timed && v != named || id[8]>>6 != 2 {
		return ID{}, fmt.Errorf("%s is no prediction_id of this service", text)
	}
	return id, nil
}
