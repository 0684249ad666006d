package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
)

// TokenSource returns the bearer token to send. It is called for each
// attempt, by several goroutines at once, so one that asks an issuer keeps the
// token until shortly before it ends.
type TokenSource func(ctx context.Context) (string, error)

// StaticToken always gives the same token.
func StaticToken(token string) TokenSource {
	return func(context.Context) (string, error) { return token, nil }
}

// maxTokenFile bounds a file of a token, in bytes.
const maxTokenFile = 64 << 10

// TokenFile reads the token from a file each time, so that one that is
// replaced, as Kubernetes does with projected tokens, is used at once.
func TokenFile(path string) TokenSource {
	return func(context.Context) (string, error) {
		info, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		if info.Size() > maxTokenFile {
			return "", fmt.Errorf("%s has %d bytes, too many for a token", path, info.Size())
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		token := bytes.TrimSpace(text)
		if len(token) == 0 || bytes.ContainsAny(token, " \r\n\t") {
			return "", errors.New(path + " does not hold a token")
		}
		return string(token), nil
	}
}
