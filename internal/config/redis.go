package config

import (
	"fmt"
	"strings"
)

// Redis holds the settings of Redis and of what is kept there.
type Redis struct {
	RedisURL            Secret    `setting:"" secret:"" name:"redis-url" placeholder:"URL" help:"Redis: redis://user:password@host:6379/0, rediss:// for TLS, with ?addr=HOST:PORT for further nodes of a cluster and ?master_set=NAME for Sentinels. Default: none."`
	RedisCAFile         string    `setting:"" name:"redis-ca-file" placeholder:"FILE" help:"Certificates in PEM that the one of Redis is checked against. Default: the system's."`
	ModelCacheTTL       Period    `setting:"" name:"model-cache-ttl" default:"1h" placeholder:"TIME" help:"How long Redis keeps a bundle; 0 keeps none there. Default: 1h."`
	ResponseCache       CacheMode `setting:"" default:"auto" placeholder:"MODE" help:"Whether prices of identical inputs are kept: on, off, or auto, which is on where Redis was measured to answer sooner than the model. Default: auto."`
	ResponseCacheTTL    Period    `setting:"" name:"response-cache-ttl" default:"60s" placeholder:"TIME" help:"How long prices are kept; 0 turns it off. Default: 60s."`
	ResponseCacheSecret Secret    `setting:"" secret:"" placeholder:"SECRET" help:"Seals the prices in Redis, 32 bytes or more, the same for all replicas. Default: the password of REDIS_URL."`
}

// minSecretBytes is the least length of a secret that a MAC is made with.
const minSecretBytes = 32

// Check looks at the settings together. Its error is an [*Error].
func (r *Redis) Check() error {
	if r.RedisURL == "" && r.RedisCAFile != "" {
		return &Error{Source: "REDIS_CA_FILE", Problem: "is set without REDIS_URL: set both"}
	}
	if n := len(r.ResponseCacheSecret); n > 0 && n < minSecretBytes {
		return &Error{Source: "RESPONSE_CACHE_SECRET", Problem: fmt.Sprintf("has %d bytes: want %d or more, such as `openssl rand -hex 32` prints", n, minSecretBytes)}
	}
	return nil
}

// CacheMode is whether prices are kept.
type CacheMode string

// The modes.
const (
	CacheOn   CacheMode = "on"
	CacheOff  CacheMode = "off"
	CacheAuto CacheMode = "auto"
)

// UnmarshalText reads a mode.
func (m *CacheMode) UnmarshalText(text []byte) error {
	switch mode := CacheMode(strings.ToLower(string(text))); mode {
	case CacheOn, CacheOff, CacheAuto:
		*m = mode
		return nil
	}
	return fmt.Errorf("%q is not a mode: want on, off or auto", text)
}
