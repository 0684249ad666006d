package cli

import (
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progressDelay is how long a command may take before it shows a bar.
const progressDelay = 2 * time.Second

// progress is a bar on a terminal that shows how far a long command is. It
// appears after two seconds, and only on stderr if that is a terminal. Its
// methods may be called concurrently.
type progress struct {
	out   io.Writer // nil if nothing is to be shown
	now   func() time.Time
	total int64

	mu      sync.Mutex
	started time.Time
	what    string
	seen    int64
	bar     *progressbar.ProgressBar // nil until it appears
}

// newProgress returns the progress of what is done in total steps, over 0.
func newProgress(p *program, total int64, what string) *progress {
	b := &progress{now: time.Now, total: total, what: what, started: time.Now()}
	if isTerminal(p.stderr) {
		b.out = p.stderr
	}
	return b
}

// add moves the bar on by n steps.
func (b *progress) add(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen += int64(n)
	b.show(func() { _ = b.bar.Set64(min(b.seen, b.total)) })
}

// to moves the bar to done of total steps.
func (b *progress) to(done, total int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen, b.total = done, total
	b.show(func() {
		b.bar.ChangeMax64(max(total, 1))
		_ = b.bar.Set64(min(done, total))
	})
}

// describe changes what is said beside the bar.
func (b *progress) describe(s string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.what = s; b.bar != nil {
		b.show(func() { b.bar.Describe(s) })
	}
}

// done takes the bar away.
func (b *progress) done() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bar != nil {
		_ = b.bar.Finish() // its errors are of the terminal
		_ = b.bar.Clear()
	}
	b.out, b.bar = nil, nil
}

// show changes the bar, which it makes first when it is time.
func (b *progress) show(change func()) {
	if b.out == nil {
		return
	}
	if b.bar == nil {
		if b.now().Sub(b.started) < progressDelay {
			return
		}
		b.bar = progressbar.NewOptions64(b.total,
			progressbar.OptionSetWriter(b.out),
			progressbar.OptionSetDescription(b.what),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish(),
		)
	}
	change()
}
