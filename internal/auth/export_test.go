package auth

// What the tests from outside need of those inside.
var (
	NewTestVerifier = newVerifier
	SharedSecret    = secret
)

// HostileTokens returns tokens that must be refused, by what is wrong.
func HostileTokens() map[string]string {
	tokens := map[string]string{}
	for name, c := range hostileTokens() {
		tokens[name] = c.token
	}
	return tokens
}
