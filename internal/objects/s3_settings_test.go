package objects

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// quiet leaves nothing of AWS in the environment.
func quiet(t *testing.T) {
	t.Helper()
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
}

func settingsOf(t *testing.T, place string) *s3Settings {
	t.Helper()
	at, err := parseLocation(place)
	if err != nil {
		t.Fatal(err)
	}
	s, err := readS3Settings(at)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOptionsWinOverTheEnvironment(t *testing.T) {
	quiet(t)
	for _, c := range []struct {
		place, variable, value string
		want                   s3Settings
	}{
		{"s3://b", "", "", s3Settings{host: "s3.amazonaws.com", secure: true, region: "us-east-1", lookup: minio.BucketLookupDNS}},
		{"s3://b", "AWS_REGION", "eu-west-1", s3Settings{host: "s3.amazonaws.com", secure: true, region: "eu-west-1", lookup: minio.BucketLookupDNS}},
		{"s3://b?region=eu-north-1", "AWS_REGION", "eu-west-1", s3Settings{host: "s3.amazonaws.com", secure: true, region: "eu-north-1", lookup: minio.BucketLookupDNS}},
		{"s3://b?path_style=true&profile=p", "", "", s3Settings{host: "s3.amazonaws.com", secure: true, region: "us-east-1", lookup: minio.BucketLookupPath, profile: "p"}},
		{"s3://b?endpoint=http://127.0.0.1:7070", "AWS_ENDPOINT_URL", "https://other", s3Settings{host: "127.0.0.1:7070", region: "us-east-1", lookup: minio.BucketLookupPath}},
		{"s3://b?path_style=false", "AWS_ENDPOINT_URL_S3", "https://store.example", s3Settings{host: "store.example", secure: true, region: "us-east-1", lookup: minio.BucketLookupDNS}},
	} {
		t.Run(c.place+" "+c.variable, func(t *testing.T) {
			if c.variable != "" {
				t.Setenv(c.variable, c.value)
			}
			if got := *settingsOf(t, c.place); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
	t.Setenv("AWS_ENDPOINT_URL", "127.0.0.1:1")
	if _, err := openS3(location{scheme: "s3", bucket: "b"}); err == nil || !strings.Contains(err.Error(), "AWS_ENDPOINT_URL") {
		t.Errorf("an endpoint without a scheme: %v", err)
	}
}

func TestWhereCredentialsComeFrom(t *testing.T) {
	quiet(t)
	s := settingsOf(t, "s3://b?profile=second")
	get := func() (credentials.Value, error) {
		transport := s.transport()
		defer transport.CloseIdleConnections()
		return s.credentials(transport).GetWithContext(&credentials.CredContext{Context: t.Context()})
	}
	if _, err := get(); !errors.Is(err, errCredentials) || ReasonOf(err) != Authentication {
		t.Errorf("none anywhere: %v", err)
	}
	var token string
	container := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token = r.Header.Get("Authorization")
		_, _ = w.Write([]byte(`{"AccessKeyId": "of-the-role", "SecretAccessKey": "s", "Token": "t", "Expiration": "2100-01-01T00:00:00Z"}`))
	}))
	defer container.Close()
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.URL)
	t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "let me in")
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1") // not asked for what stands beside
	if v, err := get(); err != nil || v.AccessKeyID != "of-the-role" || v.SessionToken != "t" || token != "let me in" {
		t.Errorf("of a role: %+v by %q, %v", v, token, err)
	}
	file := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(file, []byte("[default]\naws_access_key_id = first\naws_secret_access_key = s\n[second]\naws_access_key_id = second\naws_secret_access_key = s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	if v, err := get(); err != nil || v.AccessKeyID != "second" {
		t.Errorf("of a profile: %+v, %v", v, err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "third")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "s")
	if v, err := get(); err != nil || v.AccessKeyID != "third" {
		t.Errorf("of the environment: %+v, %v", v, err)
	}
}

func TestAnAuthorityOfOnesOwn(t *testing.T) {
	quiet(t)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }))
	defer server.Close()
	t.Setenv("AWS_ACCESS_KEY_ID", "a")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "s")
	reason := func() Reason {
		b, err := openS3(location{scheme: "s3", bucket: "models", options: map[string]string{"endpoint": server.URL}})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		_, err = b.Size(t.Context(), "k")
		var unknown *tls.CertificateVerificationError
		if errors.As(err, &unknown) {
			return "unknown authority"
		}
		return ReasonOf(err)
	}
	if got := reason(); got != "unknown authority" {
		t.Errorf("without its authority: %s", got)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CA_BUNDLE", file)
	if got := reason(); got != Permission {
		t.Errorf("with its authority: %s", got)
	}
}
