package config

import (
	"crypto/tls"
	"fmt"
	"net/url"
	"strings"
)

// Transport holds the settings of TLS, and of browsers.
type Transport struct {
	TLSCertFile        string     `setting:"" name:"tls-cert-file" placeholder:"FILE" help:"Certificate of the service, PEM, with its chain; read again when it changes. Default: no TLS."`
	TLSKeyFile         string     `setting:"" name:"tls-key-file" placeholder:"FILE" help:"Key of the certificate, PEM."`
	TLSMinVersion      TLSVersion `setting:"" name:"tls-min-version" default:"1.3" placeholder:"VERSION" help:"Oldest TLS that is spoken: 1.3 or 1.2. Default: 1.3."`
	CORSAllowedOrigins Origins    `setting:"" name:"cors-allowed-origins" placeholder:"ORIGINS" help:"Origins whose pages may ask the API, with commas between, such as https://app.example; * is every one. Default: none."`
	TLSClientCAFile    string     `setting:"" name:"tls-client-ca-file" placeholder:"FILE" help:"Certificates, PEM, one of which must have signed that of each client (mutual TLS). Default: clients need none."`
}

// Check looks at the settings together. Its error is an [*Error].
func (t *Transport) Check() error {
	switch {
	case t.TLSCertFile != "" && t.TLSKeyFile == "":
		return &Error{Source: "TLS_KEY_FILE", Problem: "is not set, and TLS_CERT_FILE is: set both"}
	case t.TLSKeyFile != "" && t.TLSCertFile == "":
		return &Error{Source: "TLS_CERT_FILE", Problem: "is not set, and TLS_KEY_FILE is: set both"}
	case t.TLSClientCAFile != "" && t.TLSCertFile == "":
		return &Error{Source: "TLS_CLIENT_CA_FILE", Problem: "is set without TLS_CERT_FILE and TLS_KEY_FILE: set all three"}
	}
	return nil
}

// TLSVersion is a version of TLS as crypto/tls numbers it.
type TLSVersion uint16

// UnmarshalText reads a version.
func (v *TLSVersion) UnmarshalText(text []byte) error {
	switch string(text) {
	case "1.3":
		*v = tls.VersionTLS13
	case "1.2":
		*v = tls.VersionTLS12
	default:
		return fmt.Errorf("%q is not a usable version of TLS: want 1.3 or 1.2", text)
	}
	return nil
}

// Origins is a list of web origins, with commas between, or "*".
type Origins string

// List returns the origins.
func (o Origins) List() []string {
	return strings.FieldsFunc(string(o), func(r rune) bool { return r == ',' || r == ' ' })
}

// UnmarshalText reads a list of origins, each as a browser sends it.
func (o *Origins) UnmarshalText(text []byte) error {
	list := Origins(text)
	for _, origin := range list.List() {
		address, err := url.Parse(origin)
		whole := err == nil && (address.Scheme == "https" || address.Scheme == "http") && address.Host != "" && origin == address.Scheme+"://"+address.Host
		if !whole && origin != "*" || origin == "*" && len(list.List()) > 1 || origin != strings.ToLower(origin) {
			return fmt.Errorf("%q is not an origin: want https://HOST or https://HOST:PORT in small letters, without a path, or * alone", origin)
		}
	}
	*o = list
	return nil
}
