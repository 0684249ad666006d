package bundle

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// ErrUnsigned is the error for a bundle that must be signed and is not.
var ErrUnsigned = errors.New("it is not signed")

// signedAs stands before the digest in what is signed, so that a signature
// of anything else that the key has signed is none of a bundle.
const signedAs = "housing-bundle-sha256/1\n"

// maxKeyBytes bounds the text of a key.
const maxKeyBytes = 16 << 10

// Sign returns the signature of the bundle with a digest as one line of
// base64. The same key and digest give the same signature.
func Sign(key ed25519.PrivateKey, digest string) ([]byte, error) {
	message, err := signedMessage(digest)
	if err != nil {
		return nil, err
	}
	return append(base64.StdEncoding.AppendEncode(nil, ed25519.Sign(key, message)), '\n'), nil
}

// CheckSignature returns an error unless signature is one that Sign made by
// the key for the digest. An empty one is [ErrUnsigned].
func CheckSignature(key ed25519.PublicKey, digest string, signature []byte) error {
	if len(signature) == 0 {
		return ErrUnsigned
	}
	message, err := signedMessage(digest)
	if err != nil {
		return err
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(strings.TrimRight(string(signature[:min(len(signature), maxKeyBytes)]), "\r\n"))
	if err != nil || len(raw) != ed25519.SignatureSize {
		return errors.New("its signature is not one line of base64 of 64 bytes")
	}
	if !ed25519.Verify(key, message, raw) {
		return errors.New("its signature is not by this key for this bundle")
	}
	return nil
}

func signedMessage(digest string) ([]byte, error) {
	raw, err := hex.DecodeString(digest)
	if err != nil || len(raw) != 32 {
		return nil, fmt.Errorf("digest %.80q is not a SHA-256 in hex", digest)
	}
	return append([]byte(signedAs), raw...), nil
}

// ParsePublicKey reads an Ed25519 public key: PEM as `openssl pkey -pubout`
// writes it, or its 32 bytes in base64.
func ParsePublicKey(text string) (ed25519.PublicKey, error) {
	if len(text) > maxKeyBytes {
		return nil, fmt.Errorf("a public key has no %d bytes", len(text))
	}
	if block, _ := pem.Decode([]byte(text)); block != nil {
		if block.Type != "PUBLIC KEY" {
			return nil, fmt.Errorf("want a PUBLIC KEY, this is a %.40q", block.Type)
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, errors.New("the PEM block holds no public key")
		}
		key, ok := parsed.(ed25519.PublicKey)
		if !ok {
			return nil, errors.New("the key is not of type Ed25519")
		}
		return key, nil
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(text))
	if err != nil || len(raw) != ed25519.PublicKeySize {
		return nil, errors.New("want an Ed25519 public key: PEM, or its 32 bytes in base64")
	}
	return ed25519.PublicKey(raw), nil
}

// ParsePrivateKey reads an Ed25519 private key in PEM, as `openssl genpkey
// -algorithm ed25519` writes it. Its errors hold nothing of the text.
func ParsePrivateKey(text []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(text[:min(len(text), maxKeyBytes)])
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New("want an unencrypted PRIVATE KEY in PEM, as `openssl genpkey -algorithm ed25519` writes it")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the PEM block holds no private key")
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("the key is not of type Ed25519")
	}
	return key, nil
}
