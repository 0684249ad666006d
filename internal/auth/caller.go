package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Caller is who asks, and what they may do.
type Caller struct {
	User   string // the claim sub, never empty
	Scopes Scopes
}

// Scopes is a set of scopes.
type Scopes uint8

// The scopes. A token may name others, which mean nothing here.
const (
	Predict Scopes = 1 << iota
	Outcomes
	ModelsRead
	ModelsWrite
)

// scopeNames are the scopes as the claim names them, in the order of their bits.
var scopeNames = [...]string{"predict", "outcomes", "models:read", "models:write"}

// Has says whether all of wanted are in the set.
func (s Scopes) Has(wanted Scopes) bool { return s&wanted == wanted }

// String returns the scopes as the claim has them: with spaces between.
func (s Scopes) String() string {
	var names []string
	for i, name := range scopeNames {
		if s.Has(1 << i) {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

// readScopes returns the scopes that a claim names and that we know.
func readScopes(claim string) (s Scopes) {
	for name := range strings.SplitSeq(claim, " ") {
		s |= scope(name)
	}
	return s
}

// ParseScopes reads scopes with spaces or commas between; all must be known.
func ParseScopes(text string) (s Scopes, err error) {
	for _, name := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' }) {
		known := scope(name)
		if known == 0 {
			return 0, fmt.Errorf("%q is not a scope: want some of %s", name, strings.Join(scopeNames[:], ", "))
		}
		s |= known
	}
	return s, nil
}

func scope(name string) Scopes {
	for i, known := range scopeNames {
		if name == known {
			return 1 << i
		}
	}
	return 0
}

// hashBytes is how much of a hash stands for a user: enough that two users of
// one log do not meet, too little to be worth more than its purpose.
const hashBytes = 8

// UserHash returns the word that stands for a user in logs: the same for the
// same user and key, and without the key of no use to find the user by
// guessing names. It is "" for nobody.
func UserHash(key []byte, user string) string {
	if user == "" {
		return ""
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(user))
	return hex.EncodeToString(mac.Sum(nil)[:hashBytes])
}
