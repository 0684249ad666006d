package cli

import (
	"fmt"
	"time"

	"housing/internal/auth"
	"housing/internal/config"
)

type tokenCommand struct {
	JWTSecret   config.Secret `setting:"" secret:"" name:"jwt-secret" placeholder:"SECRET" help:"Secret to sign with; of several, one a line, the first. Better as JWT_SECRET_FILE."`
	JWTIssuer   string        `setting:"" name:"jwt-issuer" placeholder:"NAME" help:"The claim iss. Default: none."`
	JWTAudience string        `setting:"" name:"jwt-audience" placeholder:"NAME" help:"The claim aud. Default: none."`
	Sub         string        `required:"" placeholder:"USER" help:"User whom the token names."`
	Scope       string        `default:"predict" placeholder:"SCOPES" help:"What the token allows, with spaces or commas between: predict, outcomes, models:read, models:write. Default: predict."`
	TTL         time.Duration `name:"ttl" default:"1h" placeholder:"TIME" help:"How long it is valid, up to 720h. Default: 1h."`
}

// maxTTL bounds a token's life: one that is signed here cannot be revoked but
// by a new secret.
const maxTTL = 720 * time.Hour

// Help shows an example.
func (*tokenCommand) Help() string {
	return "Signs a token (HS256) for testing with the secret that the service has, and prints it alone.\n\nExample:\n\n    JWT_SECRET_FILE=secret housing token --sub ann --scope predict --ttl 1h"
}

// Run signs a token.
func (c *tokenCommand) Run(p *program) error {
	if c.JWTSecret == "" {
		return &config.Error{Source: "JWT_SECRET", Problem: "is not set: set it, or JWT_SECRET_FILE, to the secret of the service"}
	}
	secrets, err := parseSecrets(c.JWTSecret)
	if err != nil {
		return err
	}
	scopes, err := auth.ParseScopes(c.Scope)
	if err != nil {
		return &usageError{fmt.Errorf("--scope: %w", err)}
	}
	if c.TTL <= 0 || c.TTL > maxTTL {
		return &usageError{fmt.Errorf("--ttl: %v is not a usable time: want more than 0 and at most 720h", c.TTL)}
	}
	now := time.Now()
	token, err := secrets.Sign(auth.Claims{
		User: c.Sub, Scopes: scopes, Issuer: c.JWTIssuer, Audience: c.JWTAudience, IssuedAt: now, Expires: now.Add(c.TTL),
	})
	if err != nil {
		return &usageError{fmt.Errorf("--sub: %w", err)}
	}
	_, err = fmt.Fprintln(p.stdout, token)
	return err
}
