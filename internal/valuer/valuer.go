package valuer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/bits"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"housing/internal/bundle"
	"housing/internal/cache"
	"housing/internal/demographics"
	"housing/internal/drift"
	"housing/internal/house"
	"housing/internal/telemetry"
)

// Errors that a caller decides by.
var (
	ErrNoModel        = errors.New("no model is running")
	ErrUnknownVersion = errors.New("no such model version")
	ErrOverloaded     = errors.New("too many predictions are waiting")
	ErrModel          = errors.New("the model failed")
)

// queuePerWorker is how many calls may wait for each worker unless Options
// say otherwise.
const queuePerWorker = 256

// Options are how a [Valuer] runs.
type Options struct {
	Workers int                // predictions that run at once, but for quick ones; 0 is GOMAXPROCS
	Queue   int                // calls that may wait for a worker; 0 is 256 for each
	Metrics *telemetry.Metrics // required
	Log     *slog.Logger       // required
	Cache   *cache.Prices      // of prices that were computed before; nil is none
	Tracer  *telemetry.Tracer  // of the steps of a call; nil is none
	Drift   *drift.Monitor     // compares what is asked with the training; nil does not
}

// Valuer values houses with the running model. Make one with [New]; it is
// safe for concurrent use.
type Valuer struct {
	set         atomic.Pointer[set] // never nil
	change      sync.Mutex          // held while another model or table takes over
	table       *demographics.Table // that every model is asked with; nil is its own
	source      string              // of the table
	workers     chan struct{}       // holds a token for each prediction that runs, but for quick ones
	waiting     atomic.Int64        // calls, for a worker
	longWaiting atomic.Int64        // calls, to be one of the long ones under way
	quick       atomic.Int64        // calls under way without a worker
	mayBeQuick  bool                // as there are no fewer workers than processors
	queue       int64
	backlog     atomic.Int64 // worker nanoseconds that short calls which were let in still need, as far as is known
	pricing     kind
	valuing     kind // with intervals and reasons
	metrics     *telemetry.Metrics
	log         *slog.Logger
	cache       *cache.Prices
	tracer      *telemetry.Tracer
	drift       *drift.Monitor
}

// New returns a valuer without a model; give it one with [Valuer.Use].
func New(o Options) *Valuer {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Queue <= 0 {
		o.Queue = queuePerWorker * o.Workers
	}
	v := &Valuer{
		workers:    make(chan struct{}, o.Workers),
		mayBeQuick: o.Workers >= runtime.GOMAXPROCS(0),
		queue:      int64(o.Queue),
		metrics:    o.Metrics,
		log:        o.Log,
		cache:      o.Cache,
		tracer:     o.Tracer,
		drift:      o.Drift,
	}
	for _, k := range []*kind{&v.pricing, &v.valuing} {
		k.long = make(chan struct{}, o.Workers)
	}
	v.set.Store(new(set))
	v.metrics.Workers.Set(float64(o.Workers))
	return v
}

// Answer is what some houses are worth, and who says so.
type Answer struct {
	Prices          []float64 // US dollars rounded to cents, one for each house
	UnknownZipcodes []int     // indices of houses valued without demographics of their zipcode
	Version         string    // of the model
	Role            Role      // in which it answered
	Digest          string    // hexadecimal SHA-256 of its bundle
	Type            string    // of the model
	FeatureCount    int
	Manifest        *bundle.Manifest // of the model
}

// Value appends the price of each house to dst[:0], by the model of the
// choice. Where that fails by its own fault, another one answers unless the
// choice was the client's. The error is one of this package's, or that of a
// ctx which ended while the call waited.
func (v *Valuer) Value(ctx context.Context, dst []float64, houses []house.House, choice Choice) (Answer, error) {
	return v.ask(ctx, houses, choice, func(r *running, role Role) ([]float64, error) {
		return v.prices(ctx, r, role, dst, houses)
	})
}

// ask has the model of a choice answer, or another in its place.
func (v *Valuer) ask(ctx context.Context, houses []house.House, choice Choice, prices func(*running, Role) ([]float64, error)) (Answer, error) {
	r, s, err := v.choose(&choice)
	if err == ErrUnknownVersion && choice.Role == Candidate {
		// It was dropped since the plan sent the client to it, as while its
		// body was read: that is nothing the client asked for.
		choice = Choice{}
		r, s, err = v.choose(&choice)
	}
	for err == nil {
		var answer Answer
		answer, err = v.answer(ctx, r, houses, choice.Role, prices)
		if err == nil || choice.Role == Asked || !errors.Is(err, ErrModel) {
			return answer, err
		}
		if r = s.instead(r); r == nil || !r.take() {
			return answer, err
		}
		choice.Role, err = Primary, nil
	}
	return Answer{}, err
}

