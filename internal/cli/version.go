package cli

import (
	"encoding/json"
	"fmt"

	"housing/internal/buildinfo"
	"housing/internal/bundle"
)

type versionCommand struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Help shows an example.
func (*versionCommand) Help() string { return "Example:\n\n    housing version --json" }

// versions is what the command prints.
type versions struct {
	Version     string `json:"version"`
	Commit      string `json:"commit"`
	Go          string `json:"go"`
	Model       string `json:"model"`
	ModelSHA256 string `json:"model_sha256"`
	Engine      string `json:"engine"` // how it predicts here
}

// Run prints the versions.
func (c *versionCommand) Run(p *program) error {
	b, err := bundle.Builtin()
	if err != nil {
		return fmt.Errorf("open the built-in model: %w", err)
	}
	defer b.Close()
	v := versions{buildinfo.Version, buildinfo.Commit(), buildinfo.GoVersion(), b.Manifest.Version, b.Digest, b.Model.Engine()}
	if c.JSON {
		return json.NewEncoder(p.stdout).Encode(v)
	}
	_, err = fmt.Fprintf(p.stdout, "housing %s\ncommit  %s\nbuilt   %s\nmodel   %s sha256:%s\nengine  %s\n", v.Version, v.Commit, v.Go, v.Model, v.ModelSHA256, v.Engine)
	return err
}
