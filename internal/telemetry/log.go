package telemetry

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"
	"time"
)

// Format is how log lines are written.
type Format uint8

// The formats of log lines.
const (
	JSON Format = iota // one JSON object a line: time, level, msg, …
	Text               // for a person at a terminal
)

// NewLogger returns a logger that writes lines of at least the given level
// to w, times in UTC. A *[slog.LevelVar] may change at any time.
func NewLogger(w io.Writer, level slog.Leveler, format Format) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == Text {
		return slog.New(utc{slog.NewTextHandler(w, options)})
	}
	return slog.New(utc{slog.NewJSONHandler(w, options)})
}

// utc writes times in UTC, whatever the machine's zone.
type utc struct{ slog.Handler }

func (h utc) Handle(ctx context.Context, r slog.Record) error {
	r.Time = r.Time.UTC()
	return h.Handler.Handle(ctx, r)
}

func (h utc) WithAttrs(attrs []slog.Attr) slog.Handler { return utc{h.Handler.WithAttrs(attrs)} }

func (h utc) WithGroup(name string) slog.Handler { return utc{h.Handler.WithGroup(name)} }

// Sampler lets at most Limit events of each second through. The zero value
// lets none through. It is safe for concurrent use and takes no lock.
type Sampler struct {
	// Limit is how many events of a second pass.
	Limit uint32
	// state holds the second in its upper and the count in its lower half.
	state atomic.Uint64
}

// Allow says whether an event that happens now is kept. One of the second
// before counts as one of the latest, as events may be told of out of order.
func (s *Sampler) Allow(now time.Time) bool {
	second := uint64(uint32(now.Unix()))
	for {
		old := s.state.Load()
		latest, count := old>>32, uint32(old)
		if latest != second && latest != second+1 {
			latest, count = second, 0
		}
		if count >= s.Limit {
			return false
		}
		if s.state.CompareAndSwap(old, latest<<32|uint64(count+1)) {
			return true
		}
	}
}
