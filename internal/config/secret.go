package config

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

// Secret is a setting that must not be seen: however it is printed, it shows
// as ***. Its value is string(s).
type Secret string

const hidden = "***"

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// Format hides the secret from every verb. Without it, one that does not fit,
// such as %d, would print the value to say so.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText hides the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue hides the secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// fileSuffix ends the name of a variable that names a file with a secret.
const fileSuffix = "_FILE"

// maxSecretBytes bounds a file with a secret.
const maxSecretBytes = 64 << 10

// ReadSecret returns what the file named by variable holds, without the end
// of its last line.
func ReadSecret(variable, path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", &Error{Source: variable, Problem: err.Error()}
	}
	if info.Size() > maxSecretBytes {
		return "", &Error{Source: variable, Problem: fmt.Sprintf("%s has %d bytes, more than %d", path, info.Size(), maxSecretBytes)}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", &Error{Source: variable, Problem: err.Error()}
	}
	secret := strings.TrimRight(string(text), "\r\n")
	if secret == "" {
		return "", &Error{Source: variable, Problem: path + " is empty"}
	}
	return secret, nil
}
