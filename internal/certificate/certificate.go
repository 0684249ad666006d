// Package certificate keeps the service's TLS certificate: loaded from a pair
// of files and loaded again when they change.
//
// A [Keeper] is asked for the certificate at each handshake, so that
// connections that are open go on with the old one and none is dropped.
// [Keeper.Read] and [Keeper.Set] are for what follows the files; a pair that
// cannot be used leaves the one of before in place. [Clients] keeps the
// certificates that sign those of clients.
package certificate

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// maxFile bounds a file with certificates or a key.
const maxFile = 1 << 20

// Keeper keeps a certificate. Make one with [Load].
type Keeper struct {
	certFile, keyFile string
	text              string // what the files held when it was loaded
	now               atomic.Pointer[tls.Certificate]
}

// Load reads a pair of files, both PEM.
func Load(certFile, keyFile string) (*Keeper, error) {
	k := &Keeper{certFile: certFile, keyFile: keyFile}
	var err error
	if k.text, err = k.Read(); err != nil {
		return nil, err
	}
	return k, k.Set(k.text)
}

// between stands between the certificate and the key; PEM holds none.
const between = "\x00"

// Read returns what the files hold, for [Keeper.Set]. Where they are replaced
// while it reads, as the certificate tells, it reads them again, so that a
// certificate does not come with the key of another.
func (k *Keeper) Read() (text string, err error) {
	const tries = 3
	for range tries {
		var whole bool
		if text, whole, err = k.readPair(); whole {
			break
		}
	}
	return text, err
}

// readPair reads both files; whole says that the certificate was the same
// before and after the key.
func (k *Keeper) readPair() (text string, whole bool, err error) {
	cert, err := Read(k.certFile)
	if err != nil {
		return "", false, err
	}
	key, err := Read(k.keyFile)
	if err != nil {
		return "", false, err
	}
	again, err := Read(k.certFile)
	return cert + between + key, err == nil && again == cert, err
}

// Loaded returns what the files held when they were loaded.
func (k *Keeper) Loaded() string { return k.text }

// Set makes a certificate and its key those of the next handshakes. An error
// leaves those of before in place.
func (k *Keeper) Set(text string) error {
	cert, key, _ := strings.Cut(text, between)
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		return fmt.Errorf("read certificate %s and key %s: %w", k.certFile, k.keyFile, err)
	}
	if time.Now().After(pair.Leaf.NotAfter) {
		return fmt.Errorf("read certificate %s: it expired at %s", k.certFile, pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	k.now.Store(&pair)
	return nil
}

// Get returns the certificate for a handshake; it is tls.Config's
// GetCertificate.
func (k *Keeper) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) { return k.now.Load(), nil }

// NotAfter returns when the certificate expires.
func (k *Keeper) NotAfter() time.Time { return k.now.Load().Leaf.NotAfter }

// Read returns what a file of certificates or with a key holds.
func Read(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = errors.New("it is larger than 1 MiB")
	}
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return string(text), nil
}
