package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Limits holds the settings of who may ask how often.
type Limits struct {
	RateLimit        Rate     `setting:"" placeholder:"RATE" help:"Requests for prices that a client may send, such as 100/minute, N/second or N/hour; off. Default: 100/minute, or off on loopback."`
	RateLimitCost    Cost     `setting:"" default:"request" placeholder:"COST" help:"What a request counts as: request (one) or record (one for each house). Default: request."`
	AuthFailureLimit Rate     `setting:"" default:"60/minute" placeholder:"RATE" help:"Bad tokens that an address may send before it is told to wait; off. Default: 60/minute."`
	TrustedProxies   Networks `setting:"" placeholder:"NETWORKS" help:"Networks whose X-Forwarded-For is believed, with commas between, such as 10.0.0.0/8. Default: none."`
}

// Rate is a number of requests in a time. Zero requests are no limit.
type Rate struct {
	Requests int64
	Period   time.Duration
	given    bool
}

// DefaultRate is what clients are limited to unless the settings say
// otherwise.
var DefaultRate = Rate{Requests: 100, Period: time.Minute}

// periods are the words for a Rate's period.
var periods = []struct {
	name string
	time time.Duration
}{{"second", time.Second}, {"minute", time.Minute}, {"hour", time.Hour}}

// maxRequests bounds a rate, so that arithmetic with it cannot overflow.
const maxRequests = 1_000_000

// UnmarshalText reads a rate such as 100/minute; "off" is none.
func (r *Rate) UnmarshalText(text []byte) error {
	if string(text) == "off" {
		*r = Rate{given: true}
		return nil
	}
	count, per, _ := strings.Cut(string(text), "/")
	n, err := strconv.ParseInt(count, 10, 32)
	for _, p := range periods {
		if per == p.name && err == nil && 1 <= n && n <= maxRequests {
			*r = Rate{Requests: n, Period: p.time, given: true}
			return nil
		}
	}
	return fmt.Errorf("%q is not a limit: want 100/minute, N/second or N/hour with N up to %d, or off", text, maxRequests)
}

// String returns the rate as it is written in settings.
func (r Rate) String() string {
	for _, p := range periods {
		if r.Requests > 0 && r.Period == p.time {
			return fmt.Sprintf("%d/%s", r.Requests, p.name)
		}
	}
	return "off"
}

// Cost is what a request counts as.
type Cost string

// The costs.
const (
	PerRequest Cost = "request"
	PerRecord  Cost = "record"
)

// UnmarshalText reads a cost.
func (c *Cost) UnmarshalText(text []byte) error {
	switch cost := Cost(text); cost {
	case PerRequest, PerRecord:
		*c = cost
		return nil
	}
	return fmt.Errorf("%q is not a cost: want request or record", text)
}

// Networks are networks of addresses.
type Networks string

// maxNetworks bounds the list.
const maxNetworks = 1000

// UnmarshalText reads networks with commas between; an address alone is a
// network of one.
func (n *Networks) UnmarshalText(text []byte) error {
	if _, err := parseNetworks(string(text)); err != nil {
		return err
	}
	*n = Networks(text)
	return nil
}

// Prefixes returns the networks.
func (n Networks) Prefixes() []netip.Prefix {
	prefixes, _ := parseNetworks(string(n)) // it was read before
	return prefixes
}

func parseNetworks(text string) (networks []netip.Prefix, err error) {
	for name := range strings.SplitSeq(text, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(name)
		if err != nil {
			address, err := netip.ParseAddr(name)
			if err != nil || address.Zone() != "" {
				return nil, fmt.Errorf("%q is not a network: want 10.0.0.0/8, fd00::/8 or an address", name)
			}
			prefix = netip.PrefixFrom(address, address.BitLen())
		}
		networks = append(networks, prefix.Masked())
	}
	if len(networks) > maxNetworks {
		return nil, fmt.Errorf("%d networks are more than %d", len(networks), maxNetworks)
	}
	return networks, nil
}
