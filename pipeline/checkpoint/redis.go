package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
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
//	PREFIX:{GROUP:TOPIC-ID:PARTITION}                       a hash, the pointer: newest and previous, each a chain "EPOCH OFFSET CHUNKS TAG…",
//	                                                        with OFFSET, CHUNKS and TAG for each of its pieces
//	PREFIX:{GROUP:TOPIC-ID:PARTITION}:EPOCH:OFFSET:TAG:N    a chunk of a piece, written once
//
// A tag is drawn for each attempt to write a piece, so that what two attempts wrote never mixes. A chunk expires unless the pointer leads to
// it: what a crash leaves halfway is soon gone.
type shelves struct {
	client redis.UniversalClient
	prefix string
}

const orphanTTL = 10 * time.Minute

// flip lists a piece, ARGV epoch, offset, chunks, tag, after, in the pointer KEYS[1]: as a chain of its own where after is 0, else at the
// end of the newest chain. It does so if all its chunks are there and it is newer than what the pointer has, and returns the newest chain.
// It touches chunks only through their names, never their bytes. Applied twice it changes nothing the second time. What fails in a script
// leaves what was written before it, so that UNLINK, which comes last, is first tried on nothing: the right to it may be missing.
var flip = redis.NewScript(`
local function parts(s)
	local all = {}
	for word in string.gmatch(s or '', '%S+') do all[#all + 1] = word end
	return all
end
local function chunk(epoch, offset, tag, n) return KEYS[1] .. ':' .. epoch .. ':' .. offset .. ':' .. tag .. ':' .. n end
local newest = redis.call('HGET', KEYS[1], 'newest')
local old = parts(newest)
local continues = tonumber(ARGV[5]) > 0
if #old > 0 then
	local ours, theirs = {tonumber(ARGV[1]), tonumber(ARGV[2])}, {tonumber(old[1]), tonumber(old[#old - 2])}
	if ours[1] < theirs[1] or (ours[1] == theirs[1] and ours[2] <= theirs[2]) then return newest end
end
if continues and (#old == 0 or old[1] ~= ARGV[1] or old[#old - 2] ~= ARGV[5]) then
	return redis.error_reply('BROKEN it continues what is not the newest')
end
for n = 0, ARGV[3] - 1 do
	if redis.call('EXISTS', chunk(ARGV[1], ARGV[2], ARGV[4], n)) == 0 then
		return redis.error_reply('ERR chunk ' .. n .. ' of ' .. ARGV[3] .. ' is not stored')
	end
end
redis.call('UNLINK', KEYS[1] .. ':none')
for n = 0, ARGV[3] - 1 do redis.call('PERSIST', chunk(ARGV[1], ARGV[2], ARGV[4], n)) end
if continues then
	newest = newest .. ' ' .. ARGV[2] .. ' ' .. ARGV[3] .. ' ' .. ARGV[4]
	redis.call('HSET', KEYS[1], 'newest', newest)
	return newest
end
local gone = parts(redis.call('HGET', KEYS[1], 'previous'))
if #old > 0 then redis.call('HSET', KEYS[1], 'previous', newest) end
newest = ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. ARGV[3] .. ' ' .. ARGV[4]
redis.call('HSET', KEYS[1], 'newest', newest)
if #old > 0 then
	for i = 2, #gone, 3 do
		for n = 0, gone[i + 1] - 1 do redis.call('UNLINK', chunk(gone[1], gone[i], gone[i + 2], n)) end
	end
end
return newest
`)

// broken begins what flip answers to a piece that continues what is not the newest.
const broken = "BROKEN"

func (s *shelves) pointer(l pipeline.Log) string { return s.prefix + ":{" + name(l, ":") + "}" }

func (s *shelves) chunk(l pipeline.Log, epoch int64, p piece, n int) string {
	return fmt.Sprintf("%s:%d:%d:%s:%d", s.pointer(l), epoch, p.offset, p.tag, n)
}

func (s *shelves) chunks(l pipeline.Log, epoch int64, p piece) []string {
	keys := make([]string, p.chunks)
	for n := range keys {
		keys[n] = s.chunk(l, epoch, p, n)
	}
	return keys
}