// choose takes the model that a choice stands for, and completes the choice.
func (v *Valuer) choose(choice *Choice) (*running, *set, error) {
	for {
		s := v.set.Load()
		r := s.answering()
		if r == nil {
			return nil, nil, ErrNoModel
		}
		if choice.Version != "" && choice.Version != r.Manifest.Version {
			if r = s.find(choice.Version); r == nil {
				return nil, nil, ErrUnknownVersion
			}
			choice.Role = cmp.Or(choice.Role, Asked)
		}
		choice.Role = cmp.Or(choice.Role, Primary)
		if r.take() {
			return r, s, nil
		}
		// It was dropped a moment ago: there is another set by now.
	}
}

// answer asks a model that was taken, gives it back, and counts.
func (v *Valuer) answer(ctx context.Context, r *running, houses []house.House, role Role, ask func(*running, Role) ([]float64, error)) (Answer, error) {
	defer v.done(r)
	metrics := v.metricsOf(r.loaded, role)
	prices, err := ask(r, role)
	r.called()
	if err != nil {
		if errors.Is(err, ErrModel) {
			metrics.Errors.Inc()
			v.fault(r)
		}
		return Answer{}, err
	}
	answer := Answer{
		Prices:          prices,
		UnknownZipcodes: v.unknownZipcodes(ctx, r, houses),
		Version:         r.Manifest.Version,
		Role:            role,
		Digest:          r.Digest,
		Type:            r.Type,
		FeatureCount:    len(r.Features),
		Manifest:        &r.Manifest,
	}
	metrics.Requests.Inc()
	metrics.Records.Add(float64(len(prices)))
	for _, price := range prices {
		metrics.Price.Observe(price)
	}
	if role != Asked { // who names a version tries it, and is not who it serves
		r.observed.Observe(houses, prices, len(answer.UnknownZipcodes))
	}
	return answer, nil
}

// done gives back a model that was taken.
func (v *Valuer) done(r *running) {
	if err := r.give(); err != nil {
		v.log.Error("model_release", "model_version", r.Manifest.Version, "error", err.Error())
	}
}

// fault counts a call in which the model failed, and sends the model back
// when it were too many of late.
func (v *Valuer) fault(r *running) {
	r.faults.Add(1)
	n := r.late.faults.Add(1)
	if n < faultsToSendBack || n*faultyOneIn <= r.late.calls.Load() || !r.sentBack.CompareAndSwap(false, true) {
		return
	}
	v.log.Error("model_sent_back", "model_version", r.Manifest.Version, "faults", n)
	r.sentBacks.Inc()
	v.change.Lock()
	defer v.change.Unlock()
	v.show(v.set.Load())
}

// Refuse counts a request that was refused for what stands in it, by the
// version that would have answered.
func (v *Valuer) Refuse(choice Choice) {
	r, _, err := v.choose(&choice)
	if err != nil {
		return
	}
	defer v.done(r)
	v.metricsOf(r.loaded, choice.Role).Refused.Inc()
}

// Revalue values houses aside with a version that runs, to be compared: it is
// not counted as a prediction, and gives way to those that are. The error is
// [ErrOverloaded] where no worker is free.
func (v *Valuer) Revalue(dst []float64, houses []house.House, choice Choice) ([]float64, error) {
	r, _, err := v.choose(&choice)
	if err != nil {
		return nil, err
	}
	defer v.done(r)
	if !v.noneWaits() || v.idle(0) <= 0 {
		return nil, ErrOverloaded
	}
	select {
	case v.workers <- struct{}{}:
		v.metrics.WorkersBusy.Inc()
	default:
		return nil, ErrOverloaded
	}
	defer v.release()
	prices, err := v.price(r, choice.Role, dst, houses)
	r.called()
	if err != nil {
		v.metricsOf(r.loaded, choice.Role).Errors.Inc()
		v.fault(r)
	}
	return prices, err
}

// prices appends the price of each house to dst[:0], from the cache or a
// worker.
func (v *Valuer) prices(ctx context.Context, r *running, role Role, dst []float64, houses []house.House) ([]float64, error) {
	if v.cache == nil || !v.cache.On() {
		return v.work(ctx, r, role, dst, houses)
	}
	ctx, span := v.tracer.Step(ctx, telemetry.StepCache)
	defer span.End()
	keys := keySlices.Get().(*[]cache.Key)
	defer func() {
		if cap(*keys) <= keptKeys {
			keySlices.Put(keys)
		}
	}()
	*keys = (*keys)[:0]
	for i := range houses {
		*keys = append(*keys, r.key(&houses[i]))
	}
	return v.cache.Value(ctx, dst, *keys, func(ctx context.Context, missing []int) ([]float64, error) {
		if len(missing) == len(houses) {
			return v.work(ctx, r, role, nil, houses)
		}
		some := make([]house.House, len(missing))
		for n, i := range missing {
			some[n] = houses[i]
		}
		return v.work(ctx, r, role, nil, some)
	})
}

