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
	"sync"
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
func at(offset int64) pipeline.Checkpoint {
	return pipeline.Checkpoint{Offset: offset, Config: config, State: fmt.Appendf(nil, "the state at %d %s", offset, strings.Repeat("and so on ", 50))}
}

func after(offset, continues int64) pipeline.Checkpoint {
	c := at(offset)
	c.After = continues
	return c
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
		s.save(t, 0, 100, 200) // 0 falls out: two chains are kept
		for _, c := range []struct {
			atMost int64
			want   []int64
		}{{forever, []int64{200}}, {200, []int64{200}}, {199, []int64{100}}, {100, []int64{100}}, {99, nil}, {0, nil}} {
			bench{Store: s.again()}.want(t, c.atMost, c.want...)
		}
	})
}

func TestNeverBack(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		s.want(t, 0)
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
			if err != nil || len(got) != 1 || !bytes.Equal(got[0].State, state) {
				t.Fatalf("Load of %d bytes = %d checkpoints, %v", len(state), len(got), err)
			}
		})
	}
}

// Another configuration's state is of no use, and does not stand in the way of a new line of states.
func TestOtherConfiguration(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		s.save(t, 100, 200)
		other := pipeline.Checkpoint{Offset: 200, Config: "other", State: []byte("other state")}
		_, err := s.Load(t.Context(), someLog, forever, other.Config)
		if !errors.Is(err, pipeline.ErrNoCheckpoint) || !strings.Contains(err.Error(), `configuration "c0ffee", want the points of "other"`) {
			t.Fatalf("Load = %v, want ErrNoCheckpoint that names both configurations", err)
		}
		if err := s.Save(t.Context(), someLog, other); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Load(t.Context(), someLog, 200, other.Config); err != nil || string(got[0].State) != "other state" {
			t.Fatalf("Load = %v, %v", got, err)
		}
		s.want(t, forever, 200) // the one before it
	})
}

// A state of the same points under another configuration is handed out, and the one made of it is stored at its offset: whoever still has
// the one before is over.
func TestChangedConfiguration(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		s.save(t, 100, 200)
		before := bench{Store: s.again()}
		before.want(t, forever, 200)
		changed := pipeline.Checkpoint{Offset: 200, Config: config + "-changed", State: []byte("changed state")}
		for range 2 { // it may be repeated
			got, err := s.Load(t.Context(), someLog, forever, changed.Config)
			if err != nil || len(got) != 1 || got[0].Config != config {
				t.Fatalf("Load = %v, %v, want the state of configuration %s", got, err, config)
			}
		}
		for range 2 {
			if err := s.Save(t.Context(), someLog, changed); err != nil {
				t.Fatal(err)
			}
		}
		if err := before.Save(t.Context(), someLog, at(300)); err == nil {
			t.Error("an owner with the configuration before saved without being told")
		}
		got, err := bench{Store: s.again()}.Load(t.Context(), someLog, forever, changed.Config)
		if err != nil || len(got) != 1 || string(got[0].State) != "changed state" {
			t.Errorf("Load = %v, %v, want the changed state", got, err)
		}
	})
}

// A group's offsets were reset below what is stored: a new line begins, and an owner of the old one is told.
func TestEpochAfterReset(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		s.save(t, 1000, 2000)
		zombie := bench{Store: s.again()}
		zombie.want(t, forever, 2000)
		s.want(t, 10)
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

// A chain is read as far as it is whole and wanted.
func TestChain(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		s.want(t, forever)
		for _, c := range []pipeline.Checkpoint{at(100), after(110, 100), after(120, 110), at(200), after(210, 200), after(220, 210), after(230, 220)} {
			if err := s.Save(t.Context(), someLog, c); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct {
			atMost int64
			want   []int64
		}{
			{forever, []int64{200, 210, 220, 230}}, {229, []int64{200, 210, 220}}, {200, []int64{200}}, {199, []int64{100, 110, 120}}, {105, []int64{100}}, {99, nil},
		} {
			bench{Store: s.again()}.want(t, c.atMost, c.want...)
		}
		if err := s.Save(t.Context(), someLog, at(300)); err != nil {
			t.Fatal(err)
		}
		s.want(t, 299, 200, 210, 220, 230)
		s.want(t, 199) // the oldest chain is gone
	})
}

// What continues something else than the newest is refused, and what is stored already is left out.
func TestChainIsUnbroken(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		for _, c := range []pipeline.Checkpoint{after(20, 10)} {
			if err := s.Save(t.Context(), someLog, c); !errors.Is(err, pipeline.ErrBroken) {
				t.Errorf("Save of the first, which continues %d: %v, want ErrBroken", c.After, err)
			}
		}
		s.save(t, 100)
		for _, c := range []struct {
			pipeline.Checkpoint
			want error
		}{
			{after(110, 90), pipeline.ErrBroken}, {after(110, 100), nil}, {after(110, 100), nil}, {after(120, 100), pipeline.ErrBroken},
			{after(105, 100), nil}, {after(120, 110), nil},
		} {
			if err := s.Save(t.Context(), someLog, c.Checkpoint); !errors.Is(err, c.want) {
				t.Errorf("Save of %d, which continues %d: %v, want %v", c.Offset, c.After, err, c.want)
			}
		}
		s.want(t, forever, 100, 110, 120)
	})
}

// A piece that continues what another owner has continued in the moment between a look at the pointer and its flip is refused by the shelf.
func TestChainOfTwoOwners(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		if _, ok := s.shelf.(*files); ok {
			t.Skip("files serve one process")
		}
		s.save(t, 100)
		if err := s.Save(t.Context(), someLog, after(110, 100)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.shelf.put(t.Context(), someLog, 1, 120, 100, []byte("piece")); !errors.Is(err, pipeline.ErrBroken) {
			t.Errorf("what continues 100 after another continued it: %v, want ErrBroken", err)
		}
		s.want(t, forever, 100, 110)
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
			if c, err := s.Load(t.Context(), l, forever, config); err != nil || c[0].Offset != int64(i) {
				t.Errorf("Load(%v) = %v, %v, want %d", l, c, err, i)
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
					if c, err := s.Load(t.Context(), l, forever, config); err != nil || c[0].Offset != o {
						t.Errorf("Load = %v, %v, want %d", c, err, o)
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
