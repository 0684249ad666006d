package valuer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"housing/internal/bundle"
	"housing/internal/cache"
	"housing/internal/demographics"
	"housing/internal/house"
	"housing/internal/model"
	"housing/internal/telemetry"
)

// Primary is the role of the version that answers when none is asked for.
const Primary = "primary"

// Pricer prices houses: *[model.Model] does, and tests put a faulty one in
// its place. Prices appends the price of each house in dollars to dst[:0].
// It is called concurrently.
type Pricer interface {
	Prices(dst []float64, houses []house.House, table *demographics.Table) []float64
}

// Model is a model that can run, with all that its answers depend on. It does
// not change once it runs.
type Model struct {
	Pricer       Pricer
	Demographics *demographics.Table
	// DemographicsSource says where the table is from: model, csv or
	// postgresql.
	DemographicsSource string
	Manifest           bundle.Manifest
	Digest             string // hexadecimal SHA-256 of the bundle
	Type               string
	Features           []string  // names of the columns, in order
	Since              time.Time // when it began to run; set by Use
}

// FromBundle returns the model in a bundle, which must stay open.
func FromBundle(b *bundle.Bundle) Model {
	return Model{
		Pricer:             b.Model,
		Demographics:       b.Demographics,
		DemographicsSource: "model",
		Manifest:           b.Manifest,
		Digest:             b.Digest,
		Type:               model.Type,
		Features:           b.Model.FeatureNames(),
	}
}

// running is a model with what is looked up or computed once.
type running struct {
	Model
	metrics telemetry.Prediction
	scope   [sha256.Size]byte // hash of what all keys of the cache depend on
}

// start returns the model as it runs.
func start(m Model, metrics telemetry.Prediction) *running {
	table := m.Demographics.Digest()
	return &running{Model: m, metrics: metrics, scope: sha256.Sum256(append([]byte(m.Digest+"\n"), table[:]...))}
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

// Use makes m the running model; calls that are under way finish with the
// one before. loaded is how long loading and checking m took.
func (v *Valuer) Use(m Model, loaded time.Duration) error {
	switch {
	case m.Pricer == nil:
		return errors.New("use model: it cannot price")
	case m.Demographics == nil:
		return errors.New("use model: it has no demographics")
	}
	if err := bundle.CheckVersion(m.Manifest.Version); err != nil {
		return fmt.Errorf("use model: %w", err)
	}
	m.Since = time.Now().UTC()
	v.change.Lock()
	defer v.change.Unlock()
	v.running.Store(start(m, v.metrics.Prediction(m.Manifest.Version, Primary)))
	v.metrics.SetModel(m.Manifest.Version, m.Digest)
	v.showDemographics(&m)
	v.metrics.ModelLoadTime.Set(loaded.Seconds())
	return nil
}

// UseDemographics gives the running model another table; calls that are under
// way finish with the one before, so each uses one from beginning to end.
// The source is a word such as postgresql.
func (v *Valuer) UseDemographics(table *demographics.Table, source string) error {
	v.change.Lock()
	defer v.change.Unlock()
	r := v.running.Load()
	if r == nil {
		return ErrNoModel
	}
	changed := r.Model
	changed.Demographics, changed.DemographicsSource = table, source
	v.running.Store(start(changed, r.metrics))
	v.showDemographics(&changed)
	return nil
}

func (v *Valuer) showDemographics(m *Model) {
	digest := m.Demographics.Digest()
	v.metrics.SetDemographics(m.DemographicsSource, hex.EncodeToString(digest[:]))
}

// Model returns the running model, or nil. It must not be changed.
func (v *Valuer) Model() *Model {
	if r := v.running.Load(); r != nil {
		return &r.Model
	}
	return nil
}

// measured is how many valuations Measure takes the median of.
const measured = 25

// Measure returns how long valuing one house takes: the median of some, of
// which the first ones warm the model up.
func (m *Model) Measure(example house.House) time.Duration {
	houses := []house.House{example}
	var prices []float64
	took := make([]time.Duration, measured)
	for i := range took {
		start := time.Now()
		prices = m.Pricer.Prices(prices[:0], houses, m.Demographics)
		took[i] = time.Since(start)
	}
	slices.Sort(took)
	return took[measured/2]
}
