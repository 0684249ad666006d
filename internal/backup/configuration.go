package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"housing/internal/registry"
	"housing/internal/rollout"
)

// configurationFormat names the layout of the file.
const configurationFormat = "housing-config/1"

// Bounds of a configuration.
const (
	maxConfigurationBytes = 1 << 20
	maxSettings           = 200
	maxSettingBytes       = 16 << 10
)

// Configuration is what is decided about a service, as one file: the traffic
// plan, the aliases, and the settings but for secrets.
type Configuration struct {
	Format   string            `json:"format"`
	Plan     jsontext.Value    `json:"plan,omitzero"` // nil where none was ever set
	Aliases  map[string]string `json:"aliases"`
	Settings map[string]string `json:"settings"` // by variable of the environment
}

// ReadConfiguration returns that of a registry, nil for none, with settings.
func ReadConfiguration(ctx context.Context, r *registry.Registry, settings map[string]string) (*Configuration, error) {
	c := &Configuration{Format: configurationFormat, Aliases: map[string]string{}, Settings: settings}
	if r == nil {
		return c, nil
	}
	state, _, err := r.State(ctx, "")
	if err != nil {
		return nil, err
	}
	if state.Plan != nil {
		if _, err := rollout.Parse(state.Plan); err != nil {
			return nil, err
		}
	}
	c.Plan, c.Aliases = state.Plan, state.Aliases
	return c, nil
}

// Text returns the file: the same configuration gives the same bytes.
func (c *Configuration) Text() ([]byte, error) {
	text, err := json.Marshal(c, json.Deterministic(true), jsontext.WithIndent("  "))
	return append(text, '\n'), err
}

// ParseConfiguration reads the file. settable says which variables are
// settings that may stand in it.
func ParseConfiguration(text []byte, settable func(variable string) bool) (*Configuration, error) {
	if len(text) > maxConfigurationBytes {
		return nil, fmt.Errorf("%d bytes are more than the %d that a configuration may have", len(text), maxConfigurationBytes)
	}
	var c Configuration
	if err := json.Unmarshal(text, &c, json.RejectUnknownMembers(true)); err != nil {
		return nil, err
	}
	if c.Format != configurationFormat {
		return nil, fmt.Errorf("its format is %.40q, this program reads %s", c.Format, configurationFormat)
	}
	if c.Plan != nil {
		if _, err := rollout.Parse(c.Plan); err != nil {
			return nil, err
		}
	}
	if len(c.Settings) > maxSettings {
		return nil, fmt.Errorf("%d settings are more than %d", len(c.Settings), maxSettings)
	}
	for name, value := range c.Settings {
		if !settable(name) {
			return nil, fmt.Errorf("%.80q is no setting that may stand in a configuration: secrets do not, only the files that hold them", name)
		}
		if value == "" || len(value) > maxSettingBytes || strings.ContainsAny(value, "\n\r\x00") {
			return nil, fmt.Errorf("setting %s: want one line of 1 to %d bytes", name, maxSettingBytes)
		}
	}
	return &c, nil
}

// Difference is one thing that an applied configuration changes.
type Difference struct {
	What string `json:"what"` // plan, alias NAME, setting NAME
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// settingWhat begins what a difference of a setting is.
const settingWhat = "setting "

// Setting says whether it is one of a setting, which no registry holds.
func (d *Difference) Setting() bool { return strings.HasPrefix(d.What, settingWhat) }

// Compare says what would change if other were applied in place of c. What
// other says nothing of goes: aliases and settings. Without a plan it leaves
// the one that is there.
func (c *Configuration) Compare(other *Configuration) (all []Difference) {
	if other.Plan != nil && !samePlan(c.Plan, other.Plan) {
		all = append(all, Difference{"plan", string(c.Plan), string(other.Plan)})
	}
	for _, m := range []struct {
		what     string
		from, to map[string]string
	}{{"alias ", c.Aliases, other.Aliases}, {settingWhat, c.Settings, other.Settings}} {
		names := slices.Concat(slices.Collect(maps.Keys(m.from)), slices.Collect(maps.Keys(m.to)))
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			if m.from[name] != m.to[name] {
				all = append(all, Difference{m.what + name, m.from[name], m.to[name]})
			}
		}
	}
	return all
}

func samePlan(a, b jsontext.Value) bool {
	if a == nil {
		return false
	}
	a, b = bytes.Clone(a), bytes.Clone(b)
	return a.Canonicalize() == nil && b.Canonicalize() == nil && bytes.Equal(a, b)
}

// Apply makes plan and aliases of a registry those of the configuration, each
// where it differs, by a change with a line in its history. The aliases come
// first. The error is [registry.ErrConflict] where someone else was quicker.
func (c *Configuration) Apply(ctx context.Context, r *registry.Registry, by registry.Change) error {
	state, _, err := r.State(ctx, "")
	if err != nil {
		return err
	}
	if err := c.CheckPlan(ctx, r); err != nil {
		return err
	}
	if !maps.Equal(state.Aliases, c.Aliases) {
		text, err := json.Marshal(c.Aliases, json.Deterministic(true))
		if err != nil {
			return err
		}
		if err := r.SetAliases(ctx, state, text, by); err != nil {
			return err
		}
	}
	if c.Plan == nil || samePlan(state.Plan, c.Plan) {
		return nil
	}
	plan, err := rollout.Parse(c.Plan)
	if err != nil {
		return err
	}
	return rollout.Save(ctx, r, state, plan, by)
}

// CheckPlan returns an error unless the versions of the plan and of the
// aliases are in the registry, so that Apply can be done.
func (c *Configuration) CheckPlan(ctx context.Context, r *registry.Registry) error {
	var problems []error
	for name, version := range c.Aliases {
		if _, err := r.Stat(ctx, version); err != nil {
			problems = append(problems, fmt.Errorf("alias %s: %w", name, err))
		}
	}
	if c.Plan != nil {
		plan, err := rollout.Parse(c.Plan)
		if err == nil {
			err = rollout.Ready(ctx, r, plan)
		}
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}
