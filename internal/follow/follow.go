// Package follow reads again what may change while a service runs, such as a
// file with a secret or a certificate, and lets what uses it take it up.
//
// It looks at what a [Source] says, not at the times of files: a ConfigMap or
// Secret of Kubernetes is swapped by a symbolic link. What cannot be used
// leaves what was there in place.
package follow

import (
	"context"
	"time"
)

// Source is something that may change, and what takes it up. Calls follow
// each other.
type Source struct {
	Read  func() (text string, err error)
	Apply func(text string) error // an error leaves what was there in place
}

// Follow reads the source at once and then every so often until ctx ends, and
// applies each text that differs from the one in use; the first of them is now.
// After an apply that failed it tries again each time, as what was missing may
// have come since. What was applied, with nil, and each new failure are told by
// report.
func (s Source) Follow(ctx context.Context, every time.Duration, now string, report func(error)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	failed, again := "", false
	for {
		text, err := s.Read()
		changed := err == nil && (again || text != now)
		if changed {
			if err = s.Apply(text); err == nil {
				now = text
			}
			again = err != nil
		}
		switch {
		case err == nil:
			failed = ""
			if changed {
				report(nil)
			}
		case err.Error() != failed:
			failed = err.Error()
			report(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
