package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Bounds of connections to PostgreSQL.
const (
	connectTimeout = 2 * time.Second
	probeTimeout   = 2 * time.Second
	maxConnections = 4 // of one process to one server
)

// Postgres is a primary server and any number of replicas of it. Nothing
// that answers a request waits for it.
type Postgres struct {
	primary  *server
	replicas []*server
	main     *Dependency // the primary
	copies   *Dependency // the replicas, up while one is; nil without any
}

// server is one PostgreSQL server.
type server struct {
	pool    *pgxpool.Pool
	latency atomic.Int64 // of the last probe in nanoseconds, 0 if it failed
}

// OpenPostgres returns connections to the servers at the URLs, which need
// not answer yet. Errors name no password. copies may be nil where there are
// no replicas.
func OpenPostgres(primary string, replicas []string, main, copies *Dependency) (*Postgres, error) {
	p := &Postgres{main: main, copies: copies}
	var err error
	if p.primary, err = openServer(primary); err != nil {
		return nil, err
	}
	for i, url := range replicas {
		replica, err := openServer(url)
		if err != nil {
			p.Close()
			return nil, fmt.Errorf("replica %d: %w", i+1, err)
		}
		p.replicas = append(p.replicas, replica)
	}
	return p, nil
}

func openServer(url string) (*server, error) {
	pool, err := OpenPool(url)
	if err != nil {
		return nil, err
	}
	return &server{pool: pool}, nil
}

// OpenPool returns connections to the one server at the URL, which need not
// answer yet. Its error names no password.
func OpenPool(url string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		// The library's error repeats the URL with all but the password.
		return nil, errors.New("must be a URL such as postgres://user:password@host:5432/database")
	}
	config.MaxConns = maxConnections
	config.ConnConfig.ConnectTimeout = connectTimeout
	config.MaxConnIdleTime = time.Minute
	// A pooler between us and the server may not keep prepared statements.
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	return pgxpool.NewWithConfig(context.Background(), config)
}

// Close closes all connections.
func (p *Postgres) Close() {
	if p.primary != nil {
		p.primary.pool.Close()
	}
	for _, r := range p.replicas {
		r.pool.Close()
	}
}

// Primary returns the connections to the primary, for writing.
func (p *Postgres) Primary() *pgxpool.Pool { return p.primary.pool }

// Probe asks every server once how it is and reports it.
func (p *Postgres) Probe(ctx context.Context) error {
	err := p.primary.probe(ctx)
	if ctx.Err() == nil || err == nil {
		p.main.Report(err)
	}
	if len(p.replicas) == 0 {
		return err
	}
	var alive bool
	var replicaErr error
	for _, r := range p.replicas {
		if e := r.probe(ctx); e != nil {
			replicaErr = e
		} else {
			alive = true
		}
	}
	switch {
	case alive:
		p.copies.Report(nil)
	case ctx.Err() == nil:
		p.copies.Report(replicaErr)
	}
	return err
}

func (s *server) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	start := time.Now()
	if err := s.pool.Ping(ctx); err != nil {
		s.latency.Store(0)
		return err
	}
	s.latency.Store(max(1, int64(time.Since(start))))
	return nil
}

// Read calls read with a connection to the nearest living server by the last
// probes, the primary among them, and on an error with the next, until one
// succeeds or none is left. The error is that of the last.
func (p *Postgres) Read(ctx context.Context, read func(context.Context, *pgxpool.Pool) error) error {
	servers := append([]*server{p.primary}, p.replicas...)
	slices.SortStableFunc(servers, func(a, b *server) int {
		x, y := a.latency.Load(), b.latency.Load()
		if (x == 0) != (y == 0) { // the living first
			return cmp.Compare(y, x)
		}
		return cmp.Compare(x, y)
	})
	var err error
	for _, s := range servers {
		if err = read(ctx, s.pool); err == nil || ctx.Err() != nil {
			return err
		}
		s.latency.Store(0)
	}
	return err
}
