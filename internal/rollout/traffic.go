package rollout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"housing/internal/bundle"
	"housing/internal/objects"
	"housing/internal/registry"
	"housing/internal/store"
	"housing/internal/telemetry"
	"housing/internal/valuer"
)

// Errors of [Traffic.Ask] that a caller decides by.
var (
	// ErrLoading is the error where a version is not ready in time.
	ErrLoading = errors.New("the model version is being loaded")
	// ErrRefused is the error for a version that could not be loaded.
	ErrRefused = errors.New("the model version cannot be used")
)

// Bounds on what a replica does for its registry.
const (
	pollEvery    = 4 * time.Second // so that a change is everywhere within ten seconds
	retryFirst   = 4 * time.Second // after a model that could not be loaded; doubles
	retryLongest = time.Minute
	probation    = 5 * time.Minute // that the primary before stays ready to answer instead
	loadLimit    = 10 * time.Minute
	askLimit     = 5 * time.Second // that a request waits for a version it names
	askedMost    = 2               // versions that run as requests named them
	askedKept    = 10 * time.Second
	listLimit    = 2 * time.Second // that a request waits for the list of versions
	problemsMost = 20
)

// Options are what a [Traffic] needs.
type Options struct {
	Registry *registry.Registry
	Valuer   *valuer.Valuer
	// Load returns a version as a model that can run.
	Load       func(ctx context.Context, version string) (valuer.Model, error)
	Pinned     string   // version that answers whatever the plan says; "" is none
	Journal    Recorder // notes what is valued aside; nil does not
	Dependency *store.Dependency
	Metrics    *telemetry.Metrics
	Log        *slog.Logger
	Poll       time.Duration // 0 is every 4 s
	Probation  time.Duration // 0 is 5 minutes, below it none
}

// Traffic follows the traffic plan of a registry on one replica: it loads the
// versions that the plan names, sends callers to those that are ready, and
// lets go of the others. A version that cannot be loaded never answers.
type Traffic struct {
	Options
	plan  atomic.Pointer[Plan] // that the replica follows
	aside *shadows

	mu       sync.Mutex
	state    registry.State
	tag      string                     // of its plan
	planned  bool                       // the registry has had a plan
	loading  map[string]*load           // by version
	problems map[string]*VersionProblem // by version, of those that could not be loaded
	asked    map[string]time.Time
	fallback string    // the primary before, while it may have to come back
	until    time.Time // when the probation of the primary ends
	running  sync.WaitGroup
	ctx      context.Context // of the loads; set by Start

	listing  chan struct{} // holds a token while the versions are listed
	versions []string      // sorted, as of the last list that was got
	listed   time.Time     // when the registry was last asked
	unlisted error         // of that, nil where it answered
}

// load is the loading of one version.
type load struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended, well or not
}

// VersionProblem is why a version does not run.
type VersionProblem struct {
	Version string    `json:"version" doc:"The version."`
	Reason  string    `json:"reason" doc:"Why in a word: refused, sent_back, or what is wrong with the registry, such as unreachable."`
	Detail  string    `json:"detail,omitempty" doc:"What is wrong with its bundle."`
	Since   time.Time `json:"since" doc:"When it was first found."`
	retry   time.Time
	wait    time.Duration
}

// Reasons of a problem that are not those of a registry.
const (
	refused  = "refused"   // its bundle is damaged, unsigned, or not for this program
	sentBack = "sent_back" // it failed too often once it answered
)

// loadFailures are the reasons for which a model may not be loaded.
var loadFailures = []string{refused, string(objects.Unreachable), string(objects.Timeout), string(objects.Authentication),
	string(objects.Permission), string(objects.Missing), string(objects.Conflict), string(objects.Overloaded)}

// NewTraffic returns a follower that has not begun; see Start.
func NewTraffic(o Options) *Traffic {
	if o.Poll == 0 {
		o.Poll = pollEvery
	}
	if o.Probation == 0 {
		o.Probation = probation
	}
	t := &Traffic{Options: o, loading: map[string]*load{}, problems: map[string]*VersionProblem{}, asked: map[string]time.Time{}, listing: make(chan struct{}, 1)}
	for _, reason := range loadFailures {
		o.Metrics.ModelLoadFailure(reason, 0) // shown from the start, so that the first one is seen to come
	}
	t.aside = newShadows(o.Valuer, o.Metrics, o.Journal)
	t.tag = Plan{}.Tag()
	t.plan.Store(&Plan{})
	return t
}

