package auth

import (
	"context"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// skew is how far the clock of whoever signed may be from ours.
const skew = 30 * time.Second

// Options are what a [Verifier] trusts: Secrets, an Issuer, or both.
type Options struct {
	Secrets      *Secrets         // nil takes no HS256
	Issuer       *Issuer          // nil takes no RS256, ES256 and EdDSA
	IssuerName   string           // what the claim iss must be; "" is anything
	AudienceName string           // what the claim aud must hold; "" is anything
	Now          func() time.Time // nil is time.Now
}

// Verifier verifies tokens. Make one with [New].
type Verifier struct {
	secrets *Secrets
	issuer  *Issuer
	rules   *jwt.Validator
}

// New returns a verifier.
func New(o Options) *Verifier {
	if o.Now == nil {
		o.Now = time.Now
	}
	rules := []jwt.ParserOption{jwt.WithExpirationRequired(), jwt.WithLeeway(skew), jwt.WithTimeFunc(o.Now)}
	if o.IssuerName != "" {
		rules = append(rules, jwt.WithIssuer(o.IssuerName))
	}
	if o.AudienceName != "" {
		rules = append(rules, jwt.WithAudience(o.AudienceName))
	}
	return &Verifier{secrets: o.Secrets, issuer: o.Issuer, rules: jwt.NewValidator(rules...)}
}

// Verify returns the caller that the token names. Its error is an [*Error],
// or [ErrNoKeys]. Only for a key that is not known does it wait, a moment, as
// the issuer may just have begun to use it.
func (v *Verifier) Verify(ctx context.Context, token string) (Caller, error) {
	p, err := split(token)
	if err != nil {
		return Caller{}, err
	}
	switch alg := p.header.Algorithm; {
	case alg == hs256 && v.secrets != nil:
		err = v.secrets.verify(&p)
	case isPublic(alg) && v.issuer != nil:
		err = v.issuer.verify(ctx, &p)
	default:
		err = errAlgorithm
	}
	if err != nil {
		return Caller{}, err
	}
	return readClaims(p.claims, v.rules)
}

// Bearer returns the token of the values of an Authorization header. Its
// error is an [*Error], of the reason Missing where there is no bearer token.
func Bearer(values []string) (token string, err error) {
	if len(values) == 0 {
		return "", errMissing
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	switch {
	case len(values) > 1:
		return "", errTwice
	case !strings.EqualFold(scheme, "Bearer"):
		return "", errMissing
	}
	if token = strings.TrimLeft(token, " "); token == "" {
		return "", errMalformed
	}
	return token, nil
}

var (
	errMissing = &Error{Missing, "this needs a token: send the header Authorization: Bearer TOKEN"}
	errTwice   = &Error{Malformed, "there is more than one Authorization header"}
)
