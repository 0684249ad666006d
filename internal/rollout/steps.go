package rollout

import (
	"errors"
	"fmt"
)

// Start returns the plan with a candidate beside the primary. The salt deals
// the callers; give each candidate another one, so that it is not always the
// same callers who come first.
func (p Plan) Start(candidate string, mode Mode, percent Percent, salt string) (Plan, error) {
	if p.Primary == "" {
		return p, errors.New("there is no primary yet: set one first, by housing rollout set --primary VERSION")
	}
	if p.Candidate != "" && p.Candidate != candidate {
		return p, fmt.Errorf("candidate %s is under way: promote it or roll it back first", p.Candidate)
	}
	if p.Candidate == candidate && p.Mode == mode {
		return p, fmt.Errorf("candidate %s is under way already: set its share", candidate)
	}
	next := p
	next.Candidate, next.Mode, next.Percent = candidate, mode, percent
	if p.Candidate == "" {
		next.Salt = salt // with another mode callers stay where they are
	}
	return next, next.Check()
}

// Set returns the plan with another share for the candidate.
func (p Plan) Set(percent Percent) (Plan, error) {
	if p.Candidate == "" {
		return p, errors.New("there is no candidate whose share could be set")
	}
	p.Percent = percent
	return p, p.Check()
}

// SetPrimary returns the plan with another primary, at once and for all: the
// first plan of a registry is made so.
func (p Plan) SetPrimary(version string) (Plan, error) {
	if p.Candidate != "" {
		return p, fmt.Errorf("candidate %s is under way: promote it or roll it back first", p.Candidate)
	}
	if version == p.Primary {
		return p, fmt.Errorf("%s is the primary already", version)
	}
	next := Plan{Primary: version, Previous: p.Primary}
	return next, next.Check()
}

// Promote returns the plan with the candidate as the primary of everyone.
func (p Plan) Promote() (Plan, error) {
	if p.Candidate == "" {
		return p, errors.New("there is no candidate to promote")
	}
	next := Plan{Primary: p.Candidate, Previous: p.Primary}
	return next, next.Check()
}

// Rollback returns the plan without its candidate, or, where it has none,
// with the primary before this one. One step back is all that a plan knows;
// the history in the registry has more.
func (p Plan) Rollback() (Plan, error) {
	switch {
	case p.Candidate != "":
		return Plan{Primary: p.Primary, Previous: p.Previous}, nil
	case p.Previous != "":
		return Plan{Primary: p.Previous}, nil
	}
	return p, errors.New("there is nothing to roll back: no candidate, and no primary before this one")
}
