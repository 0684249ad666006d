package auth

import (
	"crypto/sha256"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"hash"
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

// TestTheTimeOfARefusalTellsNothing counts the work instead of measuring it:
// it is the same whichever secret signed a token, or none, and wherever the
// signature differs.
func TestTheTimeOfARefusalTellsNothing(t *testing.T) {
	all := make([]string, maxSecrets)
	for i := range all {
		all[i] = fmt.Sprintf("secret %d of this test, which is long", i)
	}
	secrets, err := ParseSecrets(strings.Join(all, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	hashed := 0
	secrets.hash = func() hash.Hash { hashed++; return sha256.New() }
	v := New(Options{Secrets: secrets, Now: func() time.Time { return now }})
	work := func(token string) int {
		hashed = 0
		_, _ = v.Verify(t.Context(), token) // whether it is good is for other tests
		return hashed
	}
	good := sign("HS256", []byte(all[0]), claimsOf())
	want := work(good)
	if want < maxSecrets {
		t.Fatalf("%d hashes for %d secrets: not all are tried", want, maxSecrets)
	}
	for i, s := range append(all, otherSecret) {
		if n := work(sign("HS256", []byte(s), claimsOf())); n != want {
			t.Errorf("secret %d: %d hashes, want %d", i, n, want)
		}
	}
	begin := strings.LastIndexByte(good, '.') + 1
	for _, at := range []int{begin, begin + 20, len(good) - 2} {
		other := []byte(good)
		if other[at] = 'A'; good[at] == 'A' {
			other[at] = 'B'
		}
		if n := work(string(other)); n != want {
			t.Errorf("another signature at %d: %d hashes, want %d", at-begin, n, want)
		}
	}
	if n := work(good[:begin] + "AAAA"); n != want {
		t.Errorf("a short signature: %d hashes, want %d", n, want)
	}
}

// TestSecretsAreComparedInConstantTime reads our own source: what compares
// MACs is of crypto/subtle or hmac.Equal, and nothing leaves the loop early.
func TestSecretsAreComparedInConstantTime(t *testing.T) {
	for file, function := range map[string]string{"secrets.go": "verify", "../cache/seal.go": "open"} {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		compared := false
		ast.Inspect(parsed, func(n ast.Node) bool {
			called, ok := n.(*ast.SelectorExpr)
			if of, named := (*ast.Ident)(nil), false; ok {
				if of, named = called.X.(*ast.Ident); named && (of.Name == "bytes" || of.Name == "reflect" || of.Name == "slices") && called.Sel.Name != "Clone" {
					t.Errorf("%s uses %s.%s", file, of.Name, called.Sel.Name)
				}
			}
			declared, ok := n.(*ast.FuncDecl)
			if !ok || declared.Name.Name != function {
				return true
			}
			ast.Inspect(declared, func(n ast.Node) bool {
				if called, ok := n.(*ast.SelectorExpr); ok {
					compared = compared || called.Sel.Name == "ConstantTimeCompare" || called.Sel.Name == "Equal"
				}
				if loop, ok := n.(*ast.RangeStmt); ok {
					ast.Inspect(loop.Body, func(n ast.Node) bool {
						switch n.(type) {
						case *ast.ReturnStmt, *ast.BranchStmt, *ast.IfStmt:
							t.Errorf("%s: the loop of %s depends on what it compares", file, function)
						}
						return true
					})
				}
				return true
			})
			return true
		})
		if !compared {
			t.Errorf("%s: %s compares nothing in constant time", file, function)
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

func FuzzSecrets(f *testing.F) {
	for _, seed := range []string{secret, secret + "\n" + otherSecret, "\r\n" + secret + "\r\n", "short", "", strings.Repeat(secret+"\n", 9)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		secrets, err := ParseSecrets(text)
		if err != nil {
			if len(text) > 20 && strings.Contains(err.Error(), text) {
				t.Errorf("the error tells the secret: %v", err)
			}
			return
		}
		all := *secrets.now.Load()
		if len(all) == 0 || len(all) > maxSecrets {
			t.Errorf("%d secrets", len(all))
		}
		for _, one := range all {
			if len(one) < minSecret || strings.ContainsAny(string(one), "\n") {
				t.Errorf("a secret of %d bytes was taken", len(one))
			}
		}
	})
}
