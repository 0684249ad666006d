package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// firstFetch returns a report and a function that waits for its first call.
func firstFetch() (report func(error), wait func() error) {
	reports := make(chan error, 100)
	return func(err error) { reports <- err }, func() error { return <-reports }
}

func TestTenThousandUnknownKeysCauseAHandfulOfFetches(t *testing.T) {
	s := serveKeys(t, ourKeys())
	report, fetched := firstFetch()
	v := New(Options{Issuer: runIssuer(t, s.URL, report), Now: func() time.Time { return now }})
	if err := fetched(); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for i := range 10_000 / 8 {
				token := b64(fmt.Appendf(nil, `{"alg":"EdDSA","kid":"%d-%d"}`, worker, i)) + ".e30." + b64(make([]byte, 64))
				if _, err := v.Verify(t.Context(), token); !errors.Is(err, errSignature) {
					t.Errorf("got %v", err)
				}
			}
		})
	}
	group.Wait()
	if n := s.count(); n > 3 {
		t.Errorf("%d fetches", n)
	}
}

func TestAnIssuerThatHangsSlowsNoKnownKey(t *testing.T) {
	s := serveKeys(t, ourKeys())
	report, fetched := firstFetch()
	issuer := runIssuer(t, s.URL, report)
	if err := fetched(); err != nil {
		t.Fatal(err)
	}
	release, entered := make(chan struct{}), make(chan struct{})
	defer close(release)
	s.handle(func(http.ResponseWriter, *http.Request) { close(entered); <-release })
	issuer.mu.Lock()
	issuer.prompt = true // as after the cooldown
	issuer.mu.Unlock()
	go func() { _ = issuer.fetch(t.Context()) }()
	<-entered
	v := New(Options{Issuer: issuer, Now: func() time.Time { return now }})
	token := sign("EdDSA", private()["EdDSA"], claimsOf(), "kid", "d")
	// It hangs until the test ends, so that one verification that waited for
	// it would keep the test from ending.
	for range 1000 {
		if _, err := v.Verify(context.Background(), token); err != nil {
			t.Fatal(err)
		}
	}
}

// transport answers in the place of a network, so that time can be fake.
type transport func() (status int, body string, err error)

func (f transport) RoundTrip(*http.Request) (*http.Response, error) {
	status, body, err := f()
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

func TestKeysAreRefreshedAndKeptWhileTheIssuerIsAway(t *testing.T) {
	text := ourKeys() // outside the bubble
	synctest.Test(t, func(t *testing.T) {
		var fetches atomic.Int32
		var away atomic.Bool
		var reports []error
		issuer := NewIssuer("https://issuer.example/keys", transport(func() (int, string, error) {
			fetches.Add(1)
			if away.Load() {
				return 0, "", errors.New("it is away")
			}
			return 200, text, nil
		}), func(err error) { reports = append(reports, err) })
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); issuer.Run(ctx) }()
		synctest.Wait()
		if fetches.Load() != 1 || issuer.keys.Load() == nil {
			t.Fatalf("%d fetches at the start", fetches.Load())
		}
		time.Sleep(refreshEvery + time.Second)
		if fetches.Load() != 2 {
			t.Errorf("%d fetches after ten minutes", fetches.Load())
		}
		away.Store(true)
		time.Sleep(time.Hour)
		if n := fetches.Load(); n < 200 || n > 400 {
			t.Errorf("%d fetches in an hour away, want about one in ten seconds or more", n)
		}
		if issuer.keys.Load() == nil {
			t.Error("the keys are gone")
		}
		away.Store(false)
		time.Sleep(lastRetry + time.Second)
		stop()
		<-done
		if reports[len(reports)-1] != nil {
			t.Errorf("it does not recover: %v", reports[len(reports)-1])
		}
	})
}

func TestANewKeyIsFetchedWhenATokenNamesIt(t *testing.T) {
	old := keySetText(publicJWK(private()["RS256"], "r", nil))
	all := ourKeys()
	token := sign("EdDSA", private()["EdDSA"], claimsOf(), "kid", "d")
	synctest.Test(t, func(t *testing.T) {
		var rotated atomic.Bool
		var fetches atomic.Int32
		issuer := NewIssuer("https://issuer.example/keys", transport(func() (int, string, error) {
			fetches.Add(1)
			if rotated.Load() {
				return 200, all, nil
			}
			return 200, old, nil
		}), func(error) {})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); issuer.Run(ctx) }()
		synctest.Wait()
		v := New(Options{Issuer: issuer, Now: func() time.Time { return now }})
		rotated.Store(true)
		start := time.Now()
		if _, err := v.Verify(ctx, token); !errors.Is(err, errSignature) || time.Since(start) != 0 {
			t.Errorf("within the cooldown: %v after %v", err, time.Since(start))
		}
		time.Sleep(cooldown + time.Second)
		if _, err := v.Verify(ctx, token); err != nil {
			t.Errorf("after it: %v", err)
		}
		if fetches.Load() != 2 {
			t.Errorf("%d fetches", fetches.Load())
		}
		stop()
		<-done
	})
}

func TestWithoutKeysNoTokenIsJudged(t *testing.T) {
	s := serveKeys(t, "")
	s.handle(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusBadGateway) })
	report, fetched := firstFetch()
	v := New(Options{Issuer: runIssuer(t, s.URL, report)})
	if err := fetched(); err == nil || !strings.Contains(err.Error(), "502") {
		t.Errorf("got %v", err)
	}
	if _, err := v.Verify(t.Context(), sign("EdDSA", private()["EdDSA"], claimsOf(), "kid", "d")); !errors.Is(err, ErrNoKeys) {
		t.Errorf("got %v", err)
	}
}

