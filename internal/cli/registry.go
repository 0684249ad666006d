package cli

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"housing/internal/bundle"
	"housing/internal/config"
	"housing/internal/registry"
)

// registryFlags are the settings of the commands on a registry.
type registryFlags struct {
	config.Registry
}

// open opens the registry of MODEL_DIR, which must be set.
func (f *registryFlags) open(ctx context.Context) (*registry.Registry, error) {
	if f.ModelDir == "" {
		return nil, &config.Error{Source: "MODEL_DIR", Problem: "is not set: want the registry, a folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX"}
	}
	r, err := registry.Open(ctx, f.ModelDir)
	if err != nil {
		return nil, &config.Error{Source: "MODEL_DIR", Problem: err.Error()}
	}
	return r, nil
}

// openToChange opens the registry for a command that changes it: each change
// leaves a line in the log.
func (f *registryFlags) openToChange(p *program) (*registry.Registry, error) {
	r, err := f.open(p.ctx)
	if err == nil {
		r.AuditTo(p.auditLog())
	}
	return r, err
}

// key returns the public key that bundles must be signed with, nil for none.
func (f *registryFlags) key() (ed25519.PublicKey, error) {
	if f.ModelPublicKey == "" {
		return nil, nil
	}
	key, err := bundle.ParsePublicKey(string(f.ModelPublicKey))
	if err != nil {
		return nil, &config.Error{Source: "MODEL_PUBLIC_KEY", Problem: err.Error()}
	}
	return key, nil
}

// bundle opens what name stands for: the built-in bundle for "", a file where
// it has a slash or there is no registry, else a version or an alias of the
// registry.
func (f *registryFlags) bundle(ctx context.Context, name string) (*bundle.Bundle, error) {
	if name == "" || f.ModelDir == "" || strings.ContainsRune(name, os.PathSeparator) {
		return openBundle(name)
	}
	r, err := f.open(ctx)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	version, err := resolve(ctx, r, name)
	if err != nil {
		return nil, err
	}
	key, err := f.key()
	if err != nil {
		return nil, err
	}
	return r.Load(ctx, version, key, "")
}

// resolve returns the version that a name stands for.
func resolve(ctx context.Context, r *registry.Registry, name string) (string, error) {
	state, _, err := r.State(ctx, "")
	if err != nil {
		return "", err
	}
	return state.Resolve(name), nil
}

// changeFlags are the flags of the commands that change what is served.
type changeFlags struct {
	Why    string `placeholder:"TEXT" help:"Reason, for the history."`
	DryRun bool   `help:"Say what would change, and change nothing."`
}

// change returns the line of the history for what is done now.
func (f *changeFlags) change(what string) registry.Change {
	return registry.Change{When: time.Now(), Who: who(), What: what, Why: f.Why}
}

// setAlias lets an alias stand for a version.
func setAlias(p *program, r *registry.Registry, name, version string, f *changeFlags) error {
	state, _, err := r.State(p.ctx, "")
	if err != nil {
		return err
	}
	from, to := state.Aliases[name], version
	if from == "" {
		from = "nothing"
	}
	if to == "" {
		to = "nothing"
	}
	if f.DryRun {
		_, err := fmt.Fprintf(p.stdout, "Alias %s would stand for %s; it stands for %s.\n", name, to, from)
		return err
	}
	if err := r.SetAlias(p.ctx, state, name, version, f.change("alias "+name)); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "Alias %s stands for %s; it stood for %s.\n", name, to, from)
	return err
}

// readKey reads the private key to sign with; nil for no file.
func readKey(path string) (ed25519.PrivateKey, error) {
	if path == "" {
		return nil, nil
	}
	info, err := os.Stat(path)
	if err == nil && info.Size() > 1<<16 {
		err = errors.New("it is too large for a key")
	}
	if err != nil {
		return nil, fmt.Errorf("--sign: %w", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--sign: %w", err)
	}
	key, err := bundle.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("--sign %s: %w", path, err)
	}
	return key, nil
}
