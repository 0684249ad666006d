package cli

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"housing/internal/httpapi"
)

// patience bounds how long a test waits for what must come.
const patience = 30 * time.Second

// process is one of "housing serve".
type process struct {
	t       testing.TB
	base    string      // of its addresses, once it serves
	address chan string // where it listens
	client  *http.Client
	command *exec.Cmd
	ended   chan struct{} // closed when all of its log has been read
	killed  bool

	mu  sync.Mutex
	log bytes.Buffer
}

// startService starts a service on a free port and waits until it serves; it
// ends with the test, and must end well.
func startService(t testing.TB, env map[string]string) *process {
	t.Helper()
	s := launch(t, env)
	s.serving()
	return s
}

// client leaves no connection open, so that a service need not wait for it
// to end.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// launch starts a service and does not wait.
func launch(t testing.TB, env map[string]string) *process {
	t.Helper()
	return launchProgram(t, "housing", env)
}

// launchProgram is launch with another program; "" is this one.
func launchProgram(t testing.TB, program string, env map[string]string) *process {
	t.Helper()
	s := &process{t: t, client: client, command: exec.Command(cmp.Or(program, "housing"), "serve"), ended: make(chan struct{})}
	s.command.Env = []string{"PATH=" + os.Getenv("PATH"), "LISTEN=127.0.0.1:0", "TMPDIR=" + t.TempDir()}
	for name, value := range env {
		s.command.Env = append(s.command.Env, name+"="+value)
	}
	stderr, err := s.command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	s.address = make(chan string, 1)
	go func() {
		defer close(s.ended)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			var event struct{ Msg, Address string }
			if json.Unmarshal(lines.Bytes(), &event) == nil && event.Msg == "serving" {
				s.address <- event.Address
			}
			if event.Msg == "prediction_request" || event.Msg == "prediction_success" {
				continue // there are too many to show with a failure
			}
			s.mu.Lock()
			s.log.Write(append(lines.Bytes(), '\n'))
			s.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = s.command.Process.Signal(syscall.SIGTERM) // it may have ended
		<-s.ended
		if err := s.command.Wait(); err != nil && !s.killed {
			t.Errorf("serve ended with %v:\n%s", err, s.logged())
		}
	})
	return s
}

// kill ends the service at once, as kill -9 does.
func (s *process) kill() {
	s.t.Helper()
	s.killed = true
	if err := s.command.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	<-s.ended
}

// serving waits until the service says where it listens.
func (s *process) serving() {
	s.t.Helper()
	select {
	case at := <-s.address:
		s.base = "http://" + at
	case <-s.ended:
		s.t.Fatalf("serve ended: %s", s.logged())
	case <-time.After(patience):
		s.t.Fatalf("serve does not say where it listens: %s", s.logged())
	}
}

// logged returns what the service has logged so far.
func (s *process) logged() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// health asks the service how it is; with the database away too it answers
// 200.
func (s *process) health() (h httpapi.Health) {
	s.t.Helper()
	answer, err := s.client.Get(s.base + "/health")
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		s.t.Fatalf("health is %s", answer.Status)
	}
	if err := json.NewDecoder(answer.Body).Decode(&h); err != nil {
		s.t.Fatal(err)
	}
	return h
}

// until waits until the component is so, and returns how long it took.
func (s *process) until(what, component, status, reason string) time.Duration {
	s.t.Helper()
	start := time.Now()
	for {
		h := s.health()
		c := h.Components[component]
		if healthy := h.Status == httpapi.Healthy; c.Status == status && c.Reason == reason && (status == "up" || !healthy) {
			return time.Since(start)
		}
		if time.Since(start) > patience {
			s.t.Fatalf("%s: health is %+v, want %s %s %s\n%s", what, h, component, status, reason, s.logged())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// predict returns the price of a house at the zipcode, and whether it came
// with a warning. The house stands in the request twice: both prices must be
// the same.
func (s *process) predict(zipcode string) (price float64, warned bool, err error) {
	house := fmt.Sprintf(`{"bedrooms":3,"bathrooms":2,"sqft_living":2000,"zipcode":%q}`, zipcode)
	answer, err := s.client.Post(s.base+"/v1/predict-minimal", "application/json", strings.NewReader(`{"records":[`+house+","+house+"]}"))
	if err != nil {
		return 0, false, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, false, err
	}
	var p httpapi.Prediction
	if err := json.Unmarshal(text, &p); err != nil || answer.StatusCode != http.StatusOK {
		return 0, false, fmt.Errorf("%s: %s", answer.Status, text)
	}
	if len(p.Predictions) != 2 || p.Predictions[0] != p.Predictions[1] {
		return 0, false, fmt.Errorf("one house has the prices %v", p.Predictions)
	}
	return p.Predictions[0], len(p.Warnings) > 0, nil
}

// untilPriced waits until the price is good, and returns it.
func (s *process) untilPriced(what, zipcode string, good func(price float64, warned bool) bool) float64 {
	s.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		price, warned, err := s.predict(zipcode)
		if err != nil {
			s.t.Fatalf("%s: %v", what, err)
		}
		if good(price, warned) {
			return price
		}
		if time.Now().After(end) {
			s.t.Fatalf("%s: the price stays %v, warned %t\n%s", what, price, warned, s.logged())
		}
	}
}
