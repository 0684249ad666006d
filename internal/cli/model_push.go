package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"housing/internal/bundle"
)

type modelPushCommand struct {
	registryFlags
	changeFlags
	Bundle string `arg:"" optional:"" help:"Bundle to push. Default: the built-in one."`
	Sign   string `placeholder:"KEYFILE" help:"Ed25519 private key in PEM to sign it with."`
	Alias  string `placeholder:"NAME" help:"Let this alias stand for the version afterwards."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

// Help shows examples.
func (*modelPushCommand) Help() string {
	return `Verifies a bundle and puts it into the registry, under the version that it was trained as. A version is written once: to push the same bundle again changes nothing, another bundle of that version is refused. To have traffic it needs a traffic plan (housing rollout).

Examples:

    housing model push models/kc-3/bundle --model-dir s3://models/kc
    openssl genpkey -algorithm ed25519 -out key.pem
    housing model push models/kc-3/bundle --model-dir s3://models/kc --sign key.pem --alias next`
}

// Run pushes the bundle.
func (c *modelPushCommand) Run(p *program) (err error) {
	key, err := readKey(c.Sign)
	if err != nil {
		return err
	}
	b, err := openBundle(c.Bundle)
	if err != nil {
		return err
	}
	version := b.Manifest.Version
	digest := b.Digest
	if err := b.Close(); err != nil {
		return err
	}
	r, err := c.openToChange(p)
	if err != nil {
		return err
	}
	defer r.Close()
	if c.DryRun {
		if _, err := fmt.Fprintf(p.stdout, "Version %s, sha256 %s, would be pushed to %s.\n", version, digest, r.Location()); err != nil {
			return err
		}
		if c.Alias != "" {
			return setAlias(p, r, c.Alias, version, &c.changeFlags)
		}
		return nil
	}
	data, closeData, err := c.body()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeData()) }()
	info, err := r.Push(p.ctx, version, data, key, c.change("push "+version))
	if err != nil {
		return interrupted(p.ctx, err, "version "+version+" may be claimed without its bundle: push the same bundle again to finish")
	}
	if c.JSON {
		err = printJSON(p.stdout, info)
	} else {
		_, err = fmt.Fprintf(p.stdout, "Version %s, sha256 %s, is in %s.\n", info.Version, info.Digest, r.Location())
	}
	if err != nil || c.Alias == "" {
		return err
	}
	quiet := *p
	if c.JSON {
		quiet.stdout = p.stderr
	}
	return setAlias(&quiet, r, c.Alias, version, &c.changeFlags)
}

// body returns the bundle as it is, and what closes it.
func (c *modelPushCommand) body() (body io.ReadSeeker, closeBody func() error, err error) {
	if c.Bundle == "" {
		data, err := bundle.BuiltinBytes()
		return bytes.NewReader(data), func() error { return nil }, err
	}
	file, err := os.Open(c.Bundle)
	return file, file.Close, err
}
