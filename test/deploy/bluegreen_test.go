package deploy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// deployment is a run of deploy-model.sh.
type deployment struct {
	command *exec.Cmd
	log     *lockedBuffer
	done    chan struct{}
	code    int
}

// deploy starts deploy-model.sh in a process group of its own, as a terminal
// does.
func (c *cluster) deploy(t *testing.T, args ...string) *deployment {
	t.Helper()
	return c.deployWith(t, nil, args...)
}

// deployWith is deploy with other settings.
func (c *cluster) deployWith(t *testing.T, env []string, args ...string) *deployment {
	t.Helper()
	d := &deployment{log: &lockedBuffer{}, done: make(chan struct{})}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	d.command = exec.CommandContext(ctx, filepath.Join(c.tree, "bin/deploy-model.sh"), args...)
	d.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	d.command.WaitDelay = 20 * time.Second
	d.command.Env = append(os.Environ(), "NAMESPACE="+c.namespace, "HOUSING_TOKEN="+c.token(t), "READY_SECONDS=120", "WATCH_SECONDS=20", "MAX_P95_MS=5000")
	d.command.Env = append(d.command.Env, env...)
	d.command.Stdout, d.command.Stderr = d.log, d.log
	if err := d.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.done)
		err := d.command.Wait()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			d.code = exit.ExitCode()
		} else if err != nil {
			d.code = -1
		}
	}()
	return d
}

// end waits for the end and holds its exit code to want.
func (d *deployment) end(t *testing.T, want int) string {
	t.Helper()
	<-d.done
	if d.code != want {
		t.Errorf("deploy-model.sh: code %d, want %d:\n%s", d.code, want, d.log)
	}
	return d.log.String()
}

