package objects

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	"golang.org/x/sync/singleflight"
)

// gsScope is what is needed of Google Cloud Storage.
const gsScope = "https://www.googleapis.com/auth/devstorage.read_write"

// gsBucket is a bucket of Google Cloud Storage, by its JSON API:
// https://cloud.google.com/storage/docs/json_api/v1/objects
type gsBucket struct {
	client    *http.Client
	transport *http.Transport
	location  string
	endpoint  string
	bucket    string
	prefix    string
}

// openGS returns the bucket of a location. Credentials are the application
// default ones; a server without TLS, as an emulator is, gets none.
func openGS(ctx context.Context, at location) (*gsBucket, error) {
	b := &gsBucket{
		transport: &http.Transport{},
		location:  at.String(),
		endpoint:  strings.TrimRight(cmp.Or(at.options["endpoint"], "https://storage.googleapis.com"), "/"),
		bucket:    at.bucket,
		prefix:    at.prefix,
	}
	impatient(b.transport)
	b.client = &http.Client{Transport: propagated{b.transport}}
	if strings.HasPrefix(b.endpoint, "http://") {
		return b, nil
	}
	// Tokens are fetched later than now, with what the context holds.
	ctx = context.WithValue(context.WithoutCancel(ctx), oauth2.HTTPClient, &http.Client{Transport: b.transport, Timeout: headerTimeout})
	found, err := google.FindDefaultCredentials(ctx, gsScope)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w: %w", at, errCredentials, err)
	}
	b.client.Transport = &authorized{source: found.TokenSource, base: propagated{b.transport}}
	return b, nil
}

// authorized is a transport whose requests bear a token. The source knows of
// no request's context, and answers one call at a time: it is asked aside,
// once for all that wait, and each waits no longer than its own context.
type authorized struct {
	source oauth2.TokenSource
	base   http.RoundTripper
	asking singleflight.Group
}

// RoundTrip sends a request.
func (a *authorized) RoundTrip(r *http.Request) (*http.Response, error) {
	var answer singleflight.Result
	select {
	case answer = <-a.asking.DoChan("", func() (any, error) { return a.source.Token() }):
	case <-r.Context().Done():
		answer.Err = fmt.Errorf("wait for a token: %w", context.Cause(r.Context()))
	}
	if answer.Err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // a transport must close it
		}
		return nil, answer.Err
	}
	bearer := oauth2.Transport{Source: oauth2.StaticTokenSource(answer.Val.(*oauth2.Token)), Base: a.base}
	return bearer.RoundTrip(r)
}

func (b *gsBucket) Location() string { return b.location }

func (b *gsBucket) Close() { b.transport.CloseIdleConnections() }

// gsError is an answer that is no success.
type gsError struct{ status int }

func (e *gsError) Error() string {
	return fmt.Sprintf("Google Cloud Storage answered %d %s", e.status, http.StatusText(e.status))
}

// HTTPStatusCode is for ReasonOf.
func (e *gsError) HTTPStatusCode() int { return e.status }

// do asks, and returns an answer that is a success.
func (b *gsBucket) do(ctx context.Context, method, path string, query url.Values, body io.Reader, size int64) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, b.endpoint+path+"?"+query.Encode(), body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.ContentLength = size
		request.Header.Set("Content-Type", "application/octet-stream")
	}
	answer, err := b.client.Do(request)
	var token *oauth2.RetrieveError
	if errors.As(err, &token) {
		return nil, fmt.Errorf("%w: %w", errCredentials, err)
	}
	if err != nil {
		return nil, err
	}
	if answer.StatusCode < http.StatusMultipleChoices {
		return answer, nil
	}
	_ = answer.Body.Close() // it is not read
	switch answer.StatusCode {
	case http.StatusNotModified:
		return nil, ErrUnchanged
	case http.StatusNotFound:
		return nil, ErrAbsent
	case http.StatusPreconditionFailed:
		return nil, ErrTaken
	}
	return nil, &gsError{answer.StatusCode}
}

