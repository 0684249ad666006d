package auth

import (
	"strings"
	"testing"
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
	secrets, err := ParseSecrets(secret)
	if err != nil {
		t.Fatal(err)
	}
	v := New(Options{Secrets: secrets, Now: func() time.Time { return now }})
	for _, step := range []struct {
		name, text string
		taken      bool
		good       map[string]bool
	}{
		{"before", secret, true, map[string]bool{secret: true, otherSecret: false}},
		{"both", otherSecret + "\n" + secret, true, map[string]bool{secret: true, otherSecret: true}},
		{"after", otherSecret, true, map[string]bool{secret: false, otherSecret: true}},
		{"broken", "short", false, map[string]bool{otherSecret: true}},
		{"gone", "", false, map[string]bool{otherSecret: true}},
		{"back", secret, true, map[string]bool{secret: true, otherSecret: false}},
	} {
		if err := secrets.Set(step.text); (err == nil) != step.taken {
			t.Errorf("%s: %v", step.name, err)
		}
		for s, want := range step.good {
			if _, err := v.Verify(t.Context(), sign("HS256", []byte(s), claimsOf())); (err == nil) != want {
				t.Errorf("%s: %v", step.name, err)
			}
		}
	}
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
