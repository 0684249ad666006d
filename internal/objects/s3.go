package objects

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

// keysAtOnce is how many objects a bucket lists at a time.
const keysAtOnce = 1000

// attempts is how often a request to S3 is tried.
const attempts = 3

// s3Bucket is a bucket of S3, or of a server that speaks as it does.
type s3Bucket struct {
	client    *minio.Core
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

// openS3 returns the bucket of a location, which [s3Settings] complete.
func openS3(at location) (*s3Bucket, error) {
	settings, err := readS3Settings(at)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", at, err)
	}
	transport := settings.transport()
	client, err := minio.NewCore(settings.host, &minio.Options{
		Creds:        settings.credentials(transport),
		Secure:       settings.secure,
		Transport:    propagated{transport},
		Region:       settings.region,
		BucketLookup: settings.lookup,
		MaxRetries:   attempts,
	})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", at, err)
	}
	return &s3Bucket{client: client, transport: transport, location: at.String(), bucket: at.bucket, prefix: at.prefix}, nil
}

func (b *s3Bucket) Location() string { return b.location }

func (b *s3Bucket) Close() { b.transport.CloseIdleConnections() }

func (b *s3Bucket) Read(ctx context.Context, key, unless string) ([]byte, string, error) {
	var options minio.GetObjectOptions
	if unless != "" {
		if err := options.SetMatchETagExcept(unless); err != nil {
			return nil, "", err
		}
	}
	body, info, _, err := b.client.GetObject(ctx, b.bucket, b.prefix+key, options)
	if err != nil {
		return nil, "", s3Error(err)
	}
	defer body.Close()
	data, err := readSmall(body, info.Size)
	return data, info.ETag, err
}

func (b *s3Bucket) Open(ctx context.Context, key string) (io.ReadCloser, int64, error) {
	body, info, _, err := b.client.GetObject(ctx, b.bucket, b.prefix+key, minio.GetObjectOptions{})
	if err != nil {
		return nil, 0, s3Error(err)
	}
	return body, info.Size, nil
}

func (b *s3Bucket) Size(ctx context.Context, key string) (int64, error) {
	info, err := b.client.StatObject(ctx, b.bucket, b.prefix+key, minio.StatObjectOptions{})
	if err != nil {
		return 0, s3Error(err)
	}
	return info.Size, nil
}

func (b *s3Bucket) Write(ctx context.Context, key string, body io.ReadSeeker, tag string) error {
	// The server compares what arrives with the checksum that is signed.
	hash := sha256.New()
	size, err := io.Copy(hash, body)
	if err != nil {
		return err
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return err
	}
	options := minio.PutObjectOptions{DisableContentSha256: true} // which it would take piece by piece
	switch tag {
	case "":
		options.SetMatchETagExcept("*")
	case Whatever:
	default:
		options.SetMatchETag(tag)
	}
	_, err = b.client.PutObject(ctx, b.bucket, b.prefix+key, body, size, "", hex.EncodeToString(hash.Sum(nil)), options)
	if err = s3Error(err); tag != "" && errors.Is(err, ErrAbsent) {
		return ErrTaken // it had a tag, and is gone
	}
	return err
}

func (b *s3Bucket) Delete(ctx context.Context, key string) error {
	err := s3Error(b.client.RemoveObject(ctx, b.bucket, b.prefix+key, minio.RemoveObjectOptions{}))
	if errors.Is(err, ErrAbsent) {
		return nil
	}
	return err
}

func (b *s3Bucket) List(ctx context.Context, prefix string) ([]string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var keys []string
	for object := range b.client.ListObjectsIter(ctx, b.bucket, minio.ListObjectsOptions{Prefix: b.prefix + prefix, Recursive: true, MaxKeys: keysAtOnce}) {
		if object.Err != nil {
			return nil, s3Error(object.Err)
		}
		// Some tools make an empty object that stands for a folder.
		if key := strings.TrimPrefix(object.Key, b.prefix); CheckKey(key) == nil {
			keys = append(keys, key)
		}
		if len(keys) > maxKeys {
			return nil, errTooMany
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
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
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) {
		return err
	}
	if answer.Code == minio.NoSuchKey || answer.Code == "NotFound" {
		return ErrAbsent // a bucket or a user that is not there has another word
	}
	switch answer.StatusCode {
	case http.StatusNotModified:
		return ErrUnchanged
	case http.StatusPreconditionFailed, http.StatusConflict:
		return ErrTaken
	}
	return &s3Answer{answer}
}

// s3Answer is an error of the server in its words, without the numbers that
// only its keepers understand.
type s3Answer struct{ answer minio.ErrorResponse }

func (e *s3Answer) Error() string        { return e.answer.Code + ": " + e.answer.Message }
func (e *s3Answer) HTTPStatusCode() int  { return e.answer.StatusCode }
func (e *s3Answer) ErrorCode() string    { return e.answer.Code }
func (e *s3Answer) ErrorMessage() string { return e.answer.Message }