// keySlices are used again by the next call; larger ones than keptKeys are
// given back.
var keySlices = sync.Pool{New: func() any { return new([]cache.Key) }}

const keptKeys = 2000

// PricedAtOnce is how many houses are priced before a worker is offered to
// another call, so that one house does not wait for a thousand: about a
// millisecond's work.
const PricedAtOnce = 128

// work values the houses on a worker, some at a time.
func (v *Valuer) work(ctx context.Context, r *running, role Role, dst []float64, houses []house.House) ([]float64, error) {
	ctx, span := v.tracer.Step(ctx, telemetry.StepPredict)
	defer span.End()
	start := time.Now()
	var err error
	if len(houses) <= PricedAtOnce/4 {
		err = v.atOnce(ctx, len(houses), &v.pricing, func() (err error) {
			dst, err = v.price(r, role, dst, houses)
			return err
		})
	} else {
		dst, err = v.priceInTurns(ctx, r, role, dst, houses)
	}
	if err != nil {
		return nil, err
	}
	// Not what the cache answers: a version that has been kept for long is
	// not quicker for that than one that is new.
	v.tracer.Observe(ctx, v.metricsOf(r.loaded, role).Duration, time.Since(start).Seconds())
	return dst, nil
}

// priceInTurns prices many houses.
func (v *Valuer) priceInTurns(ctx context.Context, r *running, role Role, dst []float64, houses []house.House) ([]float64, error) {
	dst = slices.Grow(dst[:0], len(houses))[:len(houses)]
	err := v.inTurns(ctx, houses, PricedAtOnce, &v.pricing, func(from int, some []house.House) error {
		prices, err := v.price(r, role, dst[from:from:from+len(some)], some)
		copy(dst[from:], prices)
		return err
	})
	return dst, err
}

// release gives a worker back.
func (v *Valuer) release() {
	v.metrics.WorkersBusy.Dec()
	<-v.workers
}

// price asks the model, and lets nothing out of it but good prices or an
// error.
func (v *Valuer) price(r *running, role Role, dst []float64, houses []house.House) (prices []float64, err error) {
	err = v.guard(r, role, func() error {
		prices = r.Pricer.Prices(dst[:0], houses, r.table)
		if len(prices) != len(houses) {
			return fmt.Errorf("%w: %d prices for %d houses", ErrModel, len(prices), len(houses))
		}
		for i, p := range prices {
			prices[i] = math.Round(p*100) / 100
			if math.IsNaN(p) || math.IsInf(prices[i], 0) {
				return fmt.Errorf("%w: the price of house %d is %v", ErrModel, i, p)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return prices, nil
}

// guard calls a model, and turns what may go wrong in it into an error.
func (v *Valuer) guard(r *running, role Role, call func() error) (err error) {
	// A mapped bundle that was cut in place faults: that fails the request,
	// not the service.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if fault := recover(); fault != nil {
			v.metricsOf(r.loaded, role).Panics.Inc()
			if n := r.panics.Add(1); bits.OnesCount64(uint64(n)) == 1 { // ever more seldom, as it may be in each call
				v.log.Error("model_panic", "model_version", r.Manifest.Version, "panics", n, "panic", fmt.Sprint(fault), "stack", string(debug.Stack()))
			}
			err = fmt.Errorf("%w: it panicked", ErrModel)
		}
	}()
	return call()
}

// unknownZipcodes returns the indices of the houses whose zipcode has no
// demographics; nil, as nearly always, if there are none.
func (v *Valuer) unknownZipcodes(ctx context.Context, r *running, houses []house.House) []int {
	_, span := v.tracer.Step(ctx, telemetry.StepDemographics)
	defer span.End()
	var unknown []int
	for i := range houses {
		if _, known := r.table.Lookup(houses[i].Zipcode()); !known {
			unknown = append(unknown, i)
		}
	}
	v.metrics.DemographicsKnown.Add(float64(len(houses) - len(unknown)))
	if len(unknown) > 0 {
		v.metrics.DemographicsUnknown.Add(float64(len(unknown)))
	}
	return unknown
}
