package store

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
	"github.com/sony/gobreaker/v2"
)

// RedisBudget is how long a call that a request waits for may take.
const RedisBudget = 5 * time.Millisecond

// Bounds of the connections to Redis. A server that hangs is seen to after at
// most probeEvery, a quarter more, and redisProbeTimeout: 3.5 s. Requests stop
// asking it sooner, after breakerFailures of them found it too slow.
const (
	redisProbeTimeout = time.Second
	redisCalls        = 256 // under way at once; one more fails at once
	redisBuffer       = 32 << 10
	redisRing         = 9 // 512 commands wait for one connection at most
	breakerFailures   = 3 // one after the other
	breakerRequests   = 20
	breakerInterval   = 10 * time.Second
	breakerOpen       = time.Second // then one request tries
	topologyEvery     = 5 * time.Second
	slowSamples       = 3 // a server is slow if the quickest of these takes too long
)

// Redis is one server, those that Sentinels name, or a cluster. A call that
// fails costs its caller little: none waits longer than its budget, and while
// the server is known to be away none waits at all.
type Redis struct {
	caFile     string
	option     atomic.Pointer[rueidis.ClientOption]
	dependency *Dependency
	client     atomic.Pointer[connected] // nil until it first connected
	refused    *rueidis.ClientOption     // what was told to be refused; of the probe alone
	breaker    *gobreaker.CircuitBreaker[struct{}]
	slots      chan struct{} // holds a token for each call under way
	check      chan struct{} // asks for a probe now
	probed     chan struct{} // closed once it is known how the server is

	mu     sync.RWMutex // held while a call begins, or none may any more
	closed bool
	calls  sync.WaitGroup
}

// connected is a client, and what it was made by.
type connected struct {
	rueidis.Client
	by *rueidis.ClientOption
}

// ErrAway is the error of a call that was not made, as the server is known to
// be away, slow or busy.
var ErrAway = errors.New("Redis is not asked: it is away or too slow")

// OpenRedis returns a connection by a URL, which need not answer yet; Run
// makes it. caFile, if not "", names certificates in PEM that the server's is
// checked against in place of the system's. Errors name no password.
//
// The URL is redis://user:password@host:6379/0, with rediss for TLS;
// ?addr=host2:6379 names further nodes of a cluster; with
// ?master_set=NAME the hosts are Sentinels, which take sentinel_user and
// sentinel_password. An error about the certificates is a [*CertificatesError].
func OpenRedis(address, caFile string, d *Dependency) (*Redis, error) {
	option, err := redisOption(address, caFile)
	if err != nil {
		return nil, err
	}
	r := &Redis{
		caFile:     caFile,
		dependency: d,
		slots:      make(chan struct{}, redisCalls),
		check:      make(chan struct{}, 1),
		probed:     make(chan struct{}),
	}
	r.option.Store(option)
	r.breaker = gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Name:     d.Name,
		Interval: breakerInterval,
		Timeout:  Jitter(breakerOpen),
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.ConsecutiveFailures >= breakerFailures || c.Requests >= breakerRequests && 2*c.TotalFailures >= c.Requests
		},
		OnStateChange: func(_ string, _, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				r.probeSoon()
			}
		},
		IsExcluded: func(err error) bool { return errors.Is(err, errCallerGone) },
	})
	return r, nil
}

// Use makes another URL that of the connection, as when the password was
// replaced. The old connection goes on until the new one is made. An error,
// which names no password, leaves all as it was.
func (r *Redis) Use(address string) error {
	option, err := redisOption(address, r.caFile)
	if err != nil {
		return err
	}
	r.option.Store(option)
	r.probeSoon()
	return nil
}

