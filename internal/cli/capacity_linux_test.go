package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"housing/internal/capacity"
	"housing/internal/house"
	"housing/internal/store/storetest"
)

// arrivals are requests that come by themselves, as those of many callers do:
// the gaps between them are exponential, and none waits for an answer.
type arrivals struct {
	s      *process
	client *http.Client
	random *rand.Rand
	body   string
}

// observed is what was seen of a load; times are seconds.
type observed struct {
	requests, lasted, used float64 // how many, in which time, with which time of cores

	rate  float64   // requests a second that came
	cores float64   // that were busy
	cost  float64   // of a core, for each request
	took  []float64 // in order
	late  float64   // that the latest of 20 requests was sent late
}

func (o *observed) quantile(p float64) float64 { return o.took[int(p*float64(len(o.took)))] }

func (o *observed) String() string {
	return fmt.Sprintf("%.1f requests/s, %.3f cores, %.3f ms of a core a request, p50 %.3f ms, p95 %.3f ms, p99 %.3f ms; one of 20 was sent %.3f ms late",
		o.rate, o.cores, 1e3*o.cost, 1e3*o.quantile(0.5), 1e3*o.quantile(0.95), 1e3*o.quantile(0.99), 1e3*o.late)
}

// of returns arrivals of requests with so many houses.
func (a arrivals) of(houses int) *arrivals {
	var all []string
	for i := range houses {
		h := house.Example()
		h.Values[house.SqftLiving] = float64(1000 + 7*i)
		all = append(all, string(house.AppendJSON(nil, &h)))
	}
	a.body = `{"records":[` + strings.Join(all, ",") + `]}`
	return &a
}

func (a *arrivals) ask() error {
	answer, err := a.client.Post(a.s.base+"/v1/predict", "application/json", strings.NewReader(a.body))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %.200s", answer.Status, text)
	}
	return err
}

// wait sleeps by the kernel's clock: Go's own timers are late by up to a
// millisecond.
func wait(long time.Duration) {
	if long > 0 {
		left := unix.NsecToTimespec(long.Nanoseconds())
		_ = unix.Nanosleep(&left, nil) // a signal may end it early
	}
}

// pin keeps all threads of a process, and those that they start, on some
// processors.
func pin(t *testing.T, process int, processors ...int) {
	t.Helper()
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", process))
	if err != nil {
		t.Fatal(err)
	}
	var set unix.CPUSet
	for _, p := range processors {
		set.Set(p)
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.SchedSetaffinity(id, &set); err != nil {
			t.Fatal(err)
		}
	}
}

