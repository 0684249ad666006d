package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestADependencyLogsItsFirstStateAndEachChange(t *testing.T) {
	var log bytes.Buffer
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "up"})
	d := NewDependency("postgresql", gauge, slog.New(slog.NewTextHandler(&log, nil)))
	now := d.State().Since
	d.now = func() time.Time { return now }
	timeout := fmt.Errorf("probe: %w", context.DeadlineExceeded)
	for i, step := range []struct {
		report error
		status Status
		reason Reason
		lines  int // logged so far
		since  int // seconds from the start
	}{
		{syscall.ECONNREFUSED, Down, Unreachable, 1, 0},
		{timeout, Down, Timeout, 1, 0},
		{timeout, Down, Timeout, 1, 0},
		{nil, Up, "", 2, 4},
		{nil, Up, "", 2, 4},
		{&pgconn.PgError{Code: "53300"}, Down, OutOfConnections, 3, 6},
		{nil, Up, "", 4, 7},
	} {
		now = now.Add(time.Second)
		d.Report(step.report)
		state := d.State()
		since := int(state.Since.Sub(now).Seconds()) + i + 1
		if state.Status != step.status || state.Reason != step.reason || since != step.since {
			t.Errorf("step %d: %+v since %d", i, state, since)
		}
		if lines := strings.Count(log.String(), "\n"); lines != step.lines {
			t.Errorf("step %d: %d lines are logged, want %d:\n%s", i, lines, step.lines, &log)
		}
		if up := testutil.ToFloat64(gauge); (up == 1) != (step.status == Up) {
			t.Errorf("step %d: the gauge shows %v", i, up)
		}
	}
}

func TestExplainIsOneLineWithoutThePassword(t *testing.T) {
	pool, err := OpenPool("postgres://u:hunter2@db.example:6543/d")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	for _, c := range []struct {
		err    error
		reason Reason
		want   string
	}{
		{nil, "", ""},
		{errors.New("no areas"), Other, "no areas"},
		{context.DeadlineExceeded, Timeout, "PostgreSQL at db.example:6543 did not answer in time"},
		{&pgconn.PgError{Code: "25006"}, ReadOnly, "PostgreSQL at db.example:6543 takes no change: it is a replica, or default_transaction_read_only is on (SQLSTATE 25006)"},
		{&pgconn.PgError{Code: "28P01"}, Authentication, "PostgreSQL at db.example:6543 does not let this user in: check user, password and database (SQLSTATE 28P01)"},
		{&pgconn.PgError{Code: "XX000", Message: "bad\nhunter2"}, Other, "PostgreSQL at db.example:6543 answered: bad ***"},
	} {
		if got := ReasonOf(c.err); got != c.reason {
			t.Errorf("%v: reason %q, want %q", c.err, got, c.reason)
		}
		got := Explain(pool, c.err)
		if text := fmt.Sprint(got); got != nil && text != c.want || (got == nil) != (c.want == "") {
			t.Errorf("%v is explained as %v, want %q", c.err, got, c.want)
		}
		if !errors.Is(got, c.err) {
			t.Errorf("%v is lost", c.err)
		}
	}
}

func TestURLsThatCannotBeUsedAreNotRepeated(t *testing.T) {
	bad := "postgres://u:hunter2@h:port/d"
	if _, err := OpenPostgres(bad, nil, nil, nil); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("primary: %v", err)
	}
	var replica *ReplicaError
	_, err := OpenPostgres("postgres://h/d", []string{"postgres://i/d", bad}, nil, nil)
	if !errors.As(err, &replica) || replica.Number != 2 || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("replica: %v", err)
	}
}

// TestReadAsksTheNearestFirstAndThenTheOthers needs no server: the calls
// fail or not as the test says.
func TestReadAsksTheNearestFirstAndThenTheOthers(t *testing.T) {
	p, err := OpenPostgres("postgres://primary/d", []string{"postgres://near/d", "postgres://dead/d"}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	p.primary.latency.Store(20)
	p.replicas[0].latency.Store(10)
	for _, c := range []struct {
		name   string
		faults map[string]error
		want   string
	}{
		{"all is well", nil, "near"},
		{"the nearest is behind", map[string]error{"near": ErrBehind}, "near primary"},
		{"the nearest has no such table", map[string]error{"near": &pgconn.PgError{Code: "42P01"}}, "near primary"},
		{"the nearest hangs", map[string]error{"near": context.DeadlineExceeded}, "near primary"},
		{"none answers", map[string]error{"near": ErrBehind, "primary": ErrBehind, "dead": ErrBehind}, "near primary dead"},
	} {
		var asked []string
		err := p.Read(t.Context(), func(_ context.Context, pool *pgxpool.Pool, primary bool) error {
			host := pool.Config().ConnConfig.Host
			if primary != (host == "primary") {
				t.Errorf("%s is primary: %t", host, primary)
			}
			asked = append(asked, host)
			return c.faults[host]
		})
		if got := strings.Join(asked, " "); got != c.want || (err != nil) != (len(c.faults) == 3) {
			t.Errorf("%s: asked %q, want %q; error %v", c.name, got, c.want, err)
		}
		if lives := p.replicas[0].latency.Load() != 0; lives == errors.Is(c.faults["near"], context.DeadlineExceeded) {
			t.Errorf("%s: it counts as alive: %t", c.name, lives)
		}
		p.replicas[0].latency.Store(10)
	}
}
