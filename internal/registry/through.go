package registry

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"

	"housing/internal/bundle"
)

// Keeper keeps the bytes of bundles by their digest: one of package cache
// does, and tests put a lying one in its place. Get returns nil for what it
// does not have, and nothing that has another digest.
type Keeper interface {
	Get(ctx context.Context, digest string) []byte
	Put(ctx context.Context, digest string, data []byte)
}

// LoadThrough is Load, with the bytes from a keeper if it has them, and into
// it if not. The registry says which digest and signature they must have. A
// version without a digest beside it is loaded as by Load.
func (r *Registry) LoadThrough(ctx context.Context, version string, key ed25519.PublicKey, kept Keeper) (*bundle.Bundle, error) {
	info, err := r.Stat(ctx, version)
	if err != nil {
		return nil, err
	}
	if info.Digest == "" {
		return r.Load(ctx, version, key, "")
	}
	if err := checkSigned(info, info.Digest, key); err != nil {
		return nil, fmt.Errorf("version %s in %s: %w", version, r.location, err)
	}
	if data := kept.Get(ctx, info.Digest); data != nil {
		return r.parse(data, info, key)
	}
	var buffer bytes.Buffer
	if _, err := r.Fetch(ctx, version, &buffer); err != nil {
		return nil, err
	}
	b, err := r.parse(buffer.Bytes(), info, key)
	if err == nil {
		kept.Put(ctx, info.Digest, buffer.Bytes())
	}
	return b, err
}

func (r *Registry) parse(data []byte, info Info, key ed25519.PublicKey) (*bundle.Bundle, error) {
	b, err := bundle.Parse(data)
	if err == nil {
		if err = checkLoaded(b, info, key); err == nil {
			return b, nil
		}
		err = errors.Join(err, b.Close())
	}
	return nil, fmt.Errorf("version %s in %s: %w", info.Version, r.location, err)
}