func TestAnswersOfAnIssuerThatAreRefused(t *testing.T) {
	elsewhere := serveKeys(t, ourKeys())
	many := make([]map[string]any, maxKeys+1)
	for i := range many {
		many[i] = publicJWK(private()["EdDSA"], fmt.Sprint(i), nil)
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		says   string
	}{
		"too large":   {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat(" ", maxKeysBytes+1)) }, "larger than"},
		"no JSON":     {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, "not a JWK set"},
		"no key":      {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"keys":[]}`) }, "no key"},
		"many keys":   {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, keySetText(many...)) }, "more than 100"},
		"a redirect":  {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }, "redirects"},
		"not allowed": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, "403"},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `{"keys"`)
		}, "EOF"},
	} {
		s := serveKeys(t, "")
		s.handle(c.answer)
		issuer := NewIssuer(s.URL, &http.Transport{DisableKeepAlives: true}, nil)
		if err := issuer.fetch(t.Context()); err == nil || !strings.Contains(err.Error(), c.says) || issuer.keys.Load() != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnIssuerThatIsAwayIsToldOfWithoutItsKey(t *testing.T) {
	elsewhere := serveKeys(t, "")
	elsewhere.handle(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/?key=hunter2", http.StatusFound) })
	for _, at := range []string{"http://127.0.0.1:1", elsewhere.URL} {
		issuer := NewIssuer(at+"/keys?key=hunter2", &http.Transport{DisableKeepAlives: true}, nil)
		if err := issuer.fetch(t.Context()); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("told %v", err)
		}
	}
}

func TestKeysThatAreNotTaken(t *testing.T) {
	k := private()
	for name, key := range map[string]map[string]any{
		"for encryption":      publicJWK(k["RS256"], "x", map[string]any{"use": "enc"}),
		"for signing alone":   publicJWK(k["RS256"], "x", map[string]any{"key_ops": []string{"sign"}}),
		"of another alg":      publicJWK(k["RS256"], "x", map[string]any{"alg": "RS512"}),
		"HS256 with RSA":      publicJWK(k["RS256"], "x", map[string]any{"alg": "HS256"}),
		"a secret":            {"kty": "oct", "kid": "x", "k": b64([]byte(secret)), "alg": "HS256"},
		"short":               publicJWK(k["RS256"], "x", map[string]any{"n": b64([]byte(strings.Repeat("\xff", 128)))}),
		"huge":                publicJWK(k["RS256"], "x", map[string]any{"n": b64([]byte(strings.Repeat("\xff", 2048)))}),
		"an exponent of 1":    publicJWK(k["RS256"], "x", map[string]any{"e": "AQ"}),
		"an even exponent":    publicJWK(k["RS256"], "x", map[string]any{"e": "AQAA"}),
		"a huge exponent":     publicJWK(k["RS256"], "x", map[string]any{"e": b64([]byte(strings.Repeat("\xff", 16)))}),
		"not on the curve":    publicJWK(k["ES256"], "x", map[string]any{"y": b64(make([]byte, 32))}),
		"another curve":       publicJWK(k["ES256"], "x", map[string]any{"crv": "P-384"}),
		"Ed25519 of 31 bytes": publicJWK(k["EdDSA"], "x", map[string]any{"x": b64(make([]byte, 31))}),
		"a kid without end":   publicJWK(k["EdDSA"], strings.Repeat("k", 257), nil),
		"of a wrong form":     {"kty": 1},
	} {
		if set, err := parseKeys([]byte(keySetText(key))); err == nil {
			t.Errorf("%s: taken as %v", name, set)
		}
		// And it does no harm to the keys beside it.
		set, err := parseKeys([]byte(keySetText(key, publicJWK(k["EdDSA"], "d", nil))))
		if err != nil || len(set.named) != 1 {
			t.Errorf("%s: beside a good one: %v", name, err)
		}
	}
	two := keySetText(publicJWK(k["EdDSA"], "d", nil), publicJWK(k["EdDSA"], "d2", nil))
	if set, err := parseKeys([]byte(two)); err != nil || set.find(&header{Algorithm: "EdDSA"}) != nil {
		t.Errorf("of two keys one is taken without a kid: %v", err)
	}
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte(ourKeys()))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQ","e":"AQAB"},{"kty":"EC","crv":"P-256","x":"","y":""}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		set, err := parseKeys(text)
		if (err == nil) != (set != nil && len(set.named)+len(set.only) > 0) && err == nil {
			// Keys that share an algorithm and have no kid can never be named.
			for name := range set.named {
				t.Errorf("%v is named and the set is empty", name)
			}
		}
	})
}

func FuzzVerify(f *testing.F) {
	v := newVerifier(f)
	for _, c := range hostileTokens() {
		if len(c.token) < 2*maxToken {
			f.Add(c.token)
		}
	}
	f.Fuzz(func(t *testing.T, token string) {
		caller, err := v.Verify(t.Context(), token)
		var refused *Error
		if err != nil && !errors.As(err, &refused) {
			t.Errorf("%v is no refusal", err)
		}
		if err == nil && caller.User == "" {
			t.Error("a caller without a name")
		}
	})
}
