package config

import (
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Serve holds the settings of the service.
type Serve struct {
	Network
	Transport
	Database
	Journal
	Redis
	Limits
	Access
	Registry
	Traces
	Backups
	DefaultModelVersion string  `setting:"" placeholder:"VERSION" help:"Version to serve. Default: the primary of the traffic plan, else the one created last."`
	ModelPoll           Period  `setting:"" default:"4s" placeholder:"TIME" help:"How often the registry is asked for another traffic plan. Default: 4s."`
	ModelProbation      Period  `setting:"" default:"5m" placeholder:"TIME" help:"How long the primary before stays loaded, to answer where the new one fails. Default: 5m."`
	DemographicsCSV     string  `setting:"" name:"demographics-csv" placeholder:"FILE" help:"Demographics from a CSV file. Default: those inside the model."`
	MaxBodyBytes        Bytes   `setting:"" default:"1MiB" placeholder:"SIZE" help:"Largest body of a request. Default: 1MiB."`
	MaxRecords          Count   `setting:"" default:"1000" placeholder:"N" help:"Most houses in one request. Default: 1000."`
	MaxInFlight         Count   `setting:"" default:"8192" placeholder:"N" help:"Most requests with a body that are in flight at once, those whose body is still arriving among them; one more is answered 503. Default: 8192."`
	MaxConnections      Count   `setting:"" default:"4096" placeholder:"N" help:"Most connections of the API that are open at once; one more is closed. Default: 4096."`
	Workers             Count   `setting:"" placeholder:"N" help:"How many requests are valued at once. Default: the number of CPUs."`
	ShutdownGrace       Period  `setting:"" default:"30s" placeholder:"TIME" help:"How long requests in flight may take when the service stops. Default: 30s."`
	LogLevel            Level   `setting:"" default:"info" placeholder:"LEVEL" help:"debug, info, warn or error. Default: info."`
	LogFormat           LogForm `setting:"" placeholder:"FORMAT" help:"json or text. Default: text on a terminal, else json."`
	AllowAnonymous      bool    `setting:"" help:"Serve on an address other than loopback without authentication."`
}

// Network holds the addresses of the service; what asks the service, such as
// a health check, takes the same settings.
type Network struct {
	Listen    Address `setting:"" default:"127.0.0.1:8000" placeholder:"ADDRESS" help:"Address of the API. Default: 127.0.0.1:8000."`
	OpsListen Address `setting:"" placeholder:"ADDRESS" help:"Own address for /metrics, /livez, /readyz and /debug/pprof. Default: the first three on LISTEN, no pprof."`
}

// Check looks at the settings together. Its error is an [*Error].
func (s *Serve) Check() error {
	if err := s.Database.Check(); err != nil {
		return err
	}
	if err := s.Journal.Check(string(s.DatabaseURL)); err != nil {
		return err
	}
	if err := s.Redis.Check(); err != nil {
		return err
	}
	if err := s.Transport.Check(); err != nil {
		return err
	}
	if err := s.Access.Check(); err != nil {
		return err
	}
	if err := s.Traces.Check(); err != nil {
		return err
	}
	if !s.Listen.Loopback() && !s.Access.Configured() && !s.AllowAnonymous {
		return &Error{Source: "LISTEN", Problem: fmt.Sprintf(
			"%q is reachable from other machines and no authentication is set: set JWT_SECRET or JWT_JWKS_URL to ask for tokens, ALLOW_ANONYMOUS=true to let anyone in, or listen on loopback such as 127.0.0.1:8000", s.Listen)}
	}
	if s.ModelPoll < minPoll {
		return &Error{Source: "MODEL_POLL", Problem: fmt.Sprintf("%v is too often: want %v or more", time.Duration(s.ModelPoll), time.Duration(minPoll))}
	}
	if s.OpsListen == s.Listen && s.Listen.port() != "0" {
		return &Error{Source: "OPS_LISTEN", Problem: fmt.Sprintf("%q is the address of LISTEN: choose another port, or leave OPS_LISTEN out", s.OpsListen)}
	}
	return nil
}

// minPoll bounds how often a registry is asked.
const minPoll = Period(100 * time.Millisecond)

// ClientRate returns how often a client may ask for prices, zero for as often
// as it likes: as set; else not limited where only this machine can
// ask and nobody says who it is.
func (s *Serve) ClientRate() Rate {
	switch {
	case s.RateLimit.given:
		return s.RateLimit
	case s.Listen.Loopback() && !s.Access.Configured():
		return Rate{}
	}
	return DefaultRate
}

// Local returns the address under which this machine itself reaches a
// service that listens on a.
func (a Address) Local() string {
	host, port, err := net.SplitHostPort(string(a))
	if err != nil {
		return string(a)
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip == netip.IPv4Unspecified() {
		host = "127.0.0.1"
	} else if err == nil && ip == netip.IPv6Unspecified() {
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}

func (a Address) port() string {
	_, port, _ := net.SplitHostPort(string(a))
	return port
}
