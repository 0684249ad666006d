package rollout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"golang.org/x/sync/errgroup"
)

// Sample is what one series of one replica shows.
type Sample struct {
	Replica string // address
	Name    string // of the series: that of the metric, with _bucket for a histogram's
	Labels  map[string]string
	Value   float64
}

// Source is where the metrics of all replicas are read: [Prometheus], or the
// replicas themselves, [Replicas].
type Source interface {
	// Read returns the samples of the series that a guard and a status need.
	// Replicas that cannot be read are missing; it is an error if all are.
	Read(ctx context.Context) ([]Sample, error)
}

// The series that are read.
const (
	seriesRequests  = "prediction_requests_total"
	seriesErrors    = "prediction_errors_total"
	seriesRefused   = "prediction_refused_total"
	seriesDurations = "prediction_duration_seconds_bucket"
	seriesPrices    = "predicted_price_dollars_bucket"
	seriesRatios    = "shadow_difference_ratio_bucket"
	seriesSentBack  = "models_sent_back_total"
	seriesModels    = "model_info"
	seriesShares    = "rollout_share"
	seriesStarted   = "process_start_time_seconds"
)

var series = []string{seriesRequests, seriesErrors, seriesRefused, seriesDurations, seriesPrices, seriesRatios, seriesSentBack, seriesModels, seriesShares, seriesStarted}

// Bounds on reading.
const (
	readLimit    = 5 * time.Second
	maxRead      = 32 << 20 // bytes of one answer
	maxReplicas  = 500
	readsAtOnce  = 16
	maxInstances = 64 // that one name of Replicas stands for
)

// Prometheus reads the replicas' metrics from a Prometheus server.
type Prometheus struct {
	URL    string // such as http://prometheus:9090; may hold a password
	Match  string // matchers such as job="housing"; "" is every series
	Client *http.Client
}

