package objects

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// errCredentials is the error where a bucket's server could not be asked for
// want of credentials.
var errCredentials = errors.New("no credentials")

// s3Settings are what the options of a location, and for what they leave out
// the variables of the AWS command line, say of a server of S3.
type s3Settings struct {
	host    string
	secure  bool
	region  string
	lookup  minio.BucketLookupType
	profile string
	roots   *x509.CertPool // nil for the system's
}

// defaultRegion is where a server is taken to be; one of Amazon's says so if
// it is elsewhere.
const defaultRegion = "us-east-1"

func readS3Settings(at location) (*s3Settings, error) {
	s := &s3Settings{
		host: "s3.amazonaws.com", secure: true, lookup: minio.BucketLookupDNS,
		region:  cmp.Or(at.options["region"], os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"), defaultRegion),
		profile: at.options["profile"],
	}
	if endpoint := cmp.Or(at.options["endpoint"], os.Getenv("AWS_ENDPOINT_URL_S3"), os.Getenv("AWS_ENDPOINT_URL")); endpoint != "" {
		u, err := url.Parse(endpoint)
		if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
			return nil, errors.New("AWS_ENDPOINT_URL: want http://HOST:PORT or https://HOST")
		}
		s.host, s.secure, s.lookup = u.Host, u.Scheme == "https", minio.BucketLookupPath
	}
	switch at.options["path_style"] {
	case "true":
		s.lookup = minio.BucketLookupPath
	case "false":
		s.lookup = minio.BucketLookupDNS
	}
	if path := os.Getenv("AWS_CA_BUNDLE"); path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("AWS_CA_BUNDLE: %w", err)
		}
		s.roots = x509.NewCertPool()
		if !s.roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("AWS_CA_BUNDLE: %s holds no certificate in PEM", path)
		}
	}
	return s, nil
}

func (s *s3Settings) transport() *http.Transport {
	t := new(http.Transport)
	impatient(t)
	if s.roots != nil {
		t.TLSClientConfig = &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12}
	}
	return t
}

// roleTimeout bounds how long whoever knows the credentials of a role may
// take to answer. Where there is no such service nothing answers.
const roleTimeout = 2 * time.Second

// credentials returns the first that there are of: the environment
// (AWS_ACCESS_KEY_ID), a profile of the shared file (AWS_PROFILE), and the role
// of a pod, a container or a machine (AWS_WEB_IDENTITY_TOKEN_FILE,
// AWS_CONTAINER_CREDENTIALS_…_URI, the metadata service).
func (s *s3Settings) credentials(transport *http.Transport) *credentials.Credentials {
	providers := []credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{Profile: s.profile}}
	inContainer := os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE") != "" || os.Getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") != "" || os.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI") != ""
	if inContainer || os.Getenv("AWS_EC2_METADATA_DISABLED") != "true" {
		near := transport.Clone()
		near.Proxy = proxyUnlessLinkLocal
		near.DisableKeepAlives = true // asked every few hours
		providers = append(providers, &credentials.IAM{Client: &http.Client{Transport: near, Timeout: roleTimeout}, Region: s.region})
	}
	return credentials.New(&chain{credentials.Chain{Providers: providers}})
}

// proxyUnlessLinkLocal asks what stands beside the machine directly.
func proxyUnlessLinkLocal(r *http.Request) (*url.URL, error) {
	if ip, err := netip.ParseAddr(r.URL.Hostname()); err == nil && (ip.IsLinkLocalUnicast() || ip.IsLoopback()) {
		return nil, nil
	}
	return http.ProxyFromEnvironment(r)
}

// chain is a chain of providers that says so where none has credentials; the
// library would ask as nobody.
type chain struct{ credentials.Chain }

// RetrieveWithCredContext returns the credentials of the first that has some.
func (c *chain) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	value, err := c.Chain.RetrieveWithCredContext(cc)
	if err == nil && value.AccessKeyID == "" {
		err = errCredentials
	}
	return value, err
}

// Retrieve is RetrieveWithCredContext without a context.
func (c *chain) Retrieve() (credentials.Value, error) { return c.RetrieveWithCredContext(nil) }
