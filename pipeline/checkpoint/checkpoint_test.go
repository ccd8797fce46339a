package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"

	"github.com/gonomaly/gonomaly/internal/local"
	"github.com/gonomaly/gonomaly/pipeline"
)

// bench is a store under test and a hand that reaches behind it.
type bench struct {
	*Store
	again func() *Store // another process on the same shelf

	// edit replaces every stored piece of a generation, in order, by what change makes of it; nil removes it.
	edit func(t *testing.T, l pipeline.Log, g generation, change func(piece []byte) []byte)
}

var benches = map[string]func(t *testing.T) bench{
	"memory": func(*testing.T) bench {
		m := &memory{logs: map[pipeline.Log][]stored{}}
		fresh := func() *Store { return newStore(m, nil, slog.New(slog.DiscardHandler)) }
		return bench{fresh(), fresh, func(_ *testing.T, l pipeline.Log, g generation, change func([]byte) []byte) {
			for i, s := range m.logs[l] {
				if s.generation == g {
					m.logs[l][i].bytes = change(s.bytes)
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
		return bench{fresh(), fresh, func(t *testing.T, l pipeline.Log, g generation, change func([]byte) []byte) {
			path := (&files{dir}).path(l, g)
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
	"redis":      func(t *testing.T) bench { return onRedis(t, miniredis.RunT(t).Addr()) },
	"real redis": func(t *testing.T) bench { return onRedis(t, local.RedisFor(t)) },
}

func onRedis(t *testing.T, addr string) bench {
	c := DefaultRedis()
	c.Address = addr
	client, err := c.Client()
	if err != nil {
		t.Fatal(err)
	}
	prefix := fmt.Sprintf("test-%x", rand.Uint64())
	t.Cleanup(func() {
		for keys := client.Scan(context.Background(), 0, prefix+"*", 1000).Iterator(); keys.Next(context.Background()); {
			client.Del(context.Background(), keys.Val())
		}
		_ = client.Close()
	})
	fresh := func() *Store { return NewRedis(client, prefix, nil, slog.New(slog.DiscardHandler)) }
	return bench{fresh(), fresh, func(t *testing.T, l pipeline.Log, g generation, change func([]byte) []byte) {
		for _, key := range (&shelves{client, prefix}).chunks(l, g) {
			b, err := client.Get(t.Context(), key).Bytes()
			if err == nil {
				if b = change(b); b == nil {
					err = client.Del(t.Context(), key).Err()
				} else {
					err = client.Set(t.Context(), key, b, redis.KeepTTL).Err()
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

func at(offset int64) pipeline.Checkpoint {
	return pipeline.Checkpoint{Offset: offset, Config: config, State: fmt.Appendf(nil, "the state at %d %s", offset, strings.Repeat("and so on ", 50))}
}

func (s bench) save(t *testing.T, offsets ...int64) {
	t.Helper()
	for _, o := range offsets {
		if err := s.Save(t.Context(), someLog, at(o)); err != nil {
			t.Fatal(err)
		}
	}
}

// want loads and compares; a want below 0 is for ErrNoCheckpoint.
func (s bench) want(t *testing.T, atMost, want int64) {
	t.Helper()
	got, err := s.Load(t.Context(), someLog, atMost, config)
	if want < 0 {
		if !errors.Is(err, pipeline.ErrNoCheckpoint) {
			t.Fatalf("Load(at most %d) = offset %d, %v, want ErrNoCheckpoint", atMost, got.Offset, err)
		}
		return
	}
	if err != nil || got.Offset != want || got.Config != config || !bytes.Equal(got.State, at(want).State) {
		t.Fatalf("Load(at most %d) = offset %d, configuration %s, %d bytes, %v, want offset %d", atMost, got.Offset, got.Config, len(got.State), err, want)
	}
}

func TestNothingIsStored(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		_, err := s.Load(t.Context(), someLog, forever, config)
		if !errors.Is(err, pipeline.ErrNoCheckpoint) || !strings.Contains(err.Error(), "nothing is stored") {
			t.Fatalf("Load = %v, want ErrNoCheckpoint: nothing is stored", err)
		}
	})
}

func TestNewestAtMost(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		s.save(t, 0, 100, 200) // 0 falls out: two generations are kept
		for _, c := range []struct{ atMost, want int64 }{{forever, 200}, {200, 200}, {199, 100}, {100, 100}, {99, -1}, {0, -1}} {
			bench{Store: s.again()}.want(t, c.atMost, c.want)
		}
	})
}

func TestNeverBack(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		s.want(t, 0, -1)
		s.save(t, 100, 300, 200, 300, 0)
		s.want(t, forever, 300)
		s.want(t, 299, 100)
	})
}

func TestStatesOfAllSizes(t *testing.T) {
	noise := make([]byte, 5<<20+12345) // does not compress, so it is many chunks
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
	for _, state := range [][]byte{nil, {7}, noise[:chunkSize], noise, bytes.Repeat([]byte("series"), 1<<20)} {
		each(t, func(t *testing.T, s bench) {
			if err := s.Save(t.Context(), someLog, pipeline.Checkpoint{Offset: 5, Config: config, State: state}); err != nil {
				t.Fatal(err)
			}
			got, err := s.again().Load(t.Context(), someLog, 5, config)
			if err != nil || !bytes.Equal(got.State, state) {
				t.Fatalf("Load of %d bytes = %d bytes, %v", len(state), len(got.State), err)
			}
		})
	}
}

// Whatever byte of the newest is wrong, the one before it is found, it is said, and what follows replaces the damaged one.
func TestDamagedNewest(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		s.save(t, 100, 200)
		stored, err := s.shelf.list(t.Context(), someLog)
		if err != nil {
			t.Fatal(err)
		}
		b, err := s.shelf.read(t.Context(), someLog, stored[0])
		if err != nil {
			t.Fatal(err)
		}
		damages := map[string]func([]byte) []byte{
			"removed":   func([]byte) []byte { return nil },
			"truncated": func(b []byte) []byte { return b[:len(b)-1] },
			"empty":     func([]byte) []byte { return []byte{} },
			"longer":    func(b []byte) []byte { return append(bytes.Clone(b), 0) },
		}
		for i := range b {
			damages[fmt.Sprintf("byte %d", i)] = func(b []byte) []byte {
				b = bytes.Clone(b)
				b[i] ^= 0x10
				return b
			}
		}
		for what, damage := range damages {
			if what == "removed" && !strings.Contains(t.Name(), "redis") {
				continue // a file removed is not listed either
			}
			s.edit(t, someLog, stored[0], damage)
			before := testutil.ToFloat64(s.metrics.damaged)
			s.want(t, forever, 100)
			if n := testutil.ToFloat64(s.metrics.damaged) - before; n != 1 {
				t.Fatalf("%s: %v damages counted, want 1", what, n)
			}
			if what != "removed" {
				s.edit(t, someLog, stored[0], func([]byte) []byte { return b })
				continue
			}
			key := s.shelf.(*shelves).chunks(someLog, stored[0])[0]
			if err := s.shelf.(*shelves).client.Set(t.Context(), key, b, 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
		s.edit(t, someLog, stored[0], func([]byte) []byte { return []byte("rubbish") })
		s.want(t, forever, 100)
		s.save(t, 150)
		s.want(t, forever, 150)
	})
}

func TestMissingChunk(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		if _, ok := s.shelf.(*shelves); !ok {
			t.Skip("this store does not cut a checkpoint into chunks")
		}
		noise := make([]byte, 3*chunkSize)
		_, _ = rand.NewChaCha8([32]byte{2}).Read(noise)
		s.save(t, 100)
		if err := s.Save(t.Context(), someLog, pipeline.Checkpoint{Offset: 200, Config: config, State: noise}); err != nil {
			t.Fatal(err)
		}
		n := 0
		s.edit(t, someLog, generation{epoch: 1, offset: 200, chunks: 4}, func(b []byte) []byte {
			if n++; n == 3 {
				return nil
			}
			return b
		})
		s.want(t, forever, 100)
	})
}

func TestBothDamaged(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		s.save(t, 100, 200)
		stored, _ := s.shelf.list(t.Context(), someLog)
		for _, g := range stored {
			s.edit(t, someLog, g, func(b []byte) []byte { return b[:len(b)/2] })
		}
		_, err := s.Load(t.Context(), someLog, forever, config)
		if !errors.Is(err, pipeline.ErrNoCheckpoint) || !strings.Contains(err.Error(), "offset 200") || !strings.Contains(err.Error(), "checksum") {
			t.Fatalf("Load = %v, want ErrNoCheckpoint that tells of the checksum", err)
		}
		s.save(t, 50)
		s.want(t, forever, 50)
	})
}

// Another configuration's state is of no use, and does not stand in the way of a new line of states.
func TestOtherConfiguration(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		s.save(t, 100, 200)
		other := pipeline.Checkpoint{Offset: 200, Config: "other", State: []byte("other state")}
		_, err := s.Load(t.Context(), someLog, forever, other.Config)
		if !errors.Is(err, pipeline.ErrNoCheckpoint) || !strings.Contains(err.Error(), `configuration "c0ffee", want "other"`) {
			t.Fatalf("Load = %v, want ErrNoCheckpoint that names both configurations", err)
		}
		if err := s.Save(t.Context(), someLog, other); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Load(t.Context(), someLog, 200, other.Config); err != nil || string(got.State) != "other state" {
			t.Fatalf("Load = %q, %v", got.State, err)
		}
		s.want(t, forever, 200) // the one before it
	})
}

// A group's offsets were reset below what is stored: a new line begins, and an owner of the old one is told.
func TestEpochAfterReset(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		s.save(t, 1000, 2000)
		zombie := bench{Store: s.again()}
		zombie.want(t, forever, 2000)
		s.want(t, 10, -1)
		s.save(t, 20, 30, 40)
		s.want(t, forever, 40)
		s.want(t, 39, 30)
		if err := zombie.Save(t.Context(), someLog, at(3000)); err == nil {
			t.Fatal("an owner of the last epoch saved without being told")
		}
		s.want(t, forever, 40)
		next := bench{Store: s.again()}
		next.want(t, forever, 40) // the owner of today, after whoever: goes on in the same epoch
		next.save(t, 35, 50)
		next.want(t, 49, 40)
	})
}

