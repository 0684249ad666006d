package config

import (
	"net/url"
	"strings"
)

// Fleet says where the metrics of all replicas are read.
type Fleet struct {
	PrometheusURL   Secret `setting:"" name:"prometheus-url" secret:"" placeholder:"URL" help:"Prometheus that scrapes the replicas, such as http://prometheus:9090."`
	PrometheusMatch string `setting:"" placeholder:"MATCHERS" help:"What picks their series there, such as 'job=\"housing\"'. Default: every series with our names."`
	Replicas        string `setting:"" placeholder:"URLS" help:"Without Prometheus: where the replicas answer /metrics, with commas between; a name such as http://housing:8000 stands for every address that it has."`
}

// Addresses returns the addresses of Replicas.
func (f *Fleet) Addresses() []string { return splitList(f.Replicas) }

// Check refuses addresses that are none.
func (f *Fleet) Check() error {
	if f.PrometheusURL != "" && !isURL(string(f.PrometheusURL)) {
		return &Error{Source: "PROMETHEUS_URL", Problem: "is not an address: want http://HOST:PORT"}
	}
	for _, address := range f.Addresses() {
		if !isURL(address) {
			return &Error{Source: "REPLICAS", Problem: "every address must be http://HOST:PORT or https://HOST"}
		}
	}
	return nil
}

func isURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

func splitList(text string) (members []string) {
	for member := range strings.SplitSeq(text, ",") {
		if member = strings.TrimSpace(member); member != "" {
			members = append(members, member)
		}
	}
	return members
}
