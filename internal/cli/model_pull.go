package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"housing/internal/bundle"
)

type modelPullCommand struct {
	registryFlags
	Version string `arg:"" help:"Version or alias to pull."`
	Out     string `required:"" placeholder:"FILE" help:"File to write, which must not be there."`
}

// Help shows an example.
func (*modelPullCommand) Help() string {
	return "Fetches a bundle from the registry and verifies it: digest, signature where a public key is set, checksums, golden houses. The file is written whole or not at all.\n\nExample:\n\n    housing model pull kc-3 --model-dir s3://models/kc --out kc-3.bundle"
}

// Run pulls the bundle.
func (c *modelPullCommand) Run(p *program) (err error) {
	key, err := c.key()
	if err != nil {
		return err
	}
	r, err := c.open(p.ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	version, err := resolve(p.ctx, r, c.Version)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(c.Out); err == nil {
		return fmt.Errorf("--out: %s is there already", c.Out)
	}
	file, err := os.CreateTemp(filepath.Dir(c.Out), "."+filepath.Base(c.Out)+"-*")
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	temporary := file.Name()
	defer func() { err = errors.Join(err, os.Remove(temporary)) }()
	if err := file.Chmod(0o644); err != nil {
		return errors.Join(err, file.Close())
	}
	info, err := r.Fetch(p.ctx, version, file)
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return interrupted(p.ctx, err, nothingWritten)
	}
	if key != nil {
		if err := bundle.CheckSignature(key, info.Digest, info.Signature); err != nil {
			return fmt.Errorf("version %s: %w", version, err)
		}
	}
	b, err := bundle.Open(temporary)
	if err != nil {
		return err
	}
	if err := b.Close(); err != nil {
		return err
	}
	if b.Manifest.Version != version {
		return fmt.Errorf("version %s: the bundle holds version %q", version, b.Manifest.Version)
	}
	if err := os.Link(temporary, c.Out); err != nil { // which replaces nothing, as a rename would
		return fmt.Errorf("--out: %w", err)
	}
	_, err = fmt.Fprintf(p.stdout, "Version %s, sha256 %s, is in %s.\n", version, info.Digest, c.Out)
	return err
}
