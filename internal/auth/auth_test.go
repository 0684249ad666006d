package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	secret      = "the-secret-of-these-tests-is-long-enough"
	otherSecret = "another-secret-that-is-long-enough-as-well"
	issuerName  = "https://issuer.example"
	audName     = "housing"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// private are the keys of the issuer of the tests.
var private = sync.OnceValue(func() map[string]crypto.Signer {
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	_, d, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return map[string]crypto.Signer{"RS256": r, "ES256": e, "EdDSA": d}
})

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// publicJWK returns the JWK of a key; more members win.
func publicJWK(key crypto.Signer, kid string, more map[string]any) map[string]any {
	m := map[string]any{"kid": kid, "use": "sig"}
	switch k := key.Public().(type) {
	case *rsa.PublicKey:
		m["kty"], m["n"], m["e"] = "RSA", b64(k.N.Bytes()), b64(big.NewInt(int64(k.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			panic(err)
		}
		m["kty"], m["crv"], m["x"], m["y"] = "EC", "P-256", b64(point[1:33]), b64(point[33:])
	case ed25519.PublicKey:
		m["kty"], m["crv"], m["x"] = "OKP", "Ed25519", b64(k)
	}
	for name, value := range more {
		m[name] = value
	}
	return m
}

func keySetText(keys ...map[string]any) string {
	text, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		panic(err)
	}
	return string(text)
}

func ourKeys() string {
	return keySetText(publicJWK(private()["RS256"], "r", nil), publicJWK(private()["ES256"], "e", nil), publicJWK(private()["EdDSA"], "d", nil))
}

// claimsOf are good claims, changed by pairs; a nil value takes one away.
func claimsOf(pairs ...any) jwt.MapClaims {
	c := jwt.MapClaims{"sub": "ann", "scope": "predict", "iss": issuerName, "aud": audName, "exp": now.Add(time.Hour).Unix()}
	for i := 0; i < len(pairs); i += 2 {
		name := pairs[i].(string)
		if c[name] = pairs[i+1]; pairs[i+1] == nil {
			delete(c, name)
		}
	}
	return c
}

// sign signs claims; the header is changed by pairs.
func sign(algorithm string, key any, c jwt.Claims, pairs ...any) string {
	t := jwt.NewWithClaims(jwt.GetSigningMethod(algorithm), c)
	for i := 0; i < len(pairs); i += 2 {
		t.Header[pairs[i].(string)] = pairs[i+1]
	}
	token, err := t.SignedString(key)
	if err != nil {
		panic(err)
	}
	return token
}

// signText signs any text as claims.
func signText(head, text string) string {
	signed := b64([]byte(head)) + "." + b64([]byte(text))
	signature, err := jwt.SigningMethodHS256.Sign(signed, []byte(secret))
	if err != nil {
		panic(err)
	}
	return signed + "." + b64(signature)
}

// newVerifier returns a verifier that trusts the secret and the issuer's keys.
func newVerifier(t testing.TB) *Verifier {
	t.Helper()
	secrets, err := ParseSecrets(secret + "\n" + otherSecret)
	if err != nil {
		t.Fatal(err)
	}
	issuer := NewIssuer("http://127.0.0.1:1", nil, nil)
	keys, err := parseKeys([]byte(ourKeys()))
	if err != nil {
		t.Fatal(err)
	}
	issuer.keys.Store(keys)
	return New(Options{Secrets: secrets, Issuer: issuer, IssuerName: issuerName, AudienceName: audName, Now: func() time.Time { return now }})
}

func TestGoodTokens(t *testing.T) {
	v := newVerifier(t)
	k := private()
	for name, token := range map[string]string{
		"HS256":                      sign("HS256", []byte(secret), claimsOf()),
		"HS256 by the older secret":  sign("HS256", []byte(otherSecret), claimsOf()),
		"HS256 with a kid":           sign("HS256", []byte(secret), claimsOf(), "kid", "2026-11"),
		"RS256":                      sign("RS256", k["RS256"], claimsOf(), "kid", "r"),
		"ES256":                      sign("ES256", k["ES256"], claimsOf(), "kid", "e"),
		"EdDSA":                      sign("EdDSA", k["EdDSA"], claimsOf(), "kid", "d"),
		"the only key of its kind":   sign("EdDSA", k["EdDSA"], claimsOf()),
		"expired within the skew":    sign("HS256", []byte(secret), claimsOf("exp", now.Add(-29*time.Second).Unix())),
		"valid within the skew":      sign("HS256", []byte(secret), claimsOf("nbf", now.Add(29*time.Second).Unix())),
		"one of several audiences":   sign("HS256", []byte(secret), claimsOf("aud", []string{"other", audName})),
		"a fraction of a second":     sign("HS256", []byte(secret), claimsOf("exp", float64(now.Unix())+0.5)),
		"claims that we do not know": sign("HS256", []byte(secret), claimsOf("roles", []string{"x"}, "SUB", "eve")),
		"scopes that we do not know": sign("HS256", []byte(secret), claimsOf("scope", "openid predict admin")),
	} {
		caller, err := v.Verify(t.Context(), token)
		if want := (Caller{"ann", Predict}); err != nil || caller != want {
			t.Errorf("%s: %+v, %v", name, caller, err)
		}
	}
}

// hostileTokens are tokens that must be refused, and why.
func hostileTokens() map[string]struct {
	token  string
	reason Reason
} {
	k := private()
	hs := func(pairs ...any) string { return sign("HS256", []byte(secret), claimsOf(pairs...)) }
	rsaKey := k["RS256"].Public().(*rsa.PublicKey)
	attacker, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	const head = `{"alg":"HS256","typ":"JWT"}`
	const claims = `{"sub":"ann","scope":"predict","iss":"` + issuerName + `","aud":"housing","exp":99999999999`
	good := hs()
	return map[string]struct {
		token  string
		reason Reason
	}{
		"alg none":                          {sign("none", jwt.UnsafeAllowNoneSignatureType, claimsOf()), Algorithm},
		"alg None":                          {b64([]byte(`{"alg":"None"}`)) + "." + b64([]byte(claims+"}")) + ".", Algorithm},
		"no alg":                            {signText(`{"typ":"JWT"}`, claims+"}"), Algorithm},
		"alg twice":                         {signText(`{"alg":"none","alg":"HS256"}`, claims+"}"), Malformed},
		"HS384":                             {sign("HS384", []byte(secret), claimsOf()), Algorithm},
		"PS256":                             {sign("PS256", k["RS256"], claimsOf(), "kid", "r"), Algorithm},
		"HS256 by the RSA key's modulus":    {sign("HS256", rsaKey.N.Bytes(), claimsOf(), "kid", "r"), Signature},
		"HS256 by the JWK's text":           {sign("HS256", []byte(b64(rsaKey.N.Bytes())), claimsOf()), Signature},
		"HS256 by the RSA key in PEM":       {sign("HS256", pemOf(rsaKey), claimsOf(), "kid", "r"), Signature},
		"HS256 by nothing":                  {sign("HS256", []byte{}, claimsOf()), Signature},
		"HS256 by another secret":           {sign("HS256", []byte("a-secret-that-nobody-here-ever-heard-of"), claimsOf()), Signature},
		"ES256 by the kid of the RSA key":   {sign("ES256", k["ES256"], claimsOf(), "kid", "r"), Signature},
		"RS256 by the kid of the EC key":    {sign("RS256", k["RS256"], claimsOf(), "kid", "e"), Signature},
		"an unknown kid":                    {sign("RS256", k["RS256"], claimsOf(), "kid", "unknown"), Signature},
		"a kid with a path":                 {sign("HS256", []byte(secret), claimsOf(), "kid", "../../../../dev/null"), Malformed},
		"RS256, a kid with a path":          {sign("RS256", k["RS256"], claimsOf(), "kid", "../../dev/null"), Signature},
		"a kid with SQL":                    {sign("HS256", []byte(secret), claimsOf(), "kid", "x' UNION SELECT 'a"), Malformed},
		"a kid that is a number":            {sign("HS256", []byte(secret), claimsOf(), "kid", 7), Malformed},
		"a kid without end":                 {sign("RS256", k["RS256"], claimsOf(), "kid", strings.Repeat("k", 257)), Malformed},
		"an embedded jwk":                   {sign("RS256", attacker, claimsOf(), "kid", "r", "jwk", publicJWK(attacker, "r", nil)), Malformed},
		"an embedded jwk, rightly signed":   {sign("HS256", []byte(secret), claimsOf(), "jwk", map[string]any{"kty": "oct", "k": "AA"}), Malformed},
		"jku":                               {sign("RS256", attacker, claimsOf(), "kid", "r", "jku", "http://evil.example/keys"), Malformed},
		"x5u":                               {sign("RS256", attacker, claimsOf(), "kid", "r", "x5u", "http://evil.example/keys"), Malformed},
		"x5c":                               {sign("RS256", attacker, claimsOf(), "kid", "r", "x5c", []string{"MIIB"}), Malformed},
		"crit":                              {sign("HS256", []byte(secret), claimsOf(), "crit", []string{"exp"}), Malformed},
		"crit null":                         {sign("HS256", []byte(secret), claimsOf(), "crit", nil), Malformed},
		"another's RSA key":                 {sign("RS256", attacker, claimsOf(), "kid", "r"), Signature},
		"expired":                           {hs("exp", now.Add(-31*time.Second).Unix()), Expired},
		"not yet valid":                     {hs("nbf", now.Add(31*time.Second).Unix()), NotYetValid},
		"without exp":                       {hs("exp", nil), WrongClaims},
		"exp null":                          {hs("exp", json.RawMessage("null")), WrongClaims},
		"exp as text":                       {hs("exp", "99999999999"), Malformed},
		"exp beyond time":                   {hs("exp", json.RawMessage("1e300")), Malformed},
		"exp of nine quintillion":           {hs("exp", json.RawMessage("9223372036854775807")), Malformed},
		"exp before time":                   {hs("exp", -1), Malformed},
		"wrong issuer":                      {hs("iss", "https://evil.example"), WrongClaims},
		"without issuer":                    {hs("iss", nil), WrongClaims},
		"wrong audience":                    {hs("aud", "other"), WrongClaims},
		"without audience":                  {hs("aud", nil), WrongClaims},
		"no audience in the list":           {hs("aud", []string{}), WrongClaims},
		"audience as a number":              {hs("aud", 1), Malformed},
		"without user":                      {hs("sub", nil), WrongClaims},
		"empty user":                        {hs("sub", ""), WrongClaims},
		"user as a number":                  {hs("sub", 5), Malformed},
		"a user without end":                {hs("sub", strings.Repeat("u", 257)), WrongClaims},
		"doubled exp":                       {signText(head, claims+`,"exp":99999999998}`), Malformed},
		"doubled sub":                       {signText(head, claims+`,"sub":"eve"}`), Malformed},
		"doubled scope":                     {signText(head, claims+`,"scope":"models:write"}`), Malformed},
		"doubled, one of them escaped":      {signText(head, claims+`,"\u0073ub":"eve"}`), Malformed},
		"claims with more after the end":    {signText(head, claims+`}{}`), Malformed},
		"claims that are a list":            {signText(head, `[]`), Malformed},
		"claims in broken UTF-8":            {signText(head, claims+",\"x\":\"\xff\"}"), Malformed},
		"claims nested deep":                {signText(head, strings.Repeat("[", 4000)), Malformed},
		"scope as a list":                   {hs("scope", []string{"predict"}), Malformed},
		"1 MiB long":                        {hs("x", strings.Repeat("x", 1<<20)), Malformed},
		"one byte too long":                 {strings.Repeat("a", maxToken+1), Malformed},
		"truncated":                         {good[:len(good)-1], Malformed},
		"without signature":                 {good[:strings.LastIndexByte(good, '.')+1], Signature},
		"two parts":                         {good[:strings.LastIndexByte(good, '.')], Malformed},
		"four parts":                        {good + ".AAAA", Malformed},
		"encrypted":                         {"eyJhbGciOiJSU0EtT0FFUCJ9.a.b.c.d", Malformed},
		"padded":                            {good + "=", Malformed},
		"a line break inside":               {good[:10] + "\n" + good[10:], Malformed},
		"another character in the claims":   {strings.Replace(good, ".", ".AAAA", 1), Signature},
		"stray bits in the last character":  {strayBits(good), Malformed},
		"empty":                             {"", Malformed},
		"dots":                              {"..", Malformed},
		"not base64":                        {"a.b?.c", Malformed},
		"a signature of another token":      {good[:strings.LastIndexByte(good, '.')] + hs("sub", "eve")[strings.LastIndexByte(hs("sub", "eve"), '.'):], Signature},
		"ES256 of zeros":                    {zeroSignature(), Signature},
		"an RSA signature of another width": {b64([]byte(`{"alg":"RS256","kid":"r"}`)) + "." + b64([]byte(claims+"}")) + "." + b64(make([]byte, 5000)), Signature},
	}
}

// pemOf returns a public key as a file of it holds it, which is what a
// verifier that mistakes keys would take for the secret.
func pemOf(key *rsa.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// strayBits changes bits of the last character that stand for no byte.
func strayBits(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	return token[:len(token)-1] + string(alphabet[last^1])
}

// zeroSignature is r = s = 0, which careless verifiers took for any token.
func zeroSignature() string {
	return b64([]byte(`{"alg":"ES256","kid":"e"}`)) + "." + b64([]byte(`{"sub":"a","exp":99999999999}`)) + "." + b64(make([]byte, 64))
}

func TestHostileTokens(t *testing.T) {
	v := newVerifier(t)
	for name, c := range hostileTokens() {
		caller, err := v.Verify(t.Context(), c.token)
		var refused *Error
		if !errors.As(err, &refused) || refused.Reason != c.reason || caller != (Caller{}) {
			t.Errorf("%s: %+v, %v; want the reason %s", name, caller, err, c.reason)
			continue
		}
		if len(c.token) > 20 && strings.Contains(err.Error(), c.token[:20]) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error tells the token: %v", name, err)
		}
	}
}

func TestKeysOfOneKindAreNotTakenForTheOther(t *testing.T) {
	secrets, err := ParseSecrets(secret)
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]*Verifier{"no issuer": New(Options{Secrets: secrets}), "nothing": New(Options{})} {
		if _, err := v.Verify(t.Context(), sign("EdDSA", private()["EdDSA"], claimsOf(), "kid", "d")); !errors.Is(err, errAlgorithm) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(Options{}).Verify(t.Context(), sign("HS256", []byte(secret), claimsOf())); !errors.Is(err, errAlgorithm) {
		t.Errorf("no secret: %v", err)
	}
}

func TestBearer(t *testing.T) {
	for _, c := range []struct {
		values []string
		token  string
		reason Reason
	}{
		{[]string{"Bearer abc"}, "abc", ""},
		{[]string{"bearer   abc"}, "abc", ""},
		{nil, "", Missing},
		{[]string{"Basic dTpw"}, "", Missing},
		{[]string{""}, "", Missing},
		{[]string{"Bearer"}, "", Malformed},
		{[]string{"Bearer "}, "", Malformed},
		{[]string{"Bearer a", "Bearer b"}, "", Malformed},
	} {
		token, err := Bearer(c.values)
		var refused *Error
		if errors.As(err, &refused); token != c.token || (refused == nil) != (c.reason == "") || refused != nil && refused.Reason != c.reason {
			t.Errorf("%q: %q, %v", c.values, token, err)
		}
	}
}

func TestScopes(t *testing.T) {
	all, err := ParseScopes("models:write predict,models:read outcomes")
	if err != nil || all.String() != "predict outcomes models:read models:write" || readScopes(all.String()) != all {
		t.Errorf("%v, %v", all, err)
	}
	if _, err := ParseScopes("predict admin"); err == nil || !strings.Contains(err.Error(), `"admin" is not a scope`) {
		t.Errorf("got %v", err)
	}
	if Predict.Has(Predict|Outcomes) || !all.Has(Outcomes) || Scopes(0).String() != "" {
		t.Error("sets of scopes are wrong")
	}
}

func TestUserHash(t *testing.T) {
	a := UserHash([]byte("k"), "ann")
	if len(a) != 16 || a != UserHash([]byte("k"), "ann") || a == UserHash([]byte("l"), "ann") || a == UserHash([]byte("k"), "bob") || UserHash(nil, "") != "" {
		t.Errorf("hash %q", a)
	}
}

// served serves a key set, which a test may change.
type served struct {
	*httptest.Server
	mu      sync.Mutex
	answer  func(w http.ResponseWriter, r *http.Request)
	fetches int
}

func serveKeys(t testing.TB, text string) *served {
	s := &served{}
	s.set(text)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		answer := s.answer
		s.fetches++
		s.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *served) set(text string) {
	s.handle(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) })
}

func (s *served) handle(answer func(w http.ResponseWriter, r *http.Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

func (s *served) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetches
}

// runIssuer runs an issuer until the test ends.
func runIssuer(t testing.TB, url string, report func(error)) *Issuer {
	issuer := NewIssuer(url, &http.Transport{DisableKeepAlives: true}, report)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { issuer.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return issuer
}
