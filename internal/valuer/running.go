package valuer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"housing/internal/bundle"
	"housing/internal/cache"
	"housing/internal/demographics"
	"housing/internal/drift"
	"housing/internal/house"
	"housing/internal/model"
	"housing/internal/telemetry"
)

// A model is sent back, so that another answers in its place, once this many
// calls met a fault of it and they are more than one in faultyOneIn of the last
// ones: half of callsWeighed to all of them.
const (
	faultsToSendBack = 5
	faultyOneIn      = 1000
	callsWeighed     = 100_000
)

// loaded is a model that runs, and what is known of how.
type loaded struct {
	Model
	roles     map[Role]*roleMetrics // never changed
	users     atomic.Int64          // calls that use it, and one while it may be chosen; once 0, for ever
	faults    atomic.Int64          // calls in which it panicked or gave what is no price
	panics    atomic.Int64
	late      struct{ calls, faults atomic.Int64 } // of late: halved from time to time
	sentBack  atomic.Bool                          // its faults were too many
	sentBacks prometheus.Counter
	observed  *drift.Version // nil where it is not compared with its training
}

// called counts a call. What was long ago weighs little: one in whom a fault
// is new is sent back as soon as another.
func (l *loaded) called() {
	if n := l.late.calls.Add(1); n >= callsWeighed && l.late.calls.CompareAndSwap(n, n/2) {
		l.late.faults.Add(-(l.late.faults.Load() + 1) / 2)
	}
}

// roleMetrics are the metrics of a model in a role, which are not shown
// before it answers in it.
type roleMetrics struct {
	once sync.Once
	telemetry.Prediction
}

// metricsOf returns the metrics of a model in a role.
func (v *Valuer) metricsOf(l *loaded, role Role) *telemetry.Prediction {
	m := l.roles[role]
	m.once.Do(func() {
		m.Prediction = v.metrics.Prediction(l.Manifest.Version, string(role))
		if v.set.Load().find(l.Manifest.Version) == nil { // it was dropped while this call had it
			v.metrics.ForgetPrediction(l.Manifest.Version)
		}
	})
	return &m.Prediction
}

