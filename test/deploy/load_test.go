package deploy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// oneHouse is a request for the price of one house.
const oneHouse = `{"records": [{"bedrooms": 3, "bathrooms": 2.5, "sqft_living": 2220, "sqft_lot": 6380, "floors": 1.5,
  "sqft_above": 1660, "sqft_basement": 560, "zipcode": "98115", "condition": 4, "grade": 8,
  "yr_built": 1931, "lat": 47.6974, "long": -122.313, "sqft_living15": 950, "sqft_lot15": 6380}]}`

// Load asks for prices at a rate that does not wait for answers.
type Load struct {
	URL   string // of the service, without the path
	Token string // "" sends none
	Rate  int    // requests a second
	// Fresh is the share of requests, in percent, that come on a new connection.
	Fresh int
	Body  string // "" is oneHouse
	TLS   *tls.Config
}

// Report is what became of the requests of a Load.
type Report struct {
	Requests int
	Failures []string // why requests were not answered 200, the first 20
	Failed   int
	Versions map[string]int // answers by X-Model-Version
	Seconds  float64
	times    []time.Duration
}

// Quantile returns a quantile of the times, in milliseconds.
func (r *Report) Quantile(q float64) float64 {
	if len(r.times) == 0 {
		return 0
	}
	slices.Sort(r.times)
	return float64(r.times[min(len(r.times)-1, int(q*float64(len(r.times))))].Microseconds()) / 1000
}

func (r *Report) String() string {
	return fmt.Sprintf("%d requests in %.0f s, %d failed, p50 %.1f ms, p99 %.1f ms, answered by %v", r.Requests, r.Seconds, r.Failed, r.Quantile(0.5), r.Quantile(0.99), r.Versions)
}

// maxUnderWay bounds the requests of a Load that wait for an answer; one more
// waits for its turn.
const maxUnderWay = 512

// Start begins to ask, until stop is called, which waits for all answers.
func (l Load) Start(t *testing.T) (stop func() *Report) {
	t.Helper()
	if l.Body == "" {
		l.Body = oneHouse
	}
	ctx, cancel := context.WithCancel(context.Background())
	kept := &http.Client{Transport: &http.Transport{TLSClientConfig: l.TLS, MaxIdleConnsPerHost: maxUnderWay, IdleConnTimeout: 20 * time.Second}, Timeout: 30 * time.Second}
	fresh := &http.Client{Transport: &http.Transport{TLSClientConfig: l.TLS, DisableKeepAlives: true}, Timeout: 30 * time.Second}
	report := &Report{Versions: map[string]int{}}
	var lock sync.Mutex
	var group sync.WaitGroup
	start := time.Now()
	slots := make(chan struct{}, maxUnderWay)
	group.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(l.Rate))
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			client := kept
			if n%100 < l.Fresh {
				client = fresh
			}
			slots <- struct{}{}
			group.Go(func() {
				defer func() { <-slots }()
				began := time.Now()
				version, err := l.ask(client)
				lock.Lock()
				defer lock.Unlock()
				report.Requests++
				report.times = append(report.times, time.Since(began))
				if err == nil {
					report.Versions[version]++
					return
				}
				report.Failed++
				if len(report.Failures) < 20 {
					report.Failures = append(report.Failures, time.Now().UTC().Format("15:04:05.000 ")+err.Error())
				}
			})
		}
	})
	stopped := false
	stop = func() *Report {
		if !stopped {
			stopped = true
			cancel()
			group.Wait()
			kept.CloseIdleConnections()
			report.Seconds = time.Since(start).Seconds()
		}
		return report
	}
	t.Cleanup(func() { stop() })
	return stop
}

// ask sends one request and returns the version that answered.
func (l Load) ask(client *http.Client) (version string, err error) {
	request, err := http.NewRequest(http.MethodPost, l.URL+"/v1/predict", strings.NewReader(l.Body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	if l.Token != "" {
		request.Header.Set("Authorization", "Bearer "+l.Token)
	}
	answer, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return "", err
	}
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %.200s", answer.Status, body)
	}
	var prices struct {
		Predictions []float64 `json:"predictions"`
	}
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&prices); err != nil || len(prices.Predictions) == 0 || prices.Predictions[0] <= 0 {
		return "", fmt.Errorf("no prices: %.200s", body)
	}
	return answer.Header.Get("X-Model-Version"), nil
}

// mustBeWhole fails the test if a request failed.
func mustBeWhole(t *testing.T, r *Report, least int) {
	t.Helper()
	t.Log(r)
	if r.Requests < least {
		t.Errorf("only %d requests were sent, want at least %d", r.Requests, least)
	}
	if r.Failed > 0 {
		t.Errorf("%d of %d requests failed:\n%s", r.Failed, r.Requests, strings.Join(r.Failures, "\n"))
	}
}
