package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"path"
	"strings"
)

//go:embed assets
var embedded embed.FS

// Policy is the content security policy of the pages: files and answers of
// this service alone.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// Asset is a style sheet or a script.
type Asset struct {
	Body        []byte
	ContentType string
	ETag        string
}

// Assets returns the files of the pages by name.
func Assets() map[string]Asset {
	assets := map[string]Asset{}
	entries, err := fs.ReadDir(embedded, "assets")
	if err != nil {
		panic(err) // they are embedded
	}
	for _, e := range entries {
		body, err := embedded.ReadFile(path.Join("assets", e.Name()))
		if err != nil {
			panic(err)
		}
		digest := sha256.Sum256(body)
		assets[e.Name()] = Asset{body, contentType(e.Name()), `"` + hex.EncodeToString(digest[:8]) + `"`}
	}
	return assets
}

func contentType(name string) string {
	switch {
	case strings.HasSuffix(name, ".css"):
		return "text/css; charset=utf-8"
	case strings.HasSuffix(name, ".js"):
		return "text/javascript; charset=utf-8"
	}
	return "image/svg+xml"
}
