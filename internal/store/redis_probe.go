package store

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

// probeScript does what requests do: it needs the same rights, and a server
// that is full or read-only refuses it.
var probeScript = NewScript("redis.call('TIME') redis.call('GET', KEYS[1]) redis.call('SET', KEYS[1], '1', 'PX', 10000) return {1}")

// probeKeys lie in evenly spaced slots of a cluster, so that some meet each of
// its shards. A single server is probed with the first.
var probeKeys = evenKeys(16)

// clusterSlots is into how many slots a cluster divides its keys.
const clusterSlots = 16384

// evenKeys returns one key of each of n equal stretches of slots.
func evenKeys(n int) []string {
	keys := make([]string, n)
	for tag, left := 0, n; left > 0; tag++ {
		name := strconv.Itoa(tag)
		if at := slot(name) * n / clusterSlots; keys[at] == "" {
			keys[at] = "housing:probe:{" + name + "}"
			left--
		}
	}
	return keys
}

// slot returns the slot of a hash tag: its CRC-16/XMODEM.
// https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
func slot(tag string) int {
	var crc uint16
	for i := range len(tag) {
		crc ^= uint16(tag[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc) % clusterSlots
}

// probe connects if there is no connection, and sees that the server does what
// requests will ask of it, and soon enough.
func (r *Redis) probe(ctx context.Context) error {
	client, err := r.connect(ctx)
	if err != nil {
		return explainRedis(err)
	}
	keys := probeKeys[:1]
	if client.Mode() == rueidis.ClientModeCluster {
		keys = probeKeys
	}
	quickest, err := within(r, ctx, client.Client, redisProbeTimeout, func(ctx context.Context, c rueidis.Client) (quickest time.Duration, err error) {
		for _, key := range keys {
			if err := probeScript.lua.Exec(ctx, c, []string{key}, nil).Error(); err != nil {
				return 0, err
			}
		}
		quickest = redisProbeTimeout
		for range slowSamples {
			start := time.Now()
			if err := probeScript.lua.Exec(ctx, c, keys[:1], nil).Error(); err != nil {
				return 0, err
			}
			quickest = min(quickest, time.Since(start))
		}
		return quickest, nil
	}, func() {})
	if err == nil && quickest > RedisBudget {
		err = fmt.Errorf("it takes %v: %w", quickest.Round(time.Millisecond), context.DeadlineExceeded)
	}
	return explainRedis(err)
}

// connect returns the connection, and makes it if there is none, or another
// if it is to be another. As long as that is refused the old one goes on: its
// password may be taken out of use a moment later than the new one was given.
func (r *Redis) connect(ctx context.Context) (*connected, error) {
	old, option := r.client.Load(), r.option.Load()
	if old != nil && old.by == option {
		return old, nil
	}
	made, err := rueidis.NewClient(*option)
	switch {
	case err != nil && old == nil:
		return nil, err
	case err != nil:
		if r.refused != option {
			r.refused = option
			r.dependency.log.Warn("dependency_login_refused", "dependency", r.dependency.Name, "error", explainRedis(err).Error())
		}
		return old, nil
	}
	client := &connected{made, option}
	r.client.Store(client)
	if old != nil {
		r.retire(ctx, old.Client)
	}
	return client, nil
}

// retireAfter is longer than any call may take.
const retireAfter = 10 * time.Second

// retire closes a connection when no call uses it any more.
func (r *Redis) retire(ctx context.Context, old rueidis.Client) {
	if !r.aside(func() {
		timer := time.NewTimer(retireAfter)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		old.Close()
	}) {
		old.Close()
	}
}
