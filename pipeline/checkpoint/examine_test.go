package checkpoint

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/gonomaly/gonomaly/pipeline"
)

const minute = time.Minute // longer than any answer takes

// Each right that docs/redis.md lists is tried, and no other is said to be needed.
func TestProbesAreTheRights(t *testing.T) {
	for what, c := range map[string]struct {
		Purposes
		rights []string
		more   []string // that is tried by writing
	}{
		"checkpoints": {Purposes{Checkpoints: true}, checkpointRights, nil},
		"sink":        {Purposes{Sink: true}, sinkRights, []string{"+hset"}},
		"both":        {Purposes{Checkpoints: true, Sink: true}, AllRights(), nil},
	} {
		tried := map[string]bool{}
		for _, p := range c.probes() {
			tried[p.right] = true
		}
		for _, r := range c.more {
			tried[r] = true
		}
		want := map[string]bool{}
		for _, r := range c.rights {
			want[r] = true
		}
		if !maps.Equal(tried, want) {
			t.Errorf("%s: tried are %v, want %v", what, slices.Sorted(maps.Keys(tried)), slices.Sorted(maps.Keys(want)))
		}
	}
}

func TestExamineLeavesNothing(t *testing.T) {
	m := miniredis.RunT(t)
	c := DefaultRedis()
	c.Address = m.Addr()
	for _, p := range []Purposes{{Checkpoints: true}, {Sink: true}, {true, true}} {
		x, err := c.Examine(t.Context(), p, minute)
		if err != nil || x.Err != nil || len(x.Denied) > 0 || len(x.Nodes) != 1 || x.Took <= 0 {
			t.Errorf("Examine(%+v) = %+v, %v", p, x, err)
		}
		if keys := m.Keys(); len(keys) > 0 {
			t.Errorf("%+v leaves %q", p, keys)
		}
	}
	m.SetError("OOM command not allowed when used memory > 'maxmemory'.")
	x, err := c.Examine(t.Context(), Purposes{Checkpoints: true}, minute)
	if reason, remedy := Reason(x.Err); err != nil || reason != "oom" || !strings.Contains(remedy, "raise maxmemory") {
		t.Errorf("Examine of a full Redis = %v, %v", x.Err, err)
	}
	m.Close()
	x, err = c.Examine(t.Context(), Purposes{Checkpoints: true}, minute)
	if reason, _ := Reason(x.Err); err != nil || reason != "unreachable" || len(x.Nodes) > 0 {
		t.Errorf("Examine of one that is away = %+v, %v", x, err)
	}
	if bare := Bare(x.Err).Error(); strings.Contains(bare, "[unreachable") {
		t.Errorf("Bare still has the remedy: %s", bare)
	}
}

func TestParseInfo(t *testing.T) {
	got := parseInfo("# Memory\r\nmaxmemory:1048576\r\nmaxmemory_policy:noeviction\r\n\r\n# Replication\r\nslave0:ip=1,port=2\r\n")
	if want := map[string]string{"maxmemory": "1048576", "maxmemory_policy": "noeviction", "slave0": "ip=1,port=2"}; !maps.Equal(got, want) {
		t.Errorf("parseInfo = %v, want %v", got, want)
	}
	n := Node{Info: got}
	if x, known := n.Number("maxmemory"); x != 1<<20 || !known {
		t.Errorf("Number = %d, %v", x, known)
	}
	if _, known := n.Number("maxmemory_policy"); known {
		t.Error("a word is a number")
	}
}

// A clock that is off by an hour is found to be, whatever the way there takes.
func TestExamineClock(t *testing.T) {
	m := miniredis.RunT(t)
	m.SetTime(time.Now().Add(time.Hour))
	c := DefaultRedis()
	c.Address = m.Addr()
	x, err := c.Examine(t.Context(), Purposes{Checkpoints: true}, minute)
	if err != nil || len(x.Nodes) != 1 {
		t.Fatalf("Examine = %+v, %v", x, err)
	}
	if n := x.Nodes[0]; n.ClockErr != nil || (n.Ahead-time.Hour).Abs() > time.Minute {
		t.Errorf("its clock is %v ahead, %v, want an hour", n.Ahead, n.ClockErr)
	}
}

