package cli

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"housing/internal/bundle"
	"housing/internal/config"
	"housing/internal/demographics"
	"housing/internal/registry"
	"housing/internal/rollout"
	"housing/internal/store"
	"housing/internal/telemetry"
	"housing/internal/valuer"
)

// loadLimit bounds how long a start may take to load its model.
const loadLimit = 5 * time.Minute

// servedModels is where a service has its models from, and who answers whom.
type servedModels struct {
	dependencies []*store.Dependency
	traffic      *rollout.Traffic // nil with the built-in model
	registry     *registry.Registry
	valuer       *valuer.Valuer
	key          atomic.Pointer[ed25519.PublicKey]
	table        *demographics.Table // of DEMOGRAPHICS_CSV, nil without it
	load         func(ctx context.Context, version string) (*bundle.Bundle, error)
	command      *serveCommand
	log          *slog.Logger
	loaded       func(*valuer.Model) // called once with the first model
	end          context.CancelFunc
	running      sync.WaitGroup
}

// openModels opens the registry of the settings, or the built-in model.
func (c *serveCommand) openModels(ctx context.Context, v *valuer.Valuer, kept registry.Keeper, notes rollout.Recorder, files *followed, metrics *telemetry.Metrics, log *slog.Logger) (m *servedModels, err error) {
	m = &servedModels{valuer: v, command: c, log: log}
	flags := registryFlags{c.Registry}
	key, err := flags.key()
	if err != nil {
		return nil, err
	}
	if c.DemographicsCSV != "" {
		if m.table, err = readDemographics(c.DemographicsCSV); err != nil {
			return nil, err
		}
	}
	if c.ModelDir == "" {
		b, err := c.openBuiltin(key)
		if err != nil {
			return nil, err
		}
		return m, m.use(b, time.Now())
	}
	if m.registry, err = flags.open(ctx); err != nil {
		return nil, err
	}
	m.registry.AuditTo(log) // of what PUT /v1/rollout changes
	m.key.Store(&key)
	files.secret("MODEL_PUBLIC_KEY", c.ModelPublicKey, func(text string) error {
		key, err := bundle.ParsePublicKey(text)
		if err == nil {
			m.key.Store(&key) // for the models that come
		}
		return err
	})
	m.load = func(ctx context.Context, version string) (*bundle.Bundle, error) {
		if kept != nil {
			return m.registry.LoadThrough(ctx, version, *m.key.Load(), kept)
		}
		return m.registry.Load(ctx, version, *m.key.Load(), "")
	}
	dependency := store.NewDependency("registry", metrics.DependencyUp("registry"), log)
	m.dependencies = append(m.dependencies, dependency)
	m.traffic = rollout.NewTraffic(rollout.Options{
		Registry: m.registry, Valuer: v, Pinned: c.DefaultModelVersion, Journal: notes, Poll: time.Duration(c.ModelPoll), Probation: probation(c.ModelProbation), Dependency: dependency, Metrics: metrics, Log: log,
		Load: func(ctx context.Context, version string) (valuer.Model, error) {
			b, err := m.load(ctx, version)
			if err != nil {
				return valuer.Model{}, err
			}
			return m.model(b), nil
		},
	})
	return m, nil
}

// probation returns a time as package rollout has it: there 0 is the default.
func probation(p config.Period) time.Duration {
	if p == 0 {
		return -1
	}
	return time.Duration(p)
}

// model returns the model of a bundle, with the demographics of the settings.
func (m *servedModels) model(b *bundle.Bundle) valuer.Model {
	model := valuer.FromBundle(b)
	if m.table != nil {
		model.Demographics, model.DemographicsSource = m.table, "csv"
	}
	return model
}

// use makes the first model answer.
func (m *servedModels) use(b *bundle.Bundle, start time.Time) error {
	model := m.model(b)
	if err := m.valuer.Use(model, time.Since(start)); err != nil {
		return errors.Join(err, b.Close())
	}
	return nil
}

// again is how long a service without a model waits before it asks the
// registry again.
const again = 2 * time.Second

// start loads the first model, and follows the registry until stop. A
// registry that cannot be reached does not stop the start: the service is
// not ready until it has a model.
func (m *servedModels) start(ctx context.Context) error {
	ctx, m.end = context.WithCancel(ctx)
	if m.traffic == nil {
		m.first()
		return nil
	}
	err := m.open(ctx)
	if err == nil {
		m.follow(ctx)
		return nil
	}
	if !registry.Passing(err) {
		return err
	}
	m.dependencies[0].ReportAs(err, store.Reason(registry.ReasonOf(err)))
	m.running.Go(func() {
		timer := time.NewTicker(again)
		defer timer.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
			switch err := m.open(ctx); {
			case err == nil:
				m.follow(ctx)
				return
			default:
				m.log.Warn("model_load", "error", err.Error())
			}
		}
	})
	return nil
}

