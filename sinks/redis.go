package sinks

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/gonomaly/gonomaly/internal/invalid"
	"github.com/gonomaly/gonomaly/pipeline"
)

// RedisConfig configures a Redis sink. Names are of keys, behind the prefix of the redis section (on a Cluster in braces) and a colon.
type RedisConfig struct {
	Stream    string `yaml:"stream" jsonschema:"default=alerts" jsonschema_description:"Redis stream that gets one entry for each alert, with the fields id and data (the CloudEvent)."`
	Incidents string `yaml:"incidents" jsonschema:"default=incidents" jsonschema_description:"Redis hash of the open incidents: id to latest alert (the CloudEvent)."`
	Positions string `yaml:"positions" jsonschema:"default=positions" jsonschema_description:"Redis hash of how far the alerts topics are delivered."`
	MaxLength int64  `yaml:"max_length" jsonschema:"minimum=1,default=100000" jsonschema_description:"Entries kept in the stream, or a few more."`
}

// Check implements Config.
func (c *RedisConfig) Check() error {
	var errs []error
	names := map[string]bool{}
	for _, n := range []struct{ key, name string }{{"stream", c.Stream}, {"incidents", c.Incidents}, {"positions", c.Positions}} {
		if n.name == "" || names[n.name] {
			errs = append(errs, &invalid.Value{Name: n.key, Value: strconv.Quote(n.name), Want: "a name of its own"})
		}
		names[n.name] = true
	}
	if c.MaxLength < 1 {
		errs = append(errs, &invalid.Value{Name: "max_length", Value: c.MaxLength, Want: "≥ 1"})
	}
	return errors.Join(errs...)
}

// New implements Config.
func (c *RedisConfig) New(env Env) (Sink, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if env.Redis == nil {
		return nil, &invalid.Value{Name: "kind", Value: "redis", Want: "a redis section beside the sinks"}
	}
	key := func(name string) string { return env.KeyPrefix + ":" + name }
	return &Redis{client: env.Redis, keys: []string{key(c.Stream), key(c.Incidents), key(c.Positions)}, name: c.Stream, maxLength: c.MaxLength}, nil
}

// Redis writes each alert to a stream, keeps the open incidents in a hash, and in another how far it has come in the alerts topics:
// all three by one script, so that an alert repeated after a lost reply or a restart changes nothing, and a Redis that lost writes
// tells from where they are missing. Every error of Redis is worth a retry; no alert is refused.
type Redis struct {
	client    redis.UniversalClient
	keys      []string // stream, incidents, positions
	name      string   // of the stream, without prefix
	maxLength int64
}

var _ Positioned = (*Redis)(nil)

// What deliver returns beside the stored position.
const (
	written = 0
	skipped = 1 // it was written before
	behind  = 2
)

// deliver takes KEYS stream, incidents, positions and ARGV field of the position, offset, after, id, data, incident, revision, status,
// max_length. What fails in a script leaves what was written before it, so the one write that may not happen twice stands between two
// others: those before it change nothing when they are repeated, and fail if the one after it would, for a right that is missing or a key of
// another type.
var deliver = redis.NewScript(`
local position = tonumber(redis.call('HGET', KEYS[3], ARGV[1]) or 0)
local known = redis.call('HGET', KEYS[2], ARGV[6])
redis.call('XLEN', KEYS[1])
if position < tonumber(ARGV[3]) then return {2, position} end
if tonumber(ARGV[2]) < position then return {1, position} end

redis.call('HSET', KEYS[3], ARGV[1], string.format('%d', position))
local newer = false
if known then
	local ok, event = pcall(cjson.decode, known)
	newer = ok and type(event.data) == 'table' and (event.data.revision or 0) > tonumber(ARGV[7])
end
if not newer then
	if ARGV[8] == 'resolve' then redis.call('HDEL', KEYS[2], ARGV[6]) else redis.call('HSET', KEYS[2], ARGV[6], ARGV[5]) end
end
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[9], '*', 'id', ARGV[4], 'data', ARGV[5])
redis.call('HSET', KEYS[3], ARGV[1], string.format('%d', ARGV[2] + 1))
return {0, ARGV[2] + 1}
`)

// field names a position. The topic's id keeps the offsets of a topic that was deleted and made again from being taken for its
// predecessor's; two sinks may share the hash.
func (s *Redis) field(p pipeline.Partition) string {
	return fmt.Sprintf("%s/%s/%s/%d", s.name, p.Topic, p.TopicID, p.ID)
}

// Position implements Positioned.
func (s *Redis) Position(ctx context.Context, p pipeline.Partition) (int64, error) {
	n, err := s.client.HGet(ctx, s.keys[2], s.field(p)).Int64()
	if errors.Is(err, redis.Nil) {
		return 0, nil
	}
	return n, err
}

// Send implements Sink. The scripts go out together. Behind one that fails the others change nothing: the position is not where they want
// it.
func (s *Redis) Send(ctx context.Context, ds []*Delivery) (n int, err error) {
	for n < len(ds) {
		replies := make([]*redis.Cmd, 0, len(ds)-n)
		_, unsent := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, d := range ds[n:] {
				replies = append(replies, deliver.EvalSha(ctx, p, s.keys, s.arguments(d)...))
			}
			return nil
		})
		for _, reply := range replies {
			missing := redis.HasErrorPrefix(reply.Err(), "NOSCRIPT")
			if missing {
				reply = deliver.Eval(ctx, s.client, s.keys, s.arguments(ds[n])...)
			}
			if err := judge(ds[n], reply); err != nil {
				if reply.Err() == nil && unsent != nil {
					err = unsent
				}
				return n, err
			}
			n++
			if missing {
				break // now it is there
			}
		}
	}
	return n, nil
}

func (s *Redis) arguments(d *Delivery) []any {
	a := &d.Alert
	return []any{s.field(d.Partition), d.Offset, d.After, a.ID, d.Data, a.Incident, a.Revision, string(a.Status), s.maxLength}
}

// judge says what a reply of the script deliver means.
func judge(d *Delivery, reply *redis.Cmd) error {
	words, err := reply.Int64Slice()
	if err != nil {
		return err
	}
	if len(words) == 2 {
		switch outcome, position := words[0], words[1]; outcome {
		case written, skipped:
			return nil
		case behind:
			return &Behind{Partition: d.Partition, Stored: position, Expected: d.After}
		}
	}
	return fmt.Errorf("script returned %v, want an outcome and a position", words)
}
