package cli

import (
	"crypto/tls"

	"housing/internal/certificate"
	"housing/internal/config"
	"housing/internal/follow"
	"housing/internal/telemetry"
)

// openTLS loads the certificate of the settings; nil is no TLS.
func (c *serveCommand) openTLS(files *followed, metrics *telemetry.Metrics) (*tls.Config, error) {
	if c.TLSCertFile == "" {
		return nil, nil
	}
	keeper, err := certificate.Load(c.TLSCertFile, c.TLSKeyFile)
	if err != nil {
		return nil, &config.Error{Source: "TLS_CERT_FILE", Problem: err.Error()}
	}
	expiry := func() { metrics.CertificateExpiry.Set(float64(keeper.NotAfter().Unix())) }
	expiry()
	pair := follow.Source{Read: keeper.Read, Apply: func(text string) error {
		defer expiry()
		return keeper.Set(text)
	}}
	files.add("TLS_CERTIFICATE", keeper.Loaded(), pair, "certificate_reloaded", "certificate_reload_failed")
	// #nosec G402 -- the setting takes 1.3 and 1.2 alone, and is 1.3 unless it is set
	secure := &tls.Config{MinVersion: uint16(c.TLSMinVersion), GetCertificate: keeper.Get}
	if c.TLSClientCAFile != "" {
		read := func() (string, error) { return certificate.Read(c.TLSClientCAFile) }
		text, err := read()
		if err != nil {
			return nil, &config.Error{Source: "TLS_CLIENT_CA_FILE", Problem: err.Error()}
		}
		clients, err := certificate.Require(secure, text)
		if err != nil {
			return nil, &config.Error{Source: "TLS_CLIENT_CA_FILE", Problem: c.TLSClientCAFile + ": " + err.Error()}
		}
		files.add("TLS_CLIENT_CA", text, follow.Source{Read: read, Apply: clients.Set}, "certificate_reloaded", "certificate_reload_failed")
	}
	return secure, nil
}