// Start makes primary, which runs already, the version that answers, reads
// the plan, and follows it until ctx ends; then Wait.
func (t *Traffic) Start(ctx context.Context, primary string) {
	t.mu.Lock()
	t.ctx = ctx
	t.mu.Unlock()
	t.plan.Store(&Plan{Primary: primary})
	t.running.Go(func() {
		t.Registry.Watch(ctx, t.Poll, t.seen)
	})
	t.running.Go(func() { t.aside.run(ctx) })
}

// Wait returns when all that Start began has ended.
func (t *Traffic) Wait() { t.running.Wait() }

// seen takes what the registry said.
func (t *Traffic) seen(state registry.State, changed bool, err error) {
	t.Dependency.ReportAs(err, store.Reason(registry.ReasonOf(err)))
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil && changed {
		if err := t.read(state); err != nil {
			t.Log.Error("rollout_plan", "error", err.Error())
			t.note("", &VersionProblem{Reason: refused, Detail: err.Error()})
		} else {
			delete(t.problems, "")
		}
	}
	t.settle()
}

// read takes the plan of a state.
func (t *Traffic) read(state registry.State) error {
	plan, err := Of(state)
	if err != nil {
		return err
	}
	if plan.Primary == "" && t.planned {
		return errors.New("the registry has no plan any more: the one before is kept")
	}
	t.state, t.tag, t.planned = state, plan.Tag(), plan.Primary != ""
	before := *t.plan.Load()
	if plan.Primary == "" { // none was ever set: what answers goes on
		plan.Primary = before.Primary
	}
	if t.Pinned != "" {
		plan = Plan{Primary: t.Pinned}
	}
	if plan != before {
		t.Log.Info("rollout_plan", "primary", plan.Primary, "candidate", plan.Candidate, "mode", string(plan.Mode), "percent", plan.Percent.String())
	}
	if before.Candidate != "" && plan.Candidate == "" && plan.Primary == before.Primary {
		t.Metrics.RolloutRollbacks.Inc()
	}
	t.plan.Store(&plan)
	return nil
}

// settle brings the running models and the plan together as far as they are
// ready; called with mu held, whenever one of them may have changed.
func (t *Traffic) settle() {
	now := time.Now()
	plan := t.plan.Load()
	for version, l := range t.loading {
		if _, asked := t.asked[version]; version != plan.Primary && version != plan.Candidate && !asked {
			l.cancel() // it is wanted no longer
		}
	}
	for _, version := range []string{plan.Primary, plan.Candidate} {
		t.want(version, now)
	}
	t.usePrimary(plan.Primary, now)
	t.notice()
	t.drop(plan, now)
	for version := range t.problems { // of versions that nobody wants now
		if _, asked := t.asked[version]; version != "" && version != plan.Primary && version != plan.Candidate && !asked {
			delete(t.problems, version)
		}
	}
	t.show(plan)
}

// want loads a version unless it runs or is being loaded, or failed a moment
// ago.
func (t *Traffic) want(version string, now time.Time) {
	if version == "" || t.loading[version] != nil || t.Valuer.Find(version) != nil || t.ctx.Err() != nil {
		return
	}
	if p := t.problems[version]; p != nil && now.Before(p.retry) {
		return
	}
	ctx, cancel := context.WithTimeout(t.ctx, loadLimit)
	l := &load{cancel: cancel, done: make(chan struct{})}
	t.loading[version] = l
	t.running.Go(func() {
		defer cancel()
		err := t.load(ctx, version)
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.loading, version)
		switch {
		case err == nil:
			delete(t.problems, version)
		case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded): // it was called off
		default:
			t.failed(version, err)
		}
		t.settle()
		close(l.done)
	})
}

// load makes a version run.
func (t *Traffic) load(ctx context.Context, version string) error {
	start := time.Now()
	model, err := t.Load(ctx, version)
	if err != nil {
		return err
	}
	if err := t.Valuer.Add(model, time.Since(start)); err != nil {
		if model.Release != nil {
			err = errors.Join(err, model.Release())
		}
		return err
	}
	t.Log.Info("model_loaded", "model_version", version, "sha256", model.Digest, "took_ms", time.Since(start).Milliseconds())
	return nil
}

