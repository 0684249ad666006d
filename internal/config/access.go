package config

import (
	"net"
	"net/netip"
	"net/url"
)

// Access holds the settings that say whose tokens are believed.
type Access struct {
	JWTSecret   Secret `setting:"" secret:"" name:"jwt-secret" placeholder:"SECRET" help:"Secret of HS256 tokens, 32 bytes or more; several, one a line, while one is replaced: all verify, the first signs. Better as a file: JWT_SECRET_FILE, which is read again when it changes. Default: none."`
	JWTJWKSURL  string `setting:"" name:"jwt-jwks-url" placeholder:"URL" help:"Address of the keys (JWKS) of an issuer of RS256, ES256 or EdDSA tokens. Default: none."`
	JWTIssuer   string `setting:"" name:"jwt-issuer" placeholder:"NAME" help:"What iss must be in tokens. Default: anything."`
	JWTAudience string `setting:"" name:"jwt-audience" placeholder:"NAME" help:"What aud must hold in tokens. Default: anything."`
	UserIDKey   Secret `setting:"" secret:"" name:"user-id-key" placeholder:"SECRET" help:"Key of the hashes that stand for users in logs, so that they are the same on every replica. Default: a new one each start."`
}

// Configured says whether there are keys to verify tokens with.
func (a *Access) Configured() bool { return a.JWTSecret != "" || a.JWTJWKSURL != "" }

// Check looks at the settings together. Its error is an [*Error].
func (a *Access) Check() error {
	if !a.Configured() {
		for name, value := range map[string]string{"JWT_ISSUER": a.JWTIssuer, "JWT_AUDIENCE": a.JWTAudience} {
			if value != "" {
				return &Error{Source: name, Problem: "is set without JWT_SECRET or JWT_JWKS_URL, so that no token would be asked for: set one of them, or unset it"}
			}
		}
		return nil
	}
	if a.JWTJWKSURL == "" {
		return nil
	}
	address, err := url.Parse(a.JWTJWKSURL)
	const source, want = "JWT_JWKS_URL", "want https://HOST/PATH, or http:// on loopback, without a password"
	switch {
	case err != nil: // its text holds the address, which may hold a password
		return &Error{Source: source, Problem: "is not an address: " + want}
	case address.Host == "" || address.User != nil || address.Scheme != "https" && address.Scheme != "http":
		return &Error{Source: source, Problem: "cannot be used: " + want}
	case address.Scheme == "http" && !loopbackHost(address.Hostname()):
		return &Error{Source: source, Problem: "is not encrypted, so that anyone on the way could put keys of their own in: " + want}
	}
	return nil
}

// loopbackHost says whether a host is this machine for sure.
func loopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// Loopback says whether only this machine can reach the address.
func (a Address) Loopback() bool {
	host, _, err := net.SplitHostPort(string(a))
	return err == nil && loopbackHost(host)
}
