package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"housing/internal/config"
	"housing/internal/demographics"
	"housing/internal/house"
	"housing/internal/httpapi"
	"housing/internal/telemetry"
	"housing/internal/valuer"
)

type serveCommand struct {
	config.Serve
}

// Help shows an example.
func (*serveCommand) Help() string {
	return "With no settings at all it serves the built-in King County model on 127.0.0.1:8000. Each setting is a flag or the environment variable beside it; the flag wins.\n\nExample:\n\n    housing serve --listen 127.0.0.1:9000 --max-records 5000"
}

// Run serves until it is told to stop.
func (c *serveCommand) Run(p *program) (err error) {
	if err := c.Check(); err != nil {
		return err
	}
	format := telemetry.JSON
	if c.LogFormat.IsText(isTerminal(p.stderr)) {
		format = telemetry.Text
	}
	level := new(slog.LevelVar)
	level.Set(slog.Level(c.LogLevel))
	log := telemetry.NewLogger(p.stderr, level, format)

	metrics := prometheus.NewRegistry()
	named := telemetry.NewMetrics(metrics)
	files := &followed{files: p.files, metrics: named, log: log}
	traced, err := c.openTraces(p.getenv, named, log)
	if err != nil {
		return err
	}
	traced.start(p.ctx)
	defer traced.stop()
	redis, err := c.openRedis(files, named, log)
	if err != nil {
		return err
	}
	defer redis.stop()
	redis.start(p.ctx)
	compared := openDrift(named)
	compared.start(p.ctx)
	defer compared.stop()
	v := valuer.New(valuer.Options{Workers: int(c.Workers), Metrics: named, Log: log, Cache: redis.prices, Tracer: traced.tracer, Drift: compared.monitor})
	database, err := c.openDatabase(v, files, named, log)
	if err != nil {
		return err
	}
	defer database.stop()
	database.start(p.ctx)
	kept := c.openJournal(p.getenv, database, named, log)
	kept.start(p.ctx)
	defer kept.stop()
	models, err := c.openModels(p.ctx, v, redis.bundles, kept.noted(), files, named, log)
	if err != nil {
		return err
	}
	if c.ResponseCache == config.CacheAuto {
		models.loaded = func(m *valuer.Model) { redis.choose(m.Measure(house.Example())) }
	}
	// A model is unmapped only when the last request that uses it has ended.
	defer func() { err = errors.Join(err, models.stop()) }()
	if err := models.start(p.ctx); err != nil {
		return err
	}
	backups, err := c.watchBackups(p.ctx, named, log)
	if err != nil {
		return err
	}
	defer backups.stop()
	access, err := c.openAuth(files, named, log)
	if err != nil {
		return err
	}
	defer access.stop()
	access.start(p.ctx)
	secure, err := c.openTLS(files, named)
	if err != nil {
		return err
	}
	files.start(p.ctx)
	defer files.stop() // before what it changes
	listener, err := listen("LISTEN", c.Listen)
	if err != nil {
		return err
	}
	server := &httpapi.Server{Grace: time.Duration(c.ShutdownGrace), TLS: secure, MaxConnections: int(c.MaxConnections)}
	server.API = httpapi.New(httpapi.Options{
		Name: replicaName(listener.Addr()), Valuer: v, Traffic: models.traffic, Metrics: named, Gatherer: metrics, Log: log, LogLevel: level, Tracer: traced.tracer,
		MaxBodyBytes: int64(c.MaxBodyBytes), MaxRecords: int(c.MaxRecords), OwnOps: c.OpsListen != "",
		Dependencies: slices.Concat(models.dependencies, redis.dependencies, database.dependencies, kept.dependencies, access.dependencies, backups.dependencies, traced.dependencies),
		Limiter:      redis.limiter, FailureLimiter: redis.failures, LimitRecords: c.RateLimitCost == config.PerRecord, TrustedProxies: c.TrustedProxies.Prefixes(),
		Journal: kept.noted(),
		Auth:    access.verifier, UserKey: userKey(c.UserIDKey),
		CORSOrigins: c.CORSAllowedOrigins.List(), MaxInFlight: int(c.MaxInFlight),
	})
	facts := []any{"address", listener.Addr().String(), "rate_limit", c.ClientRate().String()}
	if m := v.Model(); m != nil {
		facts = append(facts, "model_version", m.Manifest.Version, "sha256", m.Digest, "engine", m.Engine)
	}
	if c.OpsListen != "" {
		if server.Ops, err = listen("OPS_LISTEN", c.OpsListen); err != nil {
			return errors.Join(err, listener.Close())
		}
		facts = append(facts, "ops_address", server.Ops.Addr().String())
	}
	c.limitMemory(p.getenv)
	limitGarbage(p.getenv)
	stop := keepForgetting()
	defer stop()
	log.Info("serving", facts...)
	if isTerminal(p.stderr) {
		fmt.Fprintf(p.stderr, "\nTry it:\n\n  %s\n\nor open http://%s/docs\n\n",
			httpapi.ExampleCurl(config.Address(listener.Addr().String()).Local()), config.Address(listener.Addr().String()).Local())
	}
	if err := server.Run(p.ctx, listener); err != nil {
		return err
	}
	log.Info("stopped")
	return nil
}

func readDemographics(path string) (*demographics.Table, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, &config.Error{Source: "DEMOGRAPHICS_CSV", Problem: err.Error()}
	}
	defer file.Close()
	table, err := demographics.Read(file, path)
	if err != nil {
		return nil, &config.Error{Source: "DEMOGRAPHICS_CSV", Problem: err.Error()}
	}
	return table, nil
}

// userKey returns the key of the hashes of users; nil lets one be made.
func userKey(secret config.Secret) []byte {
	if secret == "" {
		return nil
	}
	return []byte(string(secret))
}

// replicaName tells a replica from others: the name of its machine, which in
// a container is the container's, and the port.
func replicaName(address net.Addr) string {
	host, err := os.Hostname()
	if err != nil {
		return address.String()
	}
	_, port, err := net.SplitHostPort(address.String())
	if err != nil {
		return host
	}
	return net.JoinHostPort(host, port)
}

func listen(setting string, address config.Address) (net.Listener, error) {
	l, err := net.Listen("tcp", string(address))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	return l, nil
}