// failed notes a version that could not be loaded.
func (t *Traffic) failed(version string, err error) {
	p := &VersionProblem{Version: version, Reason: string(registry.ReasonOf(err))}
	if p.Reason == string(objects.Other) {
		// Clients see this: where the registry lies is for the log alone, as
		// is all that other errors say.
		p.Reason, p.Detail = refused, strings.ReplaceAll(err.Error(), t.Registry.Location(), "the registry")
	}
	t.Metrics.ModelLoadFailure(p.Reason, 1)
	t.Log.Error("model_load", "model_version", version, "reason", p.Reason, "error", err.Error())
	t.note(version, p)
}

// note keeps a problem, and when it may be tried again.
func (t *Traffic) note(version string, p *VersionProblem) {
	now := time.Now().UTC()
	p.Since, p.wait = now, retryFirst
	if before := t.problems[version]; before != nil {
		p.Since, p.wait = before.Since, min(2*before.wait, retryLongest)
	}
	p.retry = now.Add(p.wait)
	if len(t.problems) < problemsMost || t.problems[version] != nil {
		t.problems[version] = p
	}
}

// usePrimary lets the version that the plan names answer as soon as it runs;
// the one before stays ready for the time of the probation.
func (t *Traffic) usePrimary(version string, now time.Time) {
	current := ""
	if m := t.Valuer.Primary(); m != nil {
		current = m.Manifest.Version
	}
	switch {
	case version != current && t.Valuer.Find(version) != nil:
		t.fallback, t.until = current, now.Add(t.Probation)
		if t.Probation < 0 || !t.Valuer.Ready(current) {
			t.fallback = ""
		}
		if err := t.Valuer.SetPrimary(version, t.fallback); err != nil {
			t.Log.Error("model_swap", "model_version", version, "error", err.Error())
			return
		}
		t.Metrics.ModelSwaps.Inc()
		t.Log.Info("model_swap", "model_version", version, "before", current)
	case t.fallback != "" && now.After(t.until) && t.Valuer.Ready(version):
		if err := t.Valuer.SetPrimary(current, ""); err == nil {
			t.fallback = ""
		}
	}
}

// notice keeps as problems the models that were sent back.
func (t *Traffic) notice() {
	for _, m := range t.Valuer.Models() {
		version := m.Manifest.Version
		if p := t.problems[version]; m.SentBack && p == nil {
			t.note(version, &VersionProblem{Version: version, Reason: sentBack, Detail: fmt.Sprintf("it failed in %d requests", m.Faults)})
		}
	}
}

// drop lets go of the models that nothing wants.
func (t *Traffic) drop(plan *Plan, now time.Time) {
	primary := t.Valuer.Primary()
	for version, last := range t.asked {
		if t.loading[version] == nil && t.Valuer.Find(version) == nil && now.Sub(last) > askedKept {
			delete(t.asked, version)
		}
	}
	for _, m := range t.Valuer.Models() {
		version := m.Manifest.Version
		_, asked := t.asked[version]
		if asked || version == plan.Primary || version == plan.Candidate || version == t.fallback || primary != nil && version == primary.Manifest.Version {
			continue
		}
		if err := t.Valuer.Drop(version); err != nil {
			t.Log.Error("model_drop", "model_version", version, "error", err.Error())
			continue
		}
		t.Log.Info("model_dropped", "model_version", version)
	}
}

// show sets the metrics of the plan.
func (t *Traffic) show(plan *Plan) {
	primary := telemetry.Share{Version: plan.Primary, Role: string(valuer.Primary), Share: 1}
	if plan.Candidate == "" {
		t.Metrics.SetShares(primary)
		return
	}
	candidate := telemetry.Share{Version: plan.Candidate, Role: string(valuer.Candidate)}
	if plan.Mode != Shadow && t.Valuer.Ready(plan.Candidate) {
		candidate.Share = float64(plan.Percent) / float64(Whole)
		primary.Share = 1 - candidate.Share
	}
	t.Metrics.SetShares(primary, candidate)
}

// Choose returns who answers a caller: of the plan's versions one that is
// ready. The caller is asked for only where there is a choice.
func (t *Traffic) Choose(caller func() string, askedForCandidate bool) valuer.Choice {
	plan := t.plan.Load()
	if plan.Candidate == "" {
		return valuer.Choice{}
	}
	choice := plan.Choose(caller(), askedForCandidate)
	if choice.Role == valuer.Candidate && t.Valuer.Ready(choice.Version) {
		return choice
	}
	return valuer.Choice{}
}

