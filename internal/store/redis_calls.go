package store

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// Entry is a value under a key.
type Entry struct {
	Key   string
	Value []byte
}

// Get returns the values of the keys, at most the given bytes of each; nil
// for those that are not there or empty, and one that is empty and not nil for
// those that are of another kind.
func (r *Redis) Get(ctx context.Context, budget time.Duration, most int64, keys ...string) ([][]byte, error) {
	return ask(r, ctx, budget, func(ctx context.Context, c rueidis.Client) ([][]byte, error) {
		commands := make([]rueidis.Completed, len(keys))
		for i, key := range keys {
			commands[i] = c.B().Getrange().Key(key).Start(0).End(most - 1).Build()
		}
		values := make([][]byte, len(keys))
		for i, result := range c.DoMulti(ctx, commands...) {
			value, err := result.AsBytes()
			switch {
			case wrongType(err):
				values[i] = []byte{}
			case err != nil:
				return nil, explainRedis(err)
			case len(value) > 0:
				values[i] = value
			}
		}
		return values, nil
	})
}

// Set keeps the entries for the time ttl.
func (r *Redis) Set(ctx context.Context, budget, ttl time.Duration, entries ...Entry) error {
	_, err := ask(r, ctx, budget, func(ctx context.Context, c rueidis.Client) (struct{}, error) {
		commands := make([]rueidis.Completed, len(entries))
		for i, e := range entries {
			commands[i] = c.B().Set().Key(e.Key).Value(rueidis.BinaryString(e.Value)).Px(ttl).Build()
		}
		for _, result := range c.DoMulti(ctx, commands...) {
			if err := result.Error(); err != nil {
				return struct{}{}, explainRedis(err)
			}
		}
		return struct{}{}, nil
	})
	return err
}

// SetAside keeps the entries, and does not wait for it. What cannot be kept is
// let go.
func (r *Redis) SetAside(ttl time.Duration, entries ...Entry) {
	if r.client.Load() == nil || r.dependency.State().Status != Up {
		return
	}
	r.aside(func() { _ = r.Set(context.Background(), redisProbeTimeout, ttl, entries...) })
}

// Script is a script that Redis runs as one step.
type Script struct{ lua *rueidis.Lua }

// NewScript returns a script in Lua.
func NewScript(lua string) *Script { return &Script{lua: rueidis.NewLuaScript(lua)} }

// RunScript runs a script on one key, and returns the whole numbers that it
// answers.
func (r *Redis) RunScript(ctx context.Context, budget time.Duration, s *Script, key string, args ...string) ([]int64, error) {
	return ask(r, ctx, budget, func(ctx context.Context, c rueidis.Client) ([]int64, error) {
		numbers, err := s.lua.Exec(ctx, c, []string{key}, args).AsIntSlice()
		return numbers, explainRedis(err)
	})
}

// wrongType says whether an error is about what lies under a key.
func wrongType(err error) bool {
	var answer *rueidis.RedisError
	return errors.As(err, &answer) && strings.HasPrefix(answer.Error(), "WRONGTYPE")
}

// redisReasons are the first words of Redis's errors that have a reason of
// their own. https://redis.io/docs/latest/develop/reference/protocol-spec/
var redisReasons = map[string]Reason{
	"NOAUTH": Authentication, "WRONGPASS": Authentication, "NOPERM": Permission,
	"OOM": Full, "READONLY": ReadOnly, "NOREPLICAS": ReadOnly, "MISCONF": ReadOnly,
	"LOADING": Restarting, "MASTERDOWN": Restarting, "CLUSTERDOWN": Restarting, "TRYAGAIN": Restarting,
}

// redisReason returns why Redis refused, if it was Redis that did.
func redisReason(err error) (reason Reason, refused bool) {
	var answer *rueidis.RedisError
	switch {
	case errors.As(err, &answer):
		word, rest, _ := strings.Cut(answer.Error(), " ")
		reason, known := redisReasons[word]
		switch {
		case known:
			return reason, true
		case strings.Contains(rest, "can't run this command"):
			return Permission, true
		case strings.Contains(rest, "max number of clients"):
			return OutOfConnections, true
		case strings.Contains(rest, "invalid password"), strings.Contains(rest, "AUTH"):
			return Authentication, true
		}
		return Other, true
	case errors.Is(err, rueidis.ErrClosing), errors.Is(err, rueidis.ErrNoAddr):
		return Unreachable, true
	}
	return "", false
}

// redisPhrases say a reason of Redis to the person who reads the log.
var redisPhrases = map[Reason]string{
	Unreachable:      "cannot be reached: is it running, and is the address right?",
	Timeout:          "did not answer in time",
	Restarting:       "is starting, or has no primary: it is tried again",
	Authentication:   "does not let this user in: check user and password",
	OutOfConnections: "has no connection left: raise its maxclients",
	ReadOnly:         "takes no change: it is a replica, or cannot save",
	Full:             "is full: raise its maxmemory, or set maxmemory-policy to allkeys-lru",
	Permission:       "does not allow this user the keys housing:* or a command that docs/redis.md lists",
}

// explainRedis says in one line of ours what is wrong.
func explainRedis(err error) error {
	if err == nil {
		return nil
	}
	phrase, known := redisPhrases[ReasonOf(err)]
	if !known {
		phrase = "answered: " + err.Error()
	}
	return &fault{text: "Redis " + strings.Join(strings.Fields(phrase), " "), cause: err}
}