// load sends requests for a while.
func (a *arrivals) load(t *testing.T, perSecond float64, long time.Duration) *observed {
	t.Helper()
	var o observed
	var lates []float64
	var mu sync.Mutex
	var running sync.WaitGroup
	before, start := a.s.number("process_cpu_seconds_total"), time.Now()
	for due := start; ; {
		due = due.Add(time.Duration(a.random.ExpFloat64() / perSecond * 1e9))
		if due.Sub(start) > long {
			break
		}
		wait(time.Until(due))
		sent := time.Now()
		lates = append(lates, sent.Sub(due).Seconds())
		running.Go(func() {
			err := a.ask()
			took := time.Since(sent).Seconds()
			mu.Lock()
			defer mu.Unlock()
			o.took = append(o.took, took)
			if err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	seconds, used := time.Since(start).Seconds(), a.s.number("process_cpu_seconds_total")-before
	slices.Sort(lates)
	o.late = lates[len(lates)*95/100]
	o.count(float64(len(o.took)), seconds, used)
	return &o
}

// count fills what follows from so many requests in a time.
func (o *observed) count(requests, lasted, used float64) {
	o.requests, o.lasted, o.used = requests, lasted, used
	o.rate, o.cores, o.cost = requests/lasted, used/lasted, used/requests
	slices.Sort(o.took)
}

// saturate asks as fast as the service answers, over some connections.
func (a *arrivals) saturate(t *testing.T, long time.Duration) *observed {
	t.Helper()
	var asked atomic.Int64
	var running sync.WaitGroup
	before, start := a.s.number("process_cpu_seconds_total"), time.Now()
	for range 8 {
		running.Go(func() {
			for time.Since(start) < long {
				if err := a.ask(); err != nil {
					t.Error(err)
					return
				}
				asked.Add(1)
			}
		})
	}
	running.Wait()
	seconds, used := time.Since(start).Seconds(), a.s.number("process_cpu_seconds_total")-before
	var o observed
	o.count(float64(asked.Load()), seconds, used)
	return &o
}

// TestThePlanIsRight takes what a request costs from a while in which the
// service has no rest and one with little load, and holds `housing plan` to
// two loads between: busy cores, p50 and p95 may differ by a fifth. A third, at
// the edge of the usual headroom, is shown. That is done several times, and the
// middle counts, as a machine is slower for a while: planned and measured are of the
// same while. The service has one processor, as the requests come from the other one.
func TestThePlanIsRight(t *testing.T) {
	if os.Getenv("CAPACITY") != "long" {
		t.Skip("CAPACITY=long is not set: make capacity")
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	s := startService(t, map[string]string{"RATE_LIMIT": "off", "GOMAXPROCS": "1"})
	pin(t, s.command.Process.Pid, 0)
	pin(t, os.Getpid(), 1)
	defer pin(t, os.Getpid(), 0, 1)
	a := arrivals{s: s, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}, random: rand.New(rand.NewPCG(seed, 1))}
	defer a.client.CloseIdleConnections()
	const houses, held = 100, 2 // of the loads; the third is shown
	of := map[int]*arrivals{1: a.of(1), houses: a.of(houses)}
	most := map[int]float64{}
	for n, a := range of {
		a.saturate(t, time.Second) // until it is warm
		most[n] = 1 / a.saturate(t, 3*time.Second).cost
	}

	prices := capacity.BuiltinPrices()
	for i := range prices.Machines {
		prices.Machines[i].Sustained = 0 // this machine may always use all of its cores
	}
	text, err := json.Marshal(prices)
	if err != nil {
		t.Fatal(err)
	}
	table := filepath.Join(t.TempDir(), "prices.json")
	if err := os.WriteFile(table, text, 0o644); err != nil {
		t.Fatal(err)
	}
	loads := []float64{0.3, 0.5, 0.65}
	what := []string{"busy cores", "p50", "p95", "p99"} // p99, of too few requests, is shown only
	off := make([][][]float64, len(loads))              // planned by measured less one, of each load and figure
	for i := range off {
		off[i] = make([][]float64, len(what))
	}
	for range 7 {
		busiest, quiet := map[int]*observed{}, map[int]*observed{}
		for n, a := range of {
			busiest[n] = a.saturate(t, 2*time.Second)
			quiet[n] = a.load(t, 0.15*most[n], 4*time.Second)
			t.Logf("houses %d, without rest: %.0f requests/s, %.3f cores, %.4f ms of a core a request", n, busiest[n].rate, busiest[n].cores, 1e3*busiest[n].cost)
			t.Logf("houses %d, little load: %v; waking takes %.4f ms", n, quiet[n], 1e3*waking(quiet[n], busiest[n].cost))
		}
		each := (busiest[houses].cost - busiest[1].cost) / (houses - 1)
		service := capacity.Service{Request: busiest[1].cost - each, House: each, Wake: waking(quiet[houses], busiest[houses].cost)}
		service.Variation, service.WakeDelay = fit(quiet[houses], service, houses)
		t.Logf("calibration: %.1f µs a request, %.2f µs a house, %.1f µs to wake, variation %.3f, %.3f ms beside it; resident %.0f MiB",
			1e6*service.Request, 1e6*service.House, 1e6*service.Wake, service.Variation, 1e3*service.WakeDelay, s.resident()/(1<<20))
		for i, load := range loads {
			seen := of[houses].load(t, load*most[houses], 4*time.Second)
			const replicas = 3 // the least that are planned
			code, stdout, stderr := run(t, nil, "plan", "--json", "--prices", table, "--rps", fmt.Sprint(replicas*seen.rate), "--records", fmt.Sprint(houses),
				"--cores", "1", "--spare", "0", "--headroom", "0.05", "--variation", fmt.Sprint(service.Variation), "--service-time", duration(service.Request),
				"--record-time", duration(service.House), "--wake-time", duration(service.Wake), "--wake-delay", duration(service.WakeDelay))
			var plan capacity.Plan
			if err := json.Unmarshal([]byte(stdout), &plan); err != nil || code != success || plan.Replicas != replicas {
				t.Fatalf("plan: code %d, %v: %s%s", code, err, stdout, stderr)
			}
			p := plan.Situations[0]
			t.Logf("measured: %v", seen)
			for k, planned := range []float64{p.Utilisation, p.P50, p.P95, p.P99} {
				measured := []float64{seen.cores, seen.quantile(0.5), seen.quantile(0.95), seen.quantile(0.99)}[k]
				off[i][k] = append(off[i][k], planned/measured-1)
				t.Logf("%-10s planned %.5f, measured %.5f: %+.1f %%", what[k], planned, measured, 100*(planned/measured-1))
			}
		}
	}
	for i, load := range loads {
		for k, figure := range what {
			slices.Sort(off[i][k])
			middle := off[i][k][len(off[i][k])/2]
			t.Logf("%.0f %% of the most, %-10s: planned is %+.1f %% off in the middle, %+.1f to %+.1f %%",
				100*load, figure, 100*middle, 100*off[i][k][0], 100*off[i][k][len(off[i][k])-1])
			if i < held && figure != "p99" && math.Abs(middle) > 0.2 {
				t.Errorf("%s at %.0f %% of the most is planned %+.1f %% off", figure, 100*load, 100*middle)
			}
		}
	}
}

// waking returns what a request takes more of a core that is otherwise idle than
// of one without rest, in seconds: so that the core is as busy as was seen.
func waking(quiet *observed, cost float64) float64 {
	low, high := 0.0, 4*quiet.cost
	for range 40 {
		q := capacity.Queue{Cores: 1, Rate: quiet.rate, Service: cost, Wake: (low + high) / 2}
		if q.Utilisation() < quiet.cores {
			low = q.Wake
		} else {
			high = q.Wake
		}
	}
	return low
}

// duration writes seconds as a flag takes them.
func duration(seconds float64) string { return time.Duration(max(0, seconds) * 1e9).String() }

// fit returns how service times vary, and what the answer of an idle core
// takes more beside it, so that p50 and p95 are as seen.
func fit(o *observed, s capacity.Service, houses int) (variation, delay float64) {
	low, high := 0.0, 3.0
	for range 30 {
		s.Variation, s.WakeDelay = (low+high)/2, 0
		quantile := func(p float64) float64 { q := s.Queue(1, o.rate, houses); return q.Quantile(p) }
		for range 10 {
			s.WakeDelay = max(0, s.WakeDelay+o.quantile(0.5)-quantile(0.5))
		}
		if quantile(0.95) > o.quantile(0.95) {
			high = s.Variation
		} else {
			low = s.Variation
		}
	}
	return s.Variation, s.WakeDelay
}

// TestWhatRedisAndPostgreSQLHold measures what [capacity] counts for each
// client and for each prediction that is kept.
func TestWhatRedisAndPostgreSQLHold(t *testing.T) {
	if os.Getenv("CAPACITY") != "long" {
		t.Skip("CAPACITY=long is not set: make capacity")
	}
	redis, postgres := storetest.NewRedis(t), storetest.NewPostgres(t)
	s := startService(t, map[string]string{"REDIS_URL": redis.URL, "DATABASE_URL": postgres.URL, "JOURNAL_DIR": t.TempDir(), "RATE_LIMIT": "1/minute", "TRUSTED_PROXIES": "127.0.0.0/8"})
	pool := openPool(t, postgres.URL)
	size := func() (bytes float64) {
		if err := pool.QueryRow(t.Context(), "SELECT pg_database_size(current_database())::float8").Scan(&bytes); err != nil {
			t.Fatal(err)
		}
		return bytes
	}
	memory := func() float64 {
		out, err := exec.Command("redis-cli", "-u", redis.URL, "info", "memory").Output()
		if err != nil {
			t.Fatal(err)
		}
		used, err := strconv.ParseFloat(regexp.MustCompile(`(?m)^used_memory:(\d+)`).FindStringSubmatch(string(out))[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		return used
	}
	a := (arrivals{s: s, client: http.DefaultClient}).of(100)
	held, stored := memory(), size()
	const clients = 1000
	for i := range clients {
		request, err := http.NewRequest(http.MethodPost, s.base+"/v1/predict", strings.NewReader(a.body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("X-Forwarded-For", fmt.Sprintf("10.1.%d.%d", i/250, 1+i%250))
		answer, err := s.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Body.Close(); answer.StatusCode != http.StatusOK {
			t.Fatal(answer.Status)
		}
	}
	client := (memory() - held) / clients
	s.settled()
	prediction := (size() - stored) / (clients * 100)
	t.Logf("Redis: %.0f bytes a client; PostgreSQL: %.0f bytes a prediction", client, prediction)
	if client <= 0 || client > capacity.BytesPerClient || prediction <= 0 || prediction > capacity.BytesPerPrediction {
		t.Errorf("a plan counts %d and %d bytes", capacity.BytesPerClient, capacity.BytesPerPrediction)
	}
}
