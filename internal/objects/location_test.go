package objects

import (
	"strings"
	"testing"
)

func TestLocations(t *testing.T) {
	for _, good := range []string{"models", "/srv/models", "file:///srv/models", "file://localhost/srv", "s3://b", "s3://b/", "s3://b/p/q", "gs://b/p",
		"s3://b/p?region=eu-west-1&endpoint=http://127.0.0.1:7070&path_style=false&profile=x", "gs://b?endpoint=http://localhost:4443"} {
		if err := CheckLocation(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for bad, want := range map[string]string{
		"": "no place", "ftp://h/p": "not known", "file://host/p": "not a folder", "file://": "not a folder", "s3://": "names no bucket", "s3:///p": "names no bucket",
		"s3://b/../c": "of dots alone", "s3://b/c//d": "of dots alone", "s3://b?more=1": "option", "s3://b?region=a&region=b": "at most once", "s3://b?region=": "with a value",
		"s3://b?endpoint=127.0.0.1": "option endpoint", "s3://b?endpoint=ftp://h": "option endpoint", "s3://b?endpoint=http://u:p@h": "option endpoint",
		"s3://key:hunter2@b/p": "without user", "s3://b?path_style=yes": "path_style", "gs://b?region=x": "option", "s3://b:1/p": "names no bucket", "s3://b/%zz": "can be used",
	} {
		if err := CheckLocation(bad); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v, want an error with %q", bad, err, want)
		}
	}
}

func FuzzCheckLocation(f *testing.F) {
	for _, seed := range []string{"models", "file:///a", "s3://b/p?region=r&endpoint=http://h:1", "gs://b/../p"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if CheckLocation(text) == nil && strings.HasPrefix(text, "s3://") && strings.Contains(text, "/../") && !strings.Contains(text, "?") {
			t.Errorf("%q leads out of its bucket's prefix", text)
		}
	})
}
