package cli

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock is a time that tests move.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

// bar returns a progress that is shown on out.
func bar(total int64, out *bytes.Buffer) (*progress, *clock) {
	c := &clock{time.Unix(1e9, 0)}
	return &progress{out: out, now: c.now, started: c.t, total: total, what: "valuing houses"}, c
}

func TestABarAppearsAfterTwoSeconds(t *testing.T) {
	var out bytes.Buffer
	b, c := bar(100, &out)
	b.add(10)
	b.describe("valuing")
	c.t = c.t.Add(2*time.Second - 1)
	b.add(10)
	if out.Len() > 0 {
		t.Errorf("it shows before its time: %q", &out)
	}
	c.t = c.t.Add(1)
	b.add(30)
	if shown := out.String(); !strings.Contains(shown, "valuing") || !strings.Contains(shown, "50%") {
		t.Errorf("it shows %q", shown)
	}
	b.describe("nearly there")
	b.add(1000) // beyond the end
	b.done()
	if shown := out.String(); !strings.HasSuffix(strings.TrimRight(shown, " "), "\r") {
		t.Errorf("it stays: %q", shown)
	}
	out.Reset()
	b.add(1)
	b.describe("after the end")
	b.done()
	if out.Len() > 0 {
		t.Errorf("it shows after its end: %q", &out)
	}
}

func TestNoBarWithoutATerminal(t *testing.T) {
	var out bytes.Buffer
	b := newProgress(&program{stderr: &out}, 10, "training")
	b.now = func() time.Time { return b.started.Add(time.Hour) }
	b.add(5)
	b.describe("still training")
	b.done()
	if out.Len() > 0 {
		t.Errorf("it shows %q", &out)
	}
}

func TestABarIsMovedByMany(t *testing.T) {
	var out bytes.Buffer
	b, c := bar(800, &out)
	c.t = c.t.Add(time.Minute)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				b.add(1)
				b.describe("valuing")
			}
		})
	}
	group.Wait()
	if b.seen != 800 {
		t.Errorf("%d steps, want 800", b.seen)
	}
	b.done()
}
