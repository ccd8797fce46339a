//go:build integration && unix

package sources

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/internal/local"
)

// newRealWorld is a broker of Apache Kafka with the topic of records.
func newRealWorld(t testing.TB, configs map[string]*string) *world {
	t.Helper()
	broker, err := local.StartKafka(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = broker.Stop() })
	w := newWorldAt(t, broker.Address())
	w.makeTopic(configs)
	return w
}

func (w *world) makeTopic(configs map[string]*string) {
	w.Helper()
	w.eventually("the topic is there", func() error {
		answer, err := w.admin.CreateTopic(w.Context(), partitions, 1, configs, input)
		return errors.Join(err, answer.Err)
	})
}

// On real brokers each way of delivery holds what it promises, over rebalances, kills and clean ends.
func TestRealDelivery(t *testing.T) {
	for name, change := range map[string]func(*KafkaOptions, *handler){
		"exactly once": func(*KafkaOptions, *handler) {}, "at least once": atLeastOnce, "in a consumer group": consumerGroup,
	} {
		t.Run(name, func(t *testing.T) {
			w := newRealWorld(t, nil)
			w.produce(2000)
			a := w.start("a", change)
			stop := w.feed()
			a.later()
			b := w.start("b", change)
			w.eventually("the partitions are shared", shared(t, a, b))
			b.later()
			b.kill()
			b = w.start("b", change)
			if name == "in a consumer group" { // the brokers keep the place of one that was killed for 45 s
				b.quit(t)
			} else {
				w.eventually("the partitions are shared again", shared(t, a, b))
				b.later()
				b.quit(t)
			}
			a.later()
			stop()
			w.produceTransactions()
			w.longer(90*time.Second, "the group has caught up", w.behind)
			if name == "at least once" {
				w.compareAtLeast()
			} else {
				w.compare()
			}
			a.quit(t)
		})
	}
}

// Real brokers tell where a time begins in the log.
func TestRealRebuild(t *testing.T) {
	forever := "-1"
	newRealWorld(t, map[string]*string{"retention.ms": &forever}).rebuilds(t, 100*time.Hour, 101, 1)
}

// And the history before the end of it.
func TestRealWarmUp(t *testing.T) {
	forever := "-1"
	w := newRealWorld(t, map[string]*string{"retention.ms": &forever})
	w.history(t)
	w.warmsUp(t, 100*time.Hour, hours-101, func(w *world, p *process, start func() *process) *process {
		p.kill()
		return start()
	})
}

// longer is eventually with more patience.
func (w *world) longer(patience time.Duration, what string, check func() error) {
	w.Helper()
	var err error
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	w.Fatalf("%s: not so: %v", what, err)
}

// Two processes with one instance name do not fight on real brokers either.
func TestRealTwoProcessesOfOneInstance(t *testing.T) {
	for name, change := range map[string]func(*KafkaOptions, *handler){
		"exactly once": func(*KafkaOptions, *handler) {}, "at least once": atLeastOnce, "in a consumer group": consumerGroup,
	} {
		t.Run(name, func(t *testing.T) {
			w := newRealWorld(t, nil)
			w.produce(1000)
			older := w.start("one", change)
			stop := w.feed()
			older.later()
			newer := w.start("one", change)
			newer.later()
			w.eventually("the older says so", func() error { return contains(older.Ready(), "the instance's name one is taken") })
			time.Sleep(3 * time.Second)
			if n := testutil.ToFloat64(newer.o.Metrics.rebuilds.WithLabelValues("s")); n > 3 {
				t.Errorf("the newer has made its client anew %v times", n)
			}
			newer.quit(t)
			older.later()
			stop()
			w.caughtUp()
			if name == "at least once" {
				w.compareAtLeast()
			} else {
				w.compare()
			}
		})
	}
}

// A topic that is deleted and made anew under a running process begins cold.
func TestRealTopicIsMadeAnew(t *testing.T) {
	w := newRealWorld(t, nil)
	p := w.start("a")
	w.eventually("ready", p.Ready)
	w.produce(1000)
	w.caughtUp()
	want := w.replay() // not what can be read of it: the brokers may still be writing markers
	if _, err := w.admin.DeleteTopic(t.Context(), input); err != nil {
		t.Fatal(err)
	}
	w.makeTopic(nil)
	w.client = w.newClient()
	w.admin = kadm.NewClient(w.client)
	w.produce(2000)
	w.longer(90*time.Second, "the group has caught up", w.behind)
	maps.Copy(want, w.replay())
	w.eventually("the brokers have written their markers", func() error {
		if lost, _, _ := w.differences(want); lost > 0 {
			return fmt.Errorf("%d alerts cannot be read", lost)
		}
		return nil
	})
	w.compareWith(want)
	if n := testutil.ToFloat64(p.o.Metrics.recreated.WithLabelValues("s")); n != 1 {
		t.Errorf("it is said %v times, want once", n)
	}
}

// Partitions that are added are read from their start, retention that overtakes is said, and records that no client could hold are stepped
// over: one of 80 MiB, and one that decompresses to a gigabyte.
func TestRealLogs(t *testing.T) {
	most := fmt.Sprint(200 << 20)
	w := newRealWorld(t, map[string]*string{"max.message.bytes": &most})
	w.produce(300)
	p := w.start("a")
	w.caughtUp()
	large := []kgo.Opt{kgo.BrokerMaxWriteBytes(99 << 20), kgo.ProducerBatchMaxBytes(98 << 20)}
	w.write(strings.Repeat("x", 80<<20), append(large, kgo.ProducerBatchCompression(kgo.NoCompression()))...)
	stop := w.feed()
	stepped := func(n float64) func() error {
		return func() error {
			if got := testutil.ToFloat64(p.o.Metrics.skippedOffsets.WithLabelValues("s")); got != n {
				return fmt.Errorf("%v offsets are stepped over, want %v", got, n)
			}
			return nil
		}
	}
	w.eventually("the large record is stepped over", stepped(1))
	w.write(strings.Repeat("0", 90<<20), append(large, kgo.ProducerBatchCompression(kgo.ZstdCompression()))...)
	w.eventually("the bomb is stepped over", stepped(2))
	w.grow(2)
	p.client(t).ForceMetadataRefresh()
	stop()
	w.caughtUp()
	w.compareWith(w.replayOwn())
	w.eventually("ready", p.Ready)
	if n := testutil.ToFloat64(p.o.Metrics.rebuilds.WithLabelValues("s")); n > 0 {
		t.Errorf("%v clients were made anew", n)
	}
}

// How many records a second go through on a broker of Apache Kafka.
func BenchmarkRealDelivery(b *testing.B) {
	benchmarkDelivery(b, func(b testing.TB) *world { return newRealWorld(b, nil) })
}
