package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Bounds of connections to PostgreSQL. A server that hangs is seen to after
// at most probeEvery, a quarter more, and probeTimeout: 4 s.
const (
	connectTimeout = 2 * time.Second
	probeEvery     = 2 * time.Second
	probeTimeout   = 1500 * time.Millisecond
	maxConnections = 3 // of one process to one server, beside one that listens
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
	primary bool
	login   atomic.Pointer[pgx.ConnConfig] // of the next connections
	latency atomic.Int64                   // of the last probe in nanoseconds, 0 if it failed
}

// newServer returns connections to a server, which need not answer yet.
func newServer(url string, primary bool) (*server, error) {
	config, err := parsePool(url)
	if err != nil {
		return nil, err
	}
	s := &server{primary: primary}
	s.login.Store(config.ConnConfig)
	config.BeforeConnect = func(_ context.Context, next *pgx.ConnConfig) error {
		*next = *s.login.Load().Copy()
		return nil
	}
	s.pool, err = pgxpool.NewWithConfig(context.Background(), config)
	return s, err
}

// use makes a URL that of the next connections, and lets those that are open
// end when they have done what they are at.
func (s *server) use(url string) error {
	config, err := parsePool(url)
	if err != nil {
		return err
	}
	s.login.Store(config.ConnConfig)
	s.pool.Reset()
	return nil
}

// explain is [Explain] of this server.
func (s *server) explain(err error) error { return explain(s.login.Load(), err) }

// OpenPostgres returns connections to the servers at the URLs, which need
// not answer yet. Errors name no password. copies may be nil where there are
// no replicas.
func OpenPostgres(primary string, replicas []string, main, copies *Dependency) (*Postgres, error) {
	p := &Postgres{main: main, copies: copies}
	var err error
	if p.primary, err = newServer(primary, true); err != nil {
		return nil, err
	}
	for i, url := range replicas {
		s, err := newServer(url, false)
		if err != nil {
			p.Close()
			return nil, &ReplicaError{Number: i + 1, Err: err}
		}
		p.replicas = append(p.replicas, s)
	}
	return p, nil
}

// UsePrimary makes a URL that of the primary from the next connection on, as
// when its password was replaced. An error, which names no password, leaves
// all as it was.
func (p *Postgres) UsePrimary(url string) error { return p.primary.use(url) }

// UseReplicas does so for the replicas, of which there must be as many.
func (p *Postgres) UseReplicas(urls []string) error {
	if len(urls) != len(p.replicas) {
		return fmt.Errorf("names %d replicas in place of %d: for another number, start the service again", len(urls), len(p.replicas))
	}
	for i, url := range urls {
		if _, err := parsePool(url); err != nil {
			return &ReplicaError{Number: i + 1, Err: err}
		}
	}
	for i, url := range urls {
		if err := p.replicas[i].use(url); err != nil {
			return err
		}
	}
	return nil
}

// Explain is [Explain] of the primary.
func (p *Postgres) Explain(err error) error { return p.primary.explain(err) }

// ReplicaError is a replica's URL that cannot be used.
type ReplicaError struct {
	Number int // from 1
	Err    error
}

// Error names the replica by its number.
func (e *ReplicaError) Error() string { return fmt.Sprintf("URL %d %v", e.Number, e.Err) }

// OpenPool returns connections to the one server at the URL, which need not
// answer yet. Its error names no password.
func OpenPool(url string) (*pgxpool.Pool, error) {
	config, err := parsePool(url)
	if err != nil {
		return nil, err
	}
	return pgxpool.NewWithConfig(context.Background(), config)
}

// parsePool reads a URL. Its error names no password.
func parsePool(url string) (*pgxpool.Config, error) {
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
	return config, nil
}

// Close closes all connections.
func (p *Postgres) Close() {
	for _, s := range p.servers() {
		s.pool.Close()
	}
}

func (p *Postgres) servers() []*server { return append([]*server{p.primary}, p.replicas...) }

// Primary returns the connections to the primary, for writing.
func (p *Postgres) Primary() *pgxpool.Pool { return p.primary.pool }

// Run probes the servers until ctx ends: one probe of each at a time, at
// times that the processes of a fleet do not share.
func (p *Postgres) Run(ctx context.Context) {
	for ctx.Err() == nil {
		p.probe(ctx)
		timer := time.NewTimer(Jitter(probeEvery))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// probe asks every server once how it is, all at the same time, and reports
// it.
func (p *Postgres) probe(ctx context.Context) {
	servers := p.servers()
	faults := make([]error, len(servers))
	var group sync.WaitGroup
	for i, s := range servers {
		group.Go(func() { faults[i] = s.probe(ctx) })
	}
	group.Wait()
	if ctx.Err() != nil {
		return // what failed may have failed for that
	}
	p.main.Report(faults[0])
	if faults = faults[1:]; len(faults) == 0 {
		return
	}
	if slices.Contains(faults, nil) {
		p.copies.Report(nil)
	} else {
		p.copies.Report(faults[0])
	}
}

// probe measures how long the server takes to answer. A primary that takes
// no change is a fault, and can be read all the same.
func (s *server) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	start := time.Now()
	var readOnly string
	if err := s.pool.QueryRow(ctx, "SHOW transaction_read_only").Scan(&readOnly); err != nil {
		s.latency.Store(0)
		return s.explain(err)
	}
	s.latency.Store(max(1, int64(time.Since(start))))
	if s.primary && readOnly == "on" {
		return s.explain(errReadOnly)
	}
	return nil
}

// ErrBehind is what a call to [Postgres.Read] returns of a server that lives
// and lacks what is wanted: the next is asked.
var ErrBehind = errors.New("the server is behind")

// Read calls read with a connection to the nearest living server by the last
// probes, the primary among them, and on an error with the next, until one
// succeeds or none is left. The error is that of the last.
func (p *Postgres) Read(ctx context.Context, read func(ctx context.Context, pool *pgxpool.Pool, primary bool) error) error {
	servers := p.servers()
	slices.SortStableFunc(servers, func(a, b *server) int {
		x, y := a.latency.Load(), b.latency.Load()
		if (x == 0) != (y == 0) { // the living first
			return cmp.Compare(y, x)
		}
		return cmp.Compare(x, y)
	})
	var err error
	for _, s := range servers {
		if err = read(ctx, s.pool, s.primary); err == nil || ctx.Err() != nil {
			return err
		}
		if ReasonOf(err) != Other {
			s.latency.Store(0)
		}
		err = s.explain(err)
	}
	return err
}

// Jitter spreads d by a quarter to both sides, so that the processes of a
// fleet do not ask all at once.
func Jitter(d time.Duration) time.Duration {
	return d*3/4 + time.Duration(rand.Int64N(int64(d)/2))
}
