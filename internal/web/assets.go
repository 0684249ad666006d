package web

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"path"
)

//go:embed assets
var embedded embed.FS

// styleSheet stands in the head of every page: a browser that had to fetch it
// first would paint the page some 40 ms later, on two busy cores.
//
//go:embed style.css
var styleSheet string

// startScript stands there too, and reads the script of the page once the page
// has been painted: to read and run that first takes a browser some 10 ms longer.
//
//go:embed start.js
var startScript string

//go:embed icon.svg
var icon []byte

// iconURI has no address of its own, so that nobody has to ask for it.
var iconURI = "data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString(icon)

// Policy is the content security policy of the pages: what stands in their own
// head, and files and answers of this service alone.
var Policy = "default-src 'none'; script-src 'self' 'sha256-" + digest(startScript) + "'; style-src 'sha256-" + digest(styleSheet) + "'; " +
	"img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Asset is a script.
type Asset struct {
	Body []byte
	ETag string
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
		assets[e.Name()] = Asset{body, `"` + hex.EncodeToString(digest[:8]) + `"`}
	}
	return assets
}
