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

// Ready returns an error unless every version of the plan is in the registry.
func Ready(ctx context.Context, r *registry.Registry, p Plan) error {
	for _, version := range []string{p.Primary, p.Candidate} {
		if version == "" {
			continue
		}
		if _, err := r.Stat(ctx, version); err != nil {
			return fmt.Errorf("plan: %w", err)
		}
	}
	return nil
}

// Save makes next the plan in place of the one in state, if it is [Ready].
// The error is [registry.ErrConflict] where someone else was quicker.
func Save(ctx context.Context, r *registry.Registry, state registry.State, next Plan, c registry.Change) error {
	text, err := next.Text()
	if err != nil {
		return err
	}
	if err := Ready(ctx, r, next); err != nil {
		return err
	}
	return r.SetPlan(ctx, state, text, c)
}