// says waits until the log has the text, and says whether it came.
func (d *deployment) says(text string) bool {
	for {
		if strings.Contains(d.log.String(), text) {
			return true
		}
		select {
		case <-d.done:
			return strings.Contains(d.log.String(), text)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// traffic returns the color that the Service selects.
func (c *cluster) traffic(t *testing.T) string {
	t.Helper()
	return c.kubectl(t, "get", "service", "housing-api", "-o", "jsonpath={.spec.selector.color}")
}

// testBlueGreen deploys good, bad and interrupted versions under load.
func (c *cluster) testBlueGreen(t *testing.T) {
	url := c.apply(t, "../overlays/blue-green", "housing-api-blue", "housing-api-green")
	c.waitReady(t, "housing-api-blue", 3)
	stop := Load{URL: url, Token: c.token(t), Rate: 40, Fresh: 20}.Start(t)

	step := func(name string, do func(t *testing.T)) {
		if !t.Run(name, do) {
			t.Errorf("%s failed; traffic is on %s", name, c.traffic(t))
		}
	}
	holds := func(t *testing.T, wantVersion string) {
		t.Helper()
		color := c.traffic(t)
		if got := c.kubectl(t, "get", "deployment", "housing-api-"+color, "-o", `jsonpath={.spec.template.spec.containers[0].env[?(@.name=="DEFAULT_MODEL_VERSION")].value}`); got != wantVersion {
			t.Errorf("traffic is on %s with version %q, want %q", color, got, wantVersion)
		}
	}
	step("a good version", func(t *testing.T) {
		start := time.Now()
		c.deploy(t, "v1").end(t, 0)
		holds(t, "v1")
		t.Logf("%.0f s, of which 20 watched", time.Since(start).Seconds())
	})
	step("the same again", func(t *testing.T) {
		if log := c.deploy(t, "v1").end(t, 0); !strings.Contains(log, "nothing to do") {
			t.Errorf("log: %s", log)
		}
		holds(t, "v1")
	})
	step("a token that is not accepted", func(t *testing.T) {
		if log := c.deployWith(t, []string{"HOUSING_TOKEN=stale"}, "v2").end(t, 1); !strings.Contains(log, "HOUSING_TOKEN is not accepted") || !strings.Contains(log, "nothing has changed") {
			t.Errorf("log: %s", log)
		}
		holds(t, "v1")
	})
	step("one that never gets healthy", func(t *testing.T) {
		before := c.traffic(t)
		if log := c.deploy(t, "v404").end(t, 1); !strings.Contains(log, "never had traffic") || !strings.Contains(log, "traffic is on "+before) {
			t.Errorf("log: %s", log)
		}
		holds(t, "v1")
	})
	step("one that answers wrongly", func(t *testing.T) {
		if log := c.deploy(t, "wrong").end(t, 1); !strings.Contains(log, "prices golden houses wrongly") {
			t.Errorf("log: %s", log)
		}
		holds(t, "v1")
	})
	step("one that is bad only under load", func(t *testing.T) {
		// Every version is too slow for this bound.
		if log := c.deployWith(t, []string{"MAX_P95_MS=0"}, "v2").end(t, 1); !strings.Contains(log, "one request in twenty takes more than 0 ms") || !strings.Contains(log, "rolled back: traffic moved") {
			t.Errorf("log: %s", log)
		}
		holds(t, "v1")
	})
	step("two at once", func(t *testing.T) {
		first := c.deploy(t, "v2")
		first.says("version v2, ")
		if log := c.deploy(t, "v2").end(t, 1); !strings.Contains(log, "another deployment is under way") {
			t.Errorf("log: %s", log)
		}
		first.end(t, 0)
		holds(t, "v2")
	})
	step("rollback", func(t *testing.T) {
		c.deploy(t, "--rollback").end(t, 0)
		holds(t, "v1")
	})
	// Ctrl-C reaches the whole process group. Wherever it falls, v1 has the traffic.
	for _, at := range []struct{ version, text string }{
		{"v3", "version v3, "}, {"v4", "Waiting for deployment"}, {"v4", "are healthy, have v4"}, {"v4", "has the traffic; watching"},
	} {
		step(fmt.Sprintf("interrupted at %q", at.text), func(t *testing.T) {
			d := c.deploy(t, at.version)
			if !d.says(at.text) {
				t.Fatalf("never said %q: %s", at.text, d.log)
			}
			if err := syscall.Kill(-d.command.Process.Pid, syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			log := d.end(t, 130)
			if !strings.Contains(log, "interrupted") || !strings.Contains(log, "traffic is on") {
				t.Errorf("log: %s", log)
			}
			holds(t, "v1")
		})
	}
	step("killed while it watches", func(t *testing.T) {
		d := c.deploy(t, "v4")
		if !d.says("has the traffic; watching") {
			t.Fatalf("log: %s", d.log)
		}
		if err := syscall.Kill(-d.command.Process.Pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-d.done
		holds(t, "v4") // nobody could move it back
		eventually(t, "another version is refused", func() (string, bool) {
			log := c.deploy(t, "v1").end(t, 1)
			return log, strings.Contains(log, "was not watched to the end") || t.Failed() // until the lease has expired
		})
		if log := c.deploy(t, "v4").end(t, 0); !strings.Contains(log, "watching it again") {
			t.Errorf("log: %s", log)
		}
		holds(t, "v4")
	})
	step("applied again", func(t *testing.T) {
		before := c.traffic(t)
		c.kubectl(t, "apply", "-k", c.local(t, "../overlays/blue-green"))
		if after := c.traffic(t); after != before {
			t.Errorf("applying the overlay moved traffic from %s to %s", before, after)
		}
		holds(t, "v4")
	})
	report := stop()
	mustBeWhole(t, report, 1000)
	for v := range report.Versions {
		if v == "wrong" || v == "v404" {
			t.Errorf("version %s answered %d requests", v, report.Versions[v])
		}
	}
	c.kubectl(t, "delete", "-k", c.local(t, "../overlays/blue-green"), "--ignore-not-found", "--wait=true", "--timeout=5m")
	c.clear(t)
}

// lockedBuffer is a buffer that is read while it is written.
type lockedBuffer struct {
	lock sync.Mutex
	b    bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.lock.Lock()
	defer l.lock.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.lock.Lock()
	defer l.lock.Unlock()
	return l.b.String()
}
