package backup

import (
	"context"
	"time"

	"housing/internal/store"
)

// Watch asks at once and then about every period how old the last backups at
// a location are, until ctx ends, and calls each with what Ages returned. The
// location need not be there yet.
func Watch(ctx context.Context, location string, every time.Duration, each func(completed, verified time.Time, err error)) {
	for ctx.Err() == nil {
		completed, verified, err := agesAt(ctx, location)
		if ctx.Err() != nil {
			return
		}
		each(completed, verified, err)
		timer := time.NewTimer(store.Jitter(every))
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
}

// watchLimit bounds one look.
const watchLimit = time.Minute

func agesAt(ctx context.Context, location string) (completed, verified time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, watchLimit)
	defer cancel()
	r, err := Open(ctx, location)
	if err != nil {
		return completed, verified, err
	}
	defer r.Close()
	return r.Ages(ctx)
}