// What a user may not do is named right by right, on a real server; and with all rights nothing is.
func TestExamineRights(t *testing.T) {
	for kind, cluster := range map[string][]string{"acl": nil, "cluster": ClusterRights} {
		t.Run(kind, func(t *testing.T) {
			i := InstallationFor(t, kind)
			c := i.Config
			c.KeyPrefix = testPrefix()
			for _, missing := range append([]string{"none"}, AllRights()...) {
				user := testPrefix()
				rights := slices.DeleteFunc(AllRights(), func(r string) bool { return r == missing })
				for _, s := range i.Servers {
					admin := redis.NewClient(&redis.Options{Addr: s.Address()})
					if err := errors.Join(Grant(t.Context(), admin, user, append(rights, cluster...)...), admin.Close()); err != nil {
						t.Fatal(err)
					}
				}
				c.Username = user
				x, err := c.Examine(t.Context(), Purposes{Checkpoints: true, Sink: true}, minute)
				if err != nil {
					t.Fatal(err)
				}
				var lacks []string
				for _, r := range x.Denied {
					lacks = append(lacks, r.Name)
				}
				if missing == "none" && len(lacks) > 0 || missing != "none" && !slices.Equal(lacks, []string{missing}) {
					t.Errorf("without %s it lacks %v: %v", missing, lacks, x.Denied)
				}
				if (x.Err != nil) != (missing == "+set") {
					t.Errorf("without %s: %v", missing, x.Err)
				}
				if len(x.Nodes) == 0 || x.Nodes[0].InfoErr == nil {
					t.Errorf("of %d nodes the first may be asked for all: %v", len(x.Nodes), x.Nodes)
				}
			}
			for _, s := range i.Servers {
				admin := redis.NewClient(&redis.Options{Addr: s.Address()})
				left := admin.Keys(t.Context(), c.KeyPrefix+"*").Val()
				left = slices.DeleteFunc(left, func(key string) bool { return admin.TTL(t.Context(), key).Val() > 0 })
				if len(left) > 0 {
					t.Errorf("%q stay", left)
				}
				_ = admin.Close()
			}
		})
	}
}

// Every store says what it has of a log, and Redis that something of it is gone.
func TestStanding(t *testing.T) {
	m, s := mini(t)
	file, err := NewFile(t.TempDir(), nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for what, b := range map[string]bench{"redis": s, "file": {Store: file}, "memory": {Store: NewMemory(nil, slog.New(slog.DiscardHandler))}} {
		if _, err := b.Standing(t.Context(), someLog); !errors.Is(err, pipeline.ErrNoCheckpoint) {
			t.Errorf("%s: Standing of nothing: %v, want %v", what, err, pipeline.ErrNoCheckpoint)
		}
		b.save(t, 100, 200)
		if err := b.Save(t.Context(), someLog, after(210, 200)); err != nil {
			t.Fatal(err)
		}
		got, err := b.Standing(t.Context(), someLog)
		if err != nil || got.Offset != 210 || got.Pieces != 2 || got.Missing != 0 {
			t.Errorf("%s: Standing = %+v, %v, want offset 210 in 2 pieces", what, got, err)
		}
		if age := time.Since(got.Written); what == "file" && (age < -minute || age > minute) {
			t.Errorf("%s: it was written %v ago", what, age)
		}
	}
	for _, key := range m.Keys() {
		if strings.Contains(key, ":210:") {
			m.Del(key)
		}
	}
	if got, err := s.Standing(t.Context(), someLog); err != nil || got.Missing != 1 {
		t.Errorf("Standing after an eviction = %+v, %v, want 1 missing", got, err)
	}
	m.Server().SetPreHook(func(c *server.Peer, cmd string, _ ...string) bool {
		c.WriteError("LOADING Redis is loading the dataset in memory")
		return true
	})
	if _, err := s.Standing(t.Context(), someLog); err == nil || errors.Is(err, pipeline.ErrNoCheckpoint) {
		t.Errorf("Standing where Redis does not answer: %v", err)
	}
}

func ExampleRight() {
	fmt.Println(Right{"+get", &failure{&troubles[0], errors.New("NOPERM no")}})
	// Output: +get: NOPERM no
}
