package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// script answers one attempt after another, and notes them.
type script struct {
	steps    []func(*http.Request) (*http.Response, error)
	requests []*http.Request
	bodies   []string
	at       []time.Time
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	s.requests, s.bodies, s.at = append(s.requests, r), append(s.bodies, string(body)), append(s.at, time.Now())
	return s.steps[min(len(s.requests), len(s.steps))-1](r)
}

// says answers with a status, a body and headers, a name before each value.
func says(status int, body string, headers ...string) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) {
		header := http.Header{"X-Request-Id": {"as-was-asked"}}
		for i := 0; i < len(headers); i += 2 {
			header.Set(headers[i], headers[i+1])
		}
		return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

func fails(err error) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

// hangs until its context ends.
func hangs(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// cutOff sends half an answer.
func cutOff(*http.Request) (*http.Response, error) {
	body := io.MultiReader(strings.NewReader(`{"predictions":[4`), errorReader{})
	return &http.Response{StatusCode: 200, Body: io.NopCloser(body)}, nil
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

const good = `{"predictions":[400000.5],"model_version":"v","prediction_id":"p"}`

var problem = []string{"Content-Type", "application/problem+json"}

func scripted(t *testing.T, o Options, steps ...func(*http.Request) (*http.Response, error)) (*Client, *script) {
	t.Helper()
	s := &script{steps: steps}
	o.HTTP = &http.Client{Transport: s}
	c, err := New("http://prices.test/below/", o)
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

var oneHouse = []House{{Bedrooms: 3, Zipcode: "98115"}}

func TestWhatMayBeRepeatedIs(t *testing.T) {
	refused := errors.New("connect: connection refused")
	for name, c := range map[string]struct {
		faults []func(*http.Request) (*http.Response, error)
		waits  []time.Duration // at least, before each attempt but the first
	}{
		"at once":                  {nil, nil},
		"overloaded":               {[]func(*http.Request) (*http.Response, error){says(503, `{}`, "Retry-After", "2")}, []time.Duration{2 * time.Second}},
		"too many requests":        {[]func(*http.Request) (*http.Response, error){says(429, `{}`, "Retry-After", "1")}, []time.Duration{time.Second}},
		"a proxy without replicas": {[]func(*http.Request) (*http.Response, error){says(502, "<html>"), says(504, "<html>")}, []time.Duration{50 * time.Millisecond, 100 * time.Millisecond}},
		"no connection":            {[]func(*http.Request) (*http.Response, error){fails(refused), fails(refused), fails(io.EOF)}, []time.Duration{50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond}},
		"half an answer":           {[]func(*http.Request) (*http.Response, error){cutOff}, []time.Duration{50 * time.Millisecond}},
		"a replica that hangs":     {[]func(*http.Request) (*http.Response, error){hangs}, []time.Duration{10 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tokens := 0
				token := func(context.Context) (string, error) { tokens++; return "t" + string(rune('0'+tokens)), nil }
				client, s := scripted(t, Options{Token: token}, append(c.faults, says(200, good))...)
				p, err := client.Predict(t.Context(), oneHouse, WithModelVersion("kc-2"))
				if err != nil || p.Predictions[0] != 400000.5 || p.PredictionID != "p" || p.RequestID != "as-was-asked" {
					t.Fatalf("%+v, %v", p, err)
				}
				if len(s.requests) != len(c.faults)+1 || tokens != len(s.requests) {
					t.Fatalf("%d attempts with %d tokens, want %d", len(s.requests), tokens, len(c.faults)+1)
				}
				for i, r := range s.requests {
					first := s.requests[0]
					if id := r.Header.Get("X-Request-ID"); id == "" || id != first.Header.Get("X-Request-ID") || s.bodies[i] != s.bodies[0] {
						t.Errorf("attempt %d is another request: %q %s", i+1, id, s.bodies[i])
					}
					if r.URL.String() != "http://prices.test/below/v1/predict?model_version=kc-2" || !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer t") {
						t.Errorf("%s, %s", r.URL, r.Header)
					}
					if i > 0 {
						waited := s.at[i].Sub(s.at[i-1])
						if least := c.waits[i-1]; waited < least || waited > least*5/2 {
							t.Errorf("waited %v before attempt %d, want about %v", waited, i+1, least)
						}
					}
				}
			})
		})
	}
}

func TestEachCallHasItsOwnName(t *testing.T) {
	client, s := scripted(t, Options{}, says(200, good))
	for _, options := range [][]CallOption{nil, nil, {WithRequestID("order-17")}} {
		if _, err := client.Predict(t.Context(), oneHouse, options...); err != nil {
			t.Fatal(err)
		}
	}
	ids := []string{}
	for _, r := range s.requests {
		ids = append(ids, r.Header.Get("X-Request-ID"))
	}
	if ids[0] == ids[1] || len(ids[0]) < 20 || ids[2] != "order-17" {
		t.Errorf("names %q", ids)
	}
	if _, err := client.Predict(t.Context(), oneHouse, WithRequestID("order 17")); err == nil || len(s.requests) != 3 {
		t.Errorf("a name that the service would not take: %v", err)
	}
}

func TestWhatAnotherAttemptWouldNotMendIsAskedOnce(t *testing.T) {
	predict := func(c *Client) error { _, err := c.Predict(t.Context(), oneHouse); return err }
	for name, c := range map[string]struct {
		step func(*http.Request) (*http.Response, error)
		ask  func(*Client) error
		want string
	}{
		"faults":                 {says(422, `{"status":422,"detail":"the body has 1 fault","errors":[{"location":"body.records[0].zipcode","message":"must be a zipcode","value":"x"}]}`, problem...), predict, `422 Unprocessable Entity: the body has 1 fault; body.records[0].zipcode must be a zipcode, is "x"`},
		"no token":               {says(401, `{"detail":"a token is needed"}`, problem...), predict, "401 Unauthorized: a token is needed"},
		"our own mistake":        {says(500, `{"detail":"something went wrong here"}`, problem...), predict, "500 Internal Server Error: something went wrong here"},
		"a problem that is none": {says(422, `[1]`, problem...), predict, "422 Unprocessable Entity"},
		"another service":        {says(200, "<html>hello"), predict, "/v1/predict: status 200 with an answer that is not the service's"},
		"too few prices":         {says(200, `{"predictions":[]}`), predict, "/v1/predict: 0 prices came for 1 houses"},
		"untrusted":              {fails(&tls.CertificateVerificationError{Err: errors.New("unknown authority")}), predict, "unknown authority"},
		"a change of the plan": {says(503, `{"detail":"the registry is away"}`, "Content-Type", "application/problem+json", "Retry-After", "1"), func(c *Client) error {
			_, err := c.SetRollout(t.Context(), RolloutChange{Plan: RolloutPlan{Primary: "a"}}, `"tag"`)
			return err
		}, "503 Service Unavailable: the registry is away"},
	} {
		t.Run(name, func(t *testing.T) {
			client, s := scripted(t, Options{}, c.step)
			err := c.ask(client)
			if err == nil || !strings.Contains(err.Error(), c.want) || len(s.requests) != 1 {
				t.Errorf("%d attempts: %v, want %q", len(s.requests), err, c.want)
			}
		})
	}
}

func TestRetriesAreBounded(t *testing.T) {
	away := says(503, `{"detail":"no model is running"}`, "Content-Type", "application/problem+json")
	for name, c := range map[string]struct {
		options  Options
		step     func(*http.Request) (*http.Response, error)
		attempts int
		most     time.Duration
	}{
		"in number":                   {Options{}, away, 4, time.Second},
		"in number, as asked":         {Options{Attempts: 2}, away, 2, time.Second},
		"in time":                     {Options{Attempts: 1000}, away, 0, 30 * time.Second},
		"in time, hanging":            {Options{Attempts: 1000, Patience: 25 * time.Second}, hangs, 3, 25 * time.Second},
		"by what the service asks":    {Options{}, says(429, `{}`, "Retry-After", "31"), 1, 0},
		"by a date of the service":    {Options{}, says(503, `{}`, "Retry-After", "Sat, 01 Jan 2050 00:00:00 GMT"), 1, 0},
		"with a wait that is absurd":  {Options{Wait: 1 << 62, Attempts: 3}, away, 3, 15 * time.Second},
		"by one attempt":              {Options{Attempts: 1}, away, 1, 0},
		"with an answer that is vast": {Options{}, says(502, strings.Repeat("x", 2<<20)), 4, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, s := scripted(t, c.options, c.step)
				start := time.Now()
				_, err := client.Predict(t.Context(), oneHouse)
				took := time.Since(start)
				if err == nil || took > c.most || c.attempts > 0 && len(s.requests) != c.attempts {
					t.Errorf("%d attempts in %v: %v", len(s.requests), took, err)
				}
				var said *Error
				if errors.As(err, &said) && said.Attempts != len(s.requests) {
					t.Errorf("the error says %d attempts, there were %d", said.Attempts, len(s.requests))
				}
			})
		})
	}
}