func (b *gsBucket) objectPath(key string) string {
	return "/storage/v1/b/" + url.PathEscape(b.bucket) + "/o/" + url.PathEscape(b.prefix+key)
}

func (b *gsBucket) get(ctx context.Context, key, unless string) (*http.Response, error) {
	query := url.Values{"alt": {"media"}}
	if unless != "" {
		query.Set("ifGenerationNotMatch", unless)
	}
	return b.do(ctx, http.MethodGet, b.objectPath(key), query, nil, 0)
}

func (b *gsBucket) Read(ctx context.Context, key, unless string) ([]byte, string, error) {
	answer, err := b.get(ctx, key, unless)
	if err != nil {
		return nil, "", err
	}
	defer answer.Body.Close()
	generation := answer.Header.Get("X-Goog-Generation")
	if _, err := strconv.ParseInt(generation, 10, 64); err != nil {
		return nil, "", errors.New("the answer names no generation")
	}
	data, err := readSmall(answer.Body, answer.ContentLength)
	return data, generation, err
}

func (b *gsBucket) Open(ctx context.Context, key string) (io.ReadCloser, int64, error) {
	answer, err := b.get(ctx, key, "")
	if err != nil {
		return nil, 0, err
	}
	return answer.Body, answer.ContentLength, nil
}

func (b *gsBucket) Size(ctx context.Context, key string) (int64, error) {
	var object struct {
		Size int64 `json:"size,string"`
	}
	err := b.ask(ctx, b.objectPath(key), url.Values{"fields": {"size"}}, &object)
	return object.Size, err
}

// ask reads a small answer of JSON.
func (b *gsBucket) ask(ctx context.Context, path string, query url.Values, into any) error {
	answer, err := b.do(ctx, http.MethodGet, path, query, nil, 0)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := readSmall(answer.Body, answer.ContentLength)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// write writes in one request, without retries of its own: the generation
// must be the one of tag, or none (0), or with Whatever any.
func (b *gsBucket) Write(ctx context.Context, key string, body io.ReadSeeker, tag string) error {
	size, err := body.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return err
	}
	query := url.Values{"uploadType": {"media"}, "name": {b.prefix + key}}
	if tag != Whatever {
		query.Set("ifGenerationMatch", cmp.Or(tag, "0"))
	}
	answer, err := b.do(ctx, http.MethodPost, "/upload/storage/v1/b/"+url.PathEscape(b.bucket)+"/o", query, io.NopCloser(body), size)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

func (b *gsBucket) Delete(ctx context.Context, key string) error {
	answer, err := b.do(ctx, http.MethodDelete, b.objectPath(key), nil, nil, 0)
	if errors.Is(err, ErrAbsent) {
		return nil
	}
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

func (b *gsBucket) List(ctx context.Context, prefix string) ([]string, error) {
	var keys []string
	query := url.Values{"prefix": {b.prefix + prefix}, "maxResults": {strconv.Itoa(keysAtOnce)}, "fields": {"nextPageToken,items/name"}}
	for {
		var page struct {
			Next  string `json:"nextPageToken"`
			Items []struct {
				Name string `json:"name"`
			} `json:"items"`
		}
		if err := b.ask(ctx, "/storage/v1/b/"+url.PathEscape(b.bucket)+"/o", query, &page); err != nil {
			return nil, err
		}
		for _, object := range page.Items {
			if key := strings.TrimPrefix(object.Name, b.prefix); CheckKey(key) == nil {
				keys = append(keys, key)
			}
		}
		if len(keys) > maxKeys {
			return nil, errTooMany
		}
		if page.Next == "" {
			slices.Sort(keys)
			return keys, nil
		}
		query.Set("pageToken", page.Next)
	}
}

func (b *gsBucket) Holders(ctx context.Context, name string, wanted func(string) bool) ([]string, error) {
	keys, err := b.List(ctx, "")
	return holdersIn(keys, name, wanted), err
}
