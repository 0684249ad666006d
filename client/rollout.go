package client

import (
	"context"
	"net/http"
	"time"
)

// RolloutPlan says which version answers which caller.
type RolloutPlan struct {
	Primary   string  `json:"primary"`
	Candidate string  `json:"candidate,omitempty"`
	Mode      string  `json:"mode,omitempty"`     // blue-green, canary, ab or shadow
	Percent   float64 `json:"percent,omitempty"`  // 0 to 100, for the candidate
	Salt      string  `json:"salt,omitempty"`     // deals the callers
	Previous  string  `json:"previous,omitempty"` // primary before, to which a rollback goes
}

// Rollout is the traffic plan, and what a replica makes of it.
type Rollout struct {
	Plan     RolloutPlan      `json:"plan"`
	History  []RolloutRecord  `json:"history"` // newest first
	Replica  Replica          `json:"replica"`
	Accuracy *VersionAccuracy `json:"accuracy"` // nil without a journal

	ETag string `json:"-"` // names the plan, for [Client.SetRollout]
}

// RolloutRecord is one change of the plan.
type RolloutRecord struct {
	When time.Time    `json:"when"`
	Who  string       `json:"who"`
	What string       `json:"what"`
	Why  string       `json:"why"`
	From *RolloutPlan `json:"from"`
	To   *RolloutPlan `json:"to"`
}

// Replica is what one replica makes of the plan.
type Replica struct {
	Name     string           `json:"name"`    // host and port that it listens on
	Answers  string           `json:"answers"` // version that answers as the primary
	Pinned   bool             `json:"pinned"`
	Running  []RunningModel   `json:"running"`
	Problems []VersionProblem `json:"problems"`
}

// RunningModel is a model that runs on a replica.
type RunningModel struct {
	Version  string    `json:"version"`
	SHA256   string    `json:"sha256"`
	Since    time.Time `json:"since"`
	Faults   int64     `json:"faults"`
	SentBack bool      `json:"sent_back"`
}

// VersionProblem is why a version does not run.
type VersionProblem struct {
	Version string    `json:"version"`
	Reason  string    `json:"reason"`
	Detail  string    `json:"detail"`
	Since   time.Time `json:"since"`
}

// VersionAccuracy is how close versions came to what houses then sold for.
type VersionAccuracy struct {
	Since      *time.Time                 `json:"since"`
	Arms       []VersionAccuracyArm       `json:"arms"`
	Difference *VersionAccuracyDifference `json:"difference"`
}

// VersionAccuracyArm is how one version did in one role.
type VersionAccuracyArm struct {
	Version     string   `json:"version"`
	Role        string   `json:"role"`
	Predictions int      `json:"predictions"`
	Outcomes    int      `json:"outcomes"`
	MdAPE       Estimate `json:"mdape"`
	PPE10       Estimate `json:"ppe10"`
	MedianRatio Estimate `json:"median_ratio"`
}

// Estimate is a figure with its interval of 95 %; nil is not known.
type Estimate struct {
	Value *float64 `json:"value"`
	Low   *float64 `json:"low"`
	High  *float64 `json:"high"`
}

// VersionAccuracyDifference compares primary and candidate.
type VersionAccuracyDifference struct {
	Primary   string   `json:"primary"`
	Candidate string   `json:"candidate"`
	LogError  Estimate `json:"log_error"` // of |ln(predicted / sold)|, candidate less primary
	Better    string   `json:"better"`    // primary, candidate, or "" while it may be chance
}

// Rollout returns the traffic plan and what the replica that answers makes of
// it.
func (c *Client) Rollout(ctx context.Context) (*Rollout, error) {
	r := &Rollout{}
	a, err := c.do(ctx, newCall(http.MethodGet, "/v1/rollout"), r)
	if err != nil {
		return nil, err
	}
	r.ETag = a.etag
	return r, nil
}

// RolloutChange is a plan to follow from now on, and why.
type RolloutChange struct {
	Plan RolloutPlan `json:"plan"` // Previous is filled in by the service
	Why  string      `json:"why,omitempty"`
}

// SetRollout changes the traffic plan. With the ETag of the plan that it was
// made from, it is an [*Error] of status 412 if the plan has changed since;
// with "" the plan is replaced whatever it is. It is asked once: after an
// error look at [Client.Rollout] before you try again.
func (c *Client) SetRollout(ctx context.Context, change RolloutChange, etag string) (*RolloutPlan, error) {
	q := newCall(http.MethodPut, "/v1/rollout")
	if err := q.send(change); err != nil {
		return nil, err
	}
	q.repeat = false
	if etag != "" {
		q.header = map[string]string{"If-Match": etag}
	}
	return get[RolloutPlan](ctx, c, q)
}
