package cli

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"housing/internal/auth"
	"housing/internal/config"
	"housing/internal/store"
	"housing/internal/telemetry"
)

// servedAuth is how a service knows who asks: not at all, where the settings
// name no keys.
type servedAuth struct {
	verifier     *auth.Verifier // nil lets anyone in
	dependencies []*store.Dependency
	tasks        []func(context.Context)
	end          context.CancelFunc
	running      sync.WaitGroup
}

// openAuth reads the secrets and prepares the fetching of keys; the issuer
// need not answer yet.
func (c *serveCommand) openAuth(files *followed, metrics *telemetry.Metrics, log *slog.Logger) (*servedAuth, error) {
	a := new(servedAuth)
	if !c.Access.Configured() {
		return a, nil
	}
	options := auth.Options{IssuerName: c.JWTIssuer, AudienceName: c.JWTAudience}
	if c.JWTSecret != "" {
		secrets, err := parseSecrets(c.JWTSecret)
		if err != nil {
			return nil, err
		}
		options.Secrets = secrets
		files.secret("JWT_SECRET", c.JWTSecret, secrets.Set)
	}
	if c.JWTJWKSURL != "" {
		dependency := store.NewDependency("jwks", metrics.DependencyUp("jwks"), log)
		a.dependencies = append(a.dependencies, dependency)
		options.Issuer = auth.NewIssuer(c.JWTJWKSURL, jwksTransport(), dependency.Report)
		a.tasks = append(a.tasks, options.Issuer.Run)
		if c.JWTAudience == "" {
			log.Warn("auth_any_audience", "detail", "tokens that this issuer signs for other services are taken too: set JWT_AUDIENCE")
		}
	}
	a.verifier = auth.New(options)
	return a, nil
}

func parseSecrets(text config.Secret) (*auth.Secrets, error) {
	secrets, err := auth.ParseSecrets(string(text))
	if err != nil {
		return nil, &config.Error{Source: "JWT_SECRET", Problem: err.Error()}
	}
	return secrets, nil
}

// jwksTransport reaches the issuer, by a proxy if the environment names one.
func jwksTransport() *http.Transport {
	const most = 3 * time.Second
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: most}).DialContext,
		TLSHandshakeTimeout:    most,
		ResponseHeaderTimeout:  most,
		MaxResponseHeaderBytes: 64 << 10,
		DisableKeepAlives:      true, // it is asked every ten minutes
		ForceAttemptHTTP2:      true,
	}
}

// start begins to follow the keys.
func (a *servedAuth) start(ctx context.Context) {
	ctx, a.end = context.WithCancel(ctx)
	for _, task := range a.tasks {
		a.running.Go(func() { task(ctx) })
	}
}

// stop ends what start began.
func (a *servedAuth) stop() {
	if a.end != nil {
		a.end()
	}
	a.running.Wait()
}
