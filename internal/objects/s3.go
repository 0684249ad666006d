package objects

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// errCredentials is the error where a bucket's server could not be asked for
// want of credentials.
var errCredentials = errors.New("no credentials")

// keysAtOnce is how many objects a bucket lists at a time.
const keysAtOnce = 1000

// How often a request to S3 is tried, and how long is waited in between.
const (
	attempts   = 3
	maxBackoff = 300 * time.Millisecond
)

// s3Bucket is a bucket of S3, or of a server that speaks as it does.
type s3Bucket struct {
	client    *s3.Client
	transport *http.Transport
	location  string
	bucket    string
	prefix    string
}

// headerTimeout bounds how long a bucket's server may take to begin an
// answer, once it has all of the request.
const headerTimeout = 10 * time.Second

// idlePerHost is how many idle connections to a bucket's server are kept.
const idlePerHost = 8

// impatient makes a transport give a bucket's server up soon.
func impatient(t *http.Transport) {
	t.Proxy = http.ProxyFromEnvironment
	t.DialContext = (&net.Dialer{Timeout: 3 * time.Second}).DialContext
	t.TLSHandshakeTimeout = 5 * time.Second
	t.ResponseHeaderTimeout = headerTimeout
	t.IdleConnTimeout = 30 * time.Second
	t.MaxIdleConnsPerHost = idlePerHost
	t.ForceAttemptHTTP2 = true
	t.DisableCompression = true // so that the length that is declared is that of what is read
}

// openS3 returns the bucket of a location. Credentials are those that the
// AWS command line would use.
func openS3(ctx context.Context, at location) (*s3Bucket, error) {
	load := []func(*awsconfig.LoadOptions) error{
		awsconfig.WithHTTPClient(awshttp.NewBuildableClient().WithTransportOptions(impatient)),
		// Other servers than Amazon's do not all know the newer checksums.
		awsconfig.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenRequired),
		awsconfig.WithResponseChecksumValidation(aws.ResponseChecksumValidationWhenRequired),
		awsconfig.WithDefaultRegion("us-east-1"),
		awsconfig.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = attempts, maxBackoff })
		}),
	}
	if region := at.options["region"]; region != "" {
		load = append(load, awsconfig.WithRegion(region))
	}
	if profile := at.options["profile"]; profile != "" {
		load = append(load, awsconfig.WithSharedConfigProfile(profile))
	}
	settings, err := awsconfig.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", at, err)
	}
	// The transport as it was loaded, which may know authorities of its own
	// ($AWS_CA_BUNDLE), but one that can be closed.
	loaded, ok := settings.HTTPClient.(*awshttp.BuildableClient)
	if !ok {
		return nil, fmt.Errorf("open %s: a client of type %T", at, settings.HTTPClient)
	}
	transport := loaded.GetTransport()
	client := s3.NewFromConfig(settings, func(o *s3.Options) {
		o.HTTPClient = &http.Client{Transport: propagated{transport}}
		if endpoint := at.options["endpoint"]; endpoint != "" {
			o.BaseEndpoint = &endpoint
			o.UsePathStyle = at.options["path_style"] != "false"
		} else {
			o.UsePathStyle = at.options["path_style"] == "true"
		}
	})
	return &s3Bucket{client: client, transport: transport, location: at.String(), bucket: at.bucket, prefix: at.prefix}, nil
}

func (b *s3Bucket) Location() string { return b.location }

func (b *s3Bucket) Close() { b.transport.CloseIdleConnections() }

func (b *s3Bucket) key(key string) *string { return aws.String(b.prefix + key) }

func (b *s3Bucket) Read(ctx context.Context, key, unless string) ([]byte, string, error) {
	input := &s3.GetObjectInput{Bucket: &b.bucket, Key: b.key(key)}
	if unless != "" {
		input.IfNoneMatch = &unless
	}
	answer, err := b.client.GetObject(ctx, input)
	if err != nil {
		return nil, "", s3Error(err)
	}
	defer answer.Body.Close()
	data, err := readSmall(answer.Body, aws.ToInt64(answer.ContentLength))
	return data, aws.ToString(answer.ETag), err
}

func (b *s3Bucket) Open(ctx context.Context, key string) (io.ReadCloser, int64, error) {
	answer, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.bucket, Key: b.key(key)})
	if err != nil {
		return nil, 0, s3Error(err)
	}
	return answer.Body, aws.ToInt64(answer.ContentLength), nil
}

func (b *s3Bucket) Size(ctx context.Context, key string) (int64, error) {
	answer, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.bucket, Key: b.key(key)})
	if err != nil {
		return 0, s3Error(err)
	}
	return aws.ToInt64(answer.ContentLength), nil
}

func (b *s3Bucket) Write(ctx context.Context, key string, body io.ReadSeeker, tag string) error {
	input := &s3.PutObjectInput{Bucket: &b.bucket, Key: b.key(key), Body: body}
	if tag == "" {
		input.IfNoneMatch = aws.String("*")
	} else {
		input.IfMatch = &tag
	}
	_, err := b.client.PutObject(ctx, input)
	if err = s3Error(err); tag != "" && errors.Is(err, ErrAbsent) {
		return ErrTaken // it had a tag, and is gone
	}
	return err
}

func (b *s3Bucket) Delete(ctx context.Context, key string) error {
	_, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.bucket, Key: b.key(key)})
	if err = s3Error(err); errors.Is(err, ErrAbsent) {
		return nil
	}
	return err
}

func (b *s3Bucket) List(ctx context.Context, prefix string) ([]string, error) {
	var keys []string
	pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{
		Bucket: &b.bucket, Prefix: b.key(prefix), MaxKeys: aws.Int32(keysAtOnce),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, s3Error(err)
		}
		for _, object := range page.Contents {
			// Some tools make an empty object that stands for a folder.
			if key := strings.TrimPrefix(aws.ToString(object.Key), b.prefix); CheckKey(key) == nil {
				keys = append(keys, key)
			}
		}
		if len(keys) > maxKeys {
			return nil, errTooMany
		}
	}
	slices.Sort(keys)
	return keys, nil
}

func (b *s3Bucket) Holders(ctx context.Context, name string, wanted func(string) bool) ([]string, error) {
	keys, err := b.List(ctx, "")
	return holdersIn(keys, name, wanted), err
}

// s3Error gives the answers that are no faults their names.
func s3Error(err error) error {
	var status statusError
	var code coded
	if err == nil {
		return nil
	}
	if errors.As(err, &code) && (code.ErrorCode() == "NoSuchKey" || code.ErrorCode() == "NotFound") {
		return ErrAbsent // a bucket or a user that is not there has another word
	}
	if errors.As(err, &status) {
		switch status.HTTPStatusCode() {
		case http.StatusNotModified:
			return ErrUnchanged
		case http.StatusPreconditionFailed, http.StatusConflict:
			return ErrTaken
		}
	}
	if strings.Contains(err.Error(), "failed to refresh cached credentials") || strings.Contains(err.Error(), "get credentials") {
		return fmt.Errorf("%w: %w", errCredentials, err)
	}
	if code != nil {
		return &s3Answer{code.ErrorCode() + ": " + code.ErrorMessage(), err}
	}
	return err
}

// s3Answer is an error of the server in its words, without the numbers that
// only its keepers understand.
type s3Answer struct {
	text  string
	cause error
}

func (e *s3Answer) Error() string { return e.text }
func (e *s3Answer) Unwrap() error { return e.cause }
