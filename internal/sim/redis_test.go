//go:build sim

package sim

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/gonomaly/gonomaly/pipeline/checkpoint"
)

// memory is a Redis that can be away, refuse, forget, and be what it was some time ago.
type memory struct {
	*miniredis.Miniredis

	mu    sync.Mutex
	down  bool
	conns []net.Conn
	past  [][]entry // of each second
}

// entry is a key with its value.
type entry struct {
	key, text string
	fields    map[string]string
	ttl       time.Duration
}

func newMemory() *memory {
	m := miniredis.NewMiniRedis()
	m.ClockTTL(true)
	return &memory{Miniredis: m}
}

func (m *memory) dial(context.Context, string, string) (net.Conn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return nil, refused
	}
	conn, err := m.Dial()
	if err == nil {
		m.conns = append(m.conns, conn)
	}
	return conn, err
}

// stop is away for d.
func (m *memory) stop(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = true
	for _, c := range m.conns {
		_ = c.Close()
	}
	m.conns = nil
	time.AfterFunc(d, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.down = false
	})
}

func (m *memory) refuse(text string, d time.Duration) {
	m.SetError(text)
	time.AfterFunc(d, func() { m.SetError("") })
}

func (m *memory) flush() { m.FlushAll() }

// damage changes a byte of what is stored under some key.
func (m *memory) damage(which uint64) {
	keys := slices.DeleteFunc(m.Keys(), func(key string) bool { return m.Type(key) != "string" })
	if len(keys) == 0 {
		return
	}
	m.flip(keys[which%uint64(len(keys))], which)
}

// flip changes a bit of what is stored under a key.
func (m *memory) flip(key string, which uint64) {
	text, _ := m.Get(key)
	b := []byte(text)
	b[which%uint64(len(b))] ^= 1 << (which % 8)
	ttl := m.TTL(key)
	_ = m.Set(key, string(b))
	if ttl > 0 { // to live for no time would be to be gone
		m.SetTTL(key, ttl)
	}
}

// damageNewest damages each piece of each partition's newest chain of checkpoints.
func (m *memory) damageNewest() {
	keys := m.Keys()
	for _, key := range keys {
		if m.Type(key) != "hash" {
			continue
		}
		p, ok := parsePointer(m.HGet(key, "newest"))
		if !ok {
			continue
		}
		for _, chunk := range keys {
			rest, of := strings.CutPrefix(chunk, fmt.Sprintf("%s:%d:", key, p.epoch))
			text, _, _ := strings.Cut(rest, ":")
			if offset, err := strconv.ParseInt(text, 10, 64); of && err == nil && offset >= p.begin {
				m.flip(chunk, uint64(offset)*2654435761) //nolint:gosec // some place
			}
		}
	}
}

// calm ends what lasts.
func (m *memory) calm() {
	m.SetError("")
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = false
}

// remember keeps what there is now.
func (m *memory) remember() {
	var now []entry
	for _, key := range m.Keys() {
		e := entry{key: key, ttl: m.TTL(key)}
		if m.Type(key) == "hash" {
			e.fields = map[string]string{}
			names, _ := m.HKeys(key)
			for _, n := range names {
				e.fields[n] = m.HGet(key, n)
			}
		} else {
			e.text, _ = m.Get(key)
		}
		now = append(now, e)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.past = append(m.past[max(0, len(m.past)-3):], now)
}

// older goes back some seconds.
func (m *memory) older() {
	m.mu.Lock()
	past := slices.Clone(m.past)
	m.mu.Unlock()
	if len(past) == 0 {
		return
	}
	m.FlushAll()
	for _, e := range past[0] {
		if e.fields == nil {
			_ = m.Set(e.key, e.text)
		}
		for name, value := range e.fields {
			m.HSet(e.key, name, value)
		}
		if e.ttl > 0 {
			m.SetTTL(e.key, e.ttl)
		}
	}
}

// redisClient is the client of production, with another way to its server.
func redisClient(dial func(context.Context, string, string) (net.Conn, error)) (*redis.Client, error) {
	c := checkpoint.DefaultRedis()
	client, err := c.Client(nil)
	if err != nil {
		return nil, err
	}
	o := *client.(*redis.Client).Options()
	o.Dialer = dial
	return redis.NewClient(&o), client.Close()
}
