package auth

import "errors"

// Reason is why a token was refused, in a word that may label a metric.
type Reason string

// The reasons. There are no others.
const (
	Missing     Reason = "missing"       // no token at all
	Malformed   Reason = "malformed"     // cannot be read, or says what no token of ours says
	Algorithm   Reason = "algorithm"     // none, or one that we do not take
	Signature   Reason = "signature"     // not signed by a key that we trust
	Expired     Reason = "expired"       //
	NotYetValid Reason = "not_yet_valid" //
	WrongClaims Reason = "claims"        // issuer, audience, user or end missing or wrong
	NoScope     Reason = "scope"         // a good token that does not allow this
)

// Reasons returns every reason.
func Reasons() []Reason {
	return []Reason{Missing, Malformed, Algorithm, Signature, Expired, NotYetValid, WrongClaims, NoScope}
}

// Error is a token that was refused. Its text is for the client and tells
// nothing of our keys nor of the token's content.
type Error struct {
	Reason Reason
	text   string
}

// Error says what is wrong with the token.
func (e *Error) Error() string { return e.text }

// ErrNoKeys says that a token cannot be judged yet, as the issuer has not
// been reached since the start.
var ErrNoKeys = errors.New("the keys of the issuer of tokens are not known yet")

// Every refusal, so that a reader sees all that a client can be told.
var (
	errTooLong     = &Error{Malformed, "the token is longer than 8192 bytes"}
	errMalformed   = &Error{Malformed, "the token cannot be read"}
	errHeader      = &Error{Malformed, "the token's header brings or demands what is not taken from a token (crit, jku, jwk, x5c, x5u, or a kid that is no name)"}
	errAlgorithm   = &Error{Algorithm, "the token's algorithm is not taken here"}
	errSignature   = &Error{Signature, "the token is not signed by a key that is trusted here"}
	errExpired     = &Error{Expired, "the token has expired"}
	errNotYetValid = &Error{NotYetValid, "the token is not valid yet"}
	errNoEnd       = &Error{WrongClaims, "the token has no end (exp)"}
	errIssuer      = &Error{WrongClaims, "the token is not of the issuer that is trusted here (iss)"}
	errAudience    = &Error{WrongClaims, "the token is not for this service (aud)"}
	errUser        = &Error{WrongClaims, "the token names no user (sub of 1 to 256 bytes)"}
)
