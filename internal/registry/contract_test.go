package registry_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"housing/internal/bundle"
	"housing/internal/bundle/bundletest"
	"housing/internal/objects"
	"housing/internal/registry"
	"housing/internal/registry/registrytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// medium is a place for registries.
type medium struct {
	// fresh returns the location of an empty registry, and what puts an
	// object there past the registry.
	fresh func(t *testing.T) (location string, put func(key string, data []byte))
}

// media are all the places that a registry may be in: what holds for one
// holds for each.
func media(t *testing.T, test func(t *testing.T, m medium)) {
	inFolder := func(scheme string) medium {
		return medium{func(t *testing.T) (string, func(string, []byte)) {
			dir := t.TempDir()
			return scheme + dir, func(key string, data []byte) { putFile(t, filepath.Join(dir, key), data) }
		}}
	}
	t.Run("folder", func(t *testing.T) { test(t, inFolder("")) })
	t.Run("file", func(t *testing.T) { test(t, inFolder("file://")) })
	t.Run("s3", func(t *testing.T) {
		server := registrytest.NewS3(t)
		test(t, medium{func(t *testing.T) (string, func(string, []byte)) {
			prefix := prefixOf(t)
			return server.Location(prefix), func(key string, data []byte) { server.Put(prefix+"/"+key, data) }
		}})
	})
	t.Run("gs", func(t *testing.T) {
		server := registrytest.NewGS(t)
		test(t, medium{func(t *testing.T) (string, func(string, []byte)) {
			prefix := prefixOf(t)
			return server.Location(prefix), func(key string, data []byte) { server.Put(prefix+"/"+key, data) }
		}})
	})
}

// prefixOf returns a prefix of a test's own.
func prefixOf(t *testing.T) string {
	return "of a/" + strings.NewReplacer("/", "-", ",", "").Replace(t.Name())
}

func putFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func (m medium) open(t *testing.T) (*registry.Registry, func(key string, data []byte)) {
	t.Helper()
	location, put := m.fresh(t)
	r, err := registry.Open(t.Context(), location)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r, put
}

