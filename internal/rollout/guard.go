package rollout

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"housing/internal/registry"
)

// ErrRolledBack is the error of a guard that rolled its candidate back.
var ErrRolledBack = errors.New("rolled back")

// Guard moves a candidate from step to step while it and the primary agree,
// and rolls it back at once where they do not. It keeps nothing but the plan:
// one that was killed goes on from there when it is started again.
type Guard struct {
	Registry *registry.Registry
	Source   Source
	Version  string        // of the candidate
	Steps    []Percent     // rising, the last is usually the whole
	Every    time.Duration // that each step lasts at least
	Least    float64       // requests of the candidate that a step needs
	Limits   Limits
	Look     time.Duration // between looks at the replicas; 0 is a tenth of a step, at most 5 s
	Again    bool          // also a candidate that a guard has just rolled back
	Who, Why string        // for the history
	Tell     func(Progress)
}

// Progress is how a rollout is.
type Progress struct {
	Time      time.Time `json:"time"`
	Event     string    `json:"event"` // waiting, watching, step, blind, promoted, rolled_back, stopped
	Candidate string    `json:"candidate"`
	Percent   Percent   `json:"percent"`
	Step      int       `json:"step"` // from 1
	Steps     int       `json:"steps"`
	Replicas  int       `json:"replicas"`
	Requests  float64   `json:"requests"` // of the candidate, in this step
	Needed    float64   `json:"needed_requests"`
	Primary   float64   `json:"primary_requests"`
	Compared  float64   `json:"compared_houses"`
	Evidence  float64   `json:"evidence"` // the most of any test, of what rolls back
	Detail    string    `json:"detail,omitempty"`
}

// Bounds on the patience of a guard.
const (
	lookMost   = 5 * time.Second
	lookLeast  = 100 * time.Millisecond
	readyLimit = 3 * time.Minute // that replicas have to follow a step
	blindLimit = 5 * time.Minute // that a guard goes without seeing any replica
	saveAgain  = 2 * time.Second // after a registry that is away
	maxSteps   = 100
)

// What the history says, before the version, of a candidate that
// a guard rolled back.
const (
	rollBack   = "roll back "
	rolledBack = "guard: " + rollBack
)

// Check refuses a guard that cannot work.
func (g *Guard) Check() error {
	switch {
	case len(g.Steps) == 0 || len(g.Steps) > maxSteps:
		return fmt.Errorf("%d steps: want 1 to %d", len(g.Steps), maxSteps)
	case !slices.IsSorted(g.Steps) || len(slices.Compact(slices.Clone(g.Steps))) < len(g.Steps) || g.Steps[0] <= 0:
		return fmt.Errorf("steps %v: each must be more than the one before, and the first more than 0", g.Steps)
	case g.Every < time.Second:
		return fmt.Errorf("a step of %v: want 1s or more", g.Every)
	}
	return g.Limits.Check()
}

// watch is a guard at work.
type watch struct {
	*Guard
	plan     Plan // that it made, and no one else has changed
	meter    meter
	evidence *evidence
	replicas int
	step     int
	seen     time.Time // when replicas were last read
}

// Run starts the candidate, or goes on with one that is under way, and
// returns when it has been promoted: nil; rolled back: [ErrRolledBack]; when
// someone else changed the plan: [ErrChanged]; or when ctx ends, which leaves
// the plan as it is.
func (g *Guard) Run(ctx context.Context) error {
	if err := g.Check(); err != nil {
		return err
	}
	w := &watch{Guard: g, seen: time.Now()}
	var err error
	if w.evidence, err = newEvidence(g.Limits); err != nil {
		return err
	}
	if err := w.begin(ctx); err != nil {
		return err
	}
	if w.plan.Primary == w.Version { // by the guard that was killed before it told so
		w.tell("promoted", "it is the primary already")
		return nil
	}
	for i, percent := range g.Steps {
		w.step = i + 1
		if percent < w.plan.Percent {
			continue // where it stood when it was started again
		}
		if percent > w.plan.Percent {
			if err := w.change(ctx, "step", fmt.Sprintf("step %d of %d", w.step, len(g.Steps)), func(p Plan) (Plan, error) { return p.Set(percent) }); err != nil {
				return err
			}
		}
		w.tell("step", "")
		why, err := w.hold(ctx)
		switch {
		case err != nil:
			return err
		case why != "":
			return w.back(ctx, why)
		}
	}
	if g.Steps[len(g.Steps)-1] < Whole { // someone else's 100 % was not watched
		w.tell("stopped", "the last step is reached; the plan stays as it is")
		return nil
	}
	if err := w.change(ctx, "promote "+g.Version, "every step agreed", Plan.Promote); err != nil {
		return err
	}
	w.tell("promoted", "")
	return nil
}

// begin puts the candidate into the plan, or takes it over as it stands.
func (w *watch) begin(ctx context.Context) error {
	state, _, err := w.Registry.State(ctx, "")
	if err != nil {
		return err
	}
	if w.plan, err = Of(state); err != nil {
		return err
	}
	w.Version = state.Resolve(w.Version)
	if w.plan.Candidate == w.Version && w.plan.Mode == Canary && w.plan.Percent > 0 {
		return nil
	}
	if w.plan.Candidate == "" && w.plan.Primary == w.Version {
		return nil
	}
	if h := state.PlanHistory; len(h) > 0 && h[0].What == rolledBack+w.Version && !w.Again {
		// Whoever starts a job anew when it fails would bring it back for ever.
		return fmt.Errorf("nothing was changed: %s is %w by a guard, %s; push a better one under another version, or start it with --again", w.Version, ErrRolledBack, h[0].Why)
	}
	if _, err := w.Source.Read(ctx); err != nil {
		return fmt.Errorf("nothing was changed, as what the candidate does could not be seen: %w", err)
	}
	salt := rand.Text()
	return w.change(ctx, "start "+w.Version, "step 1", func(p Plan) (Plan, error) {
		if p.Candidate == w.Version && p.Mode == Canary {
			return p.Set(w.Steps[0])
		}
		return p.Start(w.Version, Canary, w.Steps[0], salt)
	})
}

