package registry_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"housing/internal/registry"
)

// at returns a change of a moment.
func at(second int64, what string) registry.Change {
	return registry.Change{When: time.Unix(second, 0), Who: "ann@desk", What: what, Why: "because"}
}

// TestEveryChangeOfARegistryIsKeptAndTold pushes, signs and aliases, and
// reads who did it from the registry and from the log.
func TestEveryChangeOfARegistryIsKeptAndTold(t *testing.T) {
	media(t, func(t *testing.T, m medium) {
		r, put := m.open(t)
		var log bytes.Buffer
		r.AuditTo(slog.New(slog.NewJSONHandler(&log, nil)))
		must := func(_ registry.Info, err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		put("b/bundle", bytesB()) // by other means
		must(r.Push(t.Context(), "a", bytes.NewReader(bytesA()), nil, at(1, "push a")))
		must(r.Push(t.Context(), "a", bytes.NewReader(bytesA()), nil, at(2, "push a again")))
		must(r.Push(t.Context(), "a", bytes.NewReader(bytesA()), testKey(1), at(3, "sign a")))
		must(r.Push(t.Context(), "a", bytes.NewReader(bytesA()), nil, at(4, "push a unsigned")))
		must(r.Push(t.Context(), "b", bytes.NewReader(bytesB()), testKey(1), at(5, "sign b")))
		if _, err := r.Push(t.Context(), "a", bytes.NewReader(bytesOther()), nil, at(6, "push another a")); !errors.Is(err, registry.ErrExists) {
			t.Fatal(err)
		}
		if err := r.SetAlias(t.Context(), state(t, r), "next", "a", at(7, "alias next")); err != nil {
			t.Fatal(err)
		}
		if err := r.SetPlan(t.Context(), state(t, r), []byte(`{"primary":"a"}`), at(8, "set primary a")); err != nil {
			t.Fatal(err)
		}
		a, b := stat(t, r, "a").Digest, stat(t, r, "b").Digest
		is := func(digest string, signed bool) string {
			return fmt.Sprintf(`{"sha256":%q,"signed":%t}`, digest, signed)
		}
		history, err := r.History(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, h := range history {
			if h.Who != "ann@desk" || h.Why != "because" {
				t.Errorf("%s: by %q because of %q", h.What, h.Who, h.Why)
			}
			got = append(got, fmt.Sprintf("%d %s: %s -> %s", h.When.Unix(), h.What, string(h.From), string(h.To)))
		}
		want := []string{
			`7 alias next:  -> "a"`,
			"5 sign b: " + is(b, false) + " -> " + is(b, true),
			"3 sign a: " + is(a, false) + " -> " + is(a, true),
			"1 push a:  -> " + is(a, false),
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("the history is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if lines := strings.Count(log.String(), `"msg":"audit"`); lines != 5 {
			t.Errorf("%d changes are told, want 5:\n%s", lines, &log)
		}
		for _, want := range []string{`"who":"ann@desk","what":"set primary a"`, `"before":null,"after":{"primary":"a"},"why":"because"`, `"before":{"sha256":"` + a + `","signed":false}`} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("%s is not told:\n%s", want, &log)
			}
		}
		if _, err := r.Pushes(t.Context(), "../a"); err == nil {
			t.Error("a history outside of the registry is read")
		}
		if pushes, err := r.Pushes(t.Context(), "a"); err != nil || len(pushes) != 2 {
			t.Errorf("of a: %v, %v", pushes, err)
		}
	})
}

// TestAPushThatCannotBeRecordedIsNone finds a damaged history.
func TestAPushThatCannotBeRecordedIsNone(t *testing.T) {
	media(t, func(t *testing.T, m medium) {
		r, put := m.open(t)
		put("a/pushes.json", []byte("{"))
		if _, err := r.Push(t.Context(), "a", bytes.NewReader(bytesA()), nil, at(1, "push a")); err == nil || !strings.Contains(err.Error(), "a/pushes.json") {
			t.Errorf("got %v", err)
		}
		if _, err := r.Stat(t.Context(), "a"); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("the version is there: %v", err)
		}
	})
}

func stat(t *testing.T, r *registry.Registry, version string) registry.Info {
	t.Helper()
	info, err := r.Stat(t.Context(), version)
	if err != nil {
		t.Fatal(err)
	}
	return info
}
