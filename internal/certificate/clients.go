package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"sync/atomic"
)

// Clients keeps the certificates that sign those of clients. Make one with
// [Require].
type Clients struct {
	base *tls.Config
	now  atomic.Pointer[tls.Config]
}

// Require makes a server's config ask each client for a certificate that one
// in text, PEM, has signed. The config is to be whole but for that, and lets
// HTTP/2 and HTTP/1.1 be chosen.
func Require(config *tls.Config, text string) (*Clients, error) {
	c := &Clients{base: config.Clone()}
	c.base.ClientAuth = tls.RequireAndVerifyClientCert
	c.base.NextProtos = []string{"h2", "http/1.1"} // net/http adds them to its own copy alone
	if err := c.Set(text); err != nil {
		return nil, err
	}
	config.ClientAuth = c.base.ClientAuth
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.now.Load(), nil }
	return c, nil
}

// Set makes the certificates in text those of the next handshakes, sessions
// that are resumed among them; open connections go on. An error leaves those
// of before in place.
func (c *Clients) Set(text string) error {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(text)) {
		return errors.New("there is no certificate in it: want PEM")
	}
	next := c.base.Clone()
	next.ClientCAs = pool
	c.now.Store(next)
	return nil
}
