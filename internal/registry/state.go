package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"housing/internal/bundle"
	"housing/internal/objects"
	"housing/internal/telemetry"
)

// Bounds on what is kept about a registry.
const (
	maxHistory   = 50
	maxAliases   = 100
	maxPlanBytes = 4 << 10
	maxWords     = 500 // bytes of who, what and why, each
)

// Change says who changed the plan, an alias or a version, when, from what,
// and why.
type Change struct {
	When time.Time      `json:"when"`
	Who  string         `json:"who"`
	What string         `json:"what"`
	Why  string         `json:"why,omitempty"`
	From jsontext.Value `json:"from,omitzero"` // absent where there was nothing
	To   jsontext.Value `json:"to,omitzero"`   // absent where nothing is left
}

// document is the content of aliases.json, of rollout.json, and of each
// pushes.json.
type document struct {
	Current jsontext.Value `json:"current"`
	History []Change       `json:"history"` // newest first, the last maxHistory
}

// State is what the registry said at one moment.
type State struct {
	Tag          string            // of the whole, for the next call
	Plan         jsontext.Value    // nil where none was ever set
	PlanHistory  []Change          // newest first
	Aliases      map[string]string // version by name
	AliasHistory []Change
	Version      string // named by the file VERSION; "" where there is none

	tags map[string]string // by object; "" where there is none
}

// Resolve returns the version that name stands for: that of the alias, or
// name itself.
func (s *State) Resolve(name string) string {
	if version, ok := s.Aliases[name]; ok {
		return version
	}
	return name
}

// stateNames are the objects that a State is read from.
var stateNames = []string{planName, aliasesName, versionName}

// tagSeparator stands in no tag of any medium.
const tagSeparator = "|"

// State returns the state, and whether it differs from the one with the tag;
// if not, it is empty. The tag "" is that of no state.
func (r *Registry) State(ctx context.Context, tag string) (state State, changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	known := strings.Split(tag, tagSeparator)
	if len(known) != len(stateNames) {
		known = make([]string, len(stateNames))
	}
	texts, tags := make([][]byte, len(stateNames)), make([]string, len(stateNames))
	same := make([]bool, len(stateNames))
	for i, name := range stateNames {
		if texts[i], tags[i], same[i], err = r.poll(ctx, name, known[i]); err != nil {
			return State{}, false, err
		}
		changed = changed || !same[i]
	}
	if tag != "" && !changed {
		return State{}, false, nil
	}
	state = State{tags: map[string]string{}}
	for i, name := range stateNames {
		if same[i] && tags[i] != "" {
			if texts[i], tags[i], _, err = r.poll(ctx, name, ""); err != nil {
				return State{}, false, err
			}
		}
		state.tags[name] = tags[i]
	}
	state.Tag = strings.Join(tags, tagSeparator)
	if err := state.parse(texts[0], texts[1], texts[2]); err != nil {
		return State{}, false, fmt.Errorf("registry %s: %w", r.location, err)
	}
	return state, true, nil
}

// poll reads an object of the state unless it still has the tag; the tag of
// one that is not there is "".
func (r *Registry) poll(ctx context.Context, name, known string) (text []byte, tag string, same bool, err error) {
	text, tag, err = r.objects.Read(ctx, name, known)
	switch {
	case errors.Is(err, objects.ErrUnchanged):
		return nil, known, true, nil
	case errors.Is(err, objects.ErrAbsent):
		return nil, "", known == "", nil
	case err != nil:
		return nil, "", false, r.fault("read "+name, err)
	}
	return text, tag, false, nil
}

func (s *State) parse(plan, aliases, version []byte) error {
	p, err := parseDocument(plan)
	if err != nil {
		return fmt.Errorf("%s: %w", planName, err)
	}
	s.Plan, s.PlanHistory = p.Current, p.History
	a, err := parseDocument(aliases)
	if err != nil {
		return fmt.Errorf("%s: %w", aliasesName, err)
	}
	s.AliasHistory = a.History
	if s.Aliases, err = parseAliases(a.Current); err != nil {
		return fmt.Errorf("%s: %w", aliasesName, err)
	}
	if s.Version = strings.TrimSpace(string(version)); s.Version != "" {
		if err := bundle.CheckVersion(s.Version); err != nil {
			return fmt.Errorf("file %s: %w", versionName, err)
		}
	}
	return nil
}

// parseDocument reads a document; that of no text is empty.
func parseDocument(text []byte) (d document, err error) {
	if text == nil {
		return d, nil
	}
	if err := json.Unmarshal(text, &d, json.RejectUnknownMembers(true)); err != nil {
		return document{}, err
	}
	switch {
	case len(d.Current) > maxPlanBytes*4:
		return document{}, fmt.Errorf("current has %d bytes", len(d.Current))
	case len(d.History) > maxHistory:
		return document{}, fmt.Errorf("history has %d entries, more than %d", len(d.History), maxHistory)
	case d.Current.Kind() != '{':
		return document{}, errors.New("current is not an object")
	}
	for i := range d.History {
		if err := errors.Join(compact(&d.History[i].From), compact(&d.History[i].To)); err != nil {
			return document{}, err
		}
	}
	return d, compact(&d.Current)
}

// compact takes the indents out of a value, if there is one, so that values
// can be compared as text.
func compact(v *jsontext.Value) error {
	if *v == nil {
		return nil
	}
	return v.Compact()
}

