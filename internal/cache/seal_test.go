package cache

import (
	"bytes"
	"math"
	"testing"
)

// FuzzSeal gives a seal what Redis may hold: it opens nothing but what it
// closed under the same key, and no price that is none.
func FuzzSeal(f *testing.F) {
	s, err := newSeal("the secret of this test")
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{1}, 450_000.0, s.close(Key{1}, 450_000))
	f.Add([]byte{2}, 450_000.0, s.close(Key{1}, 450_000))
	f.Add([]byte{1}, math.NaN(), s.close(Key{1}, math.NaN()))
	f.Add([]byte{1}, 1.0, []byte("999999999999999999999999"))
	f.Fuzz(func(t *testing.T, id []byte, price float64, held []byte) {
		var key Key
		copy(key[:], id)
		if opened, ok := s.open(key, held); ok && !bytes.Equal(held, s.close(key, opened)) {
			t.Errorf("%x opens as %v, which closes otherwise", held, opened)
		}
		opened, ok := s.open(key, s.close(key, price))
		if whole := !math.IsNaN(price) && !math.IsInf(price, 0); ok != whole || ok && opened != price {
			t.Errorf("%v is opened as %v, %v", price, opened, ok)
		}
		other := key
		other[0] ^= 1
		if _, ok := s.open(other, s.close(key, price)); ok {
			t.Error("a price opens under another key")
		}
	})
}
