package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/gonomaly/gonomaly/internal/local"
	"github.com/gonomaly/gonomaly/pipeline"
)

// bench is a store under test and a hand that reaches behind it.
type bench struct {
	*Store
	again func() *Store // another process on the same shelf

	// edit replaces every stored part of a piece, in order, by what change makes of it; nil removes it.
	edit func(t *testing.T, l pipeline.Log, epoch int64, p piece, change func(part []byte) []byte)
}

var benches = map[string]func(t *testing.T) bench{
	"memory": func(*testing.T) bench {
		m := &memory{logs: map[pipeline.Log][]stored{}}
		fresh := func() *Store { return newStore(m, nil, slog.New(slog.DiscardHandler)) }
		return bench{fresh(), fresh, func(_ *testing.T, l pipeline.Log, epoch int64, p piece, change func([]byte) []byte) {
			for _, s := range m.logs[l] {
				if i := slices.Index(s.pieces, p); i >= 0 && s.epoch == epoch {
					s.bytes[i] = change(s.bytes[i])
				}
			}
		}}
	},
	"file": func(t *testing.T) bench {
		dir := t.TempDir()
		fresh := func() *Store {
			s, err := NewFile(dir, nil, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		return bench{fresh(), fresh, func(t *testing.T, l pipeline.Log, epoch int64, p piece, change func([]byte) []byte) {
			f := &files{dir}
			entries, _ := f.entries(l)
			i := slices.IndexFunc(entries, func(e entry) bool { return e.epoch == epoch && e.offset == p.offset })
			path := filepath.Join(f.log(l), entries[i].name)
			b, err := os.ReadFile(path)
			if err == nil {
				if b = change(b); b == nil {
					err = os.Remove(path)
				} else {
					err = os.WriteFile(path, b, 0o600)
				}
			}
			if err != nil {
				t.Fatal(err)
			}
		}}
	},
	"redis":      func(t *testing.T) bench { return onRedis(t, redisAt(miniredis.RunT(t).Addr()), nil) },
	"real redis": func(t *testing.T) bench { return onRedis(t, redisAt(local.RedisFor(t)), nil) },

	"redis with acl":         func(t *testing.T) bench { return installed(t, "acl") },
	"redis with tls":         func(t *testing.T) bench { return installed(t, "tls") },
	"redis cluster":          func(t *testing.T) bench { return installed(t, "cluster") },
	"redis behind sentinels": func(t *testing.T) bench { return installed(t, "sentinel") },
}

func installed(t *testing.T, kind string) bench {
	i := InstallationFor(t, kind)
	if kind == "sentinel" && asked.Add(1) == failOverAt { // in the middle of the suite
		if err := i.FailOver(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return onRedis(t, i.Config, i.Admin)
}

var asked atomic.Int32 // how many tests have asked for Sentinels

const failOverAt = 5

func redisAt(address string) RedisConfig {
	c := DefaultRedis()
	c.Address = address
	return c
}

// onRedis makes a store with keys of its own. Admin, nil where the store's client will do, is the hand behind it.
func onRedis(t *testing.T, c RedisConfig, admin redis.UniversalClient) bench {
	client, err := c.Client(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	prefix := fmt.Sprintf("test-%x", rand.Uint64())
	if admin == nil {
		admin = client
		t.Cleanup(func() {
			for keys := client.Scan(context.Background(), 0, prefix+"*", 1000).Iterator(); keys.Next(context.Background()); {
				client.Del(context.Background(), keys.Val())
			}
		})
	}
	fresh := func() *Store { return NewRedis(client, prefix, nil, slog.New(slog.DiscardHandler)) }
	return bench{fresh(), fresh, func(t *testing.T, l pipeline.Log, epoch int64, p piece, change func(part []byte) []byte) {
		for _, key := range (&shelves{client, prefix}).chunks(l, epoch, p) {
			b, err := admin.Get(t.Context(), key).Bytes()
			if err == nil {
				if b = change(b); b == nil {
					err = admin.Del(t.Context(), key).Err()
				} else {
					err = admin.Set(t.Context(), key, b, redis.KeepTTL).Err()
				}
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}}
}

// each runs a law over every store.
func each(t *testing.T, law func(t *testing.T, s bench)) {
	for kind, fresh := range benches {
		t.Run(kind, func(t *testing.T) { law(t, fresh(t)) })
	}
}

var someLog = pipeline.Log{Group: "gonomaly.machines", Partition: pipeline.Partition{Topic: "machines", TopicID: "3f2a", ID: 7}}

const (
	config  = "c0ffee"
	forever = int64(1) << 60
)

// at is a whole checkpoint, after one that continues another.
func at(offset int64) pipeline.Stored {
	return of(offset, config, fmt.Appendf(nil, "the state at %d %s", offset, strings.Repeat("and so on ", 50)))
}

func after(offset, continues int64) pipeline.Stored { return continuing(at(offset), continues) }

func continuing(c pipeline.Stored, continues int64) pipeline.Stored {
	c.After = continues
	return c
}

func of(offset int64, config string, state []byte) pipeline.Stored {
	return pipeline.Stored{Checkpoint: pipeline.Checkpoint{Offset: offset, Config: config}, State: state}
}

// Save stores a checkpoint whose state is there.
func (s bench) Save(ctx context.Context, l pipeline.Log, c pipeline.Stored) error {
	return s.Store.Save(ctx, l, c.Checkpoint, pipeline.InPieces(c.State))
}

func (s bench) save(t *testing.T, offsets ...int64) {
	t.Helper()
	for _, o := range offsets {
		if err := s.Save(t.Context(), someLog, at(o)); err != nil {
			t.Fatal(err)
		}
	}
}

// want loads, and compares the offsets of what comes; none is for ErrNoCheckpoint.
func (s bench) want(t *testing.T, atMost int64, want ...int64) {
	t.Helper()
	got, err := s.Load(t.Context(), someLog, atMost, config)
	if len(want) == 0 {
		if !errors.Is(err, pipeline.ErrNoCheckpoint) {
			t.Fatalf("Load(at most %d) = %d checkpoints, %v, want ErrNoCheckpoint", atMost, len(got), err)
		}
		return
	}
	var offsets []int64
	for i, c := range got {
		offsets = append(offsets, c.Offset)
		continues := int64(pipeline.Whole)
		if i > 0 {
			continues = got[i-1].Offset
		}
		if c.After != continues || c.Config != config || !bytes.Equal(c.State, at(c.Offset).State) {
			t.Errorf("Load(at most %d): the checkpoint at %d continues %d, with configuration %s and %d bytes", atMost, c.Offset, c.After, c.Config, len(c.State))
		}
	}
	if err != nil || !slices.Equal(offsets, want) {
		t.Fatalf("Load(at most %d) = offsets %v, %v, want %v", atMost, offsets, err, want)
	}
}