func TestACallEndsWithItsContext(t *testing.T) {
	for name, step := range map[string]func(*http.Request) (*http.Response, error){
		"while it waits": says(503, `{}`, "Retry-After", "5"), "while it is asked": hangs,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, _ := scripted(t, Options{}, step)
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				start := time.Now()
				_, err := client.Predict(ctx, oneHouse)
				if !errors.Is(err, context.Canceled) || time.Since(start) != time.Second {
					t.Errorf("after %v: %v", time.Since(start), err)
				}
			})
		})
	}
}

func TestTokensOfAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	source := TokenFile(path)
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := source(t.Context()); err == nil {
		t.Error("a token without a file")
	}
	for text, good := range map[string]bool{"one\n": true, "two": true, "": false, "t w o": false, strings.Repeat("x", maxTokenFile+1): false} {
		write(text)
		token, err := source(t.Context())
		if (err == nil) != good || good && token != strings.TrimSpace(text) {
			t.Errorf("%.20q: %q, %v", text, token, err)
		}
	}
	write("")
	client, s := scripted(t, Options{Token: source}, says(200, good))
	if _, err := client.Predict(t.Context(), oneHouse); err == nil || len(s.requests) != 0 {
		t.Errorf("without its token the call is made: %v", err)
	}
}

func TestAddresses(t *testing.T) {
	for address, good := range map[string]bool{
		"http://127.0.0.1:8000": true, "https://prices.example.com/a/b/": true, "127.0.0.1:8000": false, "ftp://x": false, "http://": false,
		"http://ann:secret@x": false, "http://x?a=b": false, "http://x#a": false, "http://[::1": false,
	} {
		_, err := New(address, Options{})
		if (err == nil) != good || err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// FuzzAnswer reads whatever may answer: the call returns what was asked for,
// or an error.
func FuzzAnswer(f *testing.F) {
	f.Add(200, "application/json", "", []byte(good))
	f.Add(422, "application/problem+json; charset=utf-8", "0", []byte(`{"errors":[{"location":"body.records[99999999999].x","value":1e999}]}`))
	f.Add(503, "text/html", "Sat, 01 Jan 2050 00:00:00 GMT", []byte("<html>"))
	f.Add(429, ";", "99999999999999999999", []byte("{"))
	f.Fuzz(func(t *testing.T, status int, kind, after string, body []byte) {
		answer := &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {kind}, "Retry-After": {after}}, Body: io.NopCloser(bytes.NewReader(body))}
		client, _ := scripted(t, Options{Attempts: 1}, func(*http.Request) (*http.Response, error) { return answer, nil })
		p, err := client.Predict(t.Context(), oneHouse)
		if (err == nil) != (p != nil) || p != nil && len(p.Predictions) != 1 {
			t.Errorf("%v, %v", p, err)
		}
		var said *Error
		if !errors.As(err, &said) {
			return
		}
		if said.Error() == "" || said.RetryAfter < 0 || said.Status != status {
			t.Errorf("%+v", said)
		}
		for _, fault := range said.Faults {
			if i, _, ok := fault.Record(); ok && i < 0 {
				t.Errorf("record %d", i)
			}
		}
	})
}
