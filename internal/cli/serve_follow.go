package cli

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"housing/internal/config"
	"housing/internal/follow"
	"housing/internal/telemetry"
)

// followEvery is how often files with secrets and certificates are read
// again.
const followEvery = 3 * time.Second

// followed is what a service reads again when it changes.
type followed struct {
	files   config.Files
	metrics *telemetry.Metrics
	log     *slog.Logger
	tasks   []func(context.Context)
	end     context.CancelFunc
	running sync.WaitGroup
}

// secret follows the file that a setting was read from; without one nothing
// can change. now is its value.
func (f *followed) secret(variable string, now config.Secret, apply func(text string) error) {
	if f.files[variable] == "" {
		return
	}
	read := func() (string, error) { return f.files.Read(variable) }
	f.add(variable, string(now), follow.Source{Read: read, Apply: apply}, "secret_reloaded", "secret_reload_failed")
}

// add follows a source; the events are what its changes are told as.
func (f *followed) add(variable, now string, source follow.Source, done, failed string) {
	f.metrics.ShowFileReloads(strings.ToLower(variable))
	report := func(err error) {
		f.metrics.FileReload(strings.ToLower(variable), err)
		if err != nil {
			f.log.Error(failed, "variable", variable, "error", err.Error())
			return
		}
		f.log.Info(done, "variable", variable)
	}
	f.tasks = append(f.tasks, func(ctx context.Context) { source.Follow(ctx, followEvery, now, report) })
}

// start begins to follow.
func (f *followed) start(ctx context.Context) {
	ctx, f.end = context.WithCancel(ctx)
	for _, task := range f.tasks {
		f.running.Go(func() { task(ctx) })
	}
}

// stop ends what start began.
func (f *followed) stop() {
	if f.end != nil {
		f.end()
	}
	f.running.Wait()
}
