package sources

import (
	"errors"
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// When fetching rests, for how long, and what then.
func TestPressure(t *testing.T) {
	held, collected := int64(0), 0
	p := &pressure{memory: func(fresh bool) (int64, int64) {
		if fresh {
			collected++
		}
		return held, 1000 << 20
	}}
	now := time.Unix(1000, 0)
	for i, step := range []struct {
		after time.Duration // since the step before
		held  int64         // MiB
		want  rest
		said  bool
	}{
		{time.Second, 500, none, false},
		{time.Second, 899, none, false},
		{time.Second, 900, begins, false},
		{time.Second, 950, lasts, false},
		{time.Millisecond, 100, lasts, false}, // it is not looked at that often
		{3 * time.Second, 950, lasts, true},
		{time.Second, 800, none, false},
		{time.Second, 950, begins, false},
		{longest - time.Second, 950, lasts, true},
		{time.Second, 950, overruns, false},
		{time.Hour, 950, none, false}, // resting has not helped; it is not tried again
		{time.Second, 800, none, false},
		{time.Second, 950, begins, false}, // now it may
	} {
		now, held = now.Add(step.after), step.held<<20
		if got := p.look(now); got != step.want {
			t.Errorf("step %d: look = %v, want %v", i, got, step.want)
		}
		if said := p.trouble(now) != nil; said != step.said {
			t.Errorf("step %d: trouble = %v, want any: %v", i, p.trouble(now), step.said)
		}
	}
	if collected == 0 {
		t.Error("nothing was collected: while fetching rests nothing else does it")
	}
}

// Garbage is no memory that is held, and without a limit nothing is.
func TestProcessMemory(t *testing.T) {
	if _, limit := processMemory(false); limit != math.MaxInt64 {
		t.Skipf("the test runs under a limit, of %d bytes", limit)
	}
	before := debug.SetGCPercent(-1) // garbage stays
	defer debug.SetGCPercent(before)
	for range 64 {
		garbage.Store(new([1 << 20]byte))
	}
	garbage.Store(nil)
	total, _ := func() (int64, int64) {
		defer debug.SetMemoryLimit(debug.SetMemoryLimit(math.MaxInt64 - 1))
		return processMemory(false)
	}()
	defer debug.SetMemoryLimit(math.MaxInt64)
	debug.SetMemoryLimit(total) // near it
	held, limit := processMemory(true)
	if held >= total-(32<<20) || held <= 0 || limit != total {
		t.Errorf("%d MiB of %d are held with %d MiB in all, 64 of them garbage", held>>20, limit>>20, total>>20)
	}
}

var garbage atomic.Pointer[[1 << 20]byte]

// Fetching rests while memory is short, which is counted and said; the source keeps its partitions, is healthy, and goes on when memory
// has fallen. It goes on as well when it does not fall.
func TestRestForMemory(t *testing.T) {
	t.Parallel()
	for name, falls := range map[string]bool{"and goes on when it has fallen": true, "and goes on when it does not fall": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, input)
			var held atomic.Int64
			p := w.start("a", tuned(func(k *Kafka) {
				k.memory = func(bool) (int64, int64) { return held.Load(), 100 << 20 }
				k.watching = watching{every: 100 * time.Millisecond, suspect: time.Second, stuck: 2 * time.Second, orphaned: time.Minute}
			}))
			w.produce(500)
			w.caughtUp()
			held.Store(95 << 20)
			w.eventually("it rests", func() error {
				if testutil.ToFloat64(p.o.Metrics.rests.WithLabelValues("s")) == 0 {
					return errors.New("not yet")
				}
				return nil
			})
			w.produce(500)
			folded := p.h.count()
			w.eventually("it is said", func() error { return contains(p.Ready(), "95 MiB of the 100 MiB") })
			if n := p.h.count() - folded; n > 0 {
				t.Errorf("%d records are folded while fetching rests", n)
			}
			if err := p.healthy(); err != nil {
				t.Errorf("a rest is healthy: %v", err)
			}
			if falls {
				held.Store(10 << 20)
			}
			w.caughtUp()
			w.compare()
			overruns := testutil.ToFloat64(p.o.Metrics.overruns.WithLabelValues("s"))
			if (overruns == 0) != falls {
				t.Errorf("it went on %v times although memory had not fallen", overruns)
			}
			if n := testutil.ToFloat64(p.o.Metrics.rebuilds.WithLabelValues("s")); n > 0 {
				t.Errorf("%v clients were made anew: the watchdog does not know of the rest", n)
			}
			w.eventually("ready", p.Ready)
		})
	}
}

// A rest does not keep partitions from moving.
func TestRebalanceDuringARest(t *testing.T) {
	w := newWorld(t, input)
	w.produce(500)
	var held atomic.Int64
	a := w.start("a", tuned(func(k *Kafka) { k.memory = func(bool) (int64, int64) { return held.Load(), 100 << 20 } }))
	w.caughtUp()
	held.Store(95 << 20)
	w.produce(500)
	b := w.start("b")
	w.eventually("the partitions are shared", shared(t, a, b))
	held.Store(0)
	w.caughtUp()
	w.compare()
}

// Hundreds of batches just under the bound take no more memory than a few. It runs alone, for it measures the process.
func TestManyBombs(t *testing.T) {
	w := newWorldOf(t, kfake.SeedTopics(partitions, input))
	const bombs = 300
	client := w.newClient(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.ProducerBatchMaxBytes(1<<20), kgo.ProducerLinger(0))
	for range bombs {
		r := &kgo.Record{Topic: input, Partition: 1, Value: []byte(strings.Repeat("0", 900<<10))}
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	objects := func() int64 {
		sample := []metrics.Sample{{Name: memoryObjects}}
		metrics.Read(sample)
		return int64(sample[0].Value.Uint64())
	}
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	runtime.GC()
	before, most := objects(), int64(0)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				most = max(most, objects())
			}
		}
	}()
	p := w.start("a", func(o *KafkaOptions, _ *handler) { o.Client.MaxBatchBytes = 1 << 20 })
	w.caughtUp()
	close(stop)
	<-done
	if p.h.count() != bombs {
		t.Errorf("%d records are folded, want %d", p.h.count(), bombs)
	}
	if took := most - before; took > 64<<20 {
		t.Errorf("%d batches of 900 KiB take %d MiB at once, want at most 64", bombs, took>>20)
	} else {
		t.Logf("%d batches of 900 KiB take %d MiB at once", bombs, took>>20)
	}
	w.produce(100)
	w.caughtUp()
	w.compare()
}
