package rollout

import (
	"context"
	"fmt"

	"housing/internal/registry"
)

// Of returns the plan that a registry's state says: its traffic plan, else
// that of its file VERSION, else the zero Plan.
func Of(state registry.State) (Plan, error) {
	switch {
	case state.Plan != nil:
		return Parse(state.Plan)
	case state.Version != "":
		return Plan{Primary: state.Version}, nil
	}
	return Plan{}, nil
}

// Save makes next the plan in place of the one in state. Its versions must be
// in the registry. The error is [registry.ErrConflict] where someone else was
// quicker.
func Save(ctx context.Context, r *registry.Registry, state registry.State, next Plan, c registry.Change) error {
	text, err := next.Text()
	if err != nil {
		return err
	}
	for _, version := range []string{next.Primary, next.Candidate} {
		if version == "" {
			continue
		}
		if _, err := r.Stat(ctx, version); err != nil {
			return fmt.Errorf("plan: %w", err)
		}
	}
	return r.SetPlan(ctx, state, text, c)
}
