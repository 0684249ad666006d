//go:build !linux

package httpapi

import (
	"syscall"
	"time"
)

// waited knows nothing where the kernel is not asked.
func waited(syscall.RawConn) (time.Duration, bool) { return 0, false }