// Read asks for the latest value of every series.
func (p *Prometheus) Read(ctx context.Context) ([]Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	query := `{__name__=~"` + strings.Join(series, "|") + `"`
	if p.Match != "" {
		query += "," + p.Match
	}
	at, err := url.Parse(p.URL)
	if err != nil { // its text holds the address
		return nil, errors.New("the address of Prometheus is none: want http://HOST:PORT")
	}
	asked := at.JoinPath("api/v1/query")
	values := asked.Query()
	values.Set("query", query+"}")
	asked.RawQuery = values.Encode()
	body, err := get(ctx, p.Client, asked)
	if err != nil {
		return nil, fmt.Errorf("Prometheus: %w", err)
	}
	var answer struct {
		Status string `json:"status"`
		Error  string `json:"error"`
		Data   struct {
			Result []struct {
				Metric map[string]string `json:"metric"`
				Value  []jsontext.Value  `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Status != "success" {
		return nil, fmt.Errorf("Prometheus at %s: %.200s", at.Host, cmpText(answer.Error, "its answer is not that of /api/v1/query"))
	}
	var samples []Sample
	type one struct{ replica, key string }
	known, some := map[one]bool{}, false
	for _, r := range answer.Data.Result {
		var text string
		if len(r.Value) != 2 || json.Unmarshal(r.Value[1], &text) != nil {
			continue
		}
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			continue
		}
		name, replica := r.Metric["__name__"], r.Metric["instance"]
		s := Sample{Replica: replica, Name: name, Labels: r.Metric, Value: value}
		if s.counts() {
			if known[one{replica, s.key()}] {
				return nil, fmt.Errorf("Prometheus at %s has %s of %s twice, as where two jobs scrape one replica or two replicas have one name: narrow PROMETHEUS_MATCH, now %q", at.Host, name, replica, p.Match)
			}
			known[one{replica, s.key()}] = true
		}
		some = some || name != seriesStarted
		samples = append(samples, s)
	}
	if !some {
		return nil, fmt.Errorf("Prometheus at %s knows no replica: does it scrape them, and is the match %q right?", at.Host, p.Match)
	}
	return samples, nil
}

func cmpText(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// Replicas reads the metrics of replicas from themselves. An address such as
// http://housing:8000 stands for every machine that the name has.
type Replicas struct {
	Addresses []string
	Client    *http.Client
}

// Read asks each replica.
func (r *Replicas) Read(ctx context.Context) ([]Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	targets, err := r.targets(ctx)
	if err != nil {
		return nil, err
	}
	found, faults := make([][]Sample, len(targets)), make([]error, len(targets))
	var group errgroup.Group
	group.SetLimit(readsAtOnce)
	for i, t := range targets {
		group.Go(func() error {
			found[i], faults[i] = r.read(ctx, t)
			return nil
		})
	}
	_ = group.Wait() // its functions return none
	samples := slices.Concat(found...)
	if len(samples) == 0 {
		return nil, fmt.Errorf("no replica can be read: %w", errors.Join(faults...))
	}
	return samples, nil
}

// target is one replica: an address to ask, and the machine that is asked.
type target struct {
	url     *url.URL
	replica string // HOST:PORT of the machine
}

// targets returns a target for each machine of each address.
func (r *Replicas) targets(ctx context.Context) ([]target, error) {
	var targets []target
	var faults []error
	for _, address := range r.Addresses {
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, fmt.Errorf("replica %q: want an address such as http://housing:8000", address)
		}
		port := u.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
		hosts, err := net.DefaultResolver.LookupHost(ctx, u.Hostname())
		if err != nil { // as that of a container which is down
			faults = append(faults, fmt.Errorf("replica %s: %w", u.Host, err))
			continue
		}
		for _, host := range hosts[:min(len(hosts), maxInstances)] {
			targets = append(targets, target{url: u.JoinPath("metrics"), replica: net.JoinHostPort(host, port)})
		}
	}
	if len(targets) == 0 && len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	if len(targets) == 0 || len(targets) > maxReplicas {
		return nil, fmt.Errorf("%d replicas: want 1 to %d", len(targets), maxReplicas)
	}
	return targets, nil
}

func (r *Replicas) read(ctx context.Context, t target) ([]Sample, error) {
	client := *r.Client
	transport, ok := client.Transport.(*http.Transport)
	if !ok {
		transport = http.DefaultTransport.(*http.Transport)
	}
	transport = transport.Clone()
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, t.replica)
	}
	defer transport.CloseIdleConnections()
	client.Transport = transport
	body, err := get(ctx, &client, t.url)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.replica, err)
	}
	return parseMetrics(t.replica, body)
}

// parseMetrics reads Prometheus' text of a replica.
func parseMetrics(replica string, text []byte) ([]Sample, error) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(text)))
	if err != nil {
		return nil, fmt.Errorf("%s: its /metrics cannot be read: %w", replica, err)
	}
	var samples []Sample
	for _, name := range series {
		metric, isBucket := strings.CutSuffix(name, "_bucket")
		family := families[metric]
		if family == nil {
			continue
		}
		for _, m := range family.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if !isBucket {
				samples = append(samples, Sample{replica, name, labels, valueOf(m)})
				continue
			}
			for _, b := range m.GetHistogram().GetBucket() {
				at := map[string]string{"le": strconv.FormatFloat(b.GetUpperBound(), 'g', -1, 64)}
				for k, v := range labels {
					at[k] = v
				}
				samples = append(samples, Sample{replica, name, at, float64(b.GetCumulativeCount())})
			}
		}
	}
	return samples, nil
}

func valueOf(m *dto.Metric) float64 {
	if c := m.GetCounter(); c != nil {
		return c.GetValue()
	}
	return m.GetGauge().GetValue()
}

// get returns the body of a good answer. Its errors name the host alone, as
// the rest of an address may hold a password or a key.
func get(ctx context.Context, client *http.Client, from *url.URL) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from.String(), nil)
	if err != nil {
		return nil, err
	}
	answer, err := client.Do(request)
	if err != nil {
		if failed := (*url.Error)(nil); errors.As(err, &failed) {
			failed.URL = from.Host
		}
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxRead+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > maxRead:
		return nil, fmt.Errorf("%s answers more than %d bytes", from.Host, maxRead)
	case answer.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s answers %s", from.Host, answer.Status)
	}
	return body, nil
}
