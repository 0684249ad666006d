package auth

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestSecretsThatAreNotTaken(t *testing.T) {
	for name, text := range map[string]string{
		"none": "", "blank lines": "\n\n", "31 bytes": strings.Repeat("s", 31), "one of two short": secret + "\nshort",
		"nine": strings.Repeat(secret+"\n", 9),
	} {
		if _, err := ParseSecrets(text); err == nil || strings.Contains(err.Error(), "sss") || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParseSecrets("\r\n" + secret + "\r\n" + otherSecret + "\n"); err != nil {
		t.Error(err)
	}
}

func TestSecretsAreReplacedWithoutATokenRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		text, broken := secret, error(nil)
		change := func(to string, err error) { mu.Lock(); defer mu.Unlock(); text, broken = to, err }
		secrets, err := ParseSecrets(secret)
		if err != nil {
			t.Fatal(err)
		}
		var reports []error
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			secrets.Follow(ctx, time.Second, func() (string, error) { mu.Lock(); defer mu.Unlock(); return text, broken },
				func(err error) { reports = append(reports, err) })
		}()
		v := New(Options{Secrets: secrets, Now: func() time.Time { return now }})
		good := func(what string, wanted map[string]bool) {
			t.Helper()
			time.Sleep(2 * time.Second)
			for s, want := range wanted {
				if _, err := v.Verify(ctx, sign("HS256", []byte(s), claimsOf())); (err == nil) != want {
					t.Errorf("%s: %v", what, err)
				}
			}
		}
		good("before", map[string]bool{secret: true, otherSecret: false})
		change(otherSecret+"\n"+secret, nil)
		good("both", map[string]bool{secret: true, otherSecret: true})
		change(otherSecret, nil)
		good("after", map[string]bool{secret: false, otherSecret: true})
		change("short", nil)
		good("broken", map[string]bool{otherSecret: true})
		change("", errors.New("the file is gone"))
		good("gone", map[string]bool{otherSecret: true})
		change(secret, nil)
		good("back", map[string]bool{secret: true, otherSecret: false})
		stop()
		<-done
		var told []bool
		for _, err := range reports {
			told = append(told, err == nil)
		}
		if want := []bool{true, true, false, false, true}; len(told) != len(want) {
			t.Errorf("reported %v", reports)
		}
	})
}

func TestSignedTokensAreGood(t *testing.T) {
	v := newVerifier(t)
	token, err := v.secrets.Sign(Claims{User: "ann", Scopes: Predict | ModelsRead, Issuer: issuerName, Audience: audName, IssuedAt: now, Expires: now.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if caller, err := v.Verify(t.Context(), token); err != nil || caller != (Caller{"ann", Predict | ModelsRead}) {
		t.Errorf("%+v, %v", caller, err)
	}
	if _, err := v.secrets.Sign(Claims{}); err == nil {
		t.Error("a token for nobody")
	}
}

func BenchmarkVerify(b *testing.B) {
	v := newVerifier(b)
	k := private()
	for _, c := range []struct{ name, token string }{
		{"HS256", sign("HS256", []byte(secret), claimsOf())},
		{"RS256", sign("RS256", k["RS256"], claimsOf(), "kid", "r")},
		{"ES256", sign("ES256", k["ES256"], claimsOf(), "kid", "e")},
		{"EdDSA", sign("EdDSA", k["EdDSA"], claimsOf(), "kid", "d")},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), c.token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