// redisOption reads a URL, and the certificates if there are any.
func redisOption(address, caFile string) (*rueidis.ClientOption, error) {
	u, err := url.Parse(address)
	if err == nil && u.Path == "/" {
		u.Path = "" // which the library takes for a database without a number
		address = u.String()
	}
	option, err := rueidis.ParseURL(address)
	if err != nil {
		// The library's error may repeat the password.
		return nil, errors.New("must be a URL such as redis://user:password@host:6379/0, rediss:// for TLS, with ?addr=host2:6379 for further nodes of a cluster and ?master_set=NAME for Sentinels")
	}
	if caFile != "" {
		if option.TLSConfig == nil {
			return nil, &CertificatesError{errors.New("names certificates, and the URL does not ask for TLS: let it begin with rediss://")}
		}
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, &CertificatesError{err}
		}
		option.TLSConfig.RootCAs = x509.NewCertPool()
		if !option.TLSConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, &CertificatesError{fmt.Errorf("%s holds no certificate in PEM", caFile)}
		}
	}
	if option.TLSConfig != nil && (len(option.InitAddress) > 1 || option.Sentinel.MasterSet != "") {
		option.TLSConfig.ServerName = "" // each server is known by its own address
	}
	option.ClientName = "housing"
	option.DisableCache = true // what we keep never changes under its key
	option.DisableRetry = true
	option.AlwaysPipelining = true // a call that is given up leaves the connection to the others
	option.PipelineMultiplex = -1  // one connection to a server
	option.Dialer.Timeout = redisProbeTimeout
	option.ConnWriteTimeout = redisProbeTimeout
	option.RingScaleEachConn = redisRing
	option.ReadBufferEachConn, option.WriteBufferEachConn = redisBuffer, redisBuffer
	option.ClusterOption.ShardsRefreshInterval = topologyEvery
	option.ClusterOption.MaxMovedRedirections = 3
	if option.Sentinel.MasterSet != "" {
		option.Sentinel.Username, option.Sentinel.Password = u.Query().Get("sentinel_user"), u.Query().Get("sentinel_password")
		option.Sentinel.Dialer = option.Dialer
		option.Sentinel.TLSConfig = option.TLSConfig
		option.Sentinel.TopologyRefreshInterval = topologyEvery
	}
	return &option, nil
}

// CertificatesError is a file of certificates that cannot be used.
type CertificatesError struct{ error }

// Password returns the password of the URL, "" if it has none.
func (r *Redis) Password() string { return r.option.Load().Password }

// State returns how Redis is.
func (r *Redis) State() State { return r.dependency.State() }

// Probed is closed once Run has found out how the server is.
func (r *Redis) Probed() <-chan struct{} { return r.probed }

// Run connects and probes until ctx ends, one probe at a time and at times
// that the processes of a fleet do not share; then it closes the connections.
func (r *Redis) Run(ctx context.Context) {
	var once sync.Once
	for ctx.Err() == nil {
		if err := r.probe(ctx); ctx.Err() == nil {
			r.dependency.Report(err)
			once.Do(func() { close(r.probed) })
		}
		timer := time.NewTimer(Jitter(probeEvery))
		select {
		case <-timer.C:
		case <-r.check:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	if client := r.client.Swap(nil); client != nil {
		client.Close()
	}
	r.calls.Wait()
}

// aside runs a call on a goroutine of its own, unless Run has ended.
func (r *Redis) aside(call func()) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if !r.closed {
		r.calls.Go(call)
	}
	return !r.closed
}

func (r *Redis) probeSoon() {
	select {
	case r.check <- struct{}{}:
	default: // one is asked for already
	}
}

// errCallerGone is the error of a call whose caller did not wait for it: it
// says nothing about the server.
var errCallerGone = errors.New("the caller is gone")

// ask makes a call within a budget, if the server is known to answer.
func ask[T any](r *Redis, ctx context.Context, budget time.Duration, call func(context.Context, rueidis.Client) (T, error)) (answer T, err error) {
	client := r.client.Load()
	if client == nil || r.dependency.State().Status != Up {
		return answer, ErrAway
	}
	select {
	case r.slots <- struct{}{}:
	default:
		return answer, ErrAway // which says nothing about the server
	}
	asked := false
	_, err = r.breaker.Execute(func() (struct{}, error) {
		asked = true
		answer, err = within(r, ctx, client.Client, budget, call, func() { <-r.slots })
		if err != nil && ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", errCallerGone, ctx.Err())
		}
		return struct{}{}, err
	})
	if !asked {
		<-r.slots
		err = ErrAway // the breaker is open
	}
	return answer, err
}

// within makes a call on a goroutine of its own, so that nothing in the
// client's library can hold the caller longer than the budget. ended is
// called when the call has ended, be it later.
func within[T any](r *Redis, ctx context.Context, client rueidis.Client, budget time.Duration, call func(context.Context, rueidis.Client) (T, error), ended func()) (answer T, err error) {
	type outcome struct {
		answer T
		err    error
	}
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	done := make(chan outcome, 1)
	if !r.aside(func() {
		answer, err := call(ctx, client)
		ended()
		done <- outcome{answer, err}
	}) {
		ended()
		return answer, ErrAway
	}
	select {
	case o := <-done:
		return o.answer, o.err
	case <-ctx.Done():
		return answer, ctx.Err()
	}
}
