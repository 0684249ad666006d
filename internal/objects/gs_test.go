package objects

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// serviceAccount makes a key file of Google's whose tokens come from an
// address, the credentials of this process.
func serviceAccount(t *testing.T, tokens string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "housing@example.com", "token_uri": tokens,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
}

// TestWhoGivesTokensHangs and holds no call longer than its context; when it
// answers again, so does the bucket.
func TestWhoGivesTokensHangs(t *testing.T) {
	var asked atomic.Int32
	answer := make(chan struct{})
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		_, _ = io.Copy(io.Discard, r.Body) // so that it is seen when the client goes
		select {
		case <-answer:
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"access_token":"secret","token_type":"Bearer","expires_in":3600}`)
		case <-r.Context().Done():
		}
	}))
	defer tokens.Close()
	bucket := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer bucket.Close()
	serviceAccount(t, tokens.URL)
	opening, opened := context.WithCancel(t.Context())
	s, err := Open(opening, "gs://models/p?endpoint="+bucket.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	opened()
	roots := x509.NewCertPool()
	roots.AddCert(bucket.Certificate())
	s.(*gsBucket).transport.TLSClientConfig = &tls.Config{RootCAs: roots}

	write := func(limit time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		return s.Write(ctx, "a/one", strings.NewReader("text"), "")
	}
	for range 3 {
		begun := time.Now()
		err := write(100 * time.Millisecond)
		if took := time.Since(begun); took > headerTimeout/2 || !errors.Is(err, context.DeadlineExceeded) || ReasonOf(err) != Timeout {
			t.Errorf("after %v: %v", took, err)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("%d tokens were asked for at once", n)
	}
	close(answer)
	if err := write(headerTimeout); err != nil {
		t.Errorf("with a token: %v", err)
	}
}

// TestWhoGivesTokensIsGivenUp although the call would wait longer.
func TestWhoGivesTokensIsGivenUp(t *testing.T) {
	tokens := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // so that it is seen when the client goes
		<-r.Context().Done()
	}))
	defer tokens.Close()
	serviceAccount(t, tokens.URL)
	s, err := Open(t.Context(), "gs://models/p?endpoint=https://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 3*headerTimeout)
	defer cancel()
	begun := time.Now()
	_, _, err = s.Read(ctx, "a/one", "")
	if took := time.Since(begun); took > 2*headerTimeout || err == nil || !ReasonOf(err).Passing() {
		t.Errorf("after %v: %v", took, err)
	}
}
