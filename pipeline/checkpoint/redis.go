package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/gonomaly/gonomaly/pipeline"
)

// NewRedis returns a store in Redis, for any number of processes, whose keys begin with prefix and a colon. reg may be nil.
func NewRedis(client redis.UniversalClient, prefix string, reg prometheus.Registerer, log *slog.Logger) *Store {
	return newStore(&shelves{client, prefix}, reg, log)
}

// shelves keeps two kinds of keys a log, all in one slot of a Redis Cluster by the braces:
//
//	PREFIX:{GROUP:TOPIC-ID:PARTITION}                     a hash, the pointer: newest and previous, each "EPOCH OFFSET CHUNKS"
//	PREFIX:{GROUP:TOPIC-ID:PARTITION}:EPOCH:OFFSET:N      a chunk of a checkpoint, never changed
//
// A chunk expires unless the pointer leads to it, so that what a crash leaves halfway is gone within the hour.
type shelves struct {
	client redis.UniversalClient
	prefix string
}

const (
	chunkSize = 1 << 20 // bytes: what Redis takes in without delay to others
	orphanTTL = time.Hour
)

// flip makes ARGV (epoch, offset, chunks) the newest generation of the pointer KEYS[1], if all its chunks are there and it is newer than
// what the pointer has; it returns the newest. It touches chunks only through their names, never their bytes. Applied twice it
// changes nothing the second time.
var flip = redis.NewScript(`
local function parts(s) return string.match(s or '', '^(%d+) (%d+) (%d+)$') end
local function chunk(epoch, offset, n) return KEYS[1] .. ':' .. epoch .. ':' .. offset .. ':' .. n end
local newest = redis.call('HGET', KEYS[1], 'newest')
local epoch, offset = parts(newest)
if epoch then
	local ours, theirs = {tonumber(ARGV[1]), tonumber(ARGV[2])}, {tonumber(epoch), tonumber(offset)}
	if ours[1] < theirs[1] or (ours[1] == theirs[1] and ours[2] <= theirs[2]) then return newest end
end
for n = 0, ARGV[3] - 1 do
	if redis.call('EXISTS', chunk(ARGV[1], ARGV[2], n)) == 0 then
		return redis.error_reply('ERR chunk ' .. n .. ' of ' .. ARGV[3] .. ' is not stored')
	end
end
for n = 0, ARGV[3] - 1 do redis.call('PERSIST', chunk(ARGV[1], ARGV[2], n)) end
local old_epoch, old_offset, old_chunks = parts(redis.call('HGET', KEYS[1], 'previous'))
if epoch then redis.call('HSET', KEYS[1], 'previous', newest) end
newest = ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. ARGV[3]
redis.call('HSET', KEYS[1], 'newest', newest)
if old_epoch and epoch then
	for n = 0, old_chunks - 1 do redis.call('UNLINK', chunk(old_epoch, old_offset, n)) end
end
return newest
`)

func (s *shelves) pointer(l pipeline.Log) string { return s.prefix + ":{" + name(l, ":") + "}" }

func (s *shelves) chunks(l pipeline.Log, g generation) []string {
	keys := make([]string, g.chunks)
	for n := range keys {
		keys[n] = fmt.Sprintf("%s:%d:%d:%d", s.pointer(l), g.epoch, g.offset, n)
	}
	return keys
}

func (s *shelves) list(ctx context.Context, l pipeline.Log) ([]generation, error) {
	fields, err := s.client.HMGet(ctx, s.pointer(l), "newest", "previous").Result()
	if err != nil {
		return nil, err
	}
	var gs []generation
	for _, f := range fields {
		text, ok := f.(string)
		if !ok {
			continue
		}
		g, err := parseGeneration(text)
		if err != nil {
			return gs, err
		}
		gs = append(gs, g)
	}
	return gs, nil
}

func parseGeneration(text string) (g generation, err error) {
	if _, err := fmt.Sscanf(text, "%d %d %d", &g.epoch, &g.offset, &g.chunks); err != nil || g.chunks < 1 || g.chunks > maxChunks {
		return generation{}, fmt.Errorf("%w: pointer is %q", errDamaged, text)
	}
	return g, nil
}

// maxChunks is what the largest state comes to when nothing of it can be compressed, and its envelope.
const maxChunks = maxState/chunkSize + 1

func (s *shelves) read(ctx context.Context, l pipeline.Log, g generation) ([]byte, error) {
	var b []byte
	for n, key := range s.chunks(l, g) {
		chunk, err := s.client.Get(ctx, key).Bytes()
		if errors.Is(err, redis.Nil) {
			return nil, fmt.Errorf("%w: chunk %d of %d is missing", errDamaged, n, g.chunks)
		}
		if err != nil {
			return nil, err
		}
		b = append(b, chunk...)
	}
	return b, nil
}

func (s *shelves) put(ctx context.Context, l pipeline.Log, g generation, b []byte) (generation, error) {
	chunks := slices.Collect(slices.Chunk(b, chunkSize))
	g.chunks = len(chunks)
	for n, key := range s.chunks(l, g) {
		if err := s.setOnce(ctx, key, chunks[n]); err != nil {
			return generation{}, err
		}
	}
	newest, err := flip.Run(ctx, s.client, []string{s.pointer(l)}, g.epoch, g.offset, strconv.Itoa(g.chunks)).Text()
	if err != nil {
		return generation{}, err
	}
	return parseGeneration(newest)
}

// setOnce stores b under a key whose bytes never change. One that is there is an earlier attempt's, or of a process that wrote the
// same state; other bytes would mix two states.
func (s *shelves) setOnce(ctx context.Context, key string, b []byte) error {
	err := s.client.SetArgs(ctx, key, b, redis.SetArgs{Mode: "NX", TTL: orphanTTL}).Err()
	if !errors.Is(err, redis.Nil) {
		return err
	}
	there, err := s.client.Get(ctx, key).Bytes()
	switch {
	case errors.Is(err, redis.Nil):
		return nil // deleted in between; the script sees by whom
	case err == nil && !bytes.Equal(there, b):
		return fmt.Errorf("%s is stored with other bytes", key)
	}
	return err
}