// testKey returns a private key that is the same each time.
func testKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func publicOf(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

// Bundles of versions a and b, and of another model that calls itself a too.
var (
	bytesA     = sync.OnceValue(func() []byte { return bundletest.Bytes(&testing.T{}, "a", 1) })
	bytesB     = sync.OnceValue(func() []byte { return bundletest.Bytes(&testing.T{}, "b", 2) })
	bytesOther = sync.OnceValue(func() []byte { return bundletest.Bytes(&testing.T{}, "a", 3) })
)

func push(t *testing.T, r *registry.Registry, version string, data []byte, key ed25519.PrivateKey) registry.Info {
	t.Helper()
	info, err := r.Push(t.Context(), version, bytes.NewReader(data), key, change("push "+version))
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func TestWhatIsPushedIsLoaded(t *testing.T) {
	media(t, func(t *testing.T, m medium) {
		r, _ := m.open(t)
		if versions, err := r.Versions(t.Context()); err != nil || len(versions) != 0 {
			t.Fatalf("an empty registry has %q, %v", versions, err)
		}
		key := testKey(1)
		a := push(t, r, "a", bytesA(), key)
		b := push(t, r, "b", bytesB(), nil)
		infos, err := r.List(t.Context())
		if err != nil || len(infos) != 2 {
			t.Fatalf("listed %v, %v", infos, err)
		}
		for i, want := range []registry.Info{a, b} {
			if got := infos[i]; got.Version != want.Version || got.Digest != want.Digest || got.Size != want.Size || got.Signed != want.Signed {
				t.Errorf("listed %+v, pushed %+v", got, want)
			}
		}
		if m, err := r.Manifest(t.Context(), "b"); err != nil || m.Version != "b" || len(m.Accuracy) == 0 {
			t.Errorf("the manifest is %+v, %v", m, err)
		}
		if _, err := r.Manifest(t.Context(), "none"); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("the manifest of none: %v", err)
		}
		if _, err := r.Manifest(t.Context(), "../a"); err == nil {
			t.Error("a manifest of a path")
		}
		var fetched bytes.Buffer
		if info, err := r.Fetch(t.Context(), "b", &fetched); err != nil || info.Digest != b.Digest || !bytes.Equal(fetched.Bytes(), bytesB()) {
			t.Errorf("fetched %d bytes, %+v, %v", fetched.Len(), info, err)
		}
		temp := t.TempDir()
		loaded, err := r.Load(t.Context(), "a", publicOf(key), temp)
		if err != nil {
			t.Fatal(err)
		}
		if loaded.Manifest.Version != "a" || loaded.Digest != a.Digest {
			t.Errorf("loaded %s %s", loaded.Manifest.Version, loaded.Digest)
		}
		if err := loaded.Close(); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(temp); err != nil || len(left) != 0 {
			t.Errorf("left in the temporary folder: %v, %v", left, err)
		}
		for _, name := range []string{"c", "../a"} {
			if _, err := r.Load(t.Context(), name, nil, temp); err == nil || (name == "c") != errors.Is(err, registry.ErrNotFound) {
				t.Errorf("version %q: %v", name, err)
			}
		}
	})
}

func TestVersionsNeverChange(t *testing.T) {
	media(t, func(t *testing.T, m medium) {
		r, put := m.open(t)
		first := push(t, r, "a", bytesA(), nil)
		if again := push(t, r, "a", bytesA(), nil); again.Digest != first.Digest {
			t.Errorf("the same bundle again: %+v", again)
		}
		if _, err := r.Push(t.Context(), "a", bytes.NewReader(bytesOther()), nil, change("push")); !errors.Is(err, registry.ErrExists) || registry.ReasonOf(err) != objects.Conflict {
			t.Errorf("another bundle of the same version: %v", err)
		}
		if signed := push(t, r, "a", bytesA(), testKey(1)); !signed.Signed {
			t.Error("a signature could not be added")
		}
		if _, err := r.Push(t.Context(), "a", bytes.NewReader(bytesA()), testKey(2), change("push a")); !errors.Is(err, registry.ErrExists) {
			t.Errorf("a signature was replaced: %v", err)
		}
		var fetched bytes.Buffer
		if _, err := r.Fetch(t.Context(), "a", &fetched); err != nil || !bytes.Equal(fetched.Bytes(), bytesA()) {
			t.Errorf("version a is another: %v", err)
		}
		// A push that was cut off after its digest.
		put("b/bundle.sha256", []byte(strings.Repeat("ab", 32)+"  bundle\n"))
		if _, err := r.Push(t.Context(), "b", bytes.NewReader(bytesB()), nil, change("push")); !errors.Is(err, registry.ErrExists) || !strings.Contains(err.Error(), "not finished") {
			t.Errorf("a version that another has claimed: %v", err)
		}
		put("c/bundle.sha256", []byte(first.Digest+"  bundle\n"))
		if again := push(t, r, "c", bytesA(), testKey(1)); !again.Signed {
			t.Error("a push that was cut off could not be completed")
		}
		for _, name := range []string{"VERSION", "rollout.json", "aliases.json", "../c"} {
			if _, err := r.Push(t.Context(), name, bytes.NewReader(bytesA()), nil, change("push")); err == nil {
				t.Errorf("pushed as %s", name)
			}
		}
		if versions, err := r.Versions(t.Context()); err != nil || !slices.Equal(versions, []string{"a", "c"}) {
			t.Errorf("versions %q, %v", versions, err)
		}
	})
}

// TestOneOfManyPushesWins pushes different bundles as one version at once.
func TestOneOfManyPushesWins(t *testing.T) {
	media(t, func(t *testing.T, m medium) {
		r, _ := m.open(t)
		contents := [][]byte{bytesA(), bytesOther(), bytesB()}
		won := make([]bool, 9)
		var group sync.WaitGroup
		for i := range won {
			group.Go(func() {
				_, err := r.Push(t.Context(), "a", bytes.NewReader(contents[i%3]), nil, change("push"))
				won[i] = err == nil
				if err != nil && !errors.Is(err, registry.ErrExists) {
					t.Error(err)
				}
			})
		}
		group.Wait()
		var fetched bytes.Buffer
		if _, err := r.Fetch(t.Context(), "a", &fetched); err != nil {
			t.Fatal(err)
		}
		for i := range won {
			if same := bytes.Equal(fetched.Bytes(), contents[i%3]); same != won[i] {
				t.Errorf("push %d: won %v, its bundle stands %v", i, won[i], same)
			}
		}
	})
}

func TestOnlyWhatIsOursIsLoaded(t *testing.T) {
	key := testKey(1)
	digest := func(data []byte) []byte {
		b, err := bundle.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		return []byte(b.Digest + "  bundle\n")
	}
	flipped := slices.Clone(bytesA())
	flipped[len(flipped)-9] ^= 1
	cases := []struct {
		name, want string
		objects    map[string][]byte
	}{
		{"unsigned", "not signed", map[string][]byte{"bundle": bytesA(), "bundle.sha256": digest(bytesA())}},
		{"unsigned and without digest", "not signed", map[string][]byte{"bundle": bytesA()}},
		{"signed by another", "not by this key", map[string][]byte{"bundle": bytesA(), "bundle.sig": signed(t, testKey(2), bytesA())}},
		{"signature of another bundle", "not by this key", map[string][]byte{"bundle": bytesOther(), "bundle.sig": signed(t, key, bytesA())}},
		{"a flipped bit", "damaged", map[string][]byte{"bundle": flipped, "bundle.sha256": digest(bytesA()), "bundle.sig": signed(t, key, bytesA())}},
		{"cut", "", map[string][]byte{"bundle": bytesA()[:1000], "bundle.sha256": digest(bytesA()), "bundle.sig": signed(t, key, bytesA())}},
		{"another bundle than its digest", "damaged", map[string][]byte{"bundle": bytesOther(), "bundle.sha256": digest(bytesA()), "bundle.sig": signed(t, key, bytesOther())}},
		{"another version", `holds version "b"`, map[string][]byte{"bundle": bytesB(), "bundle.sig": signed(t, key, bytesB())}},
		{"no digest", "does not hold a SHA-256", map[string][]byte{"bundle": bytesA(), "bundle.sha256": []byte("x")}},
		{"a digest without end", "over the", map[string][]byte{"bundle": bytesA(), "bundle.sha256": bytes.Repeat([]byte("x"), 2<<20)}},
	}
	media(t, func(t *testing.T, m medium) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				r, put := m.open(t)
				for name, data := range c.objects {
					put("a/"+name, data)
				}
				b, err := r.Load(t.Context(), "a", publicOf(key), t.TempDir())
				if err == nil {
					t.Error("loaded")
					_ = b.Close()
				} else if !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, want an error with %q", err, c.want)
				}
			})
		}
		r, put := m.open(t)
		put("a/bundle", bytesA())
		put("a/bundle.sha256", digest(bytesA()))
		put("a/bundle.sig", signed(t, key, bytesA()))
		b, err := r.Load(t.Context(), "a", publicOf(key), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

func signed(t *testing.T, key ed25519.PrivateKey, data []byte) []byte {
	t.Helper()
	b, err := bundle.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := bundle.Sign(key, b.Digest)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

func change(what string) registry.Change {
	return registry.Change{When: time.Unix(1_400_000_000, 0), Who: "ann", What: what, Why: "because"}
}

func state(t *testing.T, r *registry.Registry) registry.State {
	t.Helper()
	s, changed, err := r.State(t.Context(), "")
	if err != nil || !changed {
		t.Fatalf("changed %v, %v", changed, err)
	}
	return s
}

func TestThePlanIsChangedByCompareAndSwap(t *testing.T) {
	media(t, func(t *testing.T, m medium) {
		r, _ := m.open(t)
		empty := state(t, r)
		if empty.Plan != nil || empty.Version != "" || len(empty.Aliases) != 0 {
			t.Errorf("of an empty registry: %+v", empty)
		}
		if err := r.SetPlan(t.Context(), empty, []byte(`{"primary":"a"}`), change("set")); err != nil {
			t.Fatal(err)
		}
		if err := r.SetPlan(t.Context(), empty, []byte(`{"primary":"b"}`), change("set")); !errors.Is(err, registry.ErrConflict) {
			t.Errorf("changed what had changed: %v", err)
		}
		first := state(t, r)
		if string(first.Plan) != `{"primary":"a"}` || len(first.PlanHistory) != 1 || first.PlanHistory[0].From != nil {
			t.Errorf("plan %s, history %+v", first.Plan, first.PlanHistory)
		}
		if _, changed, err := r.State(t.Context(), first.Tag); changed || err != nil {
			t.Errorf("nothing has changed: %v, %v", changed, err)
		}
		if err := r.SetPlan(t.Context(), first, []byte(`{"primary":"b"}`), change("promote")); err != nil {
			t.Fatal(err)
		}
		if err := r.SetPlan(t.Context(), first, []byte(`{"primary":"c"}`), change("promote")); !errors.Is(err, registry.ErrConflict) {
			t.Errorf("changed what had changed: %v", err)
		}
		second, changed, err := r.State(t.Context(), first.Tag)
		if err != nil || !changed {
			t.Fatalf("changed %v, %v", changed, err)
		}
		last := second.PlanHistory[0]
		if string(second.Plan) != `{"primary":"b"}` || len(second.PlanHistory) != 2 || string(last.From) != `{"primary":"a"}` ||
			string(last.To) != `{"primary":"b"}` || last.Who != "ann" || last.What != "promote" || last.Why != "because" || last.When != time.Unix(1_400_000_000, 0).UTC() {
			t.Errorf("plan %s, history %+v", second.Plan, second.PlanHistory)
		}
		for _, plan := range []string{"", "null", "[]", `"a"`, "{", `{"a":1,"a":2}`, `{"x":"` + strings.Repeat("x", 5000) + `"}`} {
			if err := r.SetPlan(t.Context(), second, []byte(plan), change("set")); err == nil {
				t.Errorf("%.20q became the plan", plan)
			}
		}
		if err := r.SetPlan(t.Context(), second, []byte(`{}`), registry.Change{}); err == nil {
			t.Error("nobody changed the plan")
		}
	})
}

func TestAliases(t *testing.T) {
	media(t, func(t *testing.T, m medium) {
		r, _ := m.open(t)
		push(t, r, "a", bytesA(), nil)
		push(t, r, "b", bytesB(), nil)
		set := func(name, version string) error {
			return r.SetAlias(t.Context(), state(t, r), name, version, change("alias "+name))
		}
		for _, c := range []struct{ name, version string }{{"live", "a"}, {"next", "b"}, {"live", "b"}, {"next", ""}} {
			if err := set(c.name, c.version); err != nil {
				t.Fatal(err)
			}
		}
		s := state(t, r)
		if s.Resolve("live") != "b" || s.Resolve("next") != "next" || len(s.Aliases) != 1 || len(s.AliasHistory) != 4 {
			t.Errorf("aliases %v, history %+v", s.Aliases, s.AliasHistory)
		}
		if removed := s.AliasHistory[0]; string(removed.From) != `"b"` || removed.To != nil {
			t.Errorf("history %+v", removed)
		}
		if err := set("live", "c"); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("an alias of a version that is not there: %v", err)
		}
		for _, name := range []string{"a", "", "a/b", "next"} {
			if err := set(name, map[bool]string{true: "", false: "b"}[name == "next"]); err == nil {
				t.Errorf("alias %q was taken", name)
			}
		}
	})
}

// TestNoChangeIsLost lets many count in the plan at once: each success must
// be seen in the end, and in the history, and nothing else.
func TestNoChangeIsLost(t *testing.T) {
	media(t, func(t *testing.T, m medium) {
		location, _ := m.fresh(t)
		const writers, each = 4, 6
		var group sync.WaitGroup
		for w := range writers {
			group.Go(func() {
				r, err := registry.Open(t.Context(), location)
				if err != nil {
					t.Error(err)
					return
				}
				defer r.Close()
				for done := 0; done < each; {
					s, _, err := r.State(t.Context(), "")
					if err != nil {
						t.Error(err)
						return
					}
					plan := fmt.Sprintf(`{"count":%d}`, len(s.PlanHistory)+1)
					err = r.SetPlan(t.Context(), s, []byte(plan), change(fmt.Sprintf("writer %d, its %d.", w, done)))
					if err == nil {
						done++
					} else if !errors.Is(err, registry.ErrConflict) {
						t.Error(err)
						return
					}
				}
			})
		}
		group.Wait()
		r, err := registry.Open(t.Context(), location)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		s := state(t, r)
		if want := fmt.Sprintf(`{"count":%d}`, writers*each); string(s.Plan) != want || len(s.PlanHistory) != writers*each {
			t.Fatalf("plan %s after %d changes in the history, want %s", s.Plan, len(s.PlanHistory), want)
		}
		seen := map[string]bool{}
		for i, c := range s.PlanHistory {
			seen[c.What] = true
			if i > 0 && string(s.PlanHistory[i-1].From) != string(c.To) {
				t.Errorf("change %d is to %s, the next is from %s", i, c.To, s.PlanHistory[i-1].From)
			}
		}
		if len(seen) != writers*each {
			t.Errorf("%d changes of %d are in the history", len(seen), writers*each)
		}
	})
}

func TestTheHistoryIsBounded(t *testing.T) {
	r, _ := medium{func(t *testing.T) (string, func(string, []byte)) { return t.TempDir(), nil }}.open(t)
	for i := range 60 {
		if err := r.SetPlan(t.Context(), state(t, r), fmt.Appendf(nil, `{"n":%d}`, i), change("set")); err != nil {
			t.Fatal(err)
		}
	}
	if h := state(t, r).PlanHistory; len(h) != 50 || string(h[0].To) != `{"n":59}` {
		t.Errorf("%d changes, the last %s", len(h), h[0].To)
	}
}

// TestTheReferenceLayout reads a folder with a file VERSION beside model
// versions, and follows it.
func TestTheReferenceLayout(t *testing.T) {
	media(t, func(t *testing.T, m medium) {
		r, put := m.open(t)
		put("v1/bundle", bytesA())
		put("VERSION", []byte("v1\n"))
		s := state(t, r)
		if versions, err := r.Versions(t.Context()); s.Version != "v1" || err != nil || !slices.Equal(versions, []string{"v1"}) {
			t.Errorf("version %q of %q, %v", s.Version, versions, err)
		}
		put("VERSION", []byte("v2"))
		if now, changed, err := r.State(t.Context(), s.Tag); err != nil || !changed || now.Version != "v2" {
			t.Errorf("version %q, changed %v, %v", now.Version, changed, err)
		}
		put("VERSION", []byte("../v1"))
		if _, _, err := r.State(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "file VERSION") {
			t.Errorf("got %v", err)
		}
	})
}

// TestAManifestThatIsCutDoesNotPass, where a connection that was broken off does.
func TestAManifestThatIsCutDoesNotPass(t *testing.T) {
	dir := t.TempDir()
	r, err := registry.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := os.Mkdir(filepath.Join(dir, "a"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, cut := range []string{"", "\x01"} {
		if err := os.WriteFile(filepath.Join(dir, "a", "bundle"), []byte(cut), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Manifest(t.Context(), "a"); err == nil || registry.Passing(err) || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%q: %v", cut, err)
		}
	}
}

func TestDamagedDocumentsAreRefused(t *testing.T) {
	media(t, func(t *testing.T, m medium) {
		for i, text := range []string{"", "{", "[]", `{"current":{}}x`, `{"current":1,"history":[]}`, `{"current":{},"history":[],"more":1}`,
			`{"current":{"a/b":"c"},"history":[]}`, `{"current":{"a":"../c"},"history":[]}`, strings.Repeat(" ", 2<<20)} {
			r, put := m.open(t)
			put("aliases.json", []byte(text))
			if s, _, err := r.State(t.Context(), ""); err == nil {
				t.Errorf("%d: %.40q was read as %+v", i, text, s)
			}
		}
	})
}
