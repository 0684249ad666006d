package backup

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"

	"housing/internal/objects"
)

// Times of a lease.
const (
	leaseLasts = 2 * time.Minute
	leaseRenew = 20 * time.Second
	leaseRetry = time.Second
)

// lease says who is changing a repository: parts that no backup names yet
// must not be deleted while someone brings them.
type lease struct {
	Who   string    `json:"who"`
	Host  string    `json:"host"`
	PID   int       `json:"pid"`
	Token string    `json:"token"`
	Until time.Time `json:"until"`
}

// free says whether whoever held the lease holds it no longer: its time is
// over, or its process was one of this machine that has ended.
func (l *lease) free(now time.Time, host string) bool {
	return now.After(l.Until) || l.Host == host && l.PID != os.Getpid() && errors.Is(syscall.Kill(l.PID, 0), syscall.ESRCH)
}

// hold waits until nobody else changes the repository, and keeps others from
// it until release. The context ends when the lease is lost.
func (r *Repository) hold(ctx context.Context, who string) (held context.Context, release func(), err error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, nil, err
	}
	mine := lease{Who: who, Host: host, PID: os.Getpid(), Token: rand.Text()}
	for {
		there, tag, err := r.readLease(ctx)
		if err != nil {
			return nil, nil, err
		}
		if there == nil || there.free(r.now(), host) {
			if err = r.writeLease(ctx, &mine, tag); err == nil {
				break
			}
			if !errors.Is(err, objects.ErrTaken) {
				return nil, nil, r.fault("take the lease", err)
			}
		}
		timer := time.NewTimer(leaseRetry)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, nil, fmt.Errorf("wait for %s, who is changing %s until %s at the latest: %w", there.Who, r.Location(), there.Until.Format(time.RFC3339), ctx.Err())
		case <-timer.C:
		}
	}
	held, lose := context.WithCancelCause(ctx)
	var renewing sync.WaitGroup
	renewing.Go(func() { r.renew(held, mine, lose) })
	return held, func() {
		lose(nil)
		renewing.Wait()
		// It was ours to the end, or is another's by now.
		if there, _, err := r.readLease(context.WithoutCancel(ctx)); err == nil && there != nil && there.Token == mine.Token {
			_ = r.store.Delete(context.WithoutCancel(ctx), leaseName) // it would end by itself
		}
	}, nil
}

// renew keeps the lease until ctx ends.
func (r *Repository) renew(ctx context.Context, mine lease, lose context.CancelCauseFunc) {
	last := r.now()
	for {
		timer := time.NewTimer(leaseRenew)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		there, tag, err := r.readLease(ctx)
		switch {
		case err == nil && (there == nil || there.Token != mine.Token):
			lose(errors.New("another has taken the lease of the repository"))
			return
		case err == nil:
			if r.writeLease(ctx, &mine, tag) == nil {
				last = r.now()
			}
		}
		if r.now().Sub(last) > leaseLasts-leaseRenew {
			lose(errors.New("the lease of the repository could not be renewed"))
			return
		}
	}
}

func (r *Repository) readLease(ctx context.Context) (*lease, string, error) {
	text, tag, err := r.store.Read(ctx, leaseName, "")
	if errors.Is(err, objects.ErrAbsent) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", r.fault("read the lease", err)
	}
	var l lease
	if err := json.Unmarshal(text, &l); err != nil {
		return &lease{}, tag, nil // no lease of ours: its time is over
	}
	return &l, tag, nil
}

func (r *Repository) writeLease(ctx context.Context, mine *lease, tag string) error {
	mine.Until = r.now().UTC().Add(leaseLasts)
	text, err := json.Marshal(mine)
	if err != nil {
		return err
	}
	return r.store.Write(ctx, leaseName, bytes.NewReader(text), tag)
}
