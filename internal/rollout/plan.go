package rollout

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"

	"housing/internal/bundle"
)

// Mode is how a candidate stands beside the primary.
type Mode string

// The modes.
const (
	BlueGreen Mode = "blue-green" // loaded and ready; takes all traffic at once or none
	Canary    Mode = "canary"     // answers a share of callers, which grows
	AB        Mode = "ab"         // answers a share of callers, which stays to be compared
	Shadow    Mode = "shadow"     // values a share of requests aside, and answers none
)

// Modes lists the modes.
func Modes() []Mode { return []Mode{BlueGreen, Canary, AB, Shadow} }

// Plan says which version answers. It never changes once made; the zero Plan
// is that of a registry where none was set.
type Plan struct {
	Primary   string  `json:"primary"`
	Candidate string  `json:"candidate,omitempty"` // "" without one; then the next three are zero
	Mode      Mode    `json:"mode,omitempty"`
	Percent   Percent `json:"percent,omitzero"` // of callers, or of requests in shadow, for the candidate
	Salt      string  `json:"salt,omitempty"`   // deals the callers anew for each candidate
	Previous  string  `json:"previous,omitempty"`
}

// Bounds on a plan.
const (
	maxTextBytes = 4 << 10
	maxSaltBytes = 64
)

// Check returns every fault of the plan, or nil.
func (p Plan) Check() error {
	var faults []error
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	version := func(what, name string) {
		if err := bundle.CheckVersion(name); err != nil {
			add("%s: %w", what, err)
		}
	}
	version("primary", p.Primary)
	if p.Previous != "" {
		version("previous", p.Previous)
	}
	if p.Percent < 0 || p.Percent > Whole {
		add("percent %v must be from 0 to 100", p.Percent)
	}
	if len(p.Salt) > maxSaltBytes || strings.ContainsFunc(p.Salt, func(r rune) bool { return r < ' ' || r > '~' }) {
		add("salt must be up to %d printable ASCII characters", maxSaltBytes)
	}
	if p.Candidate == "" {
		if p.Mode != "" || p.Percent != 0 || p.Salt != "" {
			add("mode, percent and salt need a candidate")
		}
		return errors.Join(faults...)
	}
	version("candidate", p.Candidate)
	if p.Candidate == p.Primary {
		add("candidate %s is the primary: it needs no plan", p.Candidate)
	}
	switch p.Mode {
	case Canary, AB, Shadow:
	case BlueGreen:
		if p.Percent != 0 && p.Percent != Whole {
			add("percent %v: mode blue-green sends all callers to one version, so 0 or 100", p.Percent)
		}
	default:
		add("mode %.40q must be one of %v", p.Mode, Modes())
	}
	return errors.Join(faults...)
}

// Parse reads a plan. It refuses names that it does not know, names that
// stand twice, and plans that cannot be right.
func Parse(text []byte) (Plan, error) {
	if len(text) > maxTextBytes {
		return Plan{}, fmt.Errorf("plan has %d bytes, more than %d", len(text), maxTextBytes)
	}
	var p Plan
	if err := json.Unmarshal(text, &p, json.RejectUnknownMembers(true)); err != nil {
		return Plan{}, fmt.Errorf("plan: %w", err)
	}
	if err := p.Check(); err != nil {
		return Plan{}, fmt.Errorf("plan: %w", err)
	}
	return p, nil
}

// Text returns the plan as JSON, or an error where it cannot be right.
func (p Plan) Text() ([]byte, error) {
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	return json.Marshal(p)
}