func (s *shelves) list(ctx context.Context, l pipeline.Log) ([]chain, error) {
	fields, err := s.client.HMGet(ctx, s.pointer(l), "newest", "previous").Result()
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	var chains []chain
	for _, f := range fields {
		text, ok := f.(string)
		if !ok {
			continue
		}
		c, err := parseChain(text)
		if err != nil {
			return chains, err
		}
		chains = append(chains, c)
	}
	return chains, nil
}

// parseChain reads "EPOCH OFFSET CHUNKS TAG…".
func parseChain(text string) (c chain, err error) {
	damaged := fmt.Errorf("%w: pointer is %q", errDamaged, text)
	words := strings.Fields(text)
	if len(words) < 4 || len(words)%3 != 1 {
		return chain{}, damaged
	}
	if c.epoch, err = strconv.ParseInt(words[0], 10, 64); err != nil || c.epoch < 0 {
		return chain{}, damaged
	}
	for w := words[1:]; len(w) > 0; w = w[3:] {
		offset, err1 := strconv.ParseInt(w[0], 10, 64)
		chunks, err2 := strconv.Atoi(w[1])
		if err1 != nil || err2 != nil || chunks < 1 || chunks > maxChunks || offset <= c.end() {
			return chain{}, damaged
		}
		c.pieces = append(c.pieces, piece{offset, chunks, w[2]})
	}
	return c, nil
}

// maxChunks is what the largest state comes to when nothing of it can be compressed, and its envelope.
const maxChunks = (maxState+1<<20)/leastChunk + 1

func (s *shelves) read(ctx context.Context, l pipeline.Log, epoch int64, p piece) ([]byte, error) {
	var b []byte
	for n, key := range s.chunks(l, epoch, p) {
		chunk, err := s.client.Get(ctx, key).Bytes()
		if errors.Is(err, redis.Nil) {
			return nil, fmt.Errorf("%w: chunk %d of %d is missing", errDamaged, n, p.chunks)
		}
		if err != nil {
			return nil, fmt.Errorf("redis: %w", err)
		}
		b = append(b, chunk...)
	}
	return b, nil
}

func (s *shelves) put(ctx context.Context, l pipeline.Log, epoch, offset, after int64, pieces pipeline.Pieces) (_ chain, err error) {
	p := piece{offset, 0, fmt.Sprintf("%08x", rand.Uint32())} //nolint:gosec // it need not be a secret
	defer func() {
		if err != nil {
			s.discard(ctx, l, p.tag, s.chunks(l, epoch, p))
		}
	}()
	for b, err := range pieces {
		if err != nil {
			return chain{}, err
		}
		p.chunks++
		if err := s.client.Set(ctx, s.chunk(l, epoch, p, p.chunks-1), b, orphanTTL).Err(); err != nil {
			return chain{}, fmt.Errorf("redis: %w", err)
		}
	}
	newest, err := flip.Run(ctx, s.client, []string{s.pointer(l)}, epoch, offset, strconv.Itoa(p.chunks), p.tag, after).Text()
	switch {
	case redis.HasErrorPrefix(err, broken):
		return chain{}, pipeline.ErrBroken
	case err != nil:
		return chain{}, fmt.Errorf("redis: %w", err)
	}
	return parseChain(newest)
}

// unlinkOrphans deletes those of the chunks KEYS[2…] of an attempt, ARGV tag, that the pointer KEYS[1] does not lead to. They may expire or
// not: flip can fail halfway, such as for a lack of memory or of a right.
var unlinkOrphans = redis.NewScript(`
for _, field in ipairs({'newest', 'previous'}) do
	local chain = redis.call('HGET', KEYS[1], field)
	if chain and string.find(chain .. ' ', ' ' .. ARGV[1] .. ' ', 1, true) then return 0 end
end
for i = 2, #KEYS do redis.call('UNLINK', KEYS[i]) end
return #KEYS - 1
`)

// discard deletes the chunks of an attempt that failed, but not where only the reply was lost. What cannot be deleted now expires.
func (s *shelves) discard(ctx context.Context, l pipeline.Log, tag string, chunks []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = unlinkOrphans.Run(ctx, s.client, append([]string{s.pointer(l)}, chunks...), tag).Err()
}
