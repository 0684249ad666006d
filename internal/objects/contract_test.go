package objects_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"housing/internal/objects"
	"housing/internal/registry/registrytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestEveryStoreDoesTheSame holds each place to the contract of a store.
func TestEveryStoreDoesTheSame(t *testing.T) {
	for name, location := range map[string]func(t *testing.T) string{
		"folder": func(t *testing.T) string { return t.TempDir() },
		"s3":     func(t *testing.T) string { return registrytest.NewS3(t).Location("p/q") },
		"gs":     func(t *testing.T) string { return registrytest.NewGS(t).Location("p/q") },
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			s, err := objects.Open(ctx, location(t))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			write := func(key, text, tag string) error { return s.Write(ctx, key, strings.NewReader(text), tag) }
			check := func(what string, err, want error) {
				t.Helper()
				if !errors.Is(err, want) {
					t.Errorf("%s: %v, want %v", what, err, want)
				}
			}
			keys, err := s.List(ctx, "")
			if err != nil || len(keys) != 0 {
				t.Fatalf("an empty store has %q, %v", keys, err)
			}
			_, _, err = s.Read(ctx, "a/one", "")
			check("read what is not there", err, objects.ErrAbsent)
			_, err = s.Size(ctx, "a/one")
			check("size of what is not there", err, objects.ErrAbsent)
			for _, key := range []string{"b/two", "a/one", "a/two", "a/deep/one", "top"} {
				check("write "+key, write(key, "text of "+key, ""), nil)
			}
			check("write again", write("a/one", "other", ""), objects.ErrTaken)
			text, tag, err := s.Read(ctx, "a/one", "")
			if err != nil || string(text) != "text of a/one" {
				t.Errorf("read %q, %v", text, err)
			}
			_, _, err = s.Read(ctx, "a/one", tag)
			check("read unchanged", err, objects.ErrUnchanged)
			check("replace", write("a/one", "other", tag), nil)
			check("replace what has changed", write("a/one", "third", tag), objects.ErrTaken)
			body, size, err := s.Open(ctx, "a/one")
			if err != nil {
				t.Fatal(err)
			}
			if text, err := io.ReadAll(body); err != nil || string(text) != "other" || size != 5 || body.Close() != nil {
				t.Errorf("opened %q of %d bytes, %v", text, size, err)
			}
			if size, err := s.Size(ctx, "a/one"); err != nil || size != 5 {
				t.Errorf("size %d, %v", size, err)
			}
			for prefix, want := range map[string][]string{
				"":   {"a/deep/one", "a/one", "a/two", "b/two", "top"},
				"a/": {"a/deep/one", "a/one", "a/two"}, "c/": nil,
			} {
				if keys, err := s.List(ctx, prefix); err != nil || !slices.Equal(keys, want) {
					t.Errorf("below %q: %q, %v", prefix, keys, err)
				}
			}
			if holders, err := s.Holders(ctx, "two", func(string) bool { return true }); err != nil || !slices.Equal(holders, []string{"a", "b"}) {
				t.Errorf("holders %q, %v", holders, err)
			}
			check("delete", s.Delete(ctx, "a/two"), nil)
			check("delete what is not there", s.Delete(ctx, "a/two"), nil)
			_, _, err = s.Open(ctx, "a/two")
			check("open what was deleted", err, objects.ErrAbsent)
			check("replace what was deleted", write("a/two", "x", tag), objects.ErrTaken)
			check("write what was deleted", write("a/two", "x", ""), nil)
			for _, key := range []string{"b/two", "new/one"} {
				check("write "+key+" whatever is there", write(key, "whatever", objects.Whatever), nil)
				if text, _, err := s.Read(ctx, key, ""); err != nil || string(text) != "whatever" {
					t.Errorf("%s whatever was there: %q, %v", key, text, err)
				}
			}
			large := strings.Repeat("x", objects.MaxSmallBytes+1)
			check("write a large one", write("large", large, ""), nil)
			if _, _, err := s.Read(ctx, "large", ""); err == nil || !strings.Contains(err.Error(), "over the") {
				t.Errorf("a large object was read as a small one: %v", err)
			}
		})
	}
}
