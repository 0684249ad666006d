package registry_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"housing/internal/objects"
	"housing/internal/registry"
	"housing/internal/registry/registrytest"
)

func TestAFolderThatIsNotThere(t *testing.T) {
	_, err := registry.Open(t.Context(), filepath.Join(t.TempDir(), "none"))
	if !errors.Is(err, fs.ErrNotExist) || registry.ReasonOf(err) != objects.Missing {
		t.Errorf("got %v, %s", err, registry.ReasonOf(err))
	}
}

// TestReasons holds that a bucket that cannot be used says why in a word,
// and that the registry is there again by itself.
func TestReasons(t *testing.T) {
	server := registrytest.NewS3(t)
	open := func(location string) *registry.Registry {
		r, err := registry.Open(t.Context(), location)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		return r
	}
	r := open(server.Location("reasons"))
	check := func(name string, r *registry.Registry, want objects.Reason) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, _, err := r.State(ctx, "")
		if got := registry.ReasonOf(err); got != want || err != nil && !strings.Contains(err.Error(), string(want)) {
			t.Errorf("%s: reason %q, want %q: %v", name, got, want, err)
		}
	}
	check("well", r, "")
	check("no such bucket", open("s3://nothing/p?endpoint="+server.Endpoint), objects.Missing)
	server.Hang()
	check("hung", r, objects.Timeout)
	server.Resume()
	check("resumed", r, "")
	server.Kill()
	check("killed", r, objects.Unreachable)
	server.Start()
	check("started", r, "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	check("wrong secret", open(server.Location("reasons")), objects.Authentication)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	check("no credentials", open(server.Location("reasons")), objects.Authentication)
}

func TestReasonsOfGoogle(t *testing.T) {
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	defer server.Close()
	r, err := registry.Open(t.Context(), "gs://models?endpoint="+server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for answer, want := range map[int]objects.Reason{401: objects.Authentication, 403: objects.Permission, 429: objects.Overloaded, 503: objects.Overloaded, 500: objects.Other, 502: objects.Unreachable, 504: objects.Timeout} {
		status = answer
		if _, err := r.Versions(t.Context()); registry.ReasonOf(err) != want {
			t.Errorf("%d: %s, want %s: %v", answer, registry.ReasonOf(err), want, err)
		}
	}
}

// TestABodyOfAnotherSize holds that no more than what was declared is read,
// and no less is believed.
func TestABodyOfAnotherSize(t *testing.T) {
	for _, c := range []struct {
		name, size string
		body       string
	}{{"more", "3", "abcd"}, {"less", "5", "abcd"}, {"without end", "99999999999999", "abcd"}} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case !strings.HasSuffix(r.URL.Path, "/bundle"):
				w.WriteHeader(http.StatusNotFound)
			case r.FormValue("alt") == "media":
				w.(http.Flusher).Flush() // no length
				fmt.Fprint(w, c.body)
			default:
				fmt.Fprintf(w, `{"size":%q}`, c.size)
			}
		}))
		r, err := registry.Open(t.Context(), "gs://models?endpoint="+server.URL)
		if err != nil {
			t.Fatal(err)
		}
		var written strings.Builder
		if info, err := r.Fetch(t.Context(), "a", &written); err == nil || written.Len() > 4 {
			t.Errorf("%s: fetched %+v", c.name, info)
		}
		r.Close()
		server.Close()
	}
}

func TestAReadOnlyFolderCanBeReadAndNotChanged(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("the superuser may write anywhere")
	}
	dir := t.TempDir()
	putFile(t, filepath.Join(dir, "a", "bundle"), bytesA())
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	r, err := registry.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	s := state(t, r)
	if err := r.SetPlan(t.Context(), s, []byte(`{}`), change("set")); registry.ReasonOf(err) != objects.Permission {
		t.Errorf("got %v", err)
	}
}

// TestWatchSeesEachChangeOnce turns hours of watching into a moment.
func TestWatchSeesEachChangeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r, err := registry.Open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		asked, changes, faults := 0, []string{}, 0
		start := time.Now()
		r.Watch(ctx, 4*time.Second, func(s registry.State, changed bool, err error) {
			switch {
			case err != nil:
				faults++
			case changed:
				changes = append(changes, string(s.Plan))
			}
			switch asked++; asked {
			case 10:
				now, _, err := r.State(ctx, "")
				if err != nil {
					t.Fatal(err)
				}
				if err := r.SetPlan(ctx, now, []byte(`{"n":1}`), change("set")); err != nil {
					t.Fatal(err)
				}
			case 20:
				putFile(t, filepath.Join(dir, "rollout.json"), []byte("{"))
			case 1000:
				cancel()
			}
		})
		if took := time.Since(start); took < 999*3*time.Second || took > 999*5*time.Second {
			t.Errorf("asked 1000 times in %v", took)
		}
		if len(changes) != 2 || changes[0] != "" || changes[1] != `{"n":1}` || faults != 980 {
			t.Errorf("changes %q, %d faults", changes, faults)
		}
	})
}

func FuzzState(f *testing.F) {
	f.Add([]byte(`{"current":{"live":"a"},"history":[{"when":"2026-01-01T00:00:00Z","who":"ann","what":"alias live","to":"a"}]}`), []byte("v1\n"))
	f.Add([]byte(`{}`), []byte(""))
	f.Fuzz(func(t *testing.T, document, version []byte) {
		dir := t.TempDir()
		putFile(t, filepath.Join(dir, "aliases.json"), document)
		putFile(t, filepath.Join(dir, "VERSION"), version)
		r, err := registry.Open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		s, _, err := r.State(t.Context(), "")
		if err == nil && (len(s.Aliases) > 100 || len(s.AliasHistory) > 50 || strings.Contains(s.Version, "/")) {
			t.Errorf("%+v", s)
		}
	})
}

func ExampleRegistry() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "registry-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	r, err := registry.Open(ctx, dir) // or s3://bucket/prefix, gs://bucket/prefix
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	if _, err := r.Push(ctx, "a", strings.NewReader(string(bytesA())), nil, change("push")); err != nil {
		fmt.Println(err)
		return
	}
	state, _, err := r.State(ctx, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	change := registry.Change{When: time.Now(), Who: "ann", What: "first plan"}
	if err := r.SetPlan(ctx, state, []byte(`{"primary":"a"}`), change); err != nil {
		fmt.Println(err)
		return
	}
	state, changed, err := r.State(ctx, state.Tag)
	fmt.Println(string(state.Plan), changed, err)
	b, err := r.Load(ctx, "a", nil, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	fmt.Println(b.Manifest.Version)
	// Output:
	// {"primary":"a"} true <nil>
	// a
}
