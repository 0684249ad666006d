package httpapi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"housing/internal/certificate"
	"housing/internal/certificate/certificatetest"
	"housing/internal/follow"
)

// overTLS serves an API over TLS until the test ends.
func overTLS(t *testing.T, config *tls.Config) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	server := &Server{API: newAPI(t, nil), Grace: time.Minute, TLS: config}
	go func() { done <- server.Run(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// trusting returns a client that trusts a certificate.
func trusting(t *testing.T, files []string, http2 bool, change func(*tls.Config)) *http.Client {
	t.Helper()
	pool := x509.NewCertPool()
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pool.AppendCertsFromPEM(text)
	}
	config := &tls.Config{RootCAs: pool, ServerName: "housing.test"}
	if change != nil {
		change(config)
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: http2}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestVersionsOfTLSAndHTTP(t *testing.T) {
	pair := certificatetest.Write(t, t.TempDir(), "tls", 1, time.Now().Add(time.Hour))
	keeper, err := certificate.Load(pair.Cert, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	strict := overTLS(t, &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: keeper.Get})
	lax := overTLS(t, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: keeper.Get})
	for _, c := range []struct {
		name, address string
		most          uint16
		http2, good   bool
	}{
		{"1.3", strict, tls.VersionTLS13, false, true},
		{"1.3, HTTP/2", strict, tls.VersionTLS13, true, true},
		{"1.2", strict, tls.VersionTLS12, false, false},
		{"1.2 where it is allowed", lax, tls.VersionTLS12, true, true},
		{"1.1 where 1.2 is allowed", lax, tls.VersionTLS11, false, false},
	} {
		client := trusting(t, []string{pair.Cert}, c.http2, func(config *tls.Config) { config.MinVersion, config.MaxVersion = tls.VersionTLS10, c.most })
		answer, err := client.Get("https://" + c.address + "/health")
		if (err == nil) != c.good {
			t.Errorf("%s: %v", c.name, err)
		}
		if err != nil {
			continue
		}
		answer.Body.Close()
		if (answer.ProtoMajor == 2) != c.http2 || answer.Header.Get("Strict-Transport-Security") == "" {
			t.Errorf("%s: %s, %v", c.name, answer.Proto, answer.Header)
		}
	}
	if w := ask(newAPI(t, nil), "GET", "/health", ""); w.Header().Get("Strict-Transport-Security") != "" {
		t.Error("HSTS without TLS")
	}
}

// TestTheAuthoritiesOfClientsAreReplaced takes one out of use: its clients
// are refused at their next handshake, in a resumed session too, and those of
// the new one are let in. A broken text changes nothing.
func TestTheAuthoritiesOfClientsAreReplaced(t *testing.T) {
	dir := t.TempDir()
	pair := certificatetest.Write(t, dir, "tls", 1, time.Now().Add(time.Hour))
	keeper, err := certificate.Load(pair.Cert, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	var clients []*http.Client
	for i, name := range []string{"old", "next"} {
		own := certificatetest.Write(t, dir, name, int64(i+2), time.Now().Add(time.Hour))
		text, err := certificate.Read(own.Cert)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text)
		clients = append(clients, trusting(t, []string{pair.Cert}, i == 0, func(config *tls.Config) {
			loaded, err := tls.LoadX509KeyPair(own.Cert, own.Key)
			if err != nil {
				t.Fatal(err)
			}
			config.Certificates = []tls.Certificate{loaded}
			config.ClientSessionCache = tls.NewLRUClientSessionCache(4)
		}))
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: keeper.Get}
	required, err := certificate.Require(config, texts[0])
	if err != nil {
		t.Fatal(err)
	}
	address := overTLS(t, config)
	resumed := 0
	check := func(what string, wants ...bool) {
		t.Helper()
		for i, want := range wants {
			clients[i].CloseIdleConnections()
			answer, err := clients[i].Get("https://" + address + "/health")
			if (err == nil) != want {
				t.Errorf("%s: client %d: %v", what, i, err)
			}
			if err == nil {
				if answer.TLS.DidResume {
					resumed++
				}
				_, _ = io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
			}
		}
	}
	check("the old one", true, false)
	check("the old one again", true, false)
	if resumed == 0 {
		t.Error("no session was resumed: the test tests less than it says")
	}
	if err := required.Set("no certificate"); err == nil {
		t.Error("a text without a certificate is taken")
	}
	check("after a broken text", true, false)
	if err := required.Set(texts[0] + texts[1]); err != nil {
		t.Fatal(err)
	}
	check("both", true, true)
	if err := required.Set(texts[1]); err != nil {
		t.Fatal(err)
	}
	check("the new one", false, true)
}

func TestClientsNeedACertificateWhereItIsAsked(t *testing.T) {
	dir := t.TempDir()
	pair := certificatetest.Write(t, dir, "tls", 1, time.Now().Add(time.Hour))
	ours := certificatetest.Write(t, dir, "client", 2, time.Now().Add(time.Hour))
	theirs := certificatetest.Write(t, dir, "stranger", 3, time.Now().Add(time.Hour))
	keeper, err := certificate.Load(pair.Cert, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := certificate.Read(ours.Cert)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: keeper.Get}
	if _, err := certificate.Require(config, text); err != nil {
		t.Fatal(err)
	}
	address := overTLS(t, config)
	for name, c := range map[string]struct {
		pair certificatetest.Pair
		good bool
	}{"ours": {ours, true}, "a stranger's": {theirs, false}, "none": {}} {
		client := trusting(t, []string{pair.Cert}, true, func(config *tls.Config) {
			if c.pair.Cert == "" {
				return
			}
			own, err := tls.LoadX509KeyPair(c.pair.Cert, c.pair.Key)
			if err != nil {
				t.Fatal(err)
			}
			config.Certificates = []tls.Certificate{own}
		})
		answer, err := client.Get("https://" + address + "/health")
		if (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			answer.Body.Close()
		}
	}
}

// TestTheCertificateIsSwappedUnderLoad keeps old and new connections busy
// while the files change: no request fails, and new connections get the new
// certificate.
func TestTheCertificateIsSwappedUnderLoad(t *testing.T) {
	dir := t.TempDir()
	soon := time.Now().Add(time.Hour)
	old := certificatetest.Write(t, t.TempDir(), "old", 1, soon)
	next := certificatetest.Write(t, t.TempDir(), "next", 2, soon)
	use := func(p certificatetest.Pair) {
		for from, to := range map[string]string{p.Cert: dir + "/tls.crt", p.Key: dir + "/tls.key"} {
			text, err := os.ReadFile(from)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(to, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	use(old)
	keeper, err := certificate.Load(dir+"/tls.crt", dir+"/tls.key")
	if err != nil {
		t.Fatal(err)
	}
	swapped := make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		follow.Source{Read: keeper.Read, Apply: keeper.Set}.Follow(ctx, time.Millisecond, keeper.Loaded(), func(err error) {
			if err == nil { // halfway the pair does not fit
				close(swapped)
			}
		})
	})
	address := overTLS(t, &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: keeper.Get})
	var answered, ended atomic.Int64
	var newCertificate atomic.Bool
	for worker := range 4 {
		running.Go(func() {
			client := trusting(t, []string{old.Cert, next.Cert}, worker%2 == 0, nil)
			for !newCertificate.Load() || ended.Load() < 100 {
				if worker == 0 { // a new connection each time
					client.CloseIdleConnections()
				}
				answer, err := client.Get("https://" + address + "/health")
				if err != nil {
					t.Errorf("after %d answers: %v", answered.Load(), err)
					return
				}
				answer.Body.Close()
				answered.Add(1)
				if newCertificate.Load() {
					ended.Add(1)
				}
				if answer.TLS.PeerCertificates[0].SerialNumber.Int64() == 2 {
					newCertificate.Store(true)
				}
			}
		})
	}
	use(next)
	<-swapped
	stop()
	running.Wait()
}
