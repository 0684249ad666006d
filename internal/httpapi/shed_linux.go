package httpapi

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// waited returns how long ago the last data of a connection came, in whole
// milliseconds: tcpi_last_data_recv of tcp(7).
func waited(conn syscall.RawConn) (time.Duration, bool) {
	var info *unix.TCPInfo
	var fault error
	err := conn.Control(func(fd uintptr) { info, fault = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	if err != nil || fault != nil {
		return 0, false
	}
	return time.Duration(info.Last_data_recv) * time.Millisecond, true
}
