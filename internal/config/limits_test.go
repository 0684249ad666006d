package config

import (
	"strings"
	"testing"
	"time"
)

func TestRate(t *testing.T) {
	for text, want := range map[string]Rate{
		"100/minute": {100, time.Minute, true}, "1/second": {1, time.Second, true}, "1000000/hour": {1_000_000, time.Hour, true}, "off": {given: true},
	} {
		var got Rate
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want || got.String() != text {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "100", "100/day", "0/minute", "-1/minute", "1000001/hour", "1.5/second", "a/minute", "100/minute/minute"} {
		var got Rate
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func TestClientsAreLimitedUnlessOnlyThisMachineCanAsk(t *testing.T) {
	for _, c := range []struct {
		env  []string
		want string
	}{
		{nil, "off"},
		{[]string{"LISTEN=:8000", "ALLOW_ANONYMOUS=true"}, "100/minute"},
		{[]string{"LISTEN=:8000", "ALLOW_ANONYMOUS=true", "RATE_LIMIT=off"}, "off"},
		{[]string{"RATE_LIMIT=7/second"}, "7/second"},
	} {
		s, err := read(nil, c.env...)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.ClientRate().String(); got != c.want {
			t.Errorf("%v: %s, want %s", c.env, got, c.want)
		}
	}
}

func TestNetworks(t *testing.T) {
	var n Networks
	if err := n.UnmarshalText([]byte("10.1.2.3/8, fd00::/8,,192.0.2.7, ::1")); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range n.Prefixes() {
		got = append(got, p.String())
	}
	if want := "10.0.0.0/8 fd00::/8 192.0.2.7/32 ::1/128"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	for _, bad := range []string{"10.0.0.0/33", "proxy.example", "fe80::1%eth0", "10.0.0.0/8;11.0.0.0/8", strings.Repeat("10.0.0.1,", maxNetworks+1)} {
		if err := n.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%.40q is taken", bad)
		}
	}
}

func TestSettingsOfRedis(t *testing.T) {
	for _, bad := range [][]string{
		{"RESPONSE_CACHE=maybe"}, {"RESPONSE_CACHE_TTL=2h"}, {"RESPONSE_CACHE_SECRET=short"}, {"REDIS_CA_FILE=ca.pem"},
	} {
		_, err := read(nil, bad...)
		if name, _, _ := strings.Cut(bad[0], "="); err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "short") {
			t.Errorf("%v: %v", bad, err)
		}
	}
}
