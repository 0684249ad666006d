package cli

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// forgetPages gives back the pages of the program's file, most of which only its
// start needed, code and tables of packages that prepare themselves, as the
// kernel would by itself where memory becomes short. What is needed after all is
// mapped again from the page cache. It touches only mappings that nothing can
// write, whose pages are the file's. The service does not depend on it, so
// what fails is left as it is.
func forgetPages() {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		// 00400000-01046000 r-xp 00000000 fe:00 11103227    /usr/bin/housing
		var from, to uintptr
		var mode string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &mode); err != nil || !strings.HasPrefix(mode, "r-") {
			continue
		}
		if strings.HasSuffix(lines.Text(), " "+program) {
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED)
		}
	}
}
