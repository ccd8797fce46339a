//go:build integration && linux

package main

import (
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gonomaly/gonomaly/sources/generate"
)

const (
	floodMemory = 256 << 20 // bytes that the process may take, with what the kernel holds for it
	floodRate   = 50_000    // records a second
	hotKeys     = 40
	coldKeys    = 20 // between two records of hot keys
)

// floodKeys is how many keys come that never come again: 300,000, or what FLOOD_KEYS says.
func floodKeys() int {
	if n, err := strconv.Atoi(os.Getenv("FLOOD_KEYS")); err == nil {
		return n
	}
	return 300_000
}

// A flood of keys that come once, into a process that may take little memory: it is not killed for it, and tells of the keys in use what it
// would without the flood, score for score.
func TestFlood(t *testing.T) {
	limit := newMemoryLimit(t, floodMemory)
	w := newWorld(t).withRedis()
	hot := floodKeys() / coldKeys
	calm, flooded := w.name+".calm", w.name+".flooded"
	for _, topic := range []string{calm, flooded} {
		w.gonomaly("produce", "--topic", topic, "--input", w.file("none.jsonl", "")) // makes it
	}
	produce := func(topic string, rate float64, events iter.Seq[generate.Event]) generate.Produced {
		done, err := (&generate.Producer{Topic: topic, Rate: rate}).Run(t.Context(), w.opts, events)
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	produce(calm, 0, flood(hot, 0))
	const unset = "# max_bytes: 1073741824"
	created := w.gonomaly("create", "metrics", "--from", calm)
	if !strings.Contains(created, unset) {
		t.Fatalf("create does not show %q", unset)
	}
	boundless := w.file("boundless.yaml", created)
	config := w.file("gonomaly.yaml", strings.Replace(created, unset, fmt.Sprintf("max_bytes: %d", floodMemory/3/4), 1)) // a third, in four partitions
	run := func(config, topic string) *process {
		return w.run(config, "GONOMALY_TOPIC="+topic, "GONOMALY_GROUP="+topic, "GONOMALY_ALERTS_TOPIC="+topic+".alerts", "GONOMALY_INSTANCE="+topic)
	}
	p := run(config, calm)
	w.caughtUp(calm, calm)
	p.terminate()

	w.within = limit.command()
	p = run(boundless, calm)
	w.eventually("it is said that a flood would have it killed", func() error {
		if n := len(p.lines("series may come to take more memory than there is: set max_bytes")); n != 1 {
			return fmt.Errorf("%d times", n)
		}
		return nil
	})
	p.terminate()
	p = run(config, flooded)
	begin := time.Now()
	done := produce(flooded, floodRate, flood(hot, coldKeys))
	w.caughtUp(flooded, flooded)
	elapsed := time.Since(begin)
	received, evicted := p.metric("gonomaly_records_received_total"), p.metric("gonomaly_series_evicted_total")
	refused, rests := p.metric("gonomaly_records_total", "outcome", "not_admitted"), p.metric("gonomaly_memory_rests_total")
	if n := len(p.lines("series may come to take more memory than there is: set max_bytes")); n > 0 {
		t.Error("it is said that what create recommends is too much")
	}
	p.terminate()
	if n := limit.kills(); n != "0" {
		t.Errorf("%s processes were killed for want of memory", n)
	}
	if received != float64(done.Events) {
		t.Errorf("%v records are received, %d were written", received, done.Events)
	}
	got, want := tellings(slices.Collect(maps.Values(w.alerts(flooded+".alerts")))), tellings(slices.Collect(maps.Values(w.alerts(calm+".alerts"))))
	got = slices.DeleteFunc(got, func(a string) bool { return !strings.Contains(a, "Key:hot-") })
	if !slices.Equal(got, want) || len(want) < 10 {
		t.Errorf("%d alerts of keys in use under the flood, %d without, and they are not the same, or too few", len(got), len(want))
	}
	t.Logf("%d records of %d keys, written at %.0f/s, folded at %.0f/s; at most %d MiB of %d; %.0f series evicted, %.0f records not admitted, %.0f rests; "+
		"%d alerts of the keys in use, the same as without", done.Events, hot*coldKeys+hotKeys, float64(done.Events)/done.Elapsed.Seconds(),
		float64(done.Events)/elapsed.Seconds(), limit.peak()>>20, int64(floodMemory)>>20, evicted, refused, rests, len(want))
}

// flood is so many records of hot keys, once around a simulated minute, and after each of them cold ones of keys that come once.
func flood(hot, cold int) iter.Seq[generate.Event] {
	return func(yield func(generate.Event) bool) {
		values, others := rand.New(rand.NewPCG(1, 1)), rand.New(rand.NewPCG(2, 2))
		begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		event := func(key string, now time.Time, value float64) bool {
			return yield(generate.Event{Key: []byte(key), Value: fmt.Appendf(nil, `{"key":%q,"ts":%d,"x":%.4f}`, key, now.UnixMilli(), value), Time: now.UnixNano()})
		}
		for i := range hot {
			now := begin.Add(time.Duration(i/hotKeys) * time.Minute)
			value := 50 + values.NormFloat64()
			if values.IntN(300) == 0 {
				value += 20
			}
			if !event(fmt.Sprintf("hot-%02d", i%hotKeys), now, value) {
				return
			}
			for j := range cold {
				if !event(fmt.Sprintf("cold-%d", i*cold+j), now, 50+others.NormFloat64()) {
					return
				}
			}
		}
	}
}

// memoryLimit is a cgroup of the test's own.
type memoryLimit struct {
	testing.TB
	dir string
	v2  bool
}

func newMemoryLimit(t testing.TB, bytes int64) *memoryLimit {
	t.Helper()
	m := &memoryLimit{TB: t, dir: "/sys/fs/cgroup/memory"}
	size := "memory.limit_in_bytes"
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		m.dir, m.v2, size = "/sys/fs/cgroup", true, "memory.max"
		_ = os.WriteFile(filepath.Join(m.dir, "cgroup.subtree_control"), []byte("+memory"), 0o600) // it may be on
	}
	m.dir = filepath.Join(m.dir, fmt.Sprintf("gonomaly-test-%d", os.Getpid()))
	if err := os.Mkdir(m.dir, 0o755); err != nil {
		t.Skipf("a memory limit is for root, on a Linux with cgroups: %v", err)
	}
	t.Cleanup(func() { _ = os.Remove(m.dir) })
	if err := os.WriteFile(filepath.Join(m.dir, size), []byte(strconv.FormatInt(bytes, 10)), 0o600); err != nil {
		t.Skipf("a memory limit is for root, on a Linux with cgroups: %v", err)
	}
	return m
}

// command runs its arguments within the limit.
func (m *memoryLimit) command() []string {
	return []string{"sh", "-c", `echo $$ > "$0" && exec "$@"`, filepath.Join(m.dir, "cgroup.procs")}
}

func (m *memoryLimit) read(name string) string {
	m.Helper()
	b, err := os.ReadFile(filepath.Join(m.dir, name))
	if err != nil {
		m.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// peak is the most that was taken, in bytes.
func (m *memoryLimit) peak() int64 {
	m.Helper()
	name := "memory.max_usage_in_bytes"
	if m.v2 {
		name = "memory.peak"
	}
	n, err := strconv.ParseInt(m.read(name), 10, 64)
	if err != nil {
		m.Fatal(err)
	}
	return n
}

// kills is how many processes were killed for want of memory.
func (m *memoryLimit) kills() string {
	m.Helper()
	name := "memory.oom_control"
	if m.v2 {
		name = "memory.events"
	}
	for line := range strings.Lines(m.read(name)) {
		if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
			return strings.TrimSpace(n)
		}
	}
	m.Fatalf("%s does not tell oom_kill", name)
	return ""
}
