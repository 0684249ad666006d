package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"
)

// maxKeys bounds the keys of an issuer, beyond which its set is refused.
const maxKeys = 100

// Bounds of an RSA key: shorter is weak, longer makes each token cost us.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// keyName is how a token names a key. The algorithm is a part of the name, so
// that no key can verify another algorithm than its own.
type keyName struct{ algorithm, id string }

// keySet are the keys of an issuer; it never changes once made.
type keySet struct {
	named map[keyName]crypto.PublicKey
	only  map[string]crypto.PublicKey // by algorithm, where there is but one
}

// find returns the key of a token; one without a kid gets the only key of its
// algorithm.
func (s *keySet) find(h *header) crypto.PublicKey {
	if h.KeyID == "" {
		return s.only[h.Algorithm]
	}
	return s.named[keyName{h.Algorithm, h.KeyID}]
}

// methods are the algorithms that keys of an issuer verify.
var methods = map[string]jwt.SigningMethod{
	"RS256": jwt.SigningMethodRS256,
	"ES256": jwt.SigningMethodES256,
	"EdDSA": jwt.SigningMethodEdDSA,
}

func isPublic(algorithm string) bool { return methods[algorithm] != nil }

// jwk is what is looked at of a JSON Web Key (RFC 7517).
type jwk struct {
	Type      string   `json:"kty"`
	ID        string   `json:"kid"`
	Algorithm string   `json:"alg"`
	Use       string   `json:"use"`
	For       []string `json:"key_ops"`
	Curve     string   `json:"crv"`
	N         string   `json:"n"`
	E         string   `json:"e"`
	X         string   `json:"x"`
	Y         string   `json:"y"`
}

// parseKeys reads a JWK set. Keys of other kinds and for other purposes, which
// issuers list beside ours, and keys that are broken are passed over; a set
// without a single key that can be used is an error.
func parseKeys(text []byte) (*keySet, error) {
	var set struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("read key set: %w", errors.New("it is not a JWK set"))
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("read key set: it has %d keys, more than %d", len(set.Keys), maxKeys)
	}
	found := &keySet{named: map[keyName]crypto.PublicKey{}, only: map[string]crypto.PublicKey{}}
	count := map[string]int{}
	for _, text := range set.Keys {
		var k jwk
		if err := json.Unmarshal(text, &k); err != nil {
			continue
		}
		algorithm, key := k.public()
		name := keyName{algorithm, k.ID}
		if _, twice := found.named[name]; key == nil || twice || len(k.ID) > maxKeyID {
			continue
		}
		count[algorithm]++
		found.only[algorithm] = key
		if k.ID != "" {
			found.named[name] = key
		}
	}
	if len(count) == 0 {
		return nil, errors.New("read key set: it has no key for RS256, ES256 or EdDSA")
	}
	for algorithm, n := range count {
		if n > 1 {
			delete(found.only, algorithm)
		}
	}
	return found, nil
}

// public returns the key and the one algorithm that it verifies; nil if it
// is not one of ours.
func (k *jwk) public() (algorithm string, key crypto.PublicKey) {
	if k.Use != "" && k.Use != "sig" || k.For != nil && !slices.Contains(k.For, "verify") {
		return "", nil
	}
	switch {
	case k.Type == "RSA":
		algorithm, key = "RS256", k.rsa()
	case k.Type == "EC" && k.Curve == "P-256":
		algorithm, key = "ES256", k.ecdsa()
	case k.Type == "OKP" && k.Curve == "Ed25519":
		algorithm, key = "EdDSA", k.ed25519()
	}
	if k.Algorithm != "" && k.Algorithm != algorithm {
		return "", nil
	}
	return algorithm, key
}

func (k *jwk) rsa() crypto.PublicKey {
	modulus, exponent := number(k.N), number(k.E)
	if modulus == nil || exponent == nil || modulus.BitLen() < minRSABits || modulus.BitLen() > maxRSABits || modulus.Bit(0) == 0 ||
		exponent.BitLen() > 31 || exponent.Int64() < 3 || exponent.Bit(0) == 0 {
		return nil
	}
	return &rsa.PublicKey{N: modulus, E: int(exponent.Int64())}
}

func (k *jwk) ecdsa() crypto.PublicKey {
	const size = 32
	x, y := octets(k.X), octets(k.Y)
	if len(x) != size || len(y) != size {
		return nil
	}
	point := append([]byte{4}, append(x, y...)...) // 4 is "uncompressed"
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil // not on the curve
	}
	return key
}

func (k *jwk) ed25519() crypto.PublicKey {
	x := octets(k.X)
	if len(x) != ed25519.PublicKeySize {
		return nil
	}
	return ed25519.PublicKey(x)
}

func octets(text string) []byte {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return b
}

func number(text string) *big.Int {
	b := octets(text)
	if len(b) == 0 {
		return nil
	}
	return new(big.Int).SetBytes(b)
}
