package cache

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
)

// seal makes prices that lie outside the process tamper-proof: each carries
// an HMAC-SHA-256 (RFC 2104) over its key and itself, cut to 128 bits. A price
// that was moved to another key does not open either.
type seal struct{ key []byte }

const (
	priceBytes  = 8
	macBytes    = 16
	sealedBytes = priceBytes + macBytes
)

// newSeal derives the key of a seal from a secret that the replicas share
// (HKDF, RFC 5869).
func newSeal(secret string) (seal, error) {
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, "housing response cache", sha256.Size)
	if err != nil {
		return seal{}, fmt.Errorf("derive the key of the response cache: %w", err)
	}
	return seal{key}, nil
}

func (s seal) close(key Key, price float64) []byte {
	sealed := binary.LittleEndian.AppendUint64(make([]byte, 0, sealedBytes), math.Float64bits(price))
	return append(sealed, s.mac(key, sealed)...)
}

// open returns the price, or false if it is not one that a seal of the same
// secret closed under this key.
func (s seal) open(key Key, sealed []byte) (price float64, ok bool) {
	if len(sealed) != sealedBytes || !hmac.Equal(sealed[priceBytes:], s.mac(key, sealed[:priceBytes])) {
		return 0, false
	}
	price = math.Float64frombits(binary.LittleEndian.Uint64(sealed))
	return price, !math.IsNaN(price) && !math.IsInf(price, 0)
}

func (s seal) mac(key Key, price []byte) []byte {
	h := hmac.New(sha256.New, s.key)
	h.Write(key[:])
	h.Write(price)
	return h.Sum(nil)[:macBytes]
}
