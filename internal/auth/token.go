package auth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"
)

// Bounds of a token.
const (
	maxToken = 8 << 10
	maxUser  = 256
	maxKeyID = 256
)

// header is what is looked at of a token's header. Of the rest, what brings
// or names a key of its own must not be there.
type header struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`

	Critical   jsontext.Value `json:"crit"`
	KeyAddress jsontext.Value `json:"jku"`
	Key        jsontext.Value `json:"jwk"`
	Chain      jsontext.Value `json:"x5c"`
	ChainAt    jsontext.Value `json:"x5u"`
}

// claims is what is looked at of a token's claims.
type claims struct {
	Issuer    string       `json:"iss,omitzero"`
	Subject   string       `json:"sub"`
	Audience  audience     `json:"aud,omitzero"`
	Expires   *numericDate `json:"exp"`
	NotBefore *numericDate `json:"nbf,omitzero"`
	IssuedAt  *numericDate `json:"iat,omitzero"`
	Scope     string       `json:"scope"`
}

// parts are the three parts of a token; signed is the first two as they are.
type parts struct {
	header    header
	claims    []byte
	signed    string
	signature []byte
}

// encoding is of one text for the same bytes: no padding, no stray bits.
var encoding = base64.RawURLEncoding.Strict()

// split takes a token apart and reads its header.
func split(token string) (p parts, err error) {
	if len(token) > maxToken {
		return p, errTooLong
	}
	first, rest, _ := strings.Cut(token, ".")
	second, third, found := strings.Cut(rest, ".")
	// The decoder skips line breaks; a third dot is not of its alphabet.
	if !found || strings.ContainsAny(token, "\r\n") {
		return p, errMalformed
	}
	head, err := encoding.DecodeString(first)
	if err != nil {
		return p, errMalformed
	}
	if p.claims, err = encoding.DecodeString(second); err != nil {
		return p, errMalformed
	}
	if p.signature, err = encoding.DecodeString(third); err != nil {
		return p, errMalformed
	}
	p.signed = token[:len(first)+1+len(second)]
	if err := json.Unmarshal(head, &p.header); err != nil {
		return p, errMalformed
	}
	h := &p.header
	if h.Critical != nil || h.KeyAddress != nil || h.Key != nil || h.Chain != nil || h.ChainAt != nil || len(h.KeyID) > maxKeyID {
		return p, errHeader
	}
	return p, nil
}

// readClaims reads and checks the claims of a token whose signature is good.
func readClaims(text []byte, rules *jwt.Validator) (Caller, error) {
	var c claims
	if err := json.Unmarshal(text, &c); err != nil {
		return Caller{}, errMalformed
	}
	err := rules.Validate(&c)
	switch {
	case err == nil:
	case errors.Is(err, jwt.ErrTokenExpired):
		return Caller{}, errExpired
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return Caller{}, errNotYetValid
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return Caller{}, errIssuer
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return Caller{}, errAudience
	case c.Expires == nil:
		return Caller{}, errNoEnd
	case c.Issuer == "":
		return Caller{}, errIssuer
	default:
		return Caller{}, errAudience
	}
	if c.Subject == "" || len(c.Subject) > maxUser {
		return Caller{}, errUser
	}
	return Caller{User: c.Subject, Scopes: readScopes(c.Scope)}, nil
}

// numericDate is seconds since 1970 in UTC, possibly with a fraction, up to
// the year 9999. One beyond would overflow into the past, or the future.
type numericDate time.Time

const lastSecond = 253402300799

// UnmarshalJSON reads a date.
func (d *numericDate) UnmarshalJSON(text []byte) error {
	var seconds float64
	if err := json.Unmarshal(text, &seconds); err != nil {
		return err
	}
	if !(seconds >= 0 && seconds <= lastSecond) {
		return fmt.Errorf("%v is not a date", seconds)
	}
	*d = numericDate(time.UnixMilli(int64(seconds * 1000)))
	return nil
}

// MarshalJSON writes a date in whole seconds.
func (d numericDate) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Time(d).Unix())
}

func (d *numericDate) date() (*jwt.NumericDate, error) {
	if d == nil {
		return nil, nil
	}
	return &jwt.NumericDate{Time: time.Time(*d)}, nil
}

// audience is one name or a list of them.
type audience []string

// UnmarshalJSON reads an audience.
func (a *audience) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		*a = make(audience, 1)
		return json.Unmarshal(text, &(*a)[0])
	}
	return json.Unmarshal(text, (*[]string)(a))
}

// The methods that golang-jwt's rules ask for.

func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.Expires.date() }
func (c *claims) GetNotBefore() (*jwt.NumericDate, error)      { return c.NotBefore.date() }
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error)       { return c.IssuedAt.date() }
func (c *claims) GetIssuer() (string, error)                   { return c.Issuer, nil }
func (c *claims) GetSubject() (string, error)                  { return c.Subject, nil }
func (c *claims) GetAudience() (jwt.ClaimStrings, error)       { return jwt.ClaimStrings(c.Audience), nil }
