// Package certificate keeps the service's TLS certificate: loaded from a pair
// of files and loaded again when they change.
//
// A [Keeper] is asked for the certificate at each handshake, so that
// connections that are open go on with the old one and none is dropped. It
// looks at what the files hold, not at their times, as a Kubernetes ConfigMap
// or Secret is swapped by a symbolic link. A pair that cannot be used leaves
// the one of before in place.
package certificate

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"
)

// maxFile bounds a file with certificates or a key.
const maxFile = 1 << 20

// Keeper keeps a certificate. Make one with [Load].
type Keeper struct {
	certFile, keyFile string
	now               atomic.Pointer[tls.Certificate]
	cert, key         []byte // what the files held when now was made
}

// Load reads a pair of files, both PEM.
func Load(certFile, keyFile string) (*Keeper, error) {
	k := &Keeper{certFile: certFile, keyFile: keyFile}
	_, err := k.load()
	return k, err
}

// load reads the files and says whether they brought a new certificate.
func (k *Keeper) load() (changed bool, err error) {
	cert, err := read(k.certFile)
	if err != nil {
		return false, err
	}
	key, err := read(k.keyFile)
	if err != nil {
		return false, err
	}
	if bytes.Equal(cert, k.cert) && bytes.Equal(key, k.key) {
		return false, nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return false, fmt.Errorf("read certificate %s and key %s: %w", k.certFile, k.keyFile, err)
	}
	if time.Now().After(pair.Leaf.NotAfter) {
		return false, fmt.Errorf("read certificate %s: it expired at %s", k.certFile, pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	k.cert, k.key = cert, key
	k.now.Store(&pair)
	return true, nil
}

// Get returns the certificate for a handshake; it is tls.Config's
// GetCertificate.
func (k *Keeper) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) { return k.now.Load(), nil }

// NotAfter returns when the certificate expires.
func (k *Keeper) NotAfter() time.Time { return k.now.Load().Leaf.NotAfter }

// Follow looks at the files until ctx ends. Each new certificate, and each
// new failure to read one, is told by report.
func (k *Keeper) Follow(ctx context.Context, every time.Duration, report func(error)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	failed := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		changed, err := k.load()
		switch {
		case err == nil:
			failed = ""
			if changed {
				report(nil)
			}
		case err.Error() != failed:
			failed = err.Error()
			report(err)
		}
	}
}

// Authorities reads the certificates that sign those of clients.
func Authorities(file string) (*x509.CertPool, error) {
	text, err := read(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("read certificates %s: there is none in it", file)
	}
	return pool, nil
}

func read(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = errors.New("it is larger than 1 MiB")
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return text, nil
}