// Ask returns the choice of a version that a client named, or of the one that
// an alias stands for. One of the registry that does not run is loaded, if
// not too many run already. The error is [valuer.ErrUnknownVersion],
// [ErrLoading], [ErrRefused] or [valuer.ErrOverloaded].
func (t *Traffic) Ask(ctx context.Context, name string) (valuer.Choice, error) {
	if bundle.CheckVersion(name) != nil {
		return valuer.Choice{}, valuer.ErrUnknownVersion
	}
	t.mu.Lock()
	started, version := t.ctx != nil, t.state.Resolve(name)
	t.mu.Unlock()
	if !started {
		return valuer.Choice{}, valuer.ErrNoModel
	}
	if t.Valuer.Find(version) == nil {
		if there, err := t.exists(ctx, version); err != nil || !there {
			return valuer.Choice{}, cmp.Or(err, valuer.ErrUnknownVersion)
		}
	}
	t.mu.Lock()
	l, err := t.ask(version, time.Now())
	t.mu.Unlock()
	if err != nil || l == nil {
		return valuer.Choice{Version: version, Role: valuer.Asked}, err
	}
	timer := time.NewTimer(askLimit)
	defer timer.Stop()
	select {
	case <-l.done:
	case <-timer.C:
		return valuer.Choice{}, ErrLoading
	case <-ctx.Done():
		return valuer.Choice{}, ctx.Err()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.Valuer.Find(version) == nil {
		return valuer.Choice{}, t.problem(version)
	}
	return valuer.Choice{Version: version, Role: valuer.Asked}, nil
}

// exists says whether the registry has a version, by a list that is at most
// as old as a poll. While the registry is away the last list counts.
func (t *Traffic) exists(ctx context.Context, version string) (bool, error) {
	versions, err := t.list(ctx)
	if err != nil && versions == nil {
		return false, ErrLoading
	}
	_, there := slices.BinarySearch(versions, version)
	return there, nil
}

// list returns the versions of the registry, and with an error those that it
// had before. One that is away is asked once a poll, not by each request.
func (t *Traffic) list(ctx context.Context) ([]string, error) {
	select {
	case t.listing <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-t.listing }()
	if time.Since(t.listed) < t.Poll {
		return t.versions, t.unlisted
	}
	limited, cancel := context.WithTimeout(ctx, listLimit)
	defer cancel()
	versions, err := t.Registry.Versions(limited)
	if ctx.Err() != nil { // the client went away, which says nothing of the registry
		return t.versions, cmp.Or(err, ctx.Err())
	}
	t.listed, t.unlisted = time.Now(), err
	if err == nil {
		t.versions = versions
	}
	return t.versions, err
}

// ask returns the loading of a version, nil if it runs. Called with mu held.
func (t *Traffic) ask(version string, now time.Time) (*load, error) {
	if t.Valuer.Find(version) != nil {
		if _, asked := t.asked[version]; asked {
			t.asked[version] = now
		}
		return nil, nil
	}
	if l := t.loading[version]; l != nil {
		return l, nil
	}
	if p := t.problems[version]; p != nil && now.Before(p.retry) {
		return nil, t.problem(version)
	}
	if t.ctx.Err() != nil {
		return nil, valuer.ErrNoModel
	}
	if _, asked := t.asked[version]; !asked && len(t.asked) >= askedMost {
		oldest := ""
		for other, last := range t.asked {
			if oldest == "" || last.Before(t.asked[oldest]) {
				oldest = other
			}
		}
		if now.Sub(t.asked[oldest]) < askedKept {
			return nil, valuer.ErrOverloaded
		}
		delete(t.asked, oldest)
	}
	t.asked[version] = now
	t.want(version, now)
	return t.loading[version], nil
}

// problem returns the error for a version that does not run.
func (t *Traffic) problem(version string) error {
	p := t.problems[version]
	switch {
	case p == nil:
		return ErrLoading
	case p.Reason == string(objects.Missing):
		return valuer.ErrUnknownVersion
	case p.Reason == refused:
		return ErrRefused
	}
	return ErrLoading
}
