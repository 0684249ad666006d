package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"hash"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
)

const hs256 = "HS256"

// Bounds of the secrets. An HS256 secret that is shorter than the hash is
// weaker than the hash (RFC 7518, section 3.2).
const (
	minSecret  = 32
	maxSecrets = 8
)

// Secrets are the secrets that we share with whoever signs. Several at once
// let one be replaced without a token refused: all verify, the first signs.
type Secrets struct {
	now  atomic.Pointer[[][]byte]
	hash func() hash.Hash // SHA-256; tests count with it
}

// ParseSecrets reads secrets, one a line. Its error tells nothing of them.
func ParseSecrets(text string) (*Secrets, error) {
	s := &Secrets{hash: sha256.New}
	return s, s.Set(text)
}

// Set takes other secrets, one a line, from the next token on. An error leaves
// those of before in place, and tells nothing of either.
func (s *Secrets) Set(text string) error {
	var all [][]byte
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case line == "":
			continue
		case len(line) < minSecret:
			return fmt.Errorf("secret %d has %d bytes: want at least %d, as from openssl rand -base64 32", len(all)+1, len(line), minSecret)
		case len(all) == maxSecrets:
			return fmt.Errorf("there are more than %d secrets", maxSecrets)
		}
		all = append(all, []byte(line))
	}
	if len(all) == 0 {
		return fmt.Errorf("there is no secret")
	}
	s.now.Store(&all)
	return nil
}

// verify checks the signature with every secret, whichever fits, so that the
// time it takes tells neither which one nor how much of the signature is
// right.
func (s *Secrets) verify(p *parts) error {
	if !plainKeyID(p.header.KeyID) {
		return errHeader
	}
	good := 0
	for _, secret := range *s.now.Load() {
		good |= subtle.ConstantTimeCompare(s.mac(secret, p.signed), p.signature)
	}
	if good == 0 {
		return errSignature
	}
	return nil
}

func (s *Secrets) mac(secret []byte, signed string) []byte {
	m := hmac.New(s.hash, secret)
	m.Write([]byte(signed))
	return m.Sum(nil)
}

// plainKeyID says whether a kid could be a name. Our secrets have none, so
// that it is not looked at; but one that is a path or a query is an attack on
// programs that look keys up by it.
func plainKeyID(id string) bool {
	return !strings.ContainsFunc(id, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`/\'";|<>`, r)
	})
}

// Claims are what [Secrets.Sign] signs; Issuer and Audience may be empty.
type Claims struct {
	User             string
	Scopes           Scopes
	Issuer, Audience string
	IssuedAt         time.Time
	Expires          time.Time
}

// Sign returns a token signed by the first of the secrets.
func (s *Secrets) Sign(c Claims) (string, error) {
	if c.User == "" || len(c.User) > maxUser {
		return "", errUser
	}
	issued, expires := numericDate(c.IssuedAt), numericDate(c.Expires)
	body := claims{Issuer: c.Issuer, Subject: c.User, IssuedAt: &issued, Expires: &expires, Scope: c.Scopes.String()}
	if c.Audience != "" {
		body.Audience = audience{c.Audience}
	}
	text, err := json.Marshal(body)
	if err != nil {
		return "", fmt.Errorf("write claims: %w", err)
	}
	signed := encoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encoding.EncodeToString(text)
	return signed + "." + encoding.EncodeToString(s.mac((*s.now.Load())[0], signed)), nil
}
