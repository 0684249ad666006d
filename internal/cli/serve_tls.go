package cli

import (
	"context"
	"crypto/tls"
	"log/slog"
	"time"

	"housing/internal/certificate"
	"housing/internal/config"
	"housing/internal/telemetry"
)

// certificatePoll is how often the files of the certificate are looked at.
const certificatePoll = 3 * time.Second

// openTLS loads the certificate of the settings; nil is no TLS. What follows
// the files runs until its context ends.
func (c *serveCommand) openTLS(metrics *telemetry.Metrics, log *slog.Logger) (*tls.Config, func(context.Context), error) {
	if c.TLSCertFile == "" {
		return nil, func(context.Context) {}, nil
	}
	keeper, err := certificate.Load(c.TLSCertFile, c.TLSKeyFile)
	if err != nil {
		return nil, nil, &config.Error{Source: "TLS_CERT_FILE", Problem: err.Error()}
	}
	// #nosec G402 -- the setting takes 1.3 and 1.2 alone, and is 1.3 unless it is set
	secure := &tls.Config{MinVersion: uint16(c.TLSMinVersion), GetCertificate: keeper.Get}
	if c.TLSClientCAFile != "" {
		if secure.ClientCAs, err = certificate.Authorities(c.TLSClientCAFile); err != nil {
			return nil, nil, &config.Error{Source: "TLS_CLIENT_CA_FILE", Problem: err.Error()}
		}
		secure.ClientAuth = tls.RequireAndVerifyClientCert
	}
	expiry := func() { metrics.CertificateExpiry.Set(float64(keeper.NotAfter().Unix())) }
	expiry()
	report := func(err error) {
		metrics.FileReload("tls_certificate", err)
		if err != nil {
			log.Error("certificate_reload_failed", "error", err.Error())
			return
		}
		expiry()
		log.Info("certificate_reloaded", "expires", keeper.NotAfter().UTC())
	}
	return secure, func(ctx context.Context) { keeper.Follow(ctx, certificatePoll, report) }, nil
}
