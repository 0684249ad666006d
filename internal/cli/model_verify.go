package cli

import (
	"fmt"
	"text/tabwriter"
)

type modelVerifyCommand struct {
	registryFlags
	Versions []string `arg:"" optional:"" help:"Versions or aliases to verify. Default: all."`
	JSON     bool     `name:"json" help:"Print JSON."`
}

// Help shows an example.
func (*modelVerifyCommand) Help() string {
	return "Fetches versions and verifies each as a service does before it answers: digest, signature where a public key is set, checksums, golden houses. The exit code is 1 if one is not as it should be.\n\nExample:\n\n    housing model verify --model-dir s3://models/kc --model-public-key \"$(cat public.pem)\""
}

// verdict is what was found of a version.
type verdict struct {
	Version   string `json:"version"`
	Digest    string `json:"sha256,omitempty"`
	Signature string `json:"signature"` // valid, not checked, none
	Fault     string `json:"fault,omitempty"`
}

// Run verifies and prints.
func (c *modelVerifyCommand) Run(p *program) error {
	key, err := c.key()
	if err != nil {
		return err
	}
	r, err := c.open(p.ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	versions := c.Versions
	if len(versions) == 0 {
		if versions, err = r.Versions(p.ctx); err != nil {
			return err
		}
		if len(versions) == 0 {
			return fmt.Errorf("%s has no versions", r.Location())
		}
	}
	state, _, err := r.State(p.ctx, "")
	if err != nil {
		return err
	}
	verdicts, bad := []verdict{}, 0
	for _, name := range versions {
		v := verdict{Version: state.Resolve(name), Signature: "none"}
		info, err := r.Stat(p.ctx, v.Version)
		if err == nil && info.Signed {
			v.Signature = "not checked"
		}
		b, err := r.Load(p.ctx, v.Version, key, "")
		if p.ctx.Err() != nil {
			return interrupted(p.ctx, err, "not all versions were verified")
		}
		if err != nil {
			v.Fault = err.Error()
			bad++
		} else {
			if v.Digest = b.Digest; key != nil {
				v.Signature = "valid"
			}
			if err := b.Close(); err != nil {
				return err
			}
		}
		verdicts = append(verdicts, v)
	}
	if err := c.print(p, verdicts); err != nil {
		return err
	}
	if bad > 0 {
		return fmt.Errorf("of %d versions, %d must not be served", len(verdicts), bad)
	}
	return nil
}

func (c *modelVerifyCommand) print(p *program, verdicts []verdict) error {
	if c.JSON {
		return printJSON(p.stdout, map[string]any{"versions": verdicts})
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "VERSION\tSHA256\tSIGNATURE\tRESULT")
	for _, v := range verdicts {
		result := "good"
		if v.Fault != "" {
			result = v.Fault
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", v.Version, orDash(v.Digest), v.Signature, result)
	}
	return w.Flush()
}