// follow begins to follow the plan.
func (m *servedModels) follow(ctx context.Context) {
	m.first()
	m.traffic.Start(ctx, m.valuer.Model().Manifest.Version)
}

// first tells who waits for it of the first model.
func (m *servedModels) first() {
	if m.loaded != nil {
		m.loaded(m.valuer.Model())
	}
}

// open opens the first model that is to answer: the version of
// DEFAULT_MODEL_VERSION, else the plan's primary, else the newest.
func (m *servedModels) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, loadLimit)
	defer cancel()
	start := time.Now()
	source, open := "MODEL_DIR", func() (*bundle.Bundle, error) { return m.openPlanned(ctx) }
	if want := m.command.DefaultModelVersion; want != "" {
		source, open = "DEFAULT_MODEL_VERSION", func() (*bundle.Bundle, error) { return m.load(ctx, want) }
	}
	b, err := open()
	switch {
	case err == nil:
		return m.use(b, start)
	case registry.Passing(err):
		return err
	}
	return &config.Error{Source: source, Problem: err.Error()}
}

// stop ends what follows the registry, and releases the models.
func (m *servedModels) stop() error {
	if m.end != nil {
		m.end()
	}
	m.running.Wait()
	if m.traffic != nil {
		m.traffic.Wait()
	}
	if m.registry != nil {
		m.registry.Close()
	}
	return m.valuer.Close()
}

func (c *serveCommand) openBuiltin(key ed25519.PublicKey) (*bundle.Bundle, error) {
	if key != nil {
		return nil, &config.Error{Source: "MODEL_PUBLIC_KEY", Problem: "is set without MODEL_DIR, and the built-in model is not signed: set both"}
	}
	b, err := bundle.Builtin()
	if err != nil {
		return nil, fmt.Errorf("open the built-in model: %w", err)
	}
	if want := c.DefaultModelVersion; want != "" && want != b.Manifest.Version {
		return nil, errors.Join(&config.Error{Source: "DEFAULT_MODEL_VERSION", Problem: fmt.Sprintf(
			"%q is not the built-in model, which is %q: set MODEL_DIR to the registry that has it", want, b.Manifest.Version)}, b.Close())
	}
	return b, nil
}

// openPlanned opens the primary of the traffic plan, or, where there is no
// plan, the version that was created last. That one answers or none does: an
// older one in its place would be a rollback that nobody asked for.
func (m *servedModels) openPlanned(ctx context.Context) (*bundle.Bundle, error) {
	state, _, err := m.registry.State(ctx, "")
	if err != nil {
		return nil, err
	}
	plan, err := rollout.Of(state)
	if err != nil {
		return nil, err
	}
	if plan.Primary != "" {
		return m.load(ctx, plan.Primary)
	}
	version, err := m.newest(ctx)
	if err != nil {
		return nil, err
	}
	b, err := m.load(ctx, version)
	if err != nil && !registry.Passing(err) {
		err = fmt.Errorf("version %s is the newest and cannot be loaded: %w: to serve another, set DEFAULT_MODEL_VERSION or a traffic plan", version, err)
	}
	return b, err
}

// readAtOnce is how many manifests newest reads at once.
const readAtOnce = 8

// newest returns the version that was created last by what the manifests say.
// One whose manifest cannot be read is passed over, and told of.
func (m *servedModels) newest(ctx context.Context) (version string, err error) {
	versions, err := m.registry.Versions(ctx)
	if err != nil {
		return "", err
	}
	if len(versions) == 0 {
		return "", fmt.Errorf("%q holds no model: want VERSION/bundle in it", m.registry.Location())
	}
	created := make([]time.Time, len(versions)) // zero where it was passed over
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readAtOnce)
	for i, v := range versions {
		group.Go(func() error {
			manifest, err := m.registry.Manifest(ctx, v)
			switch {
			case err == nil:
				created[i] = manifest.Created
			case registry.Passing(err) || ctx.Err() != nil: // it may be the newest
				return err
			default:
				m.log.Warn("model_passed_over", "model_version", v, "error", err.Error())
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return "", err
	}
	var last time.Time
	for i, v := range versions {
		if created[i].After(last) {
			version, last = v, created[i]
		}
	}
	if version == "" {
		return "", fmt.Errorf("%q holds no model that can be used: the log says what is wrong with each", m.registry.Location())
	}
	return version, nil
}