func parseAliases(text jsontext.Value) (map[string]string, error) {
	aliases := map[string]string{}
	if text == nil {
		return aliases, nil
	}
	if err := json.Unmarshal(text, &aliases); err != nil {
		return nil, err
	}
	if len(aliases) > maxAliases {
		return nil, fmt.Errorf("%d aliases, more than %d", len(aliases), maxAliases)
	}
	for name, version := range aliases {
		if err := errors.Join(checkAlias(name), bundle.CheckVersion(version)); err != nil {
			return nil, err
		}
	}
	return aliases, nil
}

// checkAlias holds an alias to the form of a version, which stands wherever
// a version may.
func checkAlias(name string) error {
	if bundle.CheckVersion(name) != nil {
		return fmt.Errorf("alias %.80q must have the form of a version: 1 to 64 letters, digits, dots, dashes and underscores", name)
	}
	return nil
}

// SetPlan makes plan, a JSON object, the traffic plan in place of the one in
// state. The error is [ErrConflict] where that is no longer the plan. From
// and To of the change are filled in.
func (r *Registry) SetPlan(ctx context.Context, state State, plan jsontext.Value, c Change) error {
	if len(plan) > maxPlanBytes {
		return fmt.Errorf("plan has %d bytes, more than %d", len(plan), maxPlanBytes)
	}
	c.From, c.To = state.Plan, plan
	return r.change(ctx, planName, state.tags[planName], document{plan, state.PlanHistory}, c)
}

// SetAlias lets name stand for a version, which must be there, or for none
// with "". The error is [ErrConflict] where the aliases are no longer those
// of state.
func (r *Registry) SetAlias(ctx context.Context, state State, name, version string, c Change) error {
	if err := checkAlias(name); err != nil {
		return err
	}
	aliases := maps.Clone(state.Aliases)
	before, was := aliases[name]
	if version != "" {
		if _, err := r.Stat(ctx, version); err != nil {
			return fmt.Errorf("alias %s: %w", name, err)
		}
		if _, err := r.Stat(ctx, name); err == nil {
			return fmt.Errorf("alias %s: a version has this name: choose another", name)
		} else if !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("alias %s: %w", name, err)
		}
		if aliases[name] = version; len(aliases) > maxAliases {
			return fmt.Errorf("alias %s: there are %d already, no more are kept", name, maxAliases)
		}
		c.To = jsontext.Value(`"` + version + `"`) // a version needs no escapes
	} else {
		if !was {
			return fmt.Errorf("alias %s: there is none", name)
		}
		delete(aliases, name)
	}
	if was {
		c.From = jsontext.Value(`"` + before + `"`)
	}
	current, err := json.Marshal(aliases, json.Deterministic(true))
	if err != nil {
		return err
	}
	return r.change(ctx, aliasesName, state.tags[aliasesName], document{current, state.AliasHistory}, c)
}

// SetAliases replaces all aliases, a JSON object of versions by name, none of
// which need be there. The error is [ErrConflict] where the aliases are no
// longer those of state.
func (r *Registry) SetAliases(ctx context.Context, state State, aliases jsontext.Value, c Change) error {
	if _, err := parseAliases(aliases); err != nil {
		return fmt.Errorf("aliases: %w", err)
	}
	before, err := json.Marshal(state.Aliases, json.Deterministic(true))
	if err != nil {
		return err
	}
	c.From, c.To = before, aliases
	return r.change(ctx, aliasesName, state.tags[aliasesName], document{aliases, state.AliasHistory}, c)
}

// change writes a document with one more line of history where the object
// still has the tag.
func (r *Registry) change(ctx context.Context, name, tag string, d document, c Change) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	what := "change " + name
	for _, words := range []string{c.Who, c.What, c.Why} {
		if len(words) > maxWords {
			return fmt.Errorf("%s: who, what and why have %d bytes at most each", what, maxWords)
		}
	}
	if c.Who == "" || c.What == "" || c.When.IsZero() {
		return fmt.Errorf("%s: a change needs who, what and when", what)
	}
	c.When = c.When.UTC()
	d.History = append([]Change{c}, d.History[:min(len(d.History), maxHistory-1)]...)
	text, err := json.Marshal(d, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	text = append(text, '\n')
	if _, err := parseDocument(text); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	err = r.objects.Write(ctx, name, bytes.NewReader(text), tag)
	if errors.Is(err, objects.ErrTaken) {
		// The answer to a write may be lost and the write be tried again by
		// the client of the bucket: what stands there may be ours.
		there, _, readErr := r.objects.Read(ctx, name, "")
		if err = ErrConflict; readErr == nil && bytes.Equal(there, text) {
			err = nil
		}
	}
	if err != nil {
		return r.fault(what, err)
	}
	telemetry.Audit(r.audit, telemetry.Change{Who: c.Who, What: c.What, Why: c.Why, Where: r.location + "/" + name, Before: c.From, After: c.To})
	return nil
}

// Watch asks for the state at once and then about every period, a quarter
// more or less so that a fleet does not ask all at once, until ctx ends. It
// calls each after every time that it asked, with what State returned.
func (r *Registry) Watch(ctx context.Context, every time.Duration, each func(state State, changed bool, err error)) {
	tag := ""
	for {
		state, changed, err := r.State(ctx, tag)
		if ctx.Err() != nil {
			return
		}
		if changed {
			tag = state.Tag
		}
		each(state, changed, err)
		timer := time.NewTimer(time.Duration(float64(every) * (0.75 + rand.Float64()/2)))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}
