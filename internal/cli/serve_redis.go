package cli

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"housing/internal/cache"
	"housing/internal/config"
	"housing/internal/ratelimit"
	"housing/internal/registry"
	"housing/internal/store"
	"housing/internal/telemetry"
)

// firstProbe is how long a start waits to know how Redis is, as a bundle may
// lie there. Without it the service starts all the same.
const firstProbe = 500 * time.Millisecond

// servedRedis is what a service keeps in Redis, or, where the settings name
// none, in memory.
type servedRedis struct {
	dependencies []*store.Dependency
	redis        *store.Redis // nil without one
	prices       *cache.Prices
	bundles      registry.Keeper    // nil keeps none
	limiter      *ratelimit.Limiter // of requests for prices, nil without a limit
	failures     *ratelimit.Limiter // of bad tokens
	log          *slog.Logger
	ctx          context.Context // of what runs aside
	end          context.CancelFunc
	running      sync.WaitGroup
}

// openRedis connects to the Redis of the settings, which need not answer yet,
// and makes what uses it.
func (c *serveCommand) openRedis(files *followed, metrics *telemetry.Metrics, log *slog.Logger) (r *servedRedis, err error) {
	r = &servedRedis{log: log}
	if c.RedisURL != "" {
		d := store.NewDependency("redis", metrics.DependencyUp("redis"), log)
		r.dependencies = append(r.dependencies, d)
		if r.redis, err = store.OpenRedis(string(c.RedisURL), c.RedisCAFile, d); err != nil {
			source := "REDIS_URL"
			if errors.As(err, new(*store.CertificatesError)) {
				source = "REDIS_CA_FILE"
			}
			return nil, &config.Error{Source: source, Problem: err.Error()}
		}
	}
	if r.redis != nil && c.ModelCacheTTL > 0 {
		r.bundles = &cache.Bundles{Remote: r.redis, TTL: time.Duration(c.ModelCacheTTL), Metrics: metrics.Cache("bundles_redis"), Log: log}
	}
	if r.limiter, err = r.newLimiter("predict", c.ClientRate(), metrics); err != nil {
		return nil, err
	}
	if r.failures, err = r.newLimiter("auth", c.AuthFailureLimit, metrics); err != nil {
		return nil, err
	}
	if r.prices, err = c.openPrices(r.redis, metrics, log); err != nil {
		return nil, err
	}
	c.followRedis(r, files)
	return r, nil
}

// followRedis takes up another URL and another secret.
func (c *serveCommand) followRedis(r *servedRedis, files *followed) {
	if r.redis != nil {
		files.secret("REDIS_URL", c.RedisURL, func(text string) error {
			err := r.redis.Use(text)
			if err == nil && r.prices != nil && c.ResponseCacheSecret == "" {
				err = r.prices.UseSecret(r.redis.Password())
			}
			return err
		})
	}
	if r.prices != nil {
		files.secret("RESPONSE_CACHE_SECRET", c.ResponseCacheSecret, func(text string) error {
			next := config.Redis{ResponseCacheSecret: config.Secret(text)}
			if err := next.Check(); err != nil {
				return err
			}
			return r.prices.UseSecret(text)
		})
	}
}

// newLimiter returns a limiter, or nil for a rate that limits nothing.
func (r *servedRedis) newLimiter(name string, rate config.Rate, metrics *telemetry.Metrics) (*ratelimit.Limiter, error) {
	if rate.Requests == 0 {
		return nil, nil
	}
	var shared ratelimit.Shared
	if r.redis != nil {
		shared = r.redis
	}
	return ratelimit.New(name, ratelimit.Limit{Requests: rate.Requests, Period: rate.Period}, shared, metrics)
}

// openPrices returns the response cache, or nil where the settings leave no
// use for one.
func (c *serveCommand) openPrices(redis *store.Redis, metrics *telemetry.Metrics, log *slog.Logger) (*cache.Prices, error) {
	switch {
	case c.ResponseCache == config.CacheOff, c.ResponseCacheTTL == 0:
		return nil, nil
	case c.ResponseCache == config.CacheAuto && redis == nil:
		return nil, nil
	}
	o := cache.PricesOptions{TTL: time.Duration(c.ResponseCacheTTL), Metrics: metrics, Secret: string(c.ResponseCacheSecret)}
	if redis != nil {
		o.Remote = redis
		if o.Secret == "" {
			o.Secret = redis.Password()
		}
		if o.Secret == "" {
			log.Warn("response_cache", "problem", "prices in Redis are sealed with no secret: who can write there can forge them; set RESPONSE_CACHE_SECRET")
		}
	}
	return cache.NewPrices(o)
}

// start connects, and waits a moment to know how Redis is.
func (r *servedRedis) start(ctx context.Context) {
	// Redis is there until the last request has been answered: stop ends it.
	r.ctx, r.end = context.WithCancel(context.WithoutCancel(ctx))
	if r.redis == nil {
		return
	}
	r.running.Go(func() { r.redis.Run(r.ctx) })
	timer := time.NewTimer(firstProbe)
	defer timer.Stop()
	select {
	case <-r.redis.Probed():
	case <-timer.C:
	case <-ctx.Done():
	}
}

// choose lets the response cache find out, aside, whether it is worth it.
func (r *servedRedis) choose(valuing time.Duration) {
	if r.prices != nil {
		r.running.Go(func() { r.prices.Choose(r.ctx, valuing, r.log) })
	}
}

// stop ends what runs aside and closes the connections.
func (r *servedRedis) stop() {
	if r.end != nil {
		r.end()
	}
	r.running.Wait()
	if r.prices != nil {
		r.prices.Close()
	}
	for _, l := range []*ratelimit.Limiter{r.limiter, r.failures} {
		if l != nil {
			l.Close()
		}
	}
}