func TestLogsAreApart(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		logs := []pipeline.Log{
			{Group: "a", Partition: pipeline.Partition{Topic: "t", TopicID: "x", ID: 0}},
			{Group: "a", Partition: pipeline.Partition{Topic: "t", TopicID: "x", ID: 1}},
			{Group: "a", Partition: pipeline.Partition{Topic: "t", TopicID: "y", ID: 0}},
			{Group: "b", Partition: pipeline.Partition{Topic: "t", ID: 0}},
			{Group: "b:t", Partition: pipeline.Partition{Topic: "u", ID: 0}},
			{Group: "b", Partition: pipeline.Partition{Topic: "t:u", ID: 0}},
			{Group: "../{b}/,", Partition: pipeline.Partition{Topic: "..", ID: 0}},
		}
		for i, l := range logs {
			if err := s.Save(t.Context(), l, at(int64(i))); err != nil {
				t.Fatal(err)
			}
		}
		for i, l := range logs {
			if c, err := s.Load(t.Context(), l, forever, config); err != nil || c.Offset != int64(i) {
				t.Errorf("Load(%v) = %d, %v, want %d", l, c.Offset, err, i)
			}
		}
	})
}

func TestManyLogsAtOnce(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		var wg sync.WaitGroup
		for id := range int32(8) {
			wg.Go(func() {
				l := pipeline.Log{Group: "g", Partition: pipeline.Partition{Topic: "t", ID: id}}
				for o := range int64(20) {
					if err := s.Save(t.Context(), l, at(o)); err != nil {
						t.Error(err)
					}
					if c, err := s.Load(t.Context(), l, forever, config); err != nil || c.Offset != o {
						t.Errorf("Load = %d, %v, want %d", c.Offset, err, o)
					}
				}
			})
		}
		wg.Wait()
	})
}

// Two processes that both believe they own a log may race; what is stored never moves back and is always whole.
func TestTwoOwnersRace(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		if _, ok := s.shelf.(*files); ok {
			t.Skip("files serve one process")
		}
		var wg sync.WaitGroup
		for range 4 {
			owner := s.again()
			wg.Go(func() {
				for o := int64(1); o <= 30; o++ {
					if err := owner.Save(t.Context(), someLog, at(o)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		s.want(t, forever, 30)
		s.want(t, 29, 29)
	})
}
