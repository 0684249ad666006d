package rollout

import (
	"context"
	"fmt"

	"housing/internal/registry"
)

// Step makes the next plan from the one that is there, and says in a few
// words what it did. Names may be aliases: resolve gives their versions.
type Step func(now Plan, resolve func(name string) string) (next Plan, what string, err error)

// Change takes one step from the registry's plan, and keeps the next plan
// with its line in the history: by says who makes it, when and why. Whoever
// changes the plan does it so, a command or a request. The error is
// [registry.ErrConflict] where someone else was quicker.
func Change(ctx context.Context, r *registry.Registry, step Step, by registry.Change) (Plan, error) {
	state, next, what, err := take(ctx, r, step)
	if err != nil {
		return Plan{}, err
	}
	by.What = what
	if err := Save(ctx, r, state, next, by); err != nil {
		return Plan{}, fmt.Errorf("%s: %w", what, err)
	}
	return next, nil
}

// Preview returns the plan that [Change] would make, and changes nothing.
func Preview(ctx context.Context, r *registry.Registry, step Step) (Plan, error) {
	_, next, what, err := take(ctx, r, step)
	if err != nil {
		return Plan{}, err
	}
	if err := Ready(ctx, r, next); err != nil {
		return Plan{}, fmt.Errorf("%s: %w", what, err)
	}
	return next, nil
}

func take(ctx context.Context, r *registry.Registry, step Step) (state registry.State, next Plan, what string, err error) {
	if state, _, err = r.State(ctx, ""); err != nil {
		return state, next, "", err
	}
	now, err := Of(state)
	if err != nil {
		return state, next, "", err
	}
	if next, what, err = step(now, state.Resolve); err != nil {
		return state, next, "", fmt.Errorf("rollout: %w", err)
	}
	return state, next, what, nil
}
