package httpapi

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"housing/internal/auth"
	"housing/internal/house"
	"housing/internal/ratelimit"
	"housing/internal/rollout"
	"housing/internal/store"
	"housing/internal/telemetry"
	"housing/internal/valuer"
)

// Options are what an [API] needs; those that may be nil say so.
type Options struct {
	Valuer       *valuer.Valuer
	Traffic      *rollout.Traffic // sends callers to versions; nil is one version for all
	Metrics      *telemetry.Metrics
	Gatherer     prometheus.Gatherer // what /metrics shows
	Log          *slog.Logger
	MaxBodyBytes int64
	MaxRecords   int
	Auth         *auth.Verifier      // nil lets anyone in
	UserKey      []byte              // of the hashes that stand for users in logs; nil is a random one
	CORSOrigins  []string            // whose pages may read answers; "*" is every one
	Dependencies []*store.Dependency // systems outside that the settings ask for
	Journal      Journal             // of predictions and outcomes; nil keeps none
	OwnOps       bool                // /metrics, /livez and /readyz are on the ops address alone
	Now          func() time.Time    // nil is time.Now
	Tracer       *telemetry.Tracer   // nil traces nothing
	LogLevel     *slog.LevelVar      // of Log, which callers on this machine may change; nil is fixed
	Name         string              // of this replica among others, for those who may see the traffic plan

	Limiter        *ratelimit.Limiter // of requests for prices; nil limits none
	LimitRecords   bool               // a request counts as its houses, not as one
	FailureLimiter *ratelimit.Limiter // of bad tokens; nil limits none
	TrustedProxies []netip.Prefix     // whose X-Forwarded-For is believed
	MaxInFlight    int                // requests that are answered at once; 0 is any number
}

// API answers the requests of the service. Make one with [New].
type API struct {
	Options
	full, minimal house.Decoder
	sampler       telemetry.Sampler // of predictions that went well
	refusals      telemetry.Sampler // of requests that were refused unread
	bodies        budget            // memory of bodies that are arriving
	inFlight      budget            // of requests
	processors    processors
	draining      atomic.Bool
	errors        recentErrors
	limitPolicy   []string // header that says what the limiter allows
	routes        []route
	described     struct {
		sync.Mutex
		*documents // nil before they are first asked for
	}
	handler    http.Handler
	opsHandler http.Handler
}

// eventsPerSecond is how many predictions of a second are logged that went
// well, and how many requests that were refused unread.
const eventsPerSecond = 100

// New returns the API.
func New(o Options) *API {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.UserKey == nil {
		o.UserKey = make([]byte, 32)
		_, _ = rand.Read(o.UserKey) // never fails
	}
	a := &API{
		Options: o,
		full:    house.Decoder{Required: house.RequiredFields, Allowed: house.AllFields, MaxRecords: o.MaxRecords, Now: o.Now},
		minimal: house.Decoder{Required: house.MinimalFields, Allowed: house.MinimalFields, MaxRecords: o.MaxRecords, Now: o.Now},
		sampler: telemetry.Sampler{Limit: eventsPerSecond}, refusals: telemetry.Sampler{Limit: eventsPerSecond},
	}
	if o.Limiter != nil {
		l := o.Limiter.Limit
		a.limitPolicy = []string{fmt.Sprintf(`"default";q=%d;w=%d`, l.Requests, seconds(l.Period))}
	}
	if o.Auth != nil {
		for _, reason := range auth.Reasons() {
			o.Metrics.AuthFailures(string(reason)) // shown from the start
		}
	}
	a.bodies.most = BodyBudget(o.MaxBodyBytes)
	a.inFlight.most = int64(o.MaxInFlight)
	a.routes = slices.Concat(a.table(), a.inferenceRoutes(), a.scoringRoutes(), a.pageRoutes())
	main := a.mux(func(r *route) bool { return !r.ops || !o.OwnOps })
	a.handler = a.chain(main)
	// A profile shows what the program does and costs CPU, so that it is not for
	// all who can reach the metrics. Not pprof's cmdline: it shows secrets that
	// were given as flags.
	ops := a.mux(func(r *route) bool { return r.ops || r.path == healthPath })
	for path, h := range map[string]http.HandlerFunc{
		"": pprof.Index, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace,
	} {
		ops.HandleFunc("GET /debug/pprof/"+path, func(w http.ResponseWriter, r *http.Request) {
			x := w.(*exchange)
			x.route = "/debug/pprof/"
			if !fromHere(r) {
				a.fail(x, problem(http.StatusForbidden, "profiles are shown to callers on this machine alone, as through kubectl port-forward, and by the address 127.0.0.1, [::1] or localhost"))
				return
			}
			h(w, r)
		})
	}
	a.opsHandler = a.chain(ops)
	if o.OwnOps {
		a.serveLogLevel(ops)
	} else {
		a.serveLogLevel(main)
	}
	return a
}