// take keeps the model from being released, and says whether it still can.
func (l *loaded) take() bool {
	for {
		n := l.users.Load()
		if n == 0 {
			return false
		}
		if l.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// give undoes a take. The last one releases the model.
func (l *loaded) give() error {
	if l.users.Add(-1) > 0 || l.Release == nil {
		return nil
	}
	return l.Release()
}

// running is a loaded model with the demographics that it is asked with, and
// what follows from both.
type running struct {
	*loaded
	table  *demographics.Table
	source string
	scope  [sha256.Size]byte // hash of what all keys of the cache depend on
}

// model returns the model with the demographics that it is asked with.
func (r *running) model() *Model {
	m := r.Model
	m.Demographics, m.DemographicsSource = r.table, r.source
	return &m
}

// key returns the key of a house's price in the cache: a hash of all that the
// price depends on. Every unknown value is the same one.
func (r *running) key(h *house.House) cache.Key {
	var text [sha256.Size + 8*house.NumFields + 4]byte
	b := append(text[:0], r.scope[:]...)
	for _, v := range h.Values {
		bits := math.Float64bits(v + 0) // +0 and -0 are one number
		if v != v {
			bits = math.MaxUint64
		}
		b = binary.LittleEndian.AppendUint64(b, bits)
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(h.Date))
	return sha256.Sum256(b)
}

// set is the models that run. It never changes once made.
type set struct {
	all      []*running
	primary  *running // nil before the first
	fallback *running // answers where the primary cannot; nil without one
}

// answering returns the model that answers as the primary.
func (s *set) answering() *running {
	if s.primary != nil && s.fallback != nil && s.primary.sentBack.Load() {
		return s.fallback
	}
	return s.primary
}

// find returns a version, or nil.
func (s *set) find(version string) *running {
	for _, r := range s.all {
		if r.Manifest.Version == version {
			return r
		}
	}
	return nil
}

// instead returns the model that answers a call in which r failed, or nil.
func (s *set) instead(r *running) *running {
	switch {
	case r == s.fallback:
		return nil
	case r == s.primary:
		return s.fallback
	}
	return s.answering()
}

// with returns a model as it runs, by the table that all models are asked
// with or, where there is none, by its own.
func (v *Valuer) with(l *loaded) *running {
	r := &running{loaded: l, table: l.Demographics, source: l.DemographicsSource}
	if v.table != nil {
		r.table, r.source = v.table, v.source
	}
	digest := r.table.Digest()
	r.scope = sha256.Sum256(append([]byte(l.Digest+"\n"), digest[:]...))
	return r
}

// Add makes m one of the models that can be chosen. took is how long loading
// it took. Where the version runs already m is released and nothing else
// happens, if it is the same bundle; if it is another that is an error.
func (v *Valuer) Add(m Model, took time.Duration) error {
	l, err := v.prepare(m)
	if err != nil {
		return err
	}
	v.change.Lock()
	defer v.change.Unlock()
	s := *v.set.Load()
	if there := s.find(m.Manifest.Version); there != nil {
		if there.Digest != m.Digest {
			return fmt.Errorf("use model: version %s runs already with the SHA-256 %s: this one has %s, and versions must never change",
				m.Manifest.Version, there.Digest, m.Digest)
		}
		return l.give()
	}
	v.watch(l)
	s.all = append(slices.Clip(s.all), v.with(l))
	v.store(&s)
	v.metrics.ModelLoadTime.Set(took.Seconds())
	return nil
}

// prepare refuses a model that cannot run.
func (v *Valuer) prepare(m Model) (*loaded, error) {
	switch {
	case m.Pricer == nil:
		return nil, errors.New("use model: it cannot price")
	case m.Demographics == nil:
		return nil, errors.New("use model: it has no demographics")
	}
	if err := bundle.CheckVersion(m.Manifest.Version); err != nil {
		return nil, fmt.Errorf("use model: %w", err)
	}
	m.Since = time.Now().UTC()
	l := &loaded{Model: m, roles: map[Role]*roleMetrics{Primary: {}, Candidate: {}, Asked: {}}}
	l.users.Store(1)
	l.sentBacks = v.metrics.ModelSentBack(m.Manifest.Version)
	return l, nil
}

// SetPrimary makes a running version the one that answers, and another, or
// none with "", the one that answers where it cannot.
func (v *Valuer) SetPrimary(version, fallback string) error {
	v.change.Lock()
	defer v.change.Unlock()
	s := *v.set.Load()
	if s.primary = s.find(version); s.primary == nil {
		return fmt.Errorf("use model %s: %w", version, ErrUnknownVersion)
	}
	s.fallback = nil
	if fallback != "" && fallback != version {
		if s.fallback = s.find(fallback); s.fallback == nil {
			return fmt.Errorf("use model %s: %w", fallback, ErrUnknownVersion)
		}
	}
	v.store(&s)
	return nil
}

// Drop lets no new call choose a version, and releases it when those under
// way have ended. It must be neither the primary nor its fallback.
func (v *Valuer) Drop(version string) error {
	v.change.Lock()
	defer v.change.Unlock()
	s := *v.set.Load()
	r := s.find(version)
	switch {
	case r == nil:
		return fmt.Errorf("drop model %s: %w", version, ErrUnknownVersion)
	case r == s.primary, r == s.fallback:
		return fmt.Errorf("drop model %s: it answers requests", version)
	}
	s.all = slices.DeleteFunc(slices.Clone(s.all), func(other *running) bool { return other == r })
	v.store(&s)
	v.metrics.ForgetPrediction(version)
	v.drift.Forget(r.observed)
	return r.give()
}

// watch begins to compare what the model is asked with its training.
func (v *Valuer) watch(l *loaded) {
	l.observed = v.drift.Watch(l.Manifest.Version, l.Reference, l.Since)
}

// Drift says how what a version is asked differs from its training; nil where
// it does not run, has no statistics of its training, or nothing is compared.
func (v *Valuer) Drift(version string, now time.Time) *drift.Report {
	r := v.set.Load().find(version)
	if r == nil {
		return nil
	}
	return v.drift.Report(r.observed, now)
}

// Use makes m the one running model; calls that are under way finish with
// the one before.
func (v *Valuer) Use(m Model, took time.Duration) error {
	l, err := v.prepare(m)
	if err != nil {
		return err
	}
	v.change.Lock()
	defer v.change.Unlock()
	before := v.set.Load()
	v.watch(l)
	r := v.with(l)
	v.store(&set{all: []*running{r}, primary: r})
	v.metrics.ModelLoadTime.Set(took.Seconds())
	for _, r := range before.all {
		v.drift.Forget(r.observed)
	}
	return releaseAll(before)
}

// Close releases every model as soon as the calls under way have ended.
func (v *Valuer) Close() error {
	v.change.Lock()
	defer v.change.Unlock()
	before := v.set.Swap(new(set))
	return releaseAll(before)
}

func releaseAll(s *set) error {
	var faults []error
	for _, r := range s.all {
		faults = append(faults, r.give())
	}
	return errors.Join(faults...)
}

// UseDemographics lets every model, also those that come, be asked with
// another table; calls that are under way finish with the one before, so each
// uses one from beginning to end. The source is a word such as postgresql.
func (v *Valuer) UseDemographics(table *demographics.Table, source string) error {
	v.change.Lock()
	defer v.change.Unlock()
	v.table, v.source = table, source
	before := v.set.Load()
	s := set{all: make([]*running, len(before.all))}
	for i, r := range before.all {
		s.all[i] = v.with(r.loaded)
		if r == before.primary {
			s.primary = s.all[i]
		}
		if r == before.fallback {
			s.fallback = s.all[i]
		}
	}
	v.store(&s)
	return nil
}

// store makes s the models that run, and shows them.
func (v *Valuer) store(s *set) {
	v.set.Store(s)
	v.show(s)
}

// show sets the metrics that say what runs.
func (v *Valuer) show(s *set) {
	digests, accuracy := make(map[string]string, len(s.all)), make(map[string]telemetry.ModelAccuracy, len(s.all))
	for _, r := range s.all {
		digests[r.Manifest.Version] = r.Digest
		if a, measured := model.Expected(r.Manifest.Accuracy); measured {
			accuracy[r.Manifest.Version] = telemetry.ModelAccuracy{MdAPE: a.MdAPE, PPE10: a.PPE10}
		}
	}
	v.metrics.SetModels(digests)
	v.metrics.SetAccuracy(accuracy)
	if r := s.answering(); r != nil {
		digest := r.table.Digest()
		v.metrics.SetDemographics(r.source, hex.EncodeToString(digest[:]))
	}
}

// Model returns the model that answers as the primary, or nil. It must not
// be changed.
func (v *Valuer) Model() *Model {
	if r := v.set.Load().answering(); r != nil {
		return r.model()
	}
	return nil
}

// Primary returns the model that was made the primary, or nil, even where its
// fallback answers in its place. It must not be changed.
func (v *Valuer) Primary() *Model {
	if r := v.set.Load().primary; r != nil {
		return r.model()
	}
	return nil
}

// Running says how one of the running models is.
type Running struct {
	*Model
	Answers  bool  // as the primary
	Faults   int64 // calls in which it panicked or gave what is no price
	SentBack bool  // its faults were too many, so that others answer in its place
}

// Models returns the models that run, in the order in which they came.
func (v *Valuer) Models() []Running {
	s := v.set.Load()
	answering := s.answering()
	models := make([]Running, len(s.all))
	for i, r := range s.all {
		models[i] = Running{Model: r.model(), Answers: r == answering, Faults: r.faults.Load(), SentBack: r.sentBack.Load()}
	}
	return models
}

// Ready says whether a version runs and may answer.
func (v *Valuer) Ready(version string) bool {
	r := v.set.Load().find(version)
	return r != nil && !r.sentBack.Load()
}

// Find returns a version that runs, or nil. It must not be changed.
func (v *Valuer) Find(version string) *Model {
	if r := v.set.Load().find(version); r != nil {
		return r.model()
	}
	return nil
}
