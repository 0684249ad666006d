package deploy_test

import (
	"os/exec"
	"syscall"
)

// maxResident returns the most memory that a program had, in MiB.
func maxResident(c *exec.Cmd) int64 {
	usage, ok := c.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	return usage.Maxrss >> 10 // KiB on Linux
}
