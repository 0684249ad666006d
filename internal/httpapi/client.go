package httpapi

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// maxForwarded bounds how many addresses of X-Forwarded-For are looked at.
const maxForwarded = 32

// clientAddress returns the address that a request comes from: that of the
// connection, or, where a trusted proxy holds the connection, the last address
// of X-Forwarded-For that no trusted proxy has. What stands before it the
// client may have written itself. It is the zero address if there is none.
func clientAddress(r *http.Request, trusted []netip.Prefix) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	address := peer.Addr().Unmap().WithZone("")
	if len(trusted) == 0 {
		return address
	}
	lines := r.Header["X-Forwarded-For"]
	for _, line := range slices.Backward(lines) {
		for seen := 0; line != "" && seen < maxForwarded; seen++ {
			if !within(address, trusted) {
				return address
			}
			var last string
			if comma := strings.LastIndexByte(line, ','); comma >= 0 {
				line, last = line[:comma], line[comma+1:]
			} else {
				line, last = "", line
			}
			next, ok := parseForwarded(strings.TrimSpace(last))
			if !ok {
				return address // of the proxy that let it through
			}
			address = next
		}
	}
	return address
}

// ownAddresses are those by which a machine asks itself. Istio's sidecar asks
// from another of the loopback, 127.0.0.6, for whoever asked it.
var ownAddresses = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}

// fromHere says whether a program on this machine sent a request for itself.
// What proxies write does not count: whoever stands in their network can write
// it too, and a proxy on this machine speaks for others. The name that was asked for must
// be the machine's own, as a page in a browser here can let its own name stand
// for 127.0.0.1.
func fromHere(r *http.Request) bool {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !slices.Contains(ownAddresses, from.Addr().Unmap()) {
		return false
	}
	for name := range r.Header {
		if slices.Contains([]string{"Forwarded", "X-Real-Ip", "Via"}, name) || strings.HasPrefix(name, "X-Forwarded-") || strings.HasPrefix(name, "X-Envoy-") {
			return false
		}
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && address.Unmap().IsLoopback()
}

// parseForwarded reads an address as proxies write it, some with a port.
func parseForwarded(text string) (netip.Addr, bool) {
	address, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		withPort, err := netip.ParseAddrPort(text)
		if err != nil {
			return netip.Addr{}, false
		}
		address = withPort.Addr()
	}
	return address.Unmap().WithZone(""), true
}

func within(address netip.Addr, networks []netip.Prefix) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(address) })
}

// ipv6Client is the part of an IPv6 address that one client has: who has one
// address of a network of 64 bits has them all.
const ipv6Client = 64

// network returns the name under which the client at an address is counted.
func network(address netip.Addr) string {
	if !address.Is6() {
		return address.String()
	}
	prefix, err := address.Prefix(ipv6Client)
	if err != nil {
		return address.String()
	}
	return prefix.String()
}
