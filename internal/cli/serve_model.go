package cli

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"housing/internal/bundle"
	"housing/internal/config"
	"housing/internal/registry"
	"housing/internal/rollout"
)

// loadLimit bounds how long a start may take to load its model.
const loadLimit = 5 * time.Minute

// openModel opens the bundle that is to be served: the built-in one, or from
// the registry the version of DEFAULT_MODEL_VERSION, else the plan's primary,
// else the newest.
func (c *serveCommand) openModel(ctx context.Context, kept registry.Keeper) (*bundle.Bundle, error) {
	flags := registryFlags{c.Registry}
	key, err := flags.key()
	if err != nil {
		return nil, err
	}
	if c.ModelDir == "" {
		return c.openBuiltin(key)
	}
	ctx, cancel := context.WithTimeout(ctx, loadLimit)
	defer cancel()
	r, err := flags.open(ctx)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	load := func(version string) (*bundle.Bundle, error) {
		if kept != nil {
			return r.LoadThrough(ctx, version, key, kept)
		}
		return r.Load(ctx, version, key, "")
	}
	if want := c.DefaultModelVersion; want != "" {
		b, err := load(want)
		if err != nil {
			return nil, &config.Error{Source: "DEFAULT_MODEL_VERSION", Problem: err.Error()}
		}
		return b, nil
	}
	b, err := openPlanned(ctx, r, load)
	if err != nil {
		return nil, &config.Error{Source: "MODEL_DIR", Problem: err.Error()}
	}
	return b, nil
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
// plan, the version that was created last.
func openPlanned(ctx context.Context, r *registry.Registry, load func(version string) (*bundle.Bundle, error)) (newest *bundle.Bundle, err error) {
	state, _, err := r.State(ctx, "")
	if err != nil {
		return nil, err
	}
	plan, err := rollout.Of(state)
	if err != nil {
		return nil, err
	}
	if plan.Primary != "" {
		return load(plan.Primary)
	}
	versions, err := r.Versions(ctx)
	if err != nil {
		return nil, err
	}
	for _, version := range versions {
		b, err := load(version)
		switch {
		case err != nil:
			if newest != nil {
				err = errors.Join(err, newest.Close())
			}
			return nil, err
		case newest == nil:
			newest = b
		case b.Manifest.Created.After(newest.Manifest.Created):
			newest, b = b, newest
			fallthrough
		default:
			if err := b.Close(); err != nil {
				return nil, errors.Join(err, newest.Close())
			}
		}
	}
	if newest == nil {
		return nil, fmt.Errorf("%q holds no model: want VERSION/bundle in it", r.Location())
	}
	return newest, nil
}
