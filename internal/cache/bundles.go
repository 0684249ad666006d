package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"time"

	"housing/internal/store"
	"housing/internal/telemetry"
)

// Bounds of bundles in Redis.
const (
	bundleBudget   = 5 * time.Second
	maxBundleBytes = 64 << 20 // a larger one is not kept
)

// Bundles keeps the bytes of bundles in Redis, so that replicas which start
// together do not all ask the registry. Nothing in Redis is believed: a bundle
// is taken only if it has the digest that the registry names.
type Bundles struct {
	Remote  Remote
	TTL     time.Duration
	Metrics telemetry.Cache
	Log     *slog.Logger
}

func bundleName(digest string) string { return "housing:bundle:" + digest }

// Get returns the bytes of the bundle with a digest in hex, or nil if Redis
// does not have them.
func (b *Bundles) Get(ctx context.Context, digest string) []byte {
	values, err := b.Remote.Get(ctx, bundleBudget, maxBundleBytes+1, bundleName(digest))
	switch {
	case err != nil:
		b.Metrics.Error.Inc()
		return nil
	case values[0] == nil:
		b.Metrics.Miss.Inc()
		return nil
	}
	if sum := sha256.Sum256(values[0]); hex.EncodeToString(sum[:]) != digest {
		b.Metrics.Refused.Inc()
		b.Log.Warn("bundle_refused", "from", "redis", "sha256", hex.EncodeToString(sum[:]), "want_sha256", digest)
		return nil
	}
	b.Metrics.Hit.Inc()
	return values[0]
}

// Put keeps a bundle, in the place of whatever is there.
func (b *Bundles) Put(ctx context.Context, digest string, data []byte) {
	if len(data) > maxBundleBytes {
		return
	}
	if err := b.Remote.Set(ctx, bundleBudget, b.TTL, store.Entry{Key: bundleName(digest), Value: data}); err != nil {
		b.Metrics.Error.Inc()
	}
}
