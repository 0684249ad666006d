package cli

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"housing/internal/house"
)

// TestMemoryIsSmallAndFlat asks a service for prices over sixteen connections
// and looks at the memory that it holds then, and after as many again. With
// MEMORY=long it is 100,000 requests each time; PROGRAM is another program
// than this test.
func TestMemoryIsSmallAndFlat(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's own memory is several times that of the program")
	}
	requests := 5_000
	if os.Getenv("MEMORY") == "long" {
		requests = 100_000
	}
	s := launchProgram(t, os.Getenv("PROGRAM"), map[string]string{"RATE_LIMIT": "off"})
	started := time.Now()
	s.serving()
	s.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	t.Cleanup(s.client.CloseIdleConnections)
	example := house.Example()
	body := []byte(`{"records":[` + string(house.AppendJSON(nil, &example)) + `]}`)
	ask := func() error {
		answer, err := s.client.Post(s.base+"/v1/predict", "application/json", bytes.NewReader(body))
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			return err
		}
		if answer.StatusCode != http.StatusOK {
			t.Errorf("status %d", answer.StatusCode)
		}
		return nil
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%v from the start to the first answer, %.1f MiB", time.Since(started).Round(time.Millisecond), s.mebibytes("VmRSS"))
	var held [2]float64
	for i := range held {
		var clients sync.WaitGroup
		for range 16 {
			clients.Go(func() {
				for range requests / 16 {
					if err := ask(); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		clients.Wait()
		held[i] = s.mebibytes("VmRSS")
		t.Logf("%.1f MiB after %d requests (%.1f of files, %.1f at most)", held[i], (i+1)*requests, s.mebibytes("RssFile"), s.mebibytes("VmHWM"))
	}
	const most, growth = 40, 4 // MiB
	if held[0] > most || held[1] > most || held[1] > held[0]+growth {
		t.Errorf("the service holds %.1f MiB and then %.1f, want at most %d, and flat", held[0], held[1], most)
	}
}

// mebibytes returns a value of /proc/PID/status.
func (s *process) mebibytes(name string) float64 {
	s.t.Helper()
	status, err := os.ReadFile("/proc/" + strconv.Itoa(s.command.Process.Pid) + "/status")
	if err != nil {
		s.t.Fatal(err)
	}
	found := regexp.MustCompile(name + `:\s+(\d+) kB`).FindStringSubmatch(string(status))
	if found == nil {
		s.t.Fatalf("no %s in %s", name, strings.TrimSpace(string(status)))
	}
	kilobytes, err := strconv.Atoi(found[1])
	if err != nil {
		s.t.Fatal(err)
	}
	return float64(kilobytes) / 1024
}
