// Package auth says who asks: it verifies bearer tokens, which are JSON Web
// Tokens (RFC 7519).
//
// A [Verifier] takes the compact text of a token and returns the [Caller] that
// it names, or an [*Error] that says why not. It trusts two kinds of keys:
// [Secrets] that we share with whoever signs (HS256), and the public keys of
// an [Issuer], fetched from its JWKS address (RS256, ES256, EdDSA). Which of
// them may verify a token follows from the key, never from the token: a secret
// verifies HS256 alone, and each public key the one algorithm of its type. So
// a token that is signed with HS256 and a public key as the secret is refused.
//
// The text of a token is read by this package, strictly (doubled names, other
// encodings of the same bytes and header members that name keys of their own
// are refused); signatures and the rules of time, issuer and audience are
// golang-jwt's.
package auth
