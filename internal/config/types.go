package config

import (
	"fmt"
	"log/slog"
	"math"
	"net"
	"strconv"
	"strings"
	"time"
)

// Address is HOST:PORT to listen on; "" is none. The host may be empty for
// every address of the machine.
type Address string

// UnmarshalText reads an address.
func (a *Address) UnmarshalText(text []byte) error {
	host, port, err := net.SplitHostPort(string(text))
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || strings.ContainsAny(host, " /@") {
		return fmt.Errorf("%q is not an address: want HOST:PORT such as 127.0.0.1:8000, :8000 or [::1]:8000", text)
	}
	*a = Address(text)
	return nil
}

// Bytes is a size, 1 byte to 1 GiB.
type Bytes int64

const maxBytes = 1 << 30

var units = []struct {
	name string
	size int64
}{
	// Longer names first: KiB ends in B too.
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1},
}

// UnmarshalText reads a size such as 1MiB, 512KB or 1048576.
func (b *Bytes) UnmarshalText(text []byte) error {
	digits, unit := string(text), int64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(digits, u.name); ok {
			digits, unit = strings.TrimSuffix(rest, " "), u.size
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || n == 0 || n > math.MaxInt64/uint64(unit) || int64(n)*unit > maxBytes {
		return fmt.Errorf("%q is not a usable size: want 1MiB, 512KB or 1048576, up to 1GiB", text)
	}
	*b = Bytes(int64(n) * unit)
	return nil
}

// Count is a number of things, 1 to 100,000; 0 is "not set".
type Count int

// UnmarshalText reads a count.
func (c *Count) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 10, 32)
	if err != nil || n < 1 || n > 100_000 {
		return fmt.Errorf("%q is not a usable count: want a whole number from 1 to 100000", text)
	}
	*c = Count(n)
	return nil
}

// Period is a stretch of time, 0 to one hour.
type Period time.Duration

// UnmarshalText reads a period such as 30s.
func (p *Period) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err != nil || d < 0 || d > time.Hour {
		return fmt.Errorf("%q is not a usable time: want 500ms, 30s or 5m, up to 1h", text)
	}
	*p = Period(d)
	return nil
}

// Level is the least severe log line that is written.
type Level slog.Level

// UnmarshalText reads a level.
func (l *Level) UnmarshalText(text []byte) error {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if strings.EqualFold(string(text), level.String()) {
			*l = Level(level)
			return nil
		}
	}
	return fmt.Errorf("%q is not a log level: want debug, info, warn or error", text)
}

// LogForm is how log lines are written; the zero value leaves it to the
// place that they are written to.
type LogForm string

// UnmarshalText reads a log format.
func (f *LogForm) UnmarshalText(text []byte) error {
	switch form := LogForm(strings.ToLower(string(text))); form {
	case "json", "text":
		*f = form
		return nil
	}
	return fmt.Errorf("%q is not a log format: want json or text", text)
}

// IsText says whether lines to a place that is a terminal, or is not, are
// written as text.
func (f LogForm) IsText(terminal bool) bool { return f == "text" || f == "" && terminal }
