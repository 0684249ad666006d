package bundle_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"housing/internal/bundle"
)

// testKey returns a key pair that is the same each time.
func testKey(seed byte) (ed25519.PublicKey, ed25519.PrivateKey) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	return key.Public().(ed25519.PublicKey), key
}

func TestSignatures(t *testing.T) {
	public, private := testKey(1)
	other, _ := testKey(2)
	digest, another := strings.Repeat("ab", 32), strings.Repeat("cd", 32)
	signature, err := bundle.Sign(private, digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := bundle.CheckSignature(public, digest, signature); err != nil {
		t.Error(err)
	}
	bare := base64.StdEncoding.EncodeToString(ed25519.Sign(private, bytes.Repeat([]byte{0xab}, 32)))
	for _, c := range []struct {
		name, want string
		key        ed25519.PublicKey
		digest     string
		signature  []byte
	}{
		{"no signature", "not signed", public, digest, nil},
		{"another key", "not by this key", other, digest, signature},
		{"another bundle", "not by this key", public, another, signature},
		{"a changed signature", "not by this key", public, digest, append([]byte("A"), signature[1:]...)},
		{"cut", "not one line of base64", public, digest, signature[:20]},
		{"no base64", "not one line of base64", public, digest, []byte("!!")},
		{"of the digest alone, for another purpose", "not by this key", public, digest, []byte(bare)},
		{"no digest", "not a SHA-256", public, "abc", signature},
	} {
		if err := bundle.CheckSignature(c.key, c.digest, c.signature); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
		}
	}
	if err := bundle.CheckSignature(public, digest, nil); !errors.Is(err, bundle.ErrUnsigned) {
		t.Errorf("got %v, want ErrUnsigned", err)
	}
	if _, err := bundle.Sign(private, "abc"); err == nil {
		t.Error("signed what is no digest")
	}
}

func block(t *testing.T, kind string, der []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestKeysAreRead(t *testing.T) {
	public, private := testKey(1)
	der, err := x509.MarshalPKIXPublicKey(public)
	publicPEM := block(t, "PUBLIC KEY", der, err)
	der, err = x509.MarshalPKCS8PrivateKey(private)
	privatePEM := block(t, "PRIVATE KEY", der, err)
	for _, text := range []string{publicPEM, base64.StdEncoding.EncodeToString(public), " " + base64.StdEncoding.EncodeToString(public) + "\n"} {
		if got, err := bundle.ParsePublicKey(text); err != nil || !got.Equal(public) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if got, err := bundle.ParsePrivateKey([]byte(privatePEM)); err != nil || !got.Equal(private) {
		t.Errorf("private key: %v", err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err = x509.MarshalPKIXPublicKey(&curve.PublicKey)
	curvePublic := block(t, "PUBLIC KEY", der, err)
	der, err = x509.MarshalPKCS8PrivateKey(curve)
	curvePrivate := block(t, "PRIVATE KEY", der, err)
	for _, text := range []string{"", "x", privatePEM, curvePublic, "AAAA", strings.Repeat("A", 1<<20), block(t, "PUBLIC KEY", []byte{1}, nil)} {
		if _, err := bundle.ParsePublicKey(text); err == nil {
			t.Errorf("%.60q was taken for a public key", text)
		}
	}
	for _, text := range []string{"", "x", publicPEM, curvePrivate, block(t, "PRIVATE KEY", []byte{1}, nil)} {
		if _, err := bundle.ParsePrivateKey([]byte(text)); err == nil {
			t.Errorf("%.60q was taken for a private key", text)
		}
	}
}

func FuzzSignature(f *testing.F) {
	public, private := testKey(1)
	digest := strings.Repeat("ab", 32)
	signature, err := bundle.Sign(private, digest)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signature)
	f.Add([]byte("\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		plain := strings.NewReplacer("\r", "", "\n", "").Replace(string(text)) // base64 passes over the ends of lines
		if bundle.CheckSignature(public, digest, text) == nil && plain+"\n" != string(signature) {
			t.Errorf("%q passes for a signature", text)
		}
	})
}

func FuzzPublicKey(f *testing.F) {
	f.Add("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAiojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=\n-----END PUBLIC KEY-----\n")
	f.Add("iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=")
	f.Fuzz(func(t *testing.T, text string) {
		if key, err := bundle.ParsePublicKey(text); err == nil && len(key) != ed25519.PublicKeySize {
			t.Errorf("a key of %d bytes", len(key))
		}
	})
}
