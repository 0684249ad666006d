package rollout

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"housing/internal/bundle"
	"housing/internal/registry"
	"housing/internal/valuer"
)

// ErrChanged is the error for a plan that is no longer the one which its
// changer saw.
var ErrChanged = errors.New("the plan has changed meanwhile: look again, then try again")

// Status is the plan and what this replica makes of it.
type Status struct {
	Plan     Plan              // that the replica follows
	Tag      string            // of the registry's plan, which may be another: see [Plan.Tag]
	History  []registry.Change // of the plan, newest first
	Aliases  map[string]string // version by name
	Pinned   bool              // the replica's settings name its version, whatever the plan says
	Answers  string            // version that answers as the primary
	Running  []valuer.Running
	Problems []VersionProblem // sorted by version; that of the plan itself has none
}

// Status returns how the replica is.
func (t *Traffic) Status() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := Status{
		Plan:    *t.plan.Load(),
		Tag:     t.tag,
		History: t.state.PlanHistory,
		Aliases: t.state.Aliases,
		Pinned:  t.Pinned != "",
		Running: t.Valuer.Models(),
	}
	if m := t.Valuer.Model(); m != nil {
		s.Answers = m.Manifest.Version
	}
	for _, p := range t.problems {
		s.Problems = append(s.Problems, *p)
	}
	slices.SortFunc(s.Problems, func(a, b VersionProblem) int {
		if a.Version < b.Version {
			return -1
		}
		return 1
	})
	return s
}

// Trouble returns the reason of the first problem with the plan and since when
// it is, or "" where there is none. A version that only clients asked for is
// no part of the plan.
func (t *Traffic) Trouble() (reason string, since time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	plan := t.plan.Load()
	for version, p := range t.problems {
		if version != "" && plan.Role(version) == "" {
			continue
		}
		if reason == "" || p.Since.Before(since) {
			reason, since = p.Reason, p.Since
		}
	}
	return reason, since
}

// Tag returns a word for a plan that no other plan has: "none" for that of a
// registry where none was set.
func (p Plan) Tag() string {
	text, err := p.Text()
	if err != nil {
		return "none"
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// Began returns when the versions that the plan names began to be compared: the
// time of the change that brought its candidate, or without one its primary;
// zero where the history does not go back as far.
func (p Plan) Began(history []registry.Change) (began time.Time) {
	for _, c := range history {
		was, err := Parse(c.To)
		if err != nil || was.Primary != p.Primary || was.Candidate != p.Candidate || was.Salt != p.Salt {
			return began
		}
		began = c.When
	}
	return time.Time{}
}

// Replace makes next the plan of the registry in place of before, keeping
// what follows from before: the version to go back to, and who is dealt which
// version.
func (before Plan) Replace(next Plan, salt string) (Plan, error) {
	switch {
	case next.Primary != before.Primary:
		next.Previous = before.Primary
	default:
		next.Previous = before.Previous
	}
	if next.Salt == "" && next.Candidate != "" {
		next.Salt = salt
		if next.Candidate == before.Candidate {
			next.Salt = before.Salt
		}
	}
	return next, next.Check()
}

// Model is what is known of a version.
type Model struct {
	registry.Info
	Running bool
	Role    valuer.Role // in the plan; "" for none
	Aliases []string    // sorted
	// Manifest is what its bundle says of itself; nil where that cannot be
	// read.
	Manifest *bundle.Manifest
}

// Plan returns the plan that the replica follows.
func (t *Traffic) Plan() Plan { return *t.plan.Load() }

// Versions returns the versions of the registry, sorted, as of a few seconds
// ago. While the registry is away they are those that it had.
func (t *Traffic) Versions(ctx context.Context) ([]string, error) {
	versions, err := t.list(ctx)
	if versions != nil {
		return versions, nil
	}
	return nil, err
}

// Model returns what is known of one version, or of the one that an alias
// stands for.
func (t *Traffic) Model(ctx context.Context, name string) (Model, error) {
	t.mu.Lock()
	version := t.state.Resolve(name)
	t.mu.Unlock()
	if bundle.CheckVersion(version) != nil {
		return Model{}, registry.ErrNotFound
	}
	info, err := t.Registry.Stat(ctx, version)
	if err != nil {
		return Model{}, err
	}
	m := Model{Info: info, Role: t.plan.Load().Role(info.Version)}
	if running := t.Valuer.Find(info.Version); running != nil {
		m.Running, m.Digest, m.Manifest = true, running.Digest, &running.Manifest
	} else if m.Manifest, err = t.Registry.Manifest(ctx, info.Version); err != nil {
		t.Log.Warn("registry_request", "error", err.Error())
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for alias, version := range t.state.Aliases {
		if version == info.Version {
			m.Aliases = append(m.Aliases, alias)
		}
	}
	slices.Sort(m.Aliases)
	return m, nil
}