// change changes the plan that this guard knows into another. While the
// registry is away it tries again.
func (w *watch) change(ctx context.Context, what, why string, make func(Plan) (Plan, error)) error {
	next, err := make(w.plan)
	if err != nil {
		return err
	}
	if w.Why != "" {
		why += ": " + w.Why
	}
	why = strings.ToValidUTF8(why[:min(len(why), 400)], "")
	for {
		made, err := Change(ctx, w.Registry, func(now Plan, _ func(string) string) (Plan, string, error) {
			if now != w.plan {
				return now, "", ErrChanged
			}
			return next, "guard: " + what, nil
		}, registry.Change{When: time.Now(), Who: w.Who, Why: why})
		switch {
		case err == nil:
			w.plan = made
			return nil
		case errors.Is(err, ErrChanged), errors.Is(err, registry.ErrConflict):
			// The answer to a change may have been lost: it may be ours.
			if state, _, readErr := w.Registry.State(ctx, ""); readErr == nil {
				if there, parseErr := Of(state); parseErr == nil && there == next {
					w.plan = next
					return nil
				}
			}
			w.tell("stopped", ErrChanged.Error())
			return ErrChanged
		case ctx.Err() != nil:
			return ctx.Err()
		case !registry.Passing(err):
			return err
		}
		w.tell("blind", err.Error())
		if err := sleep(ctx, saveAgain); err != nil {
			return err
		}
	}
}

// back rolls the candidate back.
func (w *watch) back(ctx context.Context, why string) error {
	if err := w.change(ctx, rollBack+w.Version, why, Plan.Rollback); err != nil {
		return fmt.Errorf("%s was to be rolled back, as %s: %w", w.Version, why, err)
	}
	w.tell("rolled_back", why)
	return fmt.Errorf("%s is %w: %s", w.Version, ErrRolledBack, why)
}

// hold watches a step to its end, and returns why the candidate is to go, or
// "".
func (w *watch) hold(ctx context.Context) (why string, err error) {
	look := w.Look
	if look == 0 {
		look = min(max(w.Every/10, lookLeast), lookMost)
	}
	w.evidence.nextStep()
	var began time.Time // once every replica follows
	w.seen = time.Now()
	followed := time.Now() // when every replica did last, or could not know of the step
	for checks := 0; ; checks++ {
		if err := sleep(ctx, look); err != nil {
			return "", err
		}
		known, err := w.mine(ctx)
		if err != nil {
			return "", err
		}
		samples, err := w.Source.Read(ctx)
		now := time.Now()
		if err != nil {
			if ctx.Err() != nil {
				return "", ctx.Err()
			}
			if now.Sub(w.seen) > blindLimit {
				return fmt.Sprintf("no replica could be seen for %v: %v", blindLimit, err), nil
			}
			w.tell("blind", err.Error())
			continue
		}
		w.seen = now
		why, err := w.evidence.add(w.meter.grow(&w.plan, samples))
		if err != nil || why != "" {
			return why, err
		}
		late := w.late(samples)
		if late == "" || !known {
			followed = now
		}
		switch {
		case now.Sub(followed) > readyLimit:
			return late, nil
		case late != "":
			w.tell("waiting", late)
			continue
		case began.IsZero():
			began = now
			continue
		}
		w.tell("watching", "")
		if now.Sub(began) >= w.Every && w.evidence.step.candidate.requests >= w.Least {
			return w.evidence.endStep(), nil
		}
	}
}

// mine returns an error where someone else has changed the plan. A registry
// that is away changes nothing; then known is false.
func (w *watch) mine(ctx context.Context) (known bool, err error) {
	state, _, err := w.Registry.State(ctx, "")
	if err != nil {
		return false, nil
	}
	there, err := Of(state)
	if err != nil || there != w.plan {
		w.tell("stopped", ErrChanged.Error())
		return false, ErrChanged
	}
	return true, nil
}

// late names replicas that do not follow the plan, or returns "".
func (w *watch) late(samples []Sample) string {
	replicas := ReplicasOf(samples)
	if w.replicas = len(replicas); w.replicas == 0 {
		return "no replica shows what it runs"
	}
	var late []string
	for i := range replicas {
		if !replicas[i].follows(&w.plan) {
			late = append(late, replicas[i].Address)
		}
	}
	if len(late) == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d replicas do not serve it at %v %%, %s among them", len(late), len(replicas), w.plan.Percent, late[0])
}

func (w *watch) tell(event, detail string) {
	if w.Tell == nil {
		return
	}
	e := w.evidence
	w.Tell(Progress{
		Time: time.Now(), Event: event, Candidate: w.Version, Percent: w.plan.Percent, Step: w.step, Steps: len(w.Steps),
		Replicas: w.replicas, Requests: e.step.candidate.requests, Needed: w.Least, Primary: e.step.primary.requests, Compared: e.dearer.n,
		Evidence: min(1, alpha*max(e.errors.E(), e.refused.E(), e.slow.E(), e.dearer.e(), e.cheaper.e())), Detail: detail,
	})
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
