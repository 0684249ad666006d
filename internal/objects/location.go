package objects

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// location is a parsed place for objects.
type location struct {
	scheme  string // "", s3 or gs
	path    string // of a folder
	bucket  string
	prefix  string // "" or with a slash at its end
	options map[string]string
}

// optionNames lists the options of a bucket's address.
var optionNames = map[string][]string{
	"s3": {"endpoint", "path_style", "profile", "region"},
	"gs": {"endpoint"},
}

// CheckLocation returns an error unless text can be the place for objects.
func CheckLocation(text string) error {
	_, err := parseLocation(text)
	return err
}

// parseLocation reads a path, file:///PATH, s3://BUCKET/PREFIX?OPTIONS or
// gs://BUCKET/PREFIX?OPTIONS. Its errors hold no option.
func parseLocation(text string) (location, error) {
	if text == "" {
		return location{}, fmt.Errorf("%q is no place for objects: want a folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX", text)
	}
	scheme, _, isURL := strings.Cut(text, "://")
	if !isURL {
		return location{path: text}, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.Fragment != "" || u.Opaque != "" {
		return location{}, fmt.Errorf("%.20q is not an address that can be used: want SCHEME://BUCKET/PREFIX, without user and #", scheme+"://…")
	}
	switch u.Scheme {
	case "file":
		if u.Host != "" && u.Host != "localhost" || !strings.HasPrefix(u.Path, "/") || u.RawQuery != "" {
			return location{}, fmt.Errorf("%q is not a folder: want file:///PATH", "file://"+u.Host+u.Path)
		}
		return location{path: u.Path}, nil
	case "s3", "gs":
		return parseBucket(u)
	}
	return location{}, fmt.Errorf("%.20q is not known: want a folder, file:///PATH, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX", scheme+"://")
}

func parseBucket(u *url.URL) (location, error) {
	at := location{scheme: u.Scheme, bucket: u.Host, prefix: strings.Trim(u.Path, "/"), options: map[string]string{}}
	if at.bucket == "" || strings.Contains(at.bucket, ":") {
		return location{}, fmt.Errorf("%.80q names no bucket: want %s://BUCKET/PREFIX", u.Scheme+"://"+u.Host, u.Scheme)
	}
	for part := range strings.SplitSeq(at.prefix, "/") {
		if part == "." || part == ".." || part == "" && at.prefix != "" {
			return location{}, fmt.Errorf("prefix %.80q has a part that is empty or of dots alone", at.prefix)
		}
	}
	if at.prefix != "" {
		at.prefix += "/"
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return location{}, fmt.Errorf("options of %s://%s cannot be read", u.Scheme, u.Host)
	}
	for name, values := range query {
		if !slices.Contains(optionNames[u.Scheme], name) || len(values) != 1 || values[0] == "" {
			return location{}, fmt.Errorf("option %.40q of %s://%s: want each at most once, with a value, of %s",
				name, u.Scheme, u.Host, strings.Join(optionNames[u.Scheme], ", "))
		}
		at.options[name] = values[0]
	}
	if end := at.options["endpoint"]; end != "" {
		e, err := url.Parse(end)
		if err != nil || e.Scheme != "http" && e.Scheme != "https" || e.Host == "" || e.User != nil || e.RawQuery != "" {
			return location{}, fmt.Errorf("option endpoint of %s://%s: want http://HOST:PORT or https://HOST", u.Scheme, u.Host)
		}
	}
	if style := at.options["path_style"]; style != "" && style != "true" && style != "false" {
		return location{}, fmt.Errorf("option path_style of %s://%s: want true or false", u.Scheme, u.Host)
	}
	return at, nil
}

// String returns the location without options.
func (l location) String() string {
	if l.scheme == "" {
		return l.path
	}
	return strings.TrimSuffix(l.scheme+"://"+l.bucket+"/"+l.prefix, "/")
}
