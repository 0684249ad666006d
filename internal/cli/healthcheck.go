package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"housing/internal/config"
	"housing/internal/httpapi"
)

type healthcheckCommand struct {
	config.Network
	TLSCertFile string        `setting:"" name:"tls-cert-file" placeholder:"FILE" help:"Certificate of the service; with it LISTEN is asked by TLS, and must show this certificate."`
	Timeout     time.Duration `default:"2s" help:"How long to wait for the answer. Default: 2s."`
	JSON        bool          `name:"json" help:"Print the answer as the service gave it."`
}

// Help shows an example.
func (*healthcheckCommand) Help() string {
	return "Exits 0 when the service is healthy or degraded, else 1. It asks the address that the same settings let the service listen on.\n\nExample:\n\n    housing healthcheck --listen 127.0.0.1:8000"
}

// maxHealth bounds how much of an answer is read.
const maxHealth = 64 << 10

// Run asks the service.
func (c *healthcheckCommand) Run(p *program) error {
	address, scheme, transport := c.Listen, "http", &http.Transport{DisableKeepAlives: true}
	switch {
	case c.OpsListen != "": // never encrypted
		address = c.OpsListen
	case c.TLSCertFile != "":
		scheme = "https"
		var err error
		if transport.TLSClientConfig, err = trustOwn(c.TLSCertFile); err != nil {
			return fmt.Errorf("check health: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(p.ctx, c.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+address.Local()+"/health", nil)
	if err != nil {
		return fmt.Errorf("check health: %w", err)
	}
	// Not the default transport, which heeds a proxy set in the environment.
	client := &http.Client{Transport: transport}
	answer, err := client.Do(request)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("check health: no answer from %s within %v", address.Local(), c.Timeout)
		}
		return fmt.Errorf("check health: %w", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxHealth))
	if err != nil {
		return fmt.Errorf("check health: %w", err)
	}
	var health httpapi.Health
	if err := json.Unmarshal(body, &health); err != nil || health.Status == "" {
		return fmt.Errorf("check health: what answers at %s is not this service (status %d)", address.Local(), answer.StatusCode)
	}
	if c.JSON {
		_, err = p.stdout.Write(body)
	} else {
		_, err = fmt.Fprintf(p.stdout, "%s, version %s, model %s\n", health.Status, health.Version, health.ModelVersion)
	}
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK || health.Status != httpapi.Healthy && health.Status != httpapi.Degraded {
		return fmt.Errorf("the service at %s is %s", address.Local(), health.Status)
	}
	return nil
}

// trustOwn returns settings of TLS that trust who shows the certificate of a
// file. Its names are those of the outside, so that the name under which this
// machine asks itself is not one of them; instead the first certificate of the
// file gives the name to look for.
func trustOwn(file string) (*tls.Config, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	own, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read certificate %s: %w", file, err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(own)
	config := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	switch {
	case len(own.DNSNames) > 0:
		config.ServerName = strings.Replace(own.DNSNames[0], "*", "any", 1)
	case len(own.IPAddresses) > 0:
		config.ServerName = own.IPAddresses[0].String()
	}
	return config, nil
}