// Handler answers what belongs on the address of the API.
func (a *API) Handler() http.Handler { return a.handler }

// OpsHandler answers what belongs on the address for operators: /metrics,
// /livez, /readyz, /health and /debug/pprof.
func (a *API) OpsHandler() http.Handler { return a.opsHandler }

// Drain makes /readyz answer 503 and every answer ask the client to close
// its connection, so that load goes elsewhere before the service stops.
func (a *API) Drain() { a.draining.Store(true) }

// route is one method and path of the service.
type route struct {
	method, path string
	ops          bool        // moves to the ops address if there is one
	scope        auth.Scopes // that a caller must have; 0 lets anyone in
	handle       func(x *exchange, r *http.Request) error
	operation    // what the documents say of it
}

func (r *route) takesBody() bool { return r.body != nil || r.request != nil || r.form }

// prices says whether the route values the houses of a body.
func (r *route) prices() bool { return r.takesBody() && r.scope == auth.Predict }

// mux returns the routes that are wanted.
func (a *API) mux(wanted func(*route) bool) *http.ServeMux {
	mux := http.NewServeMux()
	for i := range a.routes {
		r := &a.routes[i]
		if !wanted(r) {
			continue
		}
		pattern := r.path
		if pattern == "/" {
			pattern = "/{$}"
		}
		mux.HandleFunc(r.method+" "+pattern, func(w http.ResponseWriter, req *http.Request) {
			x := w.(*exchange)
			x.route = r.path
			if a.Tracer != nil && !r.ops && !r.probe {
				req = a.traced(x, req)
			}
			if err := a.answer(r, x, req); err != nil {
				a.fail(x, err)
			}
		})
	}
	return mux
}

// refusedAfter is when a prediction is refused that would wait too long. Many
// clients ask again at once, whatever Retry-After says: those that are refused
// without a pause take as much of the processors as those that are served.
const refusedAfter = 25 * time.Millisecond

// longBody is what more houses than are valued in one turn mostly take as JSON.
// Where a body's length does not tell, it is read first.
const longBody = house.WrittenBytes * valuer.PricedAtOnce

// answer lets a request in and has it handled. Those that carry a body, which
// may be long in coming, are bounded in number, and predictions are
// refused unread while they would wait too long; probes always pass.
func (a *API) answer(r *route, x *exchange, req *http.Request) error {
	if r.prices() {
		a.processors.predictions.Add(1)
		if a.processors.behind() || a.Valuer.Behind(req.ContentLength > longBody) {
			a.Metrics.OverloadedQueue.Inc()
			time.Sleep(refusedAfter)
			return overloadedNow
		}
	}
	if r.takesBody() && a.MaxInFlight > 0 {
		if !a.inFlight.take(1) {
			a.Metrics.OverloadedInFlight.Inc()
			return unavailable("too many requests are in flight; try again")
		}
		defer a.inFlight.give(1)
	}
	if err := a.authorize(x, req, r.scope); err != nil {
		return err
	}
	return r.handle(x, req)
}

// metricsHandler shows the metrics as Prometheus or OpenMetrics text.
func (a *API) metricsHandler() func(x *exchange, r *http.Request) error {
	h := promhttp.HandlerFor(a.Gatherer, promhttp.HandlerOpts{
		EnableOpenMetrics:   true,
		MaxRequestsInFlight: 4,
		Timeout:             10 * time.Second,
		ErrorLog:            scrapeLog{a.Log},
	})
	return func(x *exchange, r *http.Request) error {
		h.ServeHTTP(x, r)
		return nil
	}
}

// scrapeLog writes the errors of a scrape to the log.
type scrapeLog struct{ *slog.Logger }

func (l scrapeLog) Println(v ...any) { l.Error("scrape_error", "error", fmt.Sprint(v...)) }
