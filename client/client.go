package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Options say how a client behaves; the zero value is fit for production.
type Options struct {
	// Token is asked for a bearer token before each attempt; nil sends none.
	// [StaticToken] and [TokenFile] make one.
	Token TokenSource
	// HTTP does the requests; nil is a client of its own, with up to 16 idle
	// connections.
	HTTP *http.Client
	// Attempts is how often a call is tried at most; 0 is 4, 1 never repeats.
	Attempts int
	// Timeout bounds one attempt; 0 is 10 s.
	Timeout time.Duration
	// Patience bounds a call with all attempts and waits; 0 is 30 s. A nearer
	// deadline of the context wins.
	Patience time.Duration
	// Wait is about how long to wait before the second attempt, and twice as
	// long before each that follows; 0 is 100 ms.
	Wait time.Duration
	// UserAgent names the program to the service; "" is housing-go.
	UserAgent string
}

// Client asks one service. It is safe for concurrent use.
type Client struct {
	base    string // without a slash at its end
	options Options
	own     *http.Transport // nil where the caller brought a client
}

// New returns a client of the service at an address such as
// https://prices.example.com or http://127.0.0.1:8000/below/a/path.
func New(address string, o Options) (*Client, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, fmt.Errorf("address of the service: %w", err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, fmt.Errorf("address of the service %q must be such as http://127.0.0.1:8000", u.Redacted())
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("address of the service %q must have no user, query or fragment", u.Redacted())
	}
	c := &Client{base: strings.TrimRight(u.String(), "/"), options: o}
	if o.HTTP == nil {
		c.own = http.DefaultTransport.(*http.Transport).Clone()
		c.own.MaxIdleConnsPerHost = 16
		c.options.HTTP = &http.Client{Transport: c.own}
	}
	setDefault(&c.options.Attempts, 4)
	setDefault(&c.options.Timeout, 10*time.Second)
	setDefault(&c.options.Patience, 30*time.Second)
	setDefault(&c.options.Wait, 100*time.Millisecond)
	c.options.Wait = min(c.options.Wait, maxWait)
	if o.UserAgent == "" {
		c.options.UserAgent = "housing-go"
	}
	return c, nil
}

func setDefault[T int | time.Duration](v *T, to T) {
	if *v <= 0 {
		*v = to
	}
}

// Close closes idle connections, where the client is not one that the caller
// brought. Calls that are under way go on.
func (c *Client) Close() {
	if c.own != nil {
		c.own.CloseIdleConnections()
	}
}

// CallOption changes one call.
type CallOption func(*call)

// WithModelVersion asks a version by name, in place of the one that the
// traffic plan chooses.
func WithModelVersion(version string) CallOption {
	return func(q *call) { q.query.Set("model_version", version) }
}

// WithInterval asks for intervals in which sale prices lie as often as level
// says, such as 0.8; of [Client.Valuations] alone.
func WithInterval(level float64) CallOption {
	return func(q *call) { q.query.Set("interval", fmt.Sprint(level)) }
}

// WithRequestID gives the call a name, 1 to 128 letters, digits, dots, dashes
// and underscores, that no other call has. Without it the client makes one.
func WithRequestID(id string) CallOption {
	return func(q *call) { q.id = id }
}

// call is one call of an endpoint.
type call struct {
	method, path string
	query        url.Values
	id           string
	body         []byte
	header       map[string]string
	repeat       bool // without harm
	alsoAnswers  int  // a status, beside those of success, that has an answer
}

func newCall(method, path string, options ...CallOption) *call {
	q := &call{method: method, path: path, query: url.Values{}, repeat: method == http.MethodGet}
	for _, set := range options {
		set(q)
	}
	if q.id == "" {
		q.id = rand.Text()
	}
	return q
}

// send sends a body that may be sent again without harm.
func (q *call) send(body any) (err error) {
	q.repeat = true
	if q.body, err = json.Marshal(body); err != nil {
		return fmt.Errorf("%s: %w", q.path, err)
	}
	return nil
}

// answered is what is known of an answer beside its body.
type answered struct {
	requestID, etag string
}

// do makes the attempts of a call and reads the answer into the value that
// into points to.
func (c *Client) do(ctx context.Context, q *call, into any) (answered, error) {
	if !usableID.MatchString(q.id) {
		return answered{}, fmt.Errorf("%s: request ID %.80q must be 1 to 128 letters, digits, dots, dashes and underscores", q.path, q.id)
	}
	ctx, cancel := context.WithTimeout(ctx, c.options.Patience)
	defer cancel()
	for attempt := 1; ; attempt++ {
		a, err := c.attempt(ctx, q, into)
		if err == nil {
			return a, nil
		}
		wait, again := c.wait(ctx, q, attempt, err)
		if !again {
			return a, finally(q, attempt, err)
		}
		if stopped := sleep(ctx, wait); stopped != nil {
			return a, fmt.Errorf("%s, %d attempts: %w; the last one: %w", q.path, attempt, stopped, err)
		}
	}
}

var usableID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

// finally is the error with which a call ends.
func finally(q *call, attempts int, err error) error {
	var said *Error
	if errors.As(err, &said) {
		said.Attempts = attempts
		return said
	}
	if attempts == 1 {
		return fmt.Errorf("%s: %w", q.path, err)
	}
	return fmt.Errorf("%s, %d attempts: %w", q.path, attempts, err)
}

// Bounds on what is read of an answer, in bytes.
const (
	maxAnswer  = 1 << 30
	maxProblem = 1 << 20
)

// attempt asks once.
func (c *Client) attempt(ctx context.Context, q *call, into any) (answered, error) {
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	address := c.base + q.path
	if len(q.query) > 0 {
		address += "?" + q.query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, q.method, address, bytes.NewReader(q.body))
	if err != nil {
		return answered{}, &finalError{err}
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", c.options.UserAgent)
	r.Header.Set("X-Request-ID", q.id)
	if q.body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for name, value := range q.header {
		r.Header.Set(name, value)
	}
	if c.options.Token != nil {
		token, err := c.options.Token(ctx)
		if err != nil {
			return answered{}, &finalError{fmt.Errorf("token: %w", err)}
		}
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := c.options.HTTP.Do(r)
	if err != nil {
		return answered{}, err
	}
	defer answer.Body.Close()
	a := answered{requestID: answer.Header.Get("X-Request-ID"), etag: answer.Header.Get("ETag")}
	if answer.StatusCode/100 != 2 && answer.StatusCode != q.alsoAnswers {
		return a, readError(answer)
	}
	// Only what came whole is read as JSON, so that a connection that ends
	// early is told from an answer that is no JSON.
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err != nil {
		return a, fmt.Errorf("the answer ended early: %w", err)
	}
	if len(body) > maxAnswer {
		return a, &finalError{fmt.Errorf("the answer has more than %d bytes", maxAnswer)}
	}
	if err := json.Unmarshal(body, into); err != nil {
		return a, &finalError{fmt.Errorf("status %d with an answer that is not the service's: %w", answer.StatusCode, err)}
	}
	return a, nil
}
